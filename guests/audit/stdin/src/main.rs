//! The audit trail as a command, as `../README.md` describes it: a program with a `main` that reads a line of JSON for each
//! notification, prints lines for the log, and then an answer.
//!
//! `conversation.rs` has what is read and printed, `object.rs` reads values, `config.rs` what is to be reported, `failing.rs`
//! fails on request, `audit.rs` writes the trail.

mod audit;
mod config;
mod conversation;
mod failing;
mod object;

use std::io::{self, BufRead as _};

use crate::audit::Audit;
use crate::conversation::{Answer, Line};

fn main() -> io::Result<()> {
    let mut audit = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let line: Line<'_> = serde_json::from_str(&line)?;
        // Standard output is flushed at each line end.
        println!("{}", answer(&mut audit, &line).to_line(line.id));
    }
    Ok(())
}

/// `audit`: none until `init` has made it.
fn answer(audit: &mut Option<Audit>, line: &Line<'_>) -> Answer {
    match audit {
        Some(audit) => audit.handle(line).map_or_else(Answer::Failed, |()| Answer::Ok),
        None => match Audit::new(line.config) {
            Ok(made) => {
                let watches = made.watches();
                *audit = Some(made);
                Answer::Watching(watches)
            }
            Err(reason) => Answer::refused(reason),
        },
    }
}
