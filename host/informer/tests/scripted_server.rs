//! A server that says what it was told to say, and remembers what it was asked.
//!
//! What it says is text. A list: `rv=10 a@5 b@7`, `rv=10 continue=c1 a@5`, with `rejected` or
//! `rejected=a` for an item that cannot be read, or one of the errors. A watch: items separated by
//! `;`, each `added a@5`, `modified a@6`, `deleted a@7`, `bookmark rv=9`, `end rv=9` (the bookmark
//! that ends the initial state), `rejected` or `rejected a`, `wait 5s`, `hang-up`, or one of the
//! errors: `expired`, `too-large`, `429`, `429 5s`, `refused`, `rejected 403`,
//! `unavailable`. A watch that has said all stays open.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use informer::{
    ListOptions, ListPage, ListerWatcher, ListerWatcherError, WatchEvent, WatchOptions,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use crate::objects::{key, object};

#[derive(Clone, Default)]
pub(crate) struct ScriptedServer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    script: Mutex<Script>,
    changed: Notify,
}

#[derive(Default)]
struct Script {
    lists: VecDeque<Listing>,
    watches: VecDeque<Opening>,
    watch_lists: VecDeque<Opening>,
    open: Option<mpsc::Sender<Said>>,
    requests: Vec<Request>,
}

/// One request as text, and when it came: `list rv=0 limit=500`, `list continue=c1 limit=4`,
/// `watch rv=10`, `watch-list rv=`.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) text: String,
    pub(crate) timeout_seconds: u32,
}

enum Listing {
    Answer(Result<ListPage, ListerWatcherError>),
    Panic,
}

enum Opening {
    Stream(Vec<Said>),
    Refused(ListerWatcherError),
    /// The request is never answered.
    Hangs,
}

enum Said {
    Item(Result<WatchEvent, ListerWatcherError>),
    Wait(Duration),
    HangUp,
}

impl ScriptedServer {
    /// The answer to the next list request; without one, the request waits.
    pub(crate) fn on_list(&self, text: &str) -> &Self {
        let listing = match text {
            "panic" => Listing::Panic,
            text => Listing::Answer(error(text).map_or_else(|| Ok(page(text)), Err)),
        };
        self.script().lists.push_back(listing);
        self.0.changed.notify_one();
        self
    }

    /// What the next watch says; without it, a watch is opened and silent.
    pub(crate) fn on_watch(&self, text: &str) -> &Self {
        self.script().watches.push_back(Opening::Stream(said(text)));
        self
    }

    /// What the next watch-list says; without it, it is refused as a bad request.
    pub(crate) fn on_watch_list(&self, text: &str) -> &Self {
        self.script().watch_lists.push_back(Opening::Stream(said(text)));
        self
    }

    /// The next watch is not opened.
    pub(crate) fn refuse_watch(&self, text: &str) -> &Self {
        self.script().watches.push_back(Opening::Refused(error(text).expect("an error")));
        self
    }

    /// The next watch-list is not opened.
    pub(crate) fn refuse_watch_list(&self, text: &str) -> &Self {
        self.script().watch_lists.push_back(Opening::Refused(error(text).expect("an error")));
        self
    }

    /// The next request for a watch is not answered.
    pub(crate) fn ignore_watch(&self) -> &Self {
        self.script().watches.push_back(Opening::Hangs);
        self
    }

    /// The next request for a watch-list is not answered.
    pub(crate) fn ignore_watch_list(&self) -> &Self {
        self.script().watch_lists.push_back(Opening::Hangs);
        self
    }

    /// Says more on the watch that is open.
    pub(crate) fn say(&self, text: &str) {
        let script = self.script();
        let open = script.open.as_ref().expect("no watch was ever opened");
        for said in said(text) {
            open.try_send(said).expect("the watch is open and has room");
        }
    }

    /// Somebody listens to what [`ScriptedServer::say`] says.
    pub(crate) fn is_watched(&self) -> bool {
        self.script().open.as_ref().is_some_and(|open| !open.is_closed())
    }

    /// Every prepared answer has been asked for.
    pub(crate) fn is_played(&self) -> bool {
        let script = self.script();
        script.lists.is_empty() && script.watches.is_empty() && script.watch_lists.is_empty()
    }

