//! One compilation at a time for the handlers of one namespace, so that whoever may write custom resources there
//! leaves the compiler to others, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// Whose turn it is, by namespace. A namespace is forgotten when nobody of it compiles or waits.
#[derive(Default)]
pub(super) struct CompileTurns(Mutex<BTreeMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl CompileTurns {
    /// Waits for the turn, which ends when what this gives is dropped. The operator's own handlers, those of no
    /// namespace, do not wait for each other.
    pub(super) async fn turn(&self, namespace: Option<&str>) -> Option<OwnedMutexGuard<()>> {
        let turn = self.of(namespace?);
        Some(turn.lock_owned().await)
    }

    fn of(&self, namespace: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut namespaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = namespaces.get(namespace).and_then(Weak::upgrade) {
            return turn;
        }
        namespaces.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        namespaces.insert(namespace.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_namespace_compiles_one_at_a_time_and_keeps_nobody_else_waiting() {
        let turns = CompileTurns::default();
        let soon = Duration::from_secs(1);
        let first = turns.turn(Some("a")).await;
        assert!(timeout(soon, turns.turn(Some("a"))).await.is_err());
        let other = timeout(soon, turns.turn(Some("b"))).await.unwrap();
        assert!(timeout(soon, turns.turn(None)).await.unwrap().is_none());
        drop((first, other));
        assert!(timeout(soon, turns.turn(Some("a"))).await.unwrap().is_some());
        let _c = turns.turn(Some("c")).await;
        assert_eq!(turns.0.lock().unwrap().len(), 1, "those that are over are forgotten");
    }
}
