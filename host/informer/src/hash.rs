//! Maps and sets of what every change is looked up in.
//!
//! Their hash is as fast as such keys allow. Its seed is random for each process, so whoever chooses objects' names
//! cannot make them collide without seeing hashes, which nobody is shown.

use foldhash::fast::RandomState;

pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
pub(crate) type HashSet<T> = std::collections::HashSet<T, RandomState>;
