//! The pipeline from the server to the handlers, seen from outside; and what the documents say of
//! its tests.

mod client_go_scenarios;
mod differences;
mod objects;
#[expect(dead_code, reason = "the unit tests use the rest")]
mod recorder;
mod replacing;
mod scenarios;
#[expect(dead_code, reason = "the unit tests use the rest")]
mod scripted_server;
mod simulation;
mod sources;
