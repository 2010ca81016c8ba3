//! One informer per resource, however many handlers ask for it.
//!
//! client-go: `SharedInformerFactory`. Unlike there, an informer that nobody uses any more stops.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::shared_informer::{SharedInformer, WeakInformer};

/// Gives the running informer for a `K`: a resource, with all that makes its objects differ
/// (namespace, selectors).
pub struct SharedInformerFactory<K> {
    informers: Mutex<HashMap<K, WeakInformer>>,
}

impl<K: Clone + Eq + Hash> SharedInformerFactory<K> {
    /// Without informers.
    pub fn new() -> Self {
        Self { informers: Mutex::new(HashMap::new()) }
    }

    /// The informer for this key, started with `start` if it is not running. It runs as long as
    /// somebody holds it or is registered at it.
    pub fn informer(&self, key: K, start: impl FnOnce() -> SharedInformer) -> SharedInformer {
        let mut informers = self.informers.lock().unwrap_or_else(PoisonError::into_inner);
        informers.retain(|_, informer| informer.running().is_some());
        if let Some(running) = informers.get(&key).and_then(WeakInformer::running) {
            return running;
        }
        let informer = start();
        informers.insert(key, informer.downgrade());
        informer
    }

    /// The informers that run now.
    pub fn running(&self) -> Vec<(K, SharedInformer)> {
        let informers = self.informers.lock().unwrap_or_else(PoisonError::into_inner);
        let running = |(key, weak): (&K, &WeakInformer)| Some((key.clone(), weak.running()?));
        informers.iter().filter_map(running).collect()
    }
}

impl<K: Clone + Eq + Hash> Default for SharedInformerFactory<K> {
    fn default() -> Self {
        Self::new()
    }
}
