//! `informerd handlers`, `dead-letters`, `informers` and `cache`: commands to a running host.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::client::{AdminClient, part};
use super::table;
use super::wire::{
    CachedObject, DeadLetter, Done, Handler, Informer, List, LoadRequest, Loading, LogRecord,
};
use crate::config::{
    AdminArgs, AdminCommand, CacheCommand, DeadLettersCommand, HandlersCommand, InformersCommand,
    WhichDeadLetters,
};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// The answer as it came.
    Json,
    /// The same, as YAML.
    Yaml,
}

/// Does what is asked for, and prints what came of it. An error means that it was not done.
pub async fn run_command(at: &AdminArgs, command: AdminCommand) -> anyhow::Result<()> {
    let client = AdminClient::new(at)?;
    match command {
        AdminCommand::Handlers(command) => handlers(&client, command).await,
        AdminCommand::DeadLetters(command) => dead_letters(&client, command).await,
        AdminCommand::Informers(InformersCommand::List { output }) => {
            let list: List<Informer> = client.get("/v1/informers").await?;
            print_as(output, &list, || table::informers(&list.items))
        }
        AdminCommand::Cache(CacheCommand::Get { kind, key, output }) => {
            cache_get(&client, &kind, &key, output).await
        }
    }
}

async fn handlers(client: &AdminClient, command: HandlersCommand) -> anyhow::Result<()> {
    match command {
        HandlersCommand::List { output } => {
            let list: List<Handler> = client.get("/v1/handlers").await?;
            print_as(output, &list, || match list.items.as_slice() {
                [] => "there are no handlers\n".to_owned(),
                handlers => table::handlers(handlers),
            })
        }
        HandlersCommand::Describe { name, output } => {
            let handler: Handler = client.get(&path(&name, "")).await?;
            print_as(output, &handler, || table::handler(&handler))
        }
        HandlersCommand::Load { file } => load(client, &file).await,
        HandlersCommand::Unload { name } => {
            let done: Done = client.delete(&path(&name, "")).await?;
            let left = match done {
                Done::NotDelivered(left) if left > 0 => {
                    format!("; {left} notifications were not delivered any more")
                }
                _ => String::new(),
            };
            print(&format!("handler {name} unloaded{left}\n"))
        }
        HandlersCommand::Pause { name } => {
            let _: Done = client.post(&path(&name, "/pause"), &()).await?;
            print(&format!("handler {name} paused: what happens is kept for it\n"))
        }
        HandlersCommand::Resume { name } => {
            let _: Done = client.post(&path(&name, "/resume"), &()).await?;
            print(&format!("handler {name} resumed\n"))
        }
        HandlersCommand::Reload { name } => {
            let _: Done = client.post(&path(&name, "/reload"), &()).await?;
            tell_outcome(client, &name, ", loaded anew").await
        }
        HandlersCommand::Logs { name, follow, tail, output } => {
            let mut path = path(&name, &format!("/log?follow={follow}"));
            if let Some(tail) = tail {
                path.push_str(&format!("&tail={tail}"));
            }
            let each = |record: LogRecord| match output {
                Output::Table => print(&format!("{}\n", table::log_record(&record))),
                Output::Json => print(&format!("{}\n", serde_json::to_string(&record)?)),
                Output::Yaml => print(&format!("---\n{}", yaml(&record)?)),
            };
            client.records(&path, each).await
        }
    }
}

/// Asks for it, and waits until it runs or does not.
async fn load(client: &AdminClient, file: &Path) -> anyhow::Result<()> {
    let absolute = file.canonicalize().with_context(|| file.display().to_string())?;
    let Some(absolute) = absolute.to_str() else {
        bail!("{}: a path must be UTF-8", file.display());
    };
    let request = LoadRequest { file: absolute.to_owned() };
    let Loading { name, replaces } = client.post("/v1/handlers", &request).await?;
    let again = if replaces { " in the place of the one before" } else { "" };
    tell_outcome(client, &name, again).await?;
    print("it is not kept over a restart of the host: the handlers directory is for that\n")
}

