//! The pipeline from the server to the handlers, seen from outside.

mod objects;
mod recorder;
mod scenarios;
mod scripted_server;
mod simulation;
