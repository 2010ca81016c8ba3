//! Absent and forbidden are the same: whatever a guest asks, a cache with more in it than is granted answers as one
//! does in which nothing else exists and everything is granted.

use std::collections::BTreeMap;

use fastrand::Rng;
use informer::Indexer;
use serde_json::json;

use super::*;

#[derive(Clone)]
struct Thing {
    kind: &'static str,
    namespace: Option<&'static str>,
    name: &'static str,
    json: String,
}

struct Grant {
    kind: &'static str,
    namespace: Option<&'static str>,
    names: Option<BTreeSet<String>>,
}

impl Grant {
    fn covers(&self, thing: &Thing) -> bool {
        self.kind == thing.kind
            && (self.namespace.is_none() || self.namespace == thing.namespace)
            && self.names.as_ref().is_none_or(|names| names.contains(thing.name))
    }
}

#[test]
fn a_guest_cannot_tell_what_is_forbidden_from_what_is_absent() {
    let (mut objects_seen, mut pages_seen) = (0, 0);
    for seed in 0..300 {
        let random = &mut Rng::with_seed(seed);
        let things = things(random);
        let grants: Vec<Grant> = (0..random.usize(0..4)).map(|_| grant(random)).collect();
        let is_granted = |thing: &&Thing| grants.iter().any(|grant| grant.covers(thing));
        let granted: Vec<Thing> = things.iter().filter(is_granted).cloned().collect();

        let collections = grants.iter().map(|grant| {
            let in_informer = |thing: &&Thing| {
                thing.kind == grant.kind
                    && (grant.namespace.is_none() || grant.namespace == thing.namespace)
            };
            let informer = indexer(things.iter().filter(in_informer));
            collection(grant.kind, grant.namespace, grant.names.clone(), &informer)
        });
        let some = ReadableCache::new("some".into(), collections.collect());
        let all = KINDS.map(|kind| {
            let of_kind = granted.iter().filter(|thing| thing.kind == kind);
            collection(kind, None, None, &indexer(of_kind))
        });
        let all = ReadableCache::new("all".into(), all.into());

        for query in 0..200 {
            let asked = Asked::random(random);
            let (given, expected) = (asked.of(&some), asked.of(&all));
            assert_eq!(given, expected, "seed {seed}, query {query}: {asked:?}");
            objects_seen += given.as_ref().map_or(0, |(objects, _)| objects.len());
            pages_seen += usize::from(given.is_ok_and(|(_, cursor)| cursor.is_some()));
        }
    }
    assert!(objects_seen > 1000 && pages_seen > 100, "{objects_seen} {pages_seen}");
}

/// A read of the cache.
#[derive(Debug)]
enum Asked {
    Get(&'static str, Option<&'static str>, &'static str),
    List(&'static str, Option<&'static str>, &'static str, (usize, Option<String>)),
    ByIndex(&'static str, &'static str, &'static str, (usize, Option<String>)),
}

impl Asked {
    fn random(random: &mut Rng) -> Self {
        let kind = any(random, &["A", "B", "Cluster", "Other"]);
        let namespace =
            any(random, &[None, Some("a"), Some("b"), Some("c"), Some("none"), Some("a/x")]);
        let key = format!("after:{}/{}", any(random, NAMESPACES), any(random, NAMES));
        let cursor = any(random, &[None, Some(key), Some("after:".into()), Some("bad".into())]);
        let page = (random.usize(1..4), cursor);
        match random.u8(..3) {
            0 => Self::Get(kind, namespace, any(random, &["x", "y", "z", "none", "a/x", ""])),
            1 => {
                let selector = any(random, &["", "", "n=0", "n in (1,2)", "!n", "n in"]);
                Self::List(kind, namespace, selector, page)
            }
            _ => {
                let index = any(random, &["namespace", "owner", "owner", "color"]);
                let values = ["a", "b", "", "owner-0", "owner-1", "owner-2"];
                Self::ByIndex(kind, index, any(random, &values), page)
            }
        }
    }

    /// What the guest sees of the answer.
    fn of(&self, cache: &ReadableCache) -> Result<(Vec<String>, Option<String>), String> {
        let seen = |object: &CallObject| {
            format!(
                "{} {} {}",
                object.kind.kind,
                object.object.key,
                &*object.object.json.text().unwrap()
            )
        };
        let page = match self {
            Self::Get(kind, namespace, name) => {
                let found = cache.get("v1", kind, *namespace, name);
                return Ok((found.iter().map(seen).collect(), None));
            }
            Self::List(kind, namespace, selector, (limit, cursor)) => {
                cache.list("v1", kind, *namespace, selector, (*limit, cursor.as_deref()))
            }
            Self::ByIndex(kind, index, value, (limit, cursor)) => {
                cache.list_by_index("v1", kind, index, value, (*limit, cursor.as_deref()))
            }
        };
        page.map(|(objects, cursor)| (objects.iter().map(seen).collect(), cursor))
    }
}

fn things(random: &mut Rng) -> Vec<Thing> {
    let mut things = BTreeMap::new();
    for _ in 0..random.usize(0..50) {
        let kind = any(random, &KINDS);
        let namespace = (kind != "Cluster").then(|| any(random, NAMESPACES));
        let name = any(random, NAMES);
        let owners: Vec<_> = (0..random.usize(0..3))
            .map(|_| json!({ "uid": format!("owner-{}", random.u8(..3)) }))
            .collect();
        let labels = match random.bool() {
            true => json!({ "n": random.u8(..3).to_string() }),
            false => json!({}),
        };
        let json = json!({ "metadata": { "labels": labels, "ownerReferences": owners } });
        let thing = Thing { kind, namespace, name, json: json.to_string() };
        things.insert((kind, namespace, name), thing);
    }
    things.into_values().collect()
}

fn grant(random: &mut Rng) -> Grant {
    let kind = any(random, &KINDS);
    let namespace = match kind {
        "Cluster" => None,
        _ => any(random, &[None, Some("a"), Some("b"), Some("none")]),
    };
    let names = random.bool().then(|| {
        (0..random.usize(1..3)).map(|_| any(random, NAMES).to_owned()).collect::<BTreeSet<_>>()
    });
    Grant { kind, namespace, names }
}

fn indexer<'a>(things: impl Iterator<Item = &'a Thing>) -> Indexer {
    let mut indexer = Indexer::new();
    indexer.add_index(OWNER_INDEX, Arc::new(owners)).unwrap();
    for thing in things {
        indexer.put(Arc::new(Object {
            key: ObjectKey::new(thing.namespace, thing.name),
            uid: "".into(),
            resource_version: "1".into(),
            json: thing.json.as_str().into(),
        }));
    }
    indexer
}

fn collection(
    kind: &str,
    namespace: Option<&str>,
    names: Option<BTreeSet<String>>,
    indexer: &Indexer,
) -> ReadableCollection {
    let kind = Arc::new(ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        plural: kind.to_lowercase(),
    });
    ReadableCollection {
        kind,
        namespace: namespace.map(str::to_owned),
        names,
        lister: indexer.lister(),
    }
}

fn any<T: Clone>(random: &mut Rng, of: &[T]) -> T {
    of[random.usize(..of.len())].clone()
}

const KINDS: [&str; 3] = ["A", "B", "Cluster"];
const NAMESPACES: &[&str] = &["a", "b", "c"];
const NAMES: &[&str] = &["x", "y", "z", "xx", "w"];
