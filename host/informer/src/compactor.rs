//! Compresses the JSON of one informer's objects when they have come to rest.
//!
//! in:   each object that enters, in order
//! out:  the same objects, with their JSON compressed sooner or later
//! runs: in the reflector's task; behind a transform, in the process loop's.
//!
//! An object that came lately is likely to be read, and to be replaced by its next state. So the
//! newest ones stay text, up to a share of what is compressed; one that leaves them is compressed,
//! unless nobody holds it any more. That holds during a list, too, which is therefore never in memory
//! as text. As long as everything fits, as with most resources, nothing is compressed at all.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::dictionary::Encoder;
use crate::indexer::Lister;
use crate::object::Object;

pub(crate) struct Compactor(Mutex<State>);

struct State {
    /// Oldest first.
    newest: VecDeque<Arc<Object>>,
    /// Of text, in `newest`.
    newest_bytes: usize,
    encoder: Option<Encoder>,
    /// Of all that is compressed and still there.
    compressed_bytes: Arc<AtomicUsize>,
    samples: Samples,
    /// Of text, since the beginning.
    admitted_bytes: usize,
    /// The next dictionary is made when as much has been admitted.
    dictionary_due: usize,
}

/// Any of the objects that came since the last dictionary was made: those of a list come sorted, so the
/// newest ones are all alike.
#[derive(Default)]
struct Samples {
    objects: Vec<Weak<Object>>,
    offered: usize,
}

impl Compactor {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State {
            newest: VecDeque::new(),
            newest_bytes: 0,
            encoder: None,
            compressed_bytes: Arc::default(),
            samples: Samples::default(),
            admitted_bytes: 0,
            dictionary_due: TEXT_BYTES_MIN,
        }))
    }

    /// As [`Compactor::admit`], of an object in a list. If it is cached just like that, the cached one
    /// is given, so that a list that brings nothing new takes no memory.
    pub(crate) fn admit_listed(&self, object: Arc<Object>, known_objects: &Lister) -> Arc<Object> {
        // Not by their versions alone: a server that was upgraded may show the same version otherwise.
        match known_objects.get(&object.key).filter(|known| *known == object) {
            Some(known) => known,
            None => {
                self.admit(&object);
                object
            }
        }
    }

    /// Takes note of an object that is going to be in the cache and in queues, and compresses those
    /// for which there is no room beside it.
    pub(crate) fn admit(&self, object: &Arc<Object>) {
        // Whatever panicked under this lock, the worst that is left is an object that stays text.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).admit(object);
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let state = self.0.lock().unwrap();
        (state.newest_bytes, state.compressed_bytes.load(Ordering::Relaxed))
    }
}

impl State {
    fn admit(&mut self, object: &Arc<Object>) {
        self.admitted_bytes = self.admitted_bytes.saturating_add(object.json.len());
        self.newest_bytes += object.json.len();
        self.newest.push_back(object.clone());
        self.samples.offer(object);
        let compressed_bytes = self.compressed_bytes.load(Ordering::Relaxed);
        let room = TEXT_BYTES_MIN.max(compressed_bytes / COMPRESSED_PER_TEXT);
        while self.newest_bytes > room
            && let Some(oldest) = self.newest.pop_front()
        {
            self.newest_bytes -= oldest.json.len();
            if Arc::strong_count(&oldest) > 1 {
                oldest.json.compress(self.encoder());
            }
        }
    }

    /// With a dictionary that has seen enough.
    fn encoder(&mut self) -> &Encoder {
        if self.admitted_bytes >= self.dictionary_due {
            self.encoder = None;
            let step = self.admitted_bytes.saturating_mul(DICTIONARY_GROWTH - 1);
            self.dictionary_due = self.admitted_bytes.saturating_add(step.min(DICTIONARY_STEP_MAX));
        }
        self.encoder.get_or_insert_with(|| {
            let samples = std::mem::take(&mut self.samples).texts(&self.newest);
            let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
            Encoder::of_samples(&samples, self.compressed_bytes.clone())
        })
    }
}

impl Samples {
    /// Keeps it as likely as any other.
    fn offer(&mut self, object: &Arc<Object>) {
        self.offered += 1;
        if self.objects.len() < SAMPLES {
            self.objects.push(Arc::downgrade(object));
        } else if let Some(sample) = self.objects.get_mut(fastrand::usize(..self.offered)) {
            *sample = Arc::downgrade(object);
        }
    }

    /// The beginnings of those that are still there, with as many of the newest ones as are missing.
    fn texts(self, newest: &VecDeque<Arc<Object>>) -> Vec<Vec<u8>> {
        let mut objects: Vec<_> = self.objects.iter().filter_map(Weak::upgrade).collect();
        let missing = SAMPLES - objects.len();
        let is_new = |other: &&Arc<Object>| !objects.iter().any(|it| Arc::ptr_eq(it, other));
        let others: Vec<_> = newest.iter().filter(is_new).take(missing).cloned().collect();
        objects.extend(others);
        let texts = objects.iter().filter_map(|object| object.json.text().ok());
        texts.map(|text| text.as_bytes()[..text.len().min(SAMPLE_BYTES_MAX)].to_vec()).collect()
    }
}

/// Text that is never compressed: what a dictionary costs in memory would be more than it saves.
const TEXT_BYTES_MIN: usize = 256 << 10;

/// Beyond that, one byte may be text for so many that are compressed.
const COMPRESSED_PER_TEXT: usize = 16;

/// How much more must have come before the next dictionary is made. Objects that are compressed already
/// keep theirs.
const DICTIONARY_GROWTH: usize = 16;

/// A resource that changes all the time gets a new one after as many bytes of changes.
const DICTIONARY_STEP_MAX: usize = 1 << 30;

/// A dictionary of so many Pods takes 15 ms to make.
const SAMPLES: usize = 64;

/// A dictionary of many large objects would take long, and would be full of the first.
const SAMPLE_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests;
