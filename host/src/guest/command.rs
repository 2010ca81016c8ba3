//! A command: a program that is started once, reads a line for each notification and answers it.
//!
//! in:   a call
//! out:  the program's answer, once it asks for the next line
//! runs: the program is a future that is polled until it waits for its standard input, and then left
//!       alone until there is a line for it. It has no task and no thread of its own.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

use super::bindings::informerd::handler::types::{Failure, Watch};
use super::call_meter::CallMeter;
use super::guest_log::GuestLog;
use super::imports::GuestState;
use super::instance::{CallError, arm, call_error, within};
use super::limits::GuestLimits;
use super::log_budget::{REASON_BYTES_MAX, one_line};
use super::shared_guest::Call;
use super::standard_streams::StandardStreams;
use super::stdin_protocol::{Answer, init_line, notification_line};

/// A running program. After an error it must be dropped.
pub(super) struct Command {
    /// Why it ended.
    run: Pin<Box<dyn Future<Output = CallError> + Send>>,
    streams: StandardStreams,
    meter: CallMeter,
    limits: GuestLimits,
    log: GuestLog,
    config: Arc<str>,
    /// Of the line that it was given last.
    id: u64,
    /// What it watches, once it was asked.
    watches: Option<Vec<Watch>>,
}

impl Command {
    pub(super) fn new(
        command: &CommandPre<GuestState>,
        mut store: Store<GuestState>,
        streams: StandardStreams,
        limits: GuestLimits,
        config: Arc<str>,
        log: GuestLog,
    ) -> Self {
        arm(&mut store, true, limits.cpu_at_start);
        let meter = store.data().meter.clone();
        let run = Box::pin(run(command.clone(), store, limits.clone()));
        Self { run, streams, meter, limits, log, config, id: 0, watches: None }
    }

    /// Starts the program and configures it, if that was not done yet; gives what it watches.
    pub(super) async fn introduce(&mut self) -> Result<&[Watch], CallError> {
        if self.watches.is_none() {
            let (cpu, wall) = (self.limits.cpu_at_start, self.limits.wall_at_start());
            self.turn(cpu, wall).await?;
            let said = self.streams.take_lines()?;
            if let Some(line) = said.first() {
                let line = one_line(line, EXCERPT_BYTES_MAX);
                return Err(CallError::NoAnswer(format!("it printed `{line}` unasked")));
            }
            let line = init_line(self.id, &self.config);
            let answer = self.ask(line, cpu, wall).await?;
            self.watches =
                Some(answer.introduction().map_err(|reason| {
                    CallError::ConfigRefused(one_line(&reason, REASON_BYTES_MAX))
                })?);
        }
        Ok(self.watches.as_deref().unwrap_or_default())
    }

    pub(super) async fn deliver(&mut self, call: &Call) -> Result<Result<(), Failure>, CallError> {
        self.id += 1;
        let line = notification_line(self.id, call)?;
        let (cpu, wall) = (self.limits.cpu_per_call, self.limits.wall_per_call());
        Ok(self.ask(line, cpu, wall).await?.result())
    }

    /// Gives the program a line; its answer is what it has printed when it asks for the next one.
    async fn ask(
        &mut self,
        line: String,
        cpu: Duration,
        wall: Duration,
    ) -> Result<Answer, CallError> {
        self.streams.give(line);
        self.turn(cpu, wall).await?;
        let lines = self.streams.take_lines()?;
        match lines.as_slice() {
            [line] => Answer::parse(line, self.id).map_err(|problem| {
                let line = one_line(line, EXCERPT_BYTES_MAX);
                CallError::NoAnswer(format!("it printed `{line}`: {problem}"))
            }),
            [] => Err(CallError::NoAnswer(
                "it asked for the next line without having printed one (flush standard output \
                 after each line)"
                    .to_owned(),
            )),
            [first, second, ..] => Err(CallError::NoAnswer(format!(
                "it printed more than one line, `{}` and `{}` (standard error is for everything \
                 but answers)",
                one_line(first, EXCERPT_BYTES_MAX),
                one_line(second, EXCERPT_BYTES_MAX)
            ))),
        }
    }

    /// Lets the program run until it waits for a line.
    async fn turn(&mut self, cpu: Duration, wall: Duration) -> Result<(), CallError> {
        self.meter.start(cpu);
        // What it said before is not why it fails now.
        self.log.take_last_words();
        let (run, streams) = (&mut self.run, &self.streams);
        let waits = poll_fn(|context| match run.as_mut().poll(context) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending if streams.is_waited_for() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        });
        within(wall, &self.meter, waits).await
    }
}

/// The whole life of the program. Memory that it was once refused counts to its end.
async fn run(
    command: CommandPre<GuestState>,
    mut store: Store<GuestState>,
    limits: GuestLimits,
) -> CallError {
    let ran = match command.instantiate_async(&mut store).await {
        Ok(command) => command.wasi_cli_run().call_run(&mut store).await,
        Err(error) => Err(error),
    };
    let status = match ran {
        Ok(Ok(())) => 0,
        Ok(Err(())) => 1,
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(status)) => *status,
            None => return call_error(error, &store, &limits),
        },
    };
    let last_words = match store.data().log.take_last_words() {
        nothing if nothing.is_empty() => nothing,
        words => format!(": {words}"),
    };
    CallError::Ended { status, last_words }
}

/// Of a line that is no answer, as much is quoted.
const EXCERPT_BYTES_MAX: usize = 200;
