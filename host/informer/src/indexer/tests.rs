use super::*;
use crate::objects::{key, object, texts};

/// The values are the object's uid, split at commas; `bad` is refused and `worse` panics.
fn by_uid() -> IndexFunc {
    Arc::new(|object| match &*object.uid {
        uid if uid.ends_with("bad") => Err("a bad uid".to_owned()),
        // Without the message that a panic would print.
        uid if uid.ends_with("worse") => std::panic::resume_unwind(Box::new("worse")),
        uid => Ok(uid.split('#').nth(1).unwrap_or("").split(',').map(str::to_owned).collect()),
    })
}

fn indexer() -> Indexer {
    let mut indexer = Indexer::new();
    indexer.add_index("uid", by_uid()).unwrap();
    indexer
}

fn keys(lister: &Lister, value: &str) -> Vec<String> {
    let keys = lister.index_keys("uid", value).unwrap();
    keys.iter().map(ObjectKey::to_string).collect()
}

/// ★23 client-go: `TestThreadSafeStoreDeleteRemovesEmptySetsFromIndex`.
#[test]
fn scenario_23_thread_safe_store_delete_removes_empty_sets_from_index() {
    let mut indexer = indexer();
    indexer.update(object("a#x@1"));
    assert_eq!(indexer.lister().index_values("uid"), Ok(vec!["x".to_owned()]));
    indexer.delete(&key("a"), None);
    assert_eq!(indexer.lister().index_values("uid"), Ok(Vec::new()));
    assert!(indexer.transaction().0.indices["uid"].keys_by_value.is_empty());
}

/// ★24 client-go: `TestThreadSafeStoreIndexingFunctionsWithMultipleValues`.
#[test]
fn scenario_24_thread_safe_store_indexing_functions_with_multiple_values() {
    let mut indexer = indexer();
    let lister = indexer.lister();
    let assert_sets = |expected: [(&str, &[&str]); 3]| {
        for (value, expected) in expected {
            assert_eq!(keys(&lister, value), expected, "under {value}");
        }
    };
    indexer.update(object("k1#foo@1"));
    assert_sets([("foo", &["k1"]), ("bar", &[]), ("baz", &[])]);
    indexer.update(object("k2#foo,bar@2"));
    assert_sets([("foo", &["k1", "k2"]), ("bar", &["k2"]), ("baz", &[])]);
    indexer.update(object("k1#foo,bar@3"));
    assert_sets([("foo", &["k1", "k2"]), ("bar", &["k1", "k2"]), ("baz", &[])]);
    indexer.update(object("k2#bar,baz@4"));
    assert_sets([("foo", &["k1"]), ("bar", &["k1", "k2"]), ("baz", &["k2"])]);
    indexer.update(object("k1#foo@5"));
    assert_sets([("foo", &["k1"]), ("bar", &["k2"]), ("baz", &["k2"])]);
    indexer.delete(&key("k2"), None);
    assert_sets([("foo", &["k1"]), ("bar", &[]), ("baz", &[])]);
    indexer.delete(&key("k1"), None);
    assert_sets([("foo", &[]), ("bar", &[]), ("baz", &[])]);
}

/// ★25 client-go: `TestThreadSafeStoreRV`. There are no objects without metadata here.
#[test]
fn scenario_25_thread_safe_store_rv() {
    let mut indexer = indexer();
    let lister = indexer.lister();
    assert_eq!(lister.resource_version(), "");
    indexer.update(object("key1@10"));
    assert_eq!(lister.resource_version(), "10");
    indexer.update(object("key3@10"));
    assert_eq!(lister.resource_version(), "10");
    indexer.update(object("key4@20"));
    assert_eq!(lister.resource_version(), "20");
    indexer.delete(&key("key4"), Some("30"));
    assert_eq!(lister.resource_version(), "30");
    indexer.update(object("key6@40"));
    assert_eq!(lister.resource_version(), "40");
    indexer.delete(&key("key6"), None);
    assert_eq!(lister.resource_version(), "40");

    let mut transaction = indexer.transaction();
    for text in ["key9@40", "key10@30", "key11@50"] {
        transaction.update(object(text));
    }
    drop(transaction);
    assert_eq!(lister.resource_version(), "50");

    indexer.replace(vec![object("key1@15")], "60".to_owned());
    assert_eq!(lister.resource_version(), "60");
    indexer.delete(&key("key1"), Some("20"));
    assert_eq!(lister.resource_version(), "20", "not compared");
}

#[test]
fn what_is_not_at_a_version_of_its_own_does_not_move_the_version() {
    let mut indexer = indexer();
    let lister = indexer.lister();
    indexer.update(object("a@40"));
    indexer.put(object("b@50"));
    assert_eq!(lister.resource_version(), "40");
    indexer.set_resource_version("60".to_owned());
    assert_eq!(lister.resource_version(), "60");
    indexer.update(object("c@"));
    indexer.delete(&key("c"), Some(""));
    assert_eq!(lister.resource_version(), "60");
}

