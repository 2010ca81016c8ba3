use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn text(i: usize) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"c{i}","uid":"{:x}"}}}}"#,
        i * 0x1234_5678_9abc
    )
}

fn encoder(compressed_bytes: &Arc<AtomicUsize>) -> Encoder {
    let samples: Vec<String> = (0..64).map(text).collect();
    let samples: Vec<&[u8]> = samples.iter().map(String::as_bytes).collect();
    Encoder::of_samples(&samples, compressed_bytes.clone())
}

#[test]
fn a_text_is_the_same_before_and_after_it_is_compressed() {
    let compressed_bytes = Arc::default();
    let encoder = encoder(&compressed_bytes);
    // Of none of the samples, of all lengths, with what is more than a byte.
    let odd = ["{\"ü\":\"\u{1f980}\"}".repeat(99), "[]".repeat(1 << 20), text(7).repeat(500)];
    for text in (1000..1200).map(text).chain(odd) {
        let json = Json::from(text.clone()).with_status(1..4);
        let before = json.text().unwrap();
        json.compress(&encoder);
        assert!(json.is_compressed());
        let after = json.text().unwrap();
        assert_eq!((before.status(), after.status()), (text.get(1..4), text.get(1..4)));
        assert_eq!((&*before, &*after), (&*text, &*text));
        assert_eq!(after.into_string(), text);
        assert_eq!(json.len(), text.len());
        assert!(json == Json::from(text) && json != Json::from("{}"));
    }
}

#[test]
fn what_would_not_become_smaller_stays_text() {
    let compressed_bytes = Arc::default();
    let encoder = encoder(&compressed_bytes);
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(4096).collect();
    for text in ["", "{}", &random] {
        let json = Json::from(text);
        json.compress(&encoder);
        assert!(!json.is_compressed());
        assert_eq!(&*json.text().unwrap(), text);
        assert_eq!(json.is_empty(), text.is_empty());
    }
    assert_eq!(compressed_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn compressed_bytes_are_those_that_are_there() {
    let compressed_bytes = Arc::default();
    let encoder = encoder(&compressed_bytes);
    let json = Json::from(text(1).repeat(9));
    json.compress(&encoder);
    let bytes = compressed_bytes.load(Ordering::Relaxed);
    assert!((1..json.len() / 4).contains(&bytes), "{bytes} of {}", json.len());
    json.compress(&encoder);
    assert_eq!(compressed_bytes.load(Ordering::Relaxed), bytes, "it is compressed once");
    // The dictionary lives on with what was compressed.
    drop(encoder);
    assert_eq!(&*json.text().unwrap(), text(1).repeat(9));
    drop(json);
    assert_eq!(compressed_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn samples_that_no_dictionary_can_be_trained_of_do() {
    for samples in [&[][..], &[b"{}".as_slice()], &[b"{}".as_slice(); 64]] {
        let encoder = Encoder::of_samples(samples, Arc::default());
        let json = Json::from(text(1).repeat(9));
        json.compress(&encoder);
        assert!(json.is_compressed());
        assert_eq!(&*json.text().unwrap(), text(1).repeat(9));
    }
}

#[test]
fn what_is_damaged_is_an_error_and_equal_to_nothing() {
    let encoder = encoder(&Arc::default());
    let json = Json::from(text(1).repeat(9));
    json.compress(&encoder);
    match &mut *json.form.write().unwrap() {
        Form::Compressed(compressed) => compressed.damage(),
        Form::Text(_) => panic!("it is not compressed"),
    }
    let error = json.text().map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("the JSON of a cached object cannot be decompressed: "), "{error}");
    assert_ne!(json, Json::from(text(1).repeat(9)));

    let mut longer = Json::from(text(1).repeat(9));
    longer.compress(&encoder);
    longer.len += 1;
    let error = longer.text().map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("bytes instead of"), "{error}");
}
