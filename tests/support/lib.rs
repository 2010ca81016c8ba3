//! What the tests stand on: a host in this process, what its handlers were told, writers, faults.

mod captured_log;
mod deliveries;
mod dev;
mod test_host;
mod test_objects;
mod tcp_proxy;

pub use captured_log::{
    Logged, Said, capture_log, deliveries_of, fields_said_by, log_of, problems_of, said_by,
};
pub use deliveries::{Delivery, Event, assert_chain, final_view};
pub use dev::{Dev, config_map_with};
pub use tcp_proxy::TcpProxy;
pub use test_host::{TestHost, eventually};
pub use test_objects::{
    Kind, View, config_map, config_maps, pod, pods, server_view, storm, widget, widgets,
};