/// ★27 client-go: `TestCacheTransactionShouldIndexErrors`, where a key function can fail. A key cannot
/// here; what can fail for an object is an index function, and then the rest is stored and indexed,
/// and the object is only left out of that index.
#[test]
fn scenario_27_cache_transaction_should_index_errors() {
    let cases: [(&[&str], &[&str]); 3] = [
        (&["a#x@1", "b#x@2"], &["a", "b"]),
        (&["a#bad@1", "b#worse@2"], &[]),
        (&["a#x@1", "b#bad@2", "c#x@3", "d#bad@4"], &["a", "c"]),
    ];
    for (objects, indexed) in cases {
        let mut indexer = indexer();
        let mut transaction = indexer.transaction();
        for text in objects {
            assert_eq!(transaction.update(object(text)), None);
        }
        drop(transaction);
        let lister = indexer.lister();
        assert_eq!(texts(lister.list()), objects);
        assert_eq!(keys(&lister, "x"), indexed);
        assert_eq!(lister.index_failures("uid"), Ok(objects.len() - indexed.len()));
    }
}

/// ★26 client-go: `TestMultiIndexKeys`.
#[test]
fn scenario_26_multi_index_keys() {
    let mut indexer = indexer();
    for pod in ["one#ernie,bert@1", "two#bert,oscar@2", "tre#ernie,elmo@3"] {
        indexer.update(object(pod));
    }
    let lister = indexer.lister();
    let found = |value| texts(lister.by_index("uid", value).unwrap());
    assert_eq!(found("ernie"), ["one#ernie,bert@1", "tre#ernie,elmo@3"]);
    assert_eq!(found("bert"), ["one#ernie,bert@1", "two#bert,oscar@2"]);
    assert_eq!(found("elmo"), ["tre#ernie,elmo@3"]);
    assert_eq!(found("oscar"), ["two#bert,oscar@2"]);
    assert_eq!(found("nobody"), Vec::<String>::new());

    indexer.delete(&key("tre"), None);
    assert_eq!(found("ernie"), ["one#ernie,bert@1"]);
    assert_eq!(found("elmo"), Vec::<String>::new());

    indexer.update(object("two#bert@4"));
    assert_eq!(found("bert"), ["one#ernie,bert@1", "two#bert@4"]);
    assert_eq!(found("oscar"), Vec::<String>::new());
}

/// client-go: IX-5.
#[test]
fn an_index_finds_what_has_a_value_in_common_with_an_object() {
    let mut indexer = indexer();
    for pod in ["one#ernie,bert@1", "two#bert,oscar@2", "tre#elmo@3", "bad@4"] {
        indexer.update(object(pod));
    }
    let lister = indexer.lister();
    let found = |text| lister.index("uid", &object(text)).map(texts);
    assert_eq!(found("x#elmo@9").unwrap(), ["tre#elmo@3"]);
    let one_and_two = ["one#ernie,bert@1", "two#bert,oscar@2"];
    assert_eq!(found("x#bert,ernie,bert@9").unwrap(), one_and_two, "each once");
    assert_eq!(found("one#ernie,bert@1").unwrap(), one_and_two);
    assert_eq!(found("x#nobody@9").unwrap(), Vec::<String>::new());
    let no_values = |reason: &str| {
        let (name, reason) = ("uid".to_owned(), reason.to_owned());
        Err(IndexError::NoValues { name, key: key("x"), reason })
    };
    assert_eq!(found("x#bad@9"), no_values("a bad uid"));
    assert_eq!(found("x#worse@9"), no_values("the index function panicked"));
    assert_eq!(lister.index("no", &object("a@1")), Err(IndexError::Unknown("no".to_owned())));
}

#[test]
fn values_that_an_object_has_twice_do_no_harm() {
    let mut indexer = indexer();
    indexer.update(object("a#x,x@1"));
    indexer.update(object("a#y,x,y@2"));
    assert_eq!(keys(&indexer.lister(), "x"), ["a"]);
    indexer.delete(&key("a"), None);
    assert_eq!(indexer.lister().index_values("uid"), Ok(Vec::new()));
}

#[test]
fn objects_are_found_by_namespace_without_asking_for_an_index() {
    let mut indexer = Indexer::new();
    for it in ["web/a@1", "web/b@2", "db/a@3", "node@4"] {
        indexer.update(object(it));
    }
    let lister = indexer.lister();
    let found = |value| texts(lister.by_index(NAMESPACE_INDEX, value).unwrap());
    assert_eq!(found("web"), ["web/a@1", "web/b@2"]);
    assert_eq!(found("db"), ["db/a@3"]);
    assert_eq!(found(""), ["node@4"]);
    assert_eq!(lister.index_values(NAMESPACE_INDEX).unwrap(), ["", "db", "web"]);
}