/// Waits until a handler runs, or does not.
async fn tell_outcome(client: &AdminClient, name: &str, how: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    let handler = loop {
        let handler: Handler = client.get(&path(name, "?settled=true")).await?;
        if handler.latest().name != "Loading" {
            break handler;
        }
        if start.elapsed() > LOAD_TIMEOUT {
            bail!("handler {name} is being loaded still: see `informerd handlers describe {name}`");
        }
    };
    let latest = handler.latest();
    let reason = latest.reason.as_deref().unwrap_or_default();
    match &*latest.name {
        "Running" => print(&format!("handler {name} runs{how}\n")),
        "Failed" | "Quarantined" => {
            let goes_on = match handler.replacement {
                Some(_) => "; the generation before goes on",
                None => "",
            };
            bail!("handler {name} is {}: {reason}{goes_on}", latest.name.to_lowercase());
        }
        _ => print(&format!("handler {name} is loaded and waits: {reason}\n")),
    }
}

async fn dead_letters(client: &AdminClient, command: DeadLettersCommand) -> anyhow::Result<()> {
    let which = |WhichDeadLetters { handler, key, .. }: &WhichDeadLetters, action: &str| {
        let query = key.as_ref().map(|key| format!("?key={}", part(key))).unwrap_or_default();
        path(handler, &format!("/dead-letters{action}{query}"))
    };
    let (done, what): (Done, _) = match command {
        DeadLettersCommand::List { handler, output } => {
            let path = handler.map(|handler| path(&handler, "/dead-letters"));
            let path = path.as_deref().unwrap_or("/v1/dead-letters");
            let list: List<DeadLetter> = client.get(path).await?;
            return print_as(output, &list, || match list.items.as_slice() {
                [] => "there are no dead letters\n".to_owned(),
                letters => {
                    let more = match list.more {
                        0 => String::new(),
                        more => format!("… and {more} more\n"),
                    };
                    table::dead_letters(letters) + &more
                }
            });
        }
        DeadLettersCommand::Retry(letters) => {
            (client.post(&which(&letters, "/retry"), &()).await?, "retried")
        }
        DeadLettersCommand::Purge(letters) => {
            (client.delete(&which(&letters, "")).await?, "purged")
        }
    };
    let Done::DeadLetters(count) = done else { return Ok(()) };
    print(&format!("{count} dead letter{} {what}\n", if count == 1 { "" } else { "s" }))
}

async fn cache_get(
    client: &AdminClient,
    kind: &str,
    key: &str,
    output: Output,
) -> anyhow::Result<()> {
    let path = format!("/v1/cache?kind={}&key={}", part(kind), part(key));
    let cached: CachedObject = client.get(&path).await?;
    let mut object: Value = serde_json::from_str(cached.object.get()).context("no JSON")?;
    if let Some(object) = object.as_object_mut() {
        object.entry("apiVersion").or_insert(cached.api_version.into());
        object.entry("kind").or_insert(cached.kind.into());
    }
    let json = || serde_json::to_string_pretty(&object).unwrap_or_default() + "\n";
    print_as(output, &object, json)
}

/// Of one handler.
fn path(handler: &str, rest: &str) -> String {
    format!("/v1/handlers/{}{rest}", part(handler))
}

fn print_as(
    output: Output,
    answer: &impl Serialize,
    table: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match output {
        Output::Table => print(&table()),
        Output::Json => print(&(serde_json::to_string_pretty(answer)? + "\n")),
        Output::Yaml => print(&yaml(answer)?),
    }
}

fn yaml(answer: &impl Serialize) -> anyhow::Result<String> {
    // By way of JSON, since only that knows what is JSON already.
    let answer = serde_json::to_string(answer)?;
    let answer: Value = serde_json::from_str(&answer)?;
    serde_saphyr::to_string(&answer).context("no YAML can be made of it")
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

/// To compile a large module takes half a minute of a core.
const LOAD_TIMEOUT: Duration = Duration::from_secs(180);
