//! A queue and what its consumer knows, spelled as text.

use super::*;
use crate::indexer::Indexer;
use crate::objects::{object, text, texts};

pub(crate) struct Known<Q> {
    pub(crate) fifo: Q,
    pub(crate) known: Indexer,
}

impl<Q: Queue> Known<Q> {
    pub(crate) fn new(fifo: Q, known: &[&str]) -> Self {
        let mut indexer = Indexer::new();
        for object in known.iter().map(|it| self::object(it)) {
            indexer.update(object);
        }
        Self { fifo, known: indexer }
    }

    pub(crate) fn add(&mut self, text: &str) -> &mut Self {
        self.fifo.add(object(text)).unwrap();
        self
    }

    pub(crate) fn update(&mut self, text: &str) -> &mut Self {
        self.fifo.update(object(text)).unwrap();
        self
    }

    pub(crate) fn delete(&mut self, text: &str) -> &mut Self {
        self.fifo.delete(object(text), &self.known.lister()).unwrap();
        self
    }

    /// A list at version 100.
    pub(crate) fn replace(&mut self, texts: &[&str]) -> &mut Self {
        let objects = texts.iter().map(|it| object(it)).collect();
        assert_eq!(self.fifo.replace(objects, "100", &self.known.lister()), Vec::<String>::new());
        self
    }

    pub(crate) fn resync(&mut self) -> &mut Self {
        self.fifo.resync(&self.known.lister());
        self
    }

    /// The oldest item as text, and whether it belongs to the first list.
    pub(crate) fn pop(&mut self) -> Option<(String, bool)> {
        let mut popped = None;
        let result = self.fifo.pop(|deltas, in_initial_list| {
            popped = Some((spelled(deltas), in_initial_list));
            Ok(())
        });
        assert_eq!(popped.is_some(), result == Popped::Processed(Ok(())));
        popped
    }

    pub(crate) fn pop_all(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.pop()).map(|(deltas, _)| deltas).collect()
    }
}

/// `added a@5, unknown a@5`; `replaced-all rv=9 a@5 b@7`, `sync-all`, `bookmark rv=9`.
pub(crate) fn spelled(deltas: &Deltas) -> String {
    let spell = |delta: &Delta| match delta {
        Delta::Added(object) => format!("added {}", text(object)),
        Delta::Updated(object) => format!("updated {}", text(object)),
        Delta::Deleted(object) => format!("deleted {}", text(object)),
        Delta::Replaced(object) => format!("replaced {}", text(object)),
        Delta::Sync(object) => format!("sync {}", text(object)),
        Delta::DeletedFinalStateUnknown(object) => format!("unknown {}", text(object)),
        Delta::ReplacedAll(list) => {
            let words = [format!("replaced-all rv={}", list.resource_version)];
            words.into_iter().chain(texts(list.objects.clone())).collect::<Vec<_>>().join(" ")
        }
        Delta::SyncAll => "sync-all".to_owned(),
        Delta::Bookmark { resource_version } => format!("bookmark rv={resource_version}"),
    };
    deltas.iter().map(spell).collect::<Vec<_>>().join(", ")
}
