//! What a measuring program ends with.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

/// Prints the figures as a line of JSON, or why there are none.
pub fn print_figures(figures: Result<Value>) -> ExitCode {
    match figures {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
