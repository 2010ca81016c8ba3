//! Traces through the cache: what the process loop stores, and what readers find.
//!
//! After every step everything that can be read is read: the objects, the version that the cache is
//! at, and of each index its values and what stands under them.
//!
//! client-go: `ThreadSafeStore` with `AtomicFIFO` on, without which it does not tell its version.

use std::collections::BTreeMap;
use std::sync::Arc;

use informer::{IndexFunc, Indexer, Lister, NAMESPACE_INDEX, Object};
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prop_oneof;
use proptest::sample::select;
use serde::{Deserialize, Serialize};

use crate::comparison::TraceKind;
use crate::objects::{key, object, objects, text, texts, value};

pub(crate) struct StoreTraces;

/// What happens to a store that has nothing but the namespace index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoreTrace {
    operations: Vec<Operation>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Operation {
    Add {
        object: String,
    },
    Update {
        object: String,
    },
    /// The deletion's version is not known.
    Delete {
        key: String,
    },
    /// The object is the last state, at the version of the deletion.
    DeleteWithObject {
        object: String,
    },
    Replace {
        objects: Vec<String>,
        resource_version: String,
    },
    Transaction {
        changes: Vec<Change>,
    },
    Bookmark {
        resource_version: String,
    },
    AddIndex {
        name: String,
        func: Values,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Change {
    Add { object: String },
    Update { object: String },
    Delete { object: String },
}

/// Under what an index has an object.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Values {
    /// Each part of the value between commas; none if it is empty.
    Parts,
    /// The length of the value.
    Length,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Observation {
    failed: bool,
    /// What the step took the place of, sorted.
    old: Vec<String>,
    /// What is stored now, sorted.
    objects: Vec<String>,
    /// The same, asked for one by one.
    by_key: BTreeMap<String, Option<String>>,
    resource_version: String,
    indices: BTreeMap<String, IndexContent>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexContent {
    /// Per value that the index says it has, and for one that it never has, the keys; none if there
    /// is no such index. Sorted.
    keys: BTreeMap<String, Option<Vec<String>>>,
    /// The same with the objects.
    objects: BTreeMap<String, Option<Vec<String>>>,
}

impl TraceKind for StoreTraces {
    const NAME: &'static str = "store";
    const PER_RUN: u32 = 5_000;
    type Trace = StoreTrace;
    type Observation = Observation;

    fn traces() -> impl Strategy<Value = StoreTrace> {
        vec(an_operation(), 1..20).prop_map(|operations| StoreTrace { operations })
    }

    fn run(trace: &mut StoreTrace) -> anyhow::Result<Vec<Observation>> {
        let mut store = Indexer::new();
        trace.operations.iter().map(|operation| step(&mut store, operation)).collect()
    }
}

/// Few keys, versions and values, so that they meet often. All of these are asked for after every
/// step; the last index is never there.
const KEYS: &[&str] = &["a", "b", "web/a", "web/b", "c"];
const INDICES: &[&str] = &[NAMESPACE_INDEX, "one", "two", "never"];

fn an_object() -> impl Strategy<Value = String> {
    let values = select(vec!["", "=x", "=y", "=x,y", "=y,z", "=x,x"]);
    (select(KEYS), 1..10, values)
        .prop_map(|(key, version, value)| format!("{key}@{version}{value}"))
}

fn a_resource_version() -> impl Strategy<Value = String> {
    (1..10_u32).prop_map(|version| version.to_string())
}

fn a_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        an_object().prop_map(|object| Change::Add { object }),
        an_object().prop_map(|object| Change::Update { object }),
        an_object().prop_map(|object| Change::Delete { object }),
    ]
}

fn an_operation() -> impl Strategy<Value = Operation> {
    let an_index = (select(&INDICES[..3]), select(vec![Values::Parts, Values::Length]));
    prop_oneof![
        4 => an_object().prop_map(|object| Operation::Add { object }),
        4 => an_object().prop_map(|object| Operation::Update { object }),
        2 => select(KEYS).prop_map(|key| Operation::Delete { key: key.to_owned() }),
        2 => an_object().prop_map(|object| Operation::DeleteWithObject { object }),
        2 => (vec(an_object(), 0..5), a_resource_version()).prop_map(
            |(objects, resource_version)| Operation::Replace { objects, resource_version }
        ),
        2 => vec(a_change(), 0..4).prop_map(|changes| Operation::Transaction { changes }),
        1 => a_resource_version()
            .prop_map(|resource_version| Operation::Bookmark { resource_version }),
        2 => an_index.prop_map(|(name, func)| Operation::AddIndex { name: name.to_owned(), func }),
    ]
}

impl Values {
    fn func(self) -> IndexFunc {
        match self {
            Self::Parts => Arc::new(|object| {
                let value = value(object);
                Ok(value.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect())
            }),
            Self::Length => Arc::new(|object| Ok(vec![value(object).len().to_string()])),
        }
    }
}

fn step(store: &mut Indexer, operation: &Operation) -> anyhow::Result<Observation> {
    let mut failed = false;
    let old = match operation {
        Operation::Add { object: new } | Operation::Update { object: new } => {
            store.update(object(new)?).into_iter().collect()
        }
        Operation::Delete { key: deleted } => {
            store.delete(&key(deleted), None).into_iter().collect()
        }
        Operation::DeleteWithObject { object: last } => {
            let last = object(last)?;
            store.delete(&last.key, Some(&last.resource_version)).into_iter().collect()
        }
        Operation::Replace { objects: new, resource_version } => {
            store.replace(objects(new)?, resource_version.clone()).into_values().collect()
        }
        Operation::Transaction { changes } => transaction(store, changes)?,
        Operation::Bookmark { resource_version } => {
            store.set_resource_version(resource_version.clone());
            Vec::new()
        }
        Operation::AddIndex { name, func } => {
            failed = store.add_index(name, func.func()).is_err();
            Vec::new()
        }
    };
    Ok(observe(&store.lister(), failed, &old))
}

/// What each change took the place of.
fn transaction(store: &mut Indexer, changes: &[Change]) -> anyhow::Result<Vec<Arc<Object>>> {
    let mut old = Vec::new();
    let mut transaction = store.transaction();
    for change in changes {
        match change {
            Change::Add { object: new } | Change::Update { object: new } => {
                old.extend(transaction.update(object(new)?));
            }
            Change::Delete { object: last } => {
                let last = object(last)?;
                old.extend(transaction.delete(&last.key, Some(&last.resource_version)));
            }
        }
    }
    Ok(old)
}

fn observe(lister: &Lister, failed: bool, old: &[Arc<Object>]) -> Observation {
    let found = |it: &&str| lister.get(&key(it)).map(|object| text(&object));
    Observation {
        failed,
        old: sorted_texts(old),
        objects: sorted_texts(&lister.list()),
        by_key: KEYS.iter().map(|it| ((*it).to_owned(), found(it))).collect(),
        resource_version: lister.resource_version(),
        indices: INDICES.iter().map(|name| ((*name).to_owned(), index(lister, name))).collect(),
    }
}

fn index(lister: &Lister, name: &str) -> IndexContent {
    let values = values_of_known_index(lister, name);
    let mut content = IndexContent { keys: BTreeMap::new(), objects: BTreeMap::new() };
    for value in values.iter().map(String::as_str).chain(["never"]) {
        let keys = lister.index_keys(name, value).ok();
        let objects = lister.by_index(name, value).ok();
        let keys = keys.map(|keys| keys.iter().map(ToString::to_string).collect());
        content.keys.insert(value.to_owned(), keys);
        content.objects.insert(value.to_owned(), objects.map(|objects| sorted_texts(&objects)));
    }
    content
}

/// Deliberate difference: asked for the values of an index that does not exist, client-go gives none,
/// and here that is an error, as it is for every other question about such an index.
fn values_of_known_index(lister: &Lister, name: &str) -> Vec<String> {
    lister.index_values(name).unwrap_or_default()
}

fn sorted_texts(objects: &[Arc<Object>]) -> Vec<String> {
    let mut texts = texts(objects);
    texts.sort();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::{assert_equal, compare};
    use crate::oracle::Oracle;

    #[test]
    fn store_does_what_client_go_does() {
        assert_equal::<StoreTraces>(300);
    }

    /// Store traces of which our side leaves values that have no object in its indices.
    struct KeepsEmptyValues;

    impl TraceKind for KeepsEmptyValues {
        const NAME: &'static str = StoreTraces::NAME;
        const PER_RUN: u32 = 1;
        type Trace = StoreTrace;
        type Observation = Observation;

        fn traces() -> impl Strategy<Value = StoreTrace> {
            StoreTraces::traces()
        }

        fn run(trace: &mut StoreTrace) -> anyhow::Result<Vec<Observation>> {
            let mut observations = StoreTraces::run(trace)?;
            for step in 1..observations.len() {
                let (before, after) = observations.split_at_mut(step);
                for (name, index) in &mut after[0].indices {
                    for value in before[step - 1].indices[name].keys.keys() {
                        index.keys.entry(value.clone()).or_insert(Some(Vec::new()));
                    }
                }
            }
            Ok(observations)
        }
    }

    #[test]
    fn index_value_that_is_left_behind_is_found_in_the_smallest_trace() {
        let mut oracle = Oracle::start().unwrap();
        let compared = compare::<KeepsEmptyValues>(1000, 1, &mut oracle).unwrap();
        let mismatch = compared.mismatch.expect("a difference");
        let trace: StoreTrace = serde_json::from_str(&mismatch.trace).unwrap();
        assert!(trace.operations.len() <= 2, "{trace:?}");
    }
}
