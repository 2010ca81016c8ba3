//! A handler that writes down what it is told, and answers as the test wants.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use informer::{Delivery, Handled, Notification, ResourceEventHandler};
use tokio::time::sleep;

use crate::objects::text;

/// What a handler does with a delivery.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Now(Handled),
    After(Duration, Handled),
    Panic,
}

impl Answer {
    pub(crate) fn done() -> Self {
        Self::Now(Handled::Done)
    }

    pub(crate) fn retry() -> Self {
        Self::Now(Handled::Retry { after: None, reason: "not now".to_owned() })
    }

    pub(crate) fn failed() -> Self {
        Self::Now(Handled::Failed { reason: "never".to_owned() })
    }
}

pub(crate) struct Recorder {
    recording: Recording,
    answer: Box<dyn FnMut(&Delivery) -> Answer + Send>,
}

/// What was told so far; clones see the same.
#[derive(Clone, Default)]
pub(crate) struct Recording(Arc<Mutex<Vec<String>>>);

impl Recorder {
    pub(crate) fn answering(
        answer: impl FnMut(&Delivery) -> Answer + Send + 'static,
    ) -> (Self, Recording) {
        let recording = Recording::default();
        (Self { recording: recording.clone(), answer: Box::new(answer) }, recording)
    }
}

impl ResourceEventHandler for Recorder {
    async fn handle(&mut self, delivery: &Delivery) -> Handled {
        self.recording.write(line(delivery));
        match (self.answer)(delivery) {
            Answer::Now(handled) => handled,
            Answer::After(wait, handled) => {
                sleep(wait).await;
                handled
            }
            // Without the message that a panic would print.
            Answer::Panic => std::panic::resume_unwind(Box::new("as the test wants")),
        }
    }
}

impl Recording {
    /// What was told since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// One delivery as text: `added a@5 initial`, `updated a@5 a@6`, `deleted a@7`, `synced`.
pub(crate) fn line(delivery: &Delivery) -> String {
    let line = match &delivery.notification {
        Notification::Added { object, in_initial_list } => {
            format!("added {}{}", text(object), if *in_initial_list { " initial" } else { "" })
        }
        Notification::Updated { old, new } => format!("updated {} {}", text(old), text(new)),
        Notification::Deleted { last, final_state_unknown } => {
            let unknown = if *final_state_unknown { " final-state-unknown" } else { "" };
            format!("deleted {}{unknown}", text(last))
        }
        Notification::Synced => "synced".to_owned(),
    };
    if delivery.attempt == 1 { line } else { format!("{line} attempt={}", delivery.attempt) }
}
