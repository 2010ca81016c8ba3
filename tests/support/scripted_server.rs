//! A server on loopback that answers LIST, WATCH and watch-list requests with the bytes it was told
//! to send, whatever they are, and remembers what it was asked.

use std::collections::VecDeque;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::{Client, Config};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    List,
    Watch,
    WatchList,
}

/// The body of an answer, with status 200, and what follows it.
#[derive(Clone, Debug)]
pub struct Answer {
    content_type: &'static str,
    body: Vec<u8>,
    stays_open: bool,
}

impl Answer {
    /// The answer ends with the body.
    pub fn ending(body: impl Into<Vec<u8>>) -> Self {
        Self { content_type: "application/json", body: body.into(), stays_open: false }
    }

    /// The connection stays open for [`ScriptedServer::say`].
    pub fn open(body: impl Into<Vec<u8>>) -> Self {
        Self { stays_open: true, ..Self::ending(body) }
    }

    /// As a proxy's error page.
    pub fn html(body: &str) -> Self {
        Self { content_type: "text/html", ..Self::ending(body) }
    }
}

/// Runs until it is dropped. Without an answer that was prepared, a watch-list is refused as a bad
/// request, a list fails, and a watch is silent.
pub struct ScriptedServer {
    script: Arc<Mutex<Script>>,
    client: Client,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct Script {
    answers: VecDeque<(Request, Answer)>,
    asked: Vec<(Request, String)>,
    open: Option<mpsc::Sender<Vec<u8>>>,
}

impl ScriptedServer {
    /// Each answer is for the next request of its sort.
    pub async fn start(answers: impl IntoIterator<Item = (Request, Answer)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let url = format!("http://{address}").parse().expect("a URL");
        let mut config = Config::new(url);
        config.default_retry = false;
        let client = Client::try_from(config).expect("nothing to go wrong");
        let script = Script { answers: answers.into_iter().collect(), ..Script::default() };
        let script = Arc::new(Mutex::new(script));
        let shared = script.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((connection, _)) = listener.accept().await {
                connections.spawn(serve(connection, shared.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { script, client, _task: task }
    }

    /// A client of this server that does not retry.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Says more on the watch that was opened last; false if nobody listens, or
    /// reads.
    pub fn say(&self, bytes: impl Into<Vec<u8>>) -> bool {
        lock(&self.script).open.as_ref().is_some_and(|open| open.try_send(bytes.into()).is_ok())
    }

    /// Ends the watch that was opened last.
    pub fn hang_up(&self) {
        lock(&self.script).open = None;
    }

    /// Every prepared answer has been asked for.
    pub fn is_played(&self) -> bool {
        lock(&self.script).answers.is_empty()
    }

    /// What was asked so far, with the query.
    pub fn asked(&self) -> Vec<(Request, String)> {
        lock(&self.script).asked.clone()
    }
}

async fn serve(connection: TcpStream, script: Arc<Mutex<Script>>) {
    // The client is gone: so is the connection.
    let _ = answer(connection, &script).await;
}

/// One request a connection: the body of an answer ends with it.
async fn answer(connection: TcpStream, script: &Mutex<Script>) -> io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    let target = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    while connection.read_line(&mut line).await? > 2 {}
    let query = target.split_once('?').map_or("", |(_, query)| query).to_owned();
    let request = match () {
        () if query.contains("sendInitialEvents=true") => Request::WatchList,
        () if query.contains("watch=1") => Request::Watch,
        () => Request::List,
    };
    let (answer, said) = {
        let mut script = lock(script);
        script.asked.push((request, query));
        let next = script.answers.iter().position(|(of, _)| *of == request);
        let answer = next.and_then(|next| script.answers.remove(next)).map(|(_, answer)| answer);
        let answer = match (answer, request) {
            (None, Request::Watch) => Some(Answer::open("")),
            (answer, _) => answer,
        };
        let (open, said) = mpsc::channel(SAID_MAX);
        if answer.as_ref().is_some_and(|answer| answer.stays_open) {
            script.open = Some(open);
        }
        (answer, said)
    };
    let Some(Answer { content_type, body, .. }) = answer else {
        let status = if request == Request::List { "503 No Answer" } else { "400 Bad Request" };
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n");
        return connection.write_all(head.as_bytes()).await;
    };
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).await?;
    connection.write_all(&body).await?;
    let mut said = said;
    loop {
        tokio::select! {
            more = said.recv() => match more {
                Some(more) => connection.write_all(&more).await?,
                // Nobody can say more: the answer has ended.
                None => return connection.shutdown().await,
            },
            read = connection.read_u8() => return read.map(|_| ()),
        }
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is said and not sent yet.
const SAID_MAX: usize = 16;