#[test]
fn an_index_can_be_added_over_what_is_there_and_a_name_only_once() {
    let mut indexer = Indexer::new();
    indexer.update(object("a#x@1"));
    indexer.update(object("b#bad@2"));
    indexer.add_index("uid", by_uid()).unwrap();
    let lister = indexer.lister();
    assert_eq!(keys(&lister, "x"), ["a"]);
    assert_eq!(lister.index_failures("uid"), Ok(1));
    assert_eq!(indexer.add_index("uid", by_uid()), Err(IndexError::Exists("uid".to_owned())));
    let unknown = IndexError::Unknown("no".to_owned());
    assert_eq!(lister.by_index("no", "x"), Err(unknown.clone()));
    assert_eq!(lister.index_keys("no", "x"), Err(unknown.clone()));
    assert_eq!(lister.index_values("no"), Err(unknown.clone()));
    assert_eq!(lister.index_failures("no"), Err(unknown));
}

#[test]
fn an_object_that_an_index_function_refuses_is_only_left_out_of_that_index() {
    let mut indexer = indexer();
    let lister = indexer.lister();
    indexer.update(object("a#x@1"));
    for bad in ["a#bad@2", "a#worse@3"] {
        assert!(indexer.update(object(bad)).is_some(), "the state before is given");
        assert_eq!(texts(lister.list()), [bad]);
        assert_eq!(keys(&lister, "x"), Vec::<String>::new());
        assert_eq!(lister.index_keys(NAMESPACE_INDEX, "").unwrap(), [key("a")]);
        assert_eq!(lister.index_failures("uid"), Ok(1));
    }
    indexer.update(object("a#y@4"));
    assert_eq!(keys(&lister, "y"), ["a"]);
    assert_eq!(lister.index_failures("uid"), Ok(0));
    indexer.update(object("a#bad@5"));
    indexer.delete(&key("a"), None);
    assert_eq!(lister.index_failures("uid"), Ok(0));
}

#[test]
fn a_list_moves_objects_to_their_new_values() {
    let mut indexer = indexer();
    for it in ["a#x@1", "b#x@2", "c#x@3", "d#bad@4"] {
        indexer.update(object(it));
    }
    indexer.replace(["b#y@5", "c#x@3", "e#x@6"].map(object).into(), "6".to_owned());
    let lister = indexer.lister();
    assert_eq!(
        (keys(&lister, "x"), keys(&lister, "y")),
        (vec!["c".into(), "e".into()], vec!["b".into()])
    );
    assert_eq!(lister.index_failures("uid"), Ok(0));
}

/// An old state may be compressed.
#[test]
fn an_index_function_is_asked_once_for_each_state() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = asked.clone();
    let index_func: IndexFunc = Arc::new(move |object| {
        log.lock().unwrap().push(object.resource_version.to_string());
        Ok(vec!["x".to_owned()])
    });
    let mut indexer = Indexer::new();
    indexer.update(object("a@1"));
    indexer.add_index("asks", index_func).unwrap();
    indexer.update(object("a@2"));
    indexer.update(object("a@3"));
    let b = object("b@4");
    indexer.update(b.clone());
    indexer.delete(&key("a"), None);
    // b is as it was.
    indexer.replace(vec![b, object("c@5")], "6".to_owned());
    assert_eq!(*asked.lock().unwrap(), ["1", "2", "3", "4", "5"]);
    let keys = indexer.lister().index_keys("asks", "x").unwrap();
    assert_eq!(keys, [key("b"), key("c")]);
}

#[test]
fn the_cache_gives_the_state_that_a_change_took_the_place_of() {
    let mut indexer = Indexer::default();
    assert_eq!(indexer.update(object("a@1")), None);
    assert_eq!(indexer.update(object("a@2")), Some(object("a@1")));
    assert_eq!(indexer.delete(&key("a"), None), Some(object("a@2")));
    assert_eq!(indexer.delete(&key("a"), None), None);
}

#[test]
fn a_lister_reads_what_is_cached() {
    let mut indexer = Indexer::new();
    let lister = indexer.lister();
    assert!(lister.is_empty());
    indexer.update(object("a@1"));
    indexer.update(object("b@2"));
    assert_eq!(lister.get(&key("a")), Some(object("a@1")));
    assert!(lister.contains(&key("b")) && !lister.contains(&key("c")));
    assert_eq!(texts(lister.objects_where(|key| key.name() != "a")), ["b@2"]);
    assert_eq!(lister.len(), 2);
    assert_eq!(lister.json_bytes(), 2 * object("a@1").json.len());
}
