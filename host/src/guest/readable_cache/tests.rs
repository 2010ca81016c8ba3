use informer::Indexer;
use serde_json::json;

use super::*;

/// Objects as `namespace/name`, or `name`; each has the label `n` with its number.
fn indexer(keys: &[&str]) -> Indexer {
    let mut indexer = Indexer::new();
    indexer.add_index(OWNER_INDEX, Arc::new(owners)).unwrap();
    for (n, key) in keys.iter().enumerate() {
        indexer.put(object(key, n));
    }
    indexer
}

fn object(key: &str, n: usize) -> Arc<Object> {
    let (namespace, name) = match key.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, key),
    };
    let json = json!({ "metadata": { "name": name, "labels": { "n": n.to_string() },
        "ownerReferences": [{ "uid": format!("owner-{}", n % 2) }] } });
    Arc::new(Object {
        key: ObjectKey::new(namespace, name),
        uid: key.into(),
        resource_version: "1".into(),
        json: json.to_string().into(),
    })
}

fn pods(indexer: &Indexer, namespace: Option<&str>) -> ReadableCollection {
    let kind = Arc::new(ApiResource {
        group: String::new(),
        version: "v1".to_owned(),
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        plural: "pods".to_owned(),
    });
    let namespace = namespace.map(str::to_owned);
    ReadableCollection { kind, namespace, names: None, lister: indexer.lister() }
}

fn cache(collections: Vec<ReadableCollection>) -> ReadableCache {
    ReadableCache::new("test".into(), collections)
}

fn keys((objects, _): &CachePage) -> Vec<&str> {
    objects.iter().map(|it| it.object.key.as_str()).collect()
}

#[test]
fn an_object_is_found_where_it_may_be_read_and_nowhere_else() {
    let a = indexer(&["a/x", "a/y"]);
    let cache = cache(vec![pods(&a, Some("a"))]);
    let get = |version, kind, namespace, name| cache.get(version, kind, namespace, name).is_some();
    assert!(get("v1", "Pod", Some("a"), "x"));
    assert!(!get("v1", "Pod", Some("a"), "z"), "absent");
    assert!(!get("v1", "Pod", Some("b"), "x"), "another namespace");
    assert!(!get("v1", "Secret", Some("a"), "x") && !get("v2", "Pod", Some("a"), "x"));
    assert!(!get("v1", "Pod", None, "a/x"), "a name is no key");
    assert!(keys(&cache.list("v1", "Pod", Some("b"), "", (9, None)).unwrap()).is_empty());
    assert!(keys(&cache.list("v1", "Secret", None, "", (9, None)).unwrap()).is_empty());
}

#[test]
fn pages_follow_each_other_while_the_cache_changes() {
    let mut indexer = indexer(&["b/1", "a/3", "a/1", "c", "b/2"]);
    let cache = cache(vec![pods(&indexer, None)]);
    let first = cache.list("v1", "Pod", None, "", (2, None)).unwrap();
    assert_eq!(keys(&first), ["a/1", "a/3"]);
    indexer.put(object("a/2", 0));
    indexer.put(object("b/11", 0));
    indexer.delete(&ObjectKey::new(Some("a"), "3"), None);
    let second = cache.list("v1", "Pod", None, "", (3, first.1.as_deref())).unwrap();
    assert_eq!(keys(&second), ["b/1", "b/11", "b/2"], "the cursor's own object may be gone");
    let third = cache.list("v1", "Pod", None, "", (3, second.1.as_deref())).unwrap();
    assert_eq!((keys(&third), &third.1), (vec!["c"], &None));
    let exact = cache.list("v1", "Pod", Some("b"), "", (3, None)).unwrap();
    assert_eq!((keys(&exact), &exact.1), (vec!["b/1", "b/11", "b/2"], &None));
}

#[test]
fn a_selector_selects_and_the_last_page_is_known_to_be_the_last() {
    let indexer = indexer(&["a/0", "a/1", "a/2", "a/3"]);
    let cache = cache(vec![pods(&indexer, None)]);
    let page = cache.list("v1", "Pod", Some("a"), "n in (1,2)", (2, None)).unwrap();
    assert_eq!((keys(&page), &page.1), (vec!["a/1", "a/2"], &None));
    let error = cache.list("v1", "Pod", None, "n in 1", (2, None)).err().unwrap();
    assert!(error.contains("n in 1"), "{error}");
    let error = cache.list("v1", "Pod", None, "", (2, Some("a/1"))).err().unwrap();
    assert!(error.contains("not a cursor"), "{error}");
}

#[test]
fn indices_find_by_namespace_and_by_owner() {
    let indexer = indexer(&["a/0", "a/1", "b/2", "c"]);
    let cache = cache(vec![pods(&indexer, None)]);
    let by = |index, value| cache.list_by_index("v1", "Pod", index, value, (9, None));
    assert_eq!(keys(&by("namespace", "a").unwrap()), ["a/0", "a/1"]);
    assert_eq!(keys(&by("namespace", "").unwrap()), ["c"]);
    assert_eq!(keys(&by("owner", "owner-0").unwrap()), ["a/0", "b/2"]);
    assert!(keys(&by("owner", "").unwrap()).is_empty());
    let error = by("color", "red").err().unwrap();
    assert!(error.contains("\"namespace\" and \"owner\""), "{error}");
}

#[test]
fn an_object_in_two_collections_is_there_once() {
    let (all, some) = (indexer(&["a/0", "a/1", "b/2"]), indexer(&["a/1", "a/0"]));
    let cache = cache(vec![pods(&some, Some("a")), pods(&all, None)]);
    assert_eq!(keys(&cache.list("v1", "Pod", None, "", (9, None)).unwrap()), ["a/0", "a/1", "b/2"]);
    let by_owner = cache.list_by_index("v1", "Pod", "owner", "owner-0", (9, None)).unwrap();
    assert_eq!(keys(&by_owner), ["a/0", "a/1", "b/2"]);
    // Its number, and so its labels, differ between the two.
    assert_eq!(keys(&cache.list("v1", "Pod", None, "n=1", (9, None)).unwrap()), ["a/0", "a/1"]);
}

#[test]
fn of_a_collection_only_the_granted_names_are_there() {
    let indexer = indexer(&["a/0", "a/1", "b/1", "b/2"]);
    let names = Some(BTreeSet::from(["1".to_owned(), "absent".to_owned()]));
    let cache = cache(vec![ReadableCollection { names, ..pods(&indexer, None) }]);
    let get = |namespace, name| cache.get("v1", "Pod", Some(namespace), name).is_some();
    assert!(get("a", "1") && get("b", "1") && !get("a", "0") && !get("a", "absent"));
    let list = |namespace, after| cache.list("v1", "Pod", namespace, "", after).unwrap();
    let all = list(None, (9, None));
    assert_eq!((keys(&all), &all.1), (vec!["a/1", "b/1"], &None));
    assert_eq!(keys(&list(Some("a"), (9, None))), ["a/1"]);
    let last = list(None, (1, Some("after:a/1")));
    assert_eq!((keys(&last), &last.1), (vec!["b/1"], &None), "b/2 makes no further page");
    let by = |index, value| cache.list_by_index("v1", "Pod", index, value, (9, None)).unwrap();
    assert_eq!(keys(&by("namespace", "b")), ["b/1"]);
    assert_eq!(keys(&by("owner", "owner-1")), ["a/1"]);
}
