//! What the tests stand on: a host in this process, what its handlers were told, writers, faults;
//! client-go beside it, and whether what both were told follows from what happened.

mod binary;
mod captured_log;
mod deliveries;
mod dev;
mod handler_resources;
mod test_host;
mod test_objects;
mod tcp_proxy;
mod faulty_client;
mod https_server;
mod scripted_server;
mod client_go;
mod server_history;
mod hostile_guest;
mod process_usage;
mod explanation;
mod figures;
mod merged_deliveries;

pub use binary::{binary, compile_cache, compiler};
pub use captured_log::{
    HeldGuest, Logged, Said, audited, capture_log, deliveries_of, fields_said_by, forget_log_of,
    log_of, problems_of, said_by, timed_log_of,
};
pub use client_go::{ClientGo, ClientGoCache};
pub use deliveries::{Delivery, Event, assert_chain, chain_breaks, final_view};
pub use dev::{Dev, config_map_with};
pub use explanation::{Explanation, Observed, Pipeline, Told, Violation, explain};
pub use faulty_client::Faults;
pub use figures::print_figures;
pub use handler_resources::{
    ModulesFolder, condition, create, create_handler_kind, handler_kind, handler_resource,
    handlers_in, holds, reported,
};
pub use hostile_guest::hostile_guest;
pub use https_server::{HttpsServer, Reply, certificate};
pub use merged_deliveries::explain_merges;
pub use process_usage::ProcessUsage;
pub use scripted_server::{Answer, Request, ScriptedServer};
pub use server_history::ServerHistory;
pub use tcp_proxy::TcpProxy;
pub use test_host::{TestHost, eventually};
pub use test_objects::{
    Kind, View, apply, config_map, config_maps, create_widget_kind, later_kind, pod, pods,
    server_view, storm, storm_of, widget, widgets,
};
