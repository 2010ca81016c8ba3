use super::*;
use crate::indexer::Indexer;
use crate::objects::key;

/// As large as a Pod and, like one, mostly what the others are.
fn pod(i: usize, version: usize) -> Arc<Object> {
    let json = format!(
        r#"{{"metadata":{{"name":"p{i}","resourceVersion":"{version}"}},"spec":"{}","id":"{:x}"}}"#,
        "what every Pod has, and nobody reads ".repeat(100),
        i * 0x0123_4567_89ab
    );
    Arc::new(Object {
        key: key(&format!("web/p{i}")),
        uid: i.to_string().into(),
        resource_version: version.to_string().into(),
        json: json.into(),
    })
}

fn compressed(objects: &[Arc<Object>]) -> usize {
    objects.iter().filter(|object| object.json.is_compressed()).count()
}

#[test]
fn a_resource_that_is_small_is_never_compressed() {
    let compactor = Compactor::new();
    let objects: Vec<_> = (0..60).map(|i| pod(i, 1)).collect();
    for object in &objects {
        compactor.admit(object);
    }
    assert_eq!(compressed(&objects), 0);
    let bytes: usize = objects.iter().map(|object| object.json.len()).sum();
    assert_eq!(compactor.bytes(), (bytes, 0));
}

#[test]
fn however_many_come_no_more_than_a_share_stays_text() {
    let compactor = Compactor::new();
    let mut objects = Vec::new();
    for i in 0..20_000 {
        let object = pod(i, 1);
        compactor.admit(&object);
        objects.push(object);
        let (text_bytes, compressed_bytes) = compactor.bytes();
        assert!(text_bytes <= TEXT_BYTES_MIN.max(compressed_bytes / COMPRESSED_PER_TEXT), "at {i}");
    }
    let (text_bytes, compressed_bytes) = compactor.bytes();
    let is_text = |it: &&Arc<Object>| !it.json.is_compressed();
    let text: usize = objects.iter().filter(is_text).map(|it| it.json.len()).sum();
    assert_eq!(text, text_bytes, "and these are the newest");
    assert!(compressed_bytes < 20_000 * 200, "{compressed_bytes}");
    assert!(objects.iter().rev().take_while(is_text).count() > 60);
    for (i, object) in objects.iter().enumerate() {
        assert_eq!(object.json, pod(i, 1).json);
    }
}

#[test]
fn what_nobody_holds_any_more_is_dropped_and_not_compressed() {
    let compactor = Compactor::new();
    let mut latest = pod(0, 0);
    for version in 0..1000 {
        latest = pod(0, version);
        compactor.admit(&latest);
    }
    let (text_bytes, compressed_bytes) = compactor.bytes();
    assert!(text_bytes <= TEXT_BYTES_MIN);
    assert_eq!(compressed_bytes, 0);
    assert!(!latest.json.is_compressed());
}

#[test]
fn a_state_that_is_held_is_compressed_wherever_it_is_held() {
    let compactor = Compactor::new();
    let old = pod(0, 0);
    compactor.admit(&old);
    let mut indexer = Indexer::new();
    indexer.update(old.clone());
    for version in 1..100 {
        let new = pod(0, version);
        compactor.admit(&new);
        assert!(indexer.update(new).is_some());
    }
    assert!(old.json.is_compressed());
    assert_eq!(old, pod(0, 0));
}

#[test]
fn a_list_that_brings_nothing_new_gives_what_is_cached() {
    let compactor = Compactor::new();
    let mut indexer = Indexer::new();
    let known_objects = indexer.lister();
    let listed: Vec<_> =
        (0..200).map(|i| compactor.admit_listed(pod(i, 1), &known_objects)).collect();
    assert!(compressed(&listed) > 100);
    indexer.replace(listed.clone(), "1".to_owned());
    let before = compactor.bytes();
    for (i, cached) in listed.iter().enumerate() {
        assert!(Arc::ptr_eq(&compactor.admit_listed(pod(i, 1), &known_objects), cached));
    }
    assert_eq!(compactor.bytes(), before);

    let newer = pod(7, 2);
    assert!(Arc::ptr_eq(&compactor.admit_listed(newer.clone(), &known_objects), &newer));
    // The same version, shown otherwise.
    let other = Arc::new(Object { json: "{}".into(), ..Arc::into_inner(pod(7, 1)).unwrap() });
    assert!(Arc::ptr_eq(&compactor.admit_listed(other.clone(), &known_objects), &other));
}

#[test]
fn dictionaries_are_made_at_growing_distances() {
    let mut due = Vec::new();
    let mut state = State {
        newest: VecDeque::new(),
        newest_bytes: 0,
        encoder: None,
        compressed_bytes: Arc::default(),
        samples: Samples::default(),
        admitted_bytes: 0,
        dictionary_due: TEXT_BYTES_MIN,
    };
    for exponent in 10..36 {
        state.admitted_bytes = 1 << exponent;
        let before = state.dictionary_due;
        state.encoder();
        if state.dictionary_due != before {
            due.push(exponent);
        }
    }
    assert_eq!(due, [18, 22, 26, 30, 31, 32, 33, 34, 35]);
}

#[test]
fn samples_are_of_the_whole_list_and_no_longer_there_does_no_harm() {
    let objects: Vec<_> = (0..10_000).map(|i| pod(i, 1)).collect();
    let mut samples = Samples::default();
    for object in &objects {
        samples.offer(object);
    }
    let late = samples.objects.iter().filter_map(Weak::upgrade);
    let late = late.filter(|it| objects[5000..].iter().any(|late| Arc::ptr_eq(late, it))).count();
    assert!((10..54).contains(&late), "{late} of {SAMPLES}");
    drop(objects);
    let newest = VecDeque::from([pod(1, 1)]);
    assert_eq!(samples.texts(&newest).len(), 1);
}
