//! The pipeline from the server to the handlers, seen from outside.

mod objects;
mod recorder;
mod scripted_server;
