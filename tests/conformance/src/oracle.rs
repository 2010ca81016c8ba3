//! client-go itself, as a child process that runs traces.
//!
//! in:   a trace, as JSON
//! out:  what client-go did
//!
//! The program is `go/oracle`, built by the crate `client_go`.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use client_go::Program;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A trace takes milliseconds; an answer that is not there by now does not come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of the end of the child's standard error an error quotes.
const TAIL_LINES: usize = 40;

/// A running oracle. It ends when this is dropped.
pub(crate) struct Oracle {
    child: Child,
    traces: ChildStdin,
    answers: Receiver<String>,
    errors: Tail,
    answer_timeout: Duration,
}

/// What client-go did in a trace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<O> {
    /// It ran to its end, and this was observed in each step.
    Observations(Vec<O>),
    /// It panicked.
    Panic(String),
}

/// What the oracle prints.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line<O> {
    Observations(Vec<O>),
    Panic(String),
    /// The trace means nothing to it.
    Error(String),
}

/// A trace as the oracle reads it, and as it is replayed.
#[derive(Serialize)]
pub(crate) struct Request<'a, T> {
    pub(crate) kind: &'static str,
    #[serde(flatten)]
    pub(crate) trace: &'a T,
}

impl Oracle {
    /// Starts the oracle, which is built first if need be.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let program = Program::Oracle.path()?;
        let mut child = Command::new(&program)
            .args(["-test.run=^TestOracle$", "-test.timeout=0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let (Some(traces), Some(answers), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            bail!("the oracle has no pipes");
        };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(answers).lines().map_while(Result::ok);
            // Nobody to tell is nobody to read for.
            lines.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop);
        });
        let (answers, errors) = (receiver, Tail::follow(errors));
        Ok(Self { child, traces, answers, errors, answer_timeout: ANSWER_TIMEOUT })
    }

    /// What client-go does in this trace.
    ///
    /// # Errors
    ///
    /// If the oracle ends or hangs, or cannot run the trace.
    pub(crate) fn ask<T: Serialize, O: DeserializeOwned>(
        &mut self,
        request: &Request<'_, T>,
    ) -> anyhow::Result<Answer<O>> {
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        // If it has ended, the missing answer says so better.
        let _ = self.traces.write_all(line.as_bytes()).and_then(|()| self.traces.flush());
        let answer = match self.answers.recv_timeout(self.answer_timeout) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = self.answer_timeout.as_secs();
                // An answer that comes late must not be taken for the next one.
                self.answers = mpsc::channel().1;
                self.child.kill().context("cannot end the oracle")?;
                let tail = self.errors.text();
                bail!("client-go hangs: no answer in {seconds} s to {line}its errors end:\n{tail}")
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().context("cannot wait for the oracle")?;
                let tail = self.errors.text();
                bail!("the oracle ended with {status} at {line}its errors end:\n{tail}")
            }
        };
        let unreadable = || format!("the answer {answer} to {line}is not one of this kind");
        match serde_json::from_str(&answer).with_context(unreadable)? {
            Line::Observations(observations) => Ok(Answer::Observations(observations)),
            Line::Panic(message) => Ok(Answer::Panic(message)),
            Line::Error(reason) => bail!("the oracle cannot run {line}{reason}"),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Both fail only if the process has ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a child's standard error.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn follow(errors: ChildStderr) -> Self {
        let tail = Self::default();
        let followed = tail.clone();
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut lines = followed.0.lock().unwrap_or_else(PoisonError::into_inner);
                lines.push_back(line);
                if lines.len() > TAIL_LINES {
                    lines.pop_front();
                }
            }
        });
        tail
    }

    fn text(&self) -> String {
        // What was written last may still be on its way.
        thread::sleep(Duration::from_millis(100));
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ask(kind: &'static str, trace: &Value) -> anyhow::Result<Answer<Value>> {
        Oracle::start()?.ask(&Request { kind, trace })
    }

    #[test]
    fn trace_that_means_nothing_is_an_error() {
        let error = ask("stack", &json!({})).unwrap_err().to_string();
        assert!(error.contains(r#"no such kind of trace: "stack""#), "{error}");
        let error = ask(
            "queue",
            &json!({"queue": "delta", "transform": "none", "operations": [{"op": "fly"}]}),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains(r#"no such operation: "fly""#), "{error}");
    }

    #[test]
    fn panic_of_client_go_is_an_answer() {
        let without_known_objects = json!({"queue": "in-order", "transform": "none"});
        let mut oracle = Oracle::start().unwrap();
        for _ in 0..2 {
            let request = Request { kind: "queue", trace: &without_known_objects };
            let Answer::<Value>::Panic(message) = oracle.ask(&request).unwrap() else {
                panic!("client-go accepted it");
            };
            assert!(message.contains("knownObjects must be provided"), "{message}");
        }
    }

    #[test]
    fn oracle_that_does_not_answer_is_ended() {
        let mut oracle = Oracle::start().unwrap();
        oracle.answer_timeout = Duration::ZERO;
        let request = Request { kind: "queue", trace: &json!({}) };
        let error = oracle.ask::<_, Value>(&request).unwrap_err().to_string();
        assert!(error.starts_with("client-go hangs: no answer in 0 s"), "{error}");
        let error = oracle.ask::<_, Value>(&request).unwrap_err().to_string();
        assert!(error.starts_with("the oracle ended"), "{error}");
    }

    #[test]
    fn end_of_the_oracle_is_told_with_its_last_words() {
        let mut oracle = Oracle::start().unwrap();
        oracle.child.kill().unwrap();
        let request = Request { kind: "queue", trace: &json!({}) };
        let error = oracle.ask::<_, Value>(&request).unwrap_err().to_string();
        assert!(error.starts_with("the oracle ended with signal: 9"), "{error}");
    }
}