    /// What was asked since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.script().requests)
    }

    /// [`ScriptedServer::requests`], only the text.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.text).collect()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ListerWatcher for ScriptedServer {
    type Watch = BoxStream<'static, Result<WatchEvent, ListerWatcherError>>;

    async fn list(&self, options: &ListOptions) -> Result<ListPage, ListerWatcherError> {
        let mut text = match &options.continue_token {
            Some(token) => format!("list continue={token}{}", options.resource_version),
            None => format!("list rv={}", options.resource_version),
        };
        if let Some(limit) = options.limit {
            text += &format!(" limit={limit}");
        }
        self.script().requests.push(Request { at: Instant::now(), text, timeout_seconds: 0 });
        loop {
            let listing = self.script().lists.pop_front();
            match listing {
                Some(Listing::Answer(answer)) => return answer,
                Some(Listing::Panic) => std::panic::resume_unwind(Box::new("as the test wants")),
                None => self.0.changed.notified().await,
            }
        }
    }

    async fn watch(&self, options: &WatchOptions) -> Result<Self::Watch, ListerWatcherError> {
        let WatchOptions { resource_version, timeout_seconds, send_initial_events } = options;
        let (kind, text) = match send_initial_events {
            true => ("watch-list", format!("watch-list rv={resource_version}")),
            false => ("watch", format!("watch rv={resource_version}")),
        };
        let opening = {
            let mut script = self.script();
            let (at, timeout_seconds) = (Instant::now(), *timeout_seconds);
            script.requests.push(Request { at, text, timeout_seconds });
            match kind {
                "watch" => script.watches.pop_front().unwrap_or(Opening::Stream(Vec::new())),
                _ => {
                    let bad_request = error("rejected 400").expect("an error");
                    script.watch_lists.pop_front().unwrap_or(Opening::Refused(bad_request))
                }
            }
        };
        let prepared = match opening {
            Opening::Stream(prepared) => prepared,
            Opening::Refused(error) => return Err(error),
            Opening::Hangs => std::future::pending().await,
        };
        let (open, said) = mpsc::channel(SAID_MAX);
        for said in prepared {
            let _ = open.try_send(said);
        }
        self.script().open = Some(open);
        Ok(stream::unfold(said, next_item).boxed())
    }
}

async fn next_item(
    mut said: mpsc::Receiver<Said>,
) -> Option<(Result<WatchEvent, ListerWatcherError>, mpsc::Receiver<Said>)> {
    loop {
        match said.recv().await? {
            Said::Item(item) => return Some((item, said)),
            Said::Wait(wait) => sleep(wait).await,
            Said::HangUp => return None,
        }
    }
}

fn page(text: &str) -> ListPage {
    let mut page = ListPage::default();
    for word in text.split_whitespace() {
        match word.split_once('=') {
            Some(("rv", rv)) => rv.clone_into(&mut page.resource_version),
            Some(("continue", token)) => page.continue_token = Some(token.to_owned()),
            Some(("rejected", name)) => {
                page.rejected.push(format!("{name}: unreadable"));
                page.rejected_keys.push(key(name));
            }
            _ if word == "rejected" => page.rejected.push("no name".to_owned()),
            _ => page.objects.push(object(word)),
        }
    }
    page
}

fn said(text: &str) -> Vec<Said> {
    text.split(';').map(str::trim).filter(|item| !item.is_empty()).map(one_said).collect()
}

fn one_said(text: &str) -> Said {
    if let Some(error) = error(text) {
        return Said::Item(Err(error));
    }
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let bookmark = |initial_events_end| {
        let rv = rest.strip_prefix("rv=").expect("a bookmark has a version");
        WatchEvent::Bookmark { resource_version: rv.to_owned(), initial_events_end }
    };
    Said::Item(Ok(match verb {
        "added" => WatchEvent::Added(object(rest)),
        "modified" => WatchEvent::Modified(object(rest)),
        "deleted" => WatchEvent::Deleted(object(rest)),
        "bookmark" => bookmark(false),
        "end" => bookmark(true),
        "rejected" if rest.is_empty() => WatchEvent::Rejected("no name".to_owned()),
        "rejected" => {
            WatchEvent::RejectedObject { key: key(rest), reason: format!("{rest}: unreadable") }
        }
        "wait" => return Said::Wait(duration(rest)),
        "hang-up" => return Said::HangUp,
        _ => panic!("a watch does not say {text:?}"),
    }))
}

fn error(text: &str) -> Option<ListerWatcherError> {
    let message = text.to_owned();
    Some(match text.split_once(' ').unwrap_or((text, "")) {
        ("expired", "") => ListerWatcherError::Expired(message),
        ("too-large", "") => ListerWatcherError::TooLargeResourceVersion(message),
        ("refused", "") => ListerWatcherError::NoConnection(message),
        ("unavailable", "") => ListerWatcherError::Unavailable(message),
        ("rejected", code) => ListerWatcherError::Rejected { code: code.parse().ok()?, message },
        ("429", after) => {
            let retry_after = (!after.is_empty()).then(|| duration(after));
            ListerWatcherError::TooManyRequests { retry_after, message }
        }
        _ => return None,
    })
}

/// `5s` or `100ms`.
pub(crate) fn duration(text: &str) -> Duration {
    let number = |digits: &str| digits.parse().expect("a duration is 5s or 100ms");
    match text.strip_suffix("ms") {
        Some(ms) => Duration::from_millis(number(ms)),
        None => Duration::from_secs(number(text.trim_end_matches('s'))),
    }
}

/// What is said while the reflector does not read.
const SAID_MAX: usize = 10_000;
