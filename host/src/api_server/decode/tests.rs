//! Odd but legal objects, and bad ones, as a server or a proxy may send them.

use informer::{ListPage, ListerWatcherError, ObjectKey, WatchEvent};

use super::{ObjectType, plain_event, status_error};

const PODS: ObjectType<'_> = ObjectType { api_version: "v1", kind: "Pod" };

fn watch_event(line: &[u8]) -> Result<WatchEvent, ListerWatcherError> {
    super::watch_event(line, PODS)
}

fn list_page(body: &[u8]) -> Result<ListPage, ListerWatcherError> {
    super::list_page(body, PODS)
}

/// The object's text as it arrives, without the type that it lacks.
fn untyped(json: &str) -> String {
    json.replacen(r#""apiVersion":"v1","kind":"Pod","#, "", 1)
}

fn added(object: &str) -> WatchEvent {
    watch_event(format!(r#"{{"type":"ADDED","object":{object}}}"#).as_bytes()).unwrap()
}

fn json_of(event: WatchEvent) -> String {
    match event {
        WatchEvent::Added(object) => untyped(&object.json.text().unwrap()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_header_is_read_and_the_rest_kept_as_it_came() {
    let json = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n",
        "uid":"u","resourceVersion":"7"},"spec":{"x":[1e400,{"y":"\u0000"}]}}"#;
    let WatchEvent::Added(object) = added(json) else { panic!() };
    assert_eq!(object.key.as_str(), "n/a");
    assert_eq!((&*object.uid, &*object.resource_version), ("u", "7"));
    assert_eq!(&*object.json.text().unwrap(), json);
}

#[test]
fn managed_fields_are_cut_out_wherever_they_stand() {
    for (before, after) in [
        (r#"{"metadata":{"name":"a","managedFields":[{"f":{}}]}}"#, r#"{"metadata":{"name":"a"}}"#),
        (r#"{"metadata":{"managedFields" : [], "name":"a"}}"#, r#"{"metadata":{ "name":"a"}}"#),
        (
            r#"{"metadata":{"name":"a" , "managedFields":[],"uid":"u"}}"#,
            r#"{"metadata":{"name":"a" ,"uid":"u"}}"#,
        ),
        // Not the object's own.
        (
            r#"{"metadata":{"name":"a"},"spec":{"managedFields":[1]}}"#,
            r#"{"metadata":{"name":"a"},"spec":{"managedFields":[1]}}"#,
        ),
        // Legal, and not worth more code.
        (
            r#"{"metadata":{"name":"a","managed\u0046ields":[1]}}"#,
            r#"{"metadata":{"name":"a","managed\u0046ields":[1]}}"#,
        ),
    ] {
        let json = json_of(added(before));
        assert_eq!(json.replace("\"a\" ,", "\"a\","), after.replace("\"a\" ,", "\"a\","));
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
    }
}

#[test]
fn where_the_status_is_is_known_wherever_it_stands() {
    let managed = r#""managedFields":[{"f":{"status":{}}}]"#;
    for (json, status) in [
        (
            format!(r#"{{"metadata":{{"name":"a",{managed}}},"status":{{"phase":"x"}}}}"#),
            r#"{"phase":"x"}"#,
        ),
        (format!(r#"{{"metadata":{{"name":"a",{managed}}},"status":[1] , "z":2 }}"#), "[1]"),
        (r#"{"kind":"Pod","apiVersion":"v1","status":1,"metadata":{"name":"a"}}"#.to_owned(), "1"),
    ] {
        let WatchEvent::Added(object) = added(&json) else { panic!() };
        assert_eq!(object.json.text().unwrap().status(), Some(status), "{json}");
    }
    for json in [
        r#"{"metadata":{"name":"a"},"spec":{"status":1}}"#.to_owned(),
        r#"{"metadata":{"name":"a"},"status":null}"#.to_owned(),
        // Moved by what was cut behind it: not worth more code.
        format!(r#"{{"status":{{"phase":"x"}},"metadata":{{{managed},"name":"a"}}}}"#),
    ] {
        let WatchEvent::Added(object) = added(&json) else { panic!() };
        assert_eq!(object.json.text().unwrap().status(), None, "{json}");
    }
}

#[test]
fn depth_does_not_matter() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let json = format!(r#"{{"metadata":{{"name":"a"}},"spec":{deep}}}"#);
    assert_eq!(json_of(added(&json)), json);
}

#[test]
fn invalid_utf_8_is_replaced_and_the_object_delivered() {
    let line = b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"},\"x\":\"\xff\"}}";
    assert!(json_of(watch_event(line).unwrap()).contains('\u{fffd}'));
}

/// What is rejected, under which key, and a word of the reason.
#[test]
fn an_object_that_cannot_be_read_is_isolated_and_named_as_far_as_it_is_known() {
    for (bad, key, reason) in [
        (r#"{}"#, None, "missing field `metadata`"),
        (r#"[]"#, None, "expected an object"),
        (r#"null"#, None, "an event without an object"),
        (r#""text""#, None, "expected an object"),
        (r#"["v1","Pod",{"name":"a"}]"#, None, "expected an object"),
        (r#"{"metadata":null}"#, None, "expected an object"),
        (r#"{"metadata":["n","a","u","5"]}"#, None, "expected an object"),
        (r#"{"metadata":{}}"#, None, "no metadata.name"),
        (r#"{"metadata":{"name":null}}"#, None, "no metadata.name"),
        (r#"{"metadata":{"name":7}}"#, None, "integer `7`"),
        (r#"{"metadata":{"name":"../.."}}"#, None, r#""../.." is no name"#),
        (r#"{"metadata":{"name":".."}}"#, None, "is no name"),
        (r#"{"metadata":{"name":"a","namespace":"n/m"}}"#, None, r#""n/m" is no name"#),
        (r#"{"metadata":{"name":"a%2Fb"}}"#, None, "is no name"),
        (r#"{"metadata":{"name":"a\u0000"}}"#, None, r#""a\0" is no name"#),
        (r#"{"metadata":{"name":"\ud800"}}"#, None, "hex escape"),
        (r#"{"metadata":{"name":"a","name":"b"}}"#, None, "duplicate field `name`"),
        (r#"{"metadata":{"name":"a"},"metadata":{"name":"b"}}"#, None, "duplicate field"),
        (r#"{"metadata":{"name":"a","namespace":"n","resourceVersion":7}}"#, Some("n/a"), "`7`"),
        (r#"{"metadata":{"name":"a","uid":"u","uid":"u"}}"#, Some("a"), "duplicate field `uid`"),
        (r#"{"metadata":{"name":"a","uid":"\udfff"}}"#, Some("a"), "cannot be read"),
        (r#"{"metadata":{"name":"a"},"x":NaN}"#, Some("a"), "what is no event"),
        (
            r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a"}}"#,
            Some("a"),
            r#"a: it is "Table" of "meta.k8s.io/v1" where Pod of v1 is watched"#,
        ),
        (r#"{"kind":"Pod","apiVersion":"v2","metadata":{"name":"a"}}"#, Some("a"), r#""v2""#),
        (r#"{"kind":"","metadata":{"name":"a"}}"#, Some("a"), r#""""#),
        (r#"{"kind":null,"metadata":{"name":"a"}}"#, Some("a"), r#""""#),
    ] {
        let (rejected_key, rejected_reason) = match added(bad) {
            WatchEvent::Rejected(reason) => (None, reason),
            WatchEvent::RejectedObject { key, reason } => (Some(key), reason),
            other => panic!("{bad}: {other:?}"),
        };
        assert_eq!(rejected_key.as_ref().map(ObjectKey::as_str), key, "{bad}");
        assert!(rejected_reason.contains(reason), "{bad}: {rejected_reason}");
        assert!(key.is_none_or(|key| rejected_reason.starts_with(&format!("{key}: "))), "{bad}");

        let list = |item: &str| {
            let head = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"}"#;
            let good = |name: &str| format!(r#"{{"metadata":{{"name":"{name}"}}}}"#);
            let items = [good("first"), item.to_owned(), good("last")].join(",");
            list_page(format!(r#"{head},"items":[{items}]}}"#).as_bytes()).unwrap()
        };
        let page = list(bad);
        assert_eq!((page.objects.len(), page.rejected.len()), (2, 1), "{bad}");
        let keys: Vec<&str> = page.rejected_keys.iter().map(ObjectKey::as_str).collect();
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(bad).is_ok();
        let expected = key.filter(|_| is_json);
        assert_eq!(keys, expected.into_iter().collect::<Vec<_>>(), "{bad}");
    }
}

#[test]
fn a_deletion_that_cannot_be_read_does_not_say_that_the_object_is_there() {
    let line = br#"{"type":"DELETED","object":{"metadata":{"name":"a","uid":7}}}"#;
    let WatchEvent::Rejected(reason) = watch_event(line).unwrap() else { panic!() };
    assert!(reason.starts_with("a: "), "{reason}");
}

#[test]
fn null_is_the_empty_text() {
    let json = r#"{"metadata":{"name":"a","namespace":null,"uid":null,"resourceVersion":null}}"#;
    let WatchEvent::Added(object) = added(json) else { panic!() };
    assert_eq!(object.key.as_str(), "a");
    assert_eq!((&*object.uid, &*object.resource_version), ("", ""));
}

#[test]
fn a_version_is_text_of_any_length() {
    let version = "9".repeat(40);
    let list = format!(
        r#"{{"kind":"PodList","metadata":{{"resourceVersion":"{version}"}},"items":[
            {{"metadata":{{"name":"a","resourceVersion":"{version}"}}}}]}}"#
    );
    let page = list_page(list.as_bytes()).unwrap();
    assert_eq!(page.resource_version, version);
    assert_eq!(&*page.objects[0].resource_version, version);
}

#[test]
fn a_reason_does_not_flood_the_log() {
    let long = "ä".repeat(1 << 20);
    let line = format!(r#"{{"type":"{long}","object":{{"metadata":{{"name":"a"}}}}}}"#);
    let named = format!(r#"{{"type":"ADDED","object":{{"metadata":{{"name":"{long}/"}}}}}}"#);
    for line in [line, named] {
        let WatchEvent::Rejected(reason) = watch_event(line.as_bytes()).unwrap() else { panic!() };
        assert!(reason.chars().count() < 600 && reason.ends_with('…'), "{}", reason.len());
    }
}

#[test]
fn a_lists_items_get_the_type_that_the_list_names_if_they_have_none() {
    let list = |kind: &str, item: &str| {
        let body = format!(r#"{{"kind":"{kind}","apiVersion":"v1","items":[{item}]}}"#);
        let page = list_page(body.as_bytes()).unwrap();
        page.objects
            .into_iter()
            .map(|it| it.json.text().unwrap().into_string())
            .chain(page.rejected)
            .next()
            .unwrap()
    };
    let typed = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#;
    let untyped = r#"{"metadata":{"name":"a"}}"#;
    assert_eq!(list("PodList", untyped), typed);
    assert_eq!(list("PodList", typed), typed);
    let managed = r#"{"metadata":{"name":"a","managedFields":[]}}"#;
    assert_eq!(list("PodList", managed), typed);
    let half = r#"{"apiVersion":"v1","metadata":{"name":"a"}}"#;
    assert_eq!(
        list("PodList", half),
        typed.replace(r#""apiVersion":"v1","kind":"Pod""#, r#""kind":"Pod","apiVersion":"v1""#),
        "nothing is there twice"
    );
    for (kind, item) in [("Pods", untyped), ("List", untyped), ("SecretList", typed)] {
        assert_eq!(list(kind, item), typed, "{kind}");
    }
    assert!(list("SecretList", untyped).starts_with(r#"a: it is "Secret" of "v1""#));
    let other = r#"{"apiVersion":"x/v1","kind":"Pod","metadata":{"name":"b"}}"#;
    assert!(list("PodList", other).starts_with(r#"b: it is "Pod" of "x/v1""#));
}

#[test]
fn a_lists_version_and_token_are_read() {
    let page = list_page(
        br#"{"kind":"PodList","metadata":{"resourceVersion":"9","continue":"t"},"items":null}"#,
    );
    let page = page.unwrap();
    assert_eq!((&*page.resource_version, page.continue_token.as_deref()), ("9", Some("t")));
    assert!(page.objects.is_empty() && page.rejected.is_empty());
    let bare = list_page(br#"{"kind":"PodList","metadata":null,"items":[]}"#).unwrap();
    assert_eq!((&*bare.resource_version, bare.continue_token), ("", None));
}

#[test]
fn what_is_no_list_is_an_error() {
    for body in [
        "{}",
        "<html>",
        "",
        r#"{"kind":"Table","rows":[]}"#,
        r#"{"kind":"PodList","metadata":{}}"#,
        r#"{"kind":"PodList","items":{}}"#,
        r#"{"kind":"PodList","items":{"a":NaN}}"#,
        r#"{"kind":"Pod","items":null}"#,
        r#"{"kind":"PodList","metadata":["9"],"items":[]}"#,
        r#"["v1","PodList",{},[]]"#,
        // Cut off.
        r#"{"kind":"PodList","items":[{"metadata":{"name":"a"}},{"x":NaN}"#,
        r#"{"kind":"PodList","items":[{"metadata":{"name":"a"}},{"x":NaN}]"#,
    ] {
        let error = list_page(body.as_bytes());
        assert!(matches!(error, Err(ListerWatcherError::Unavailable(_))), "{body}: {error:?}");
    }
}

#[test]
fn a_bookmark_ends_the_initial_events_only_if_it_says_true() {
    let bookmark = |annotations: &str| {
        let line = format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"Pod","metadata":{{"resourceVersion":"5",
            "annotations":{annotations}}}}}}}"#
        );
        watch_event(line.as_bytes()).unwrap()
    };
    let is = |initial_events_end| WatchEvent::Bookmark {
        resource_version: "5".to_owned(),
        initial_events_end,
    };
    assert_eq!(bookmark(r#"{"k8s.io/initial-events-end":"true"}"#), is(true));
    assert_eq!(bookmark(r#"{"k8s.io/initial-events-end":"false"}"#), is(false));
    assert_eq!(bookmark("{}"), is(false));
    assert_eq!(bookmark("null"), is(false));
}

#[test]
fn statuses_become_what_the_reflector_decides_on() {
    use ListerWatcherError::*;
    let error = |code, body: &str| status_error(code, None, body.as_bytes());
    assert!(matches!(error(410, ""), Expired(_)));
    assert!(matches!(error(0, r#"{"code":410,"reason":"Expired"}"#), Expired(_)));
    assert!(matches!(error(0, r#"{"code":500,"reason":"Gone"}"#), Expired(_)));
    let causes = r#"{"code":504,"details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}}"#;
    assert!(matches!(error(504, causes), TooLargeResourceVersion(_)));
    // As API servers from 1.17 to 1.18 said it, and those before.
    let causes = r#"{"code":504,"details":{"causes":[{"message":"Too large resource version"}]}}"#;
    assert!(matches!(error(504, causes), TooLargeResourceVersion(_)));
    let message = r#"{"code":504,"message":"Timeout: Too large resource version: 5, current: 1"}"#;
    assert!(matches!(error(504, message), TooLargeResourceVersion(_)));
    assert!(matches!(error(429, r#"{"details":{"retryAfterSeconds":3}}"#),
        TooManyRequests { retry_after: Some(after), .. } if after.as_secs() == 3));
    let busy = status_error(503, Some(std::time::Duration::from_secs(7)), b"");
    assert!(
        matches!(busy, TooManyRequests { retry_after: Some(after), .. } if after.as_secs() == 7)
    );
    assert!(matches!(error(403, r#"{"message":"no"}"#), Rejected { code: 403, .. }));
    assert!(matches!(error(503, "<html>"), Unavailable(_)));
}

#[test]
fn an_odd_status_is_read_as_far_as_it_can_be() {
    use ListerWatcherError::*;
    let error = |code, body: &str| status_error(code, None, body.as_bytes());
    let odd = r#"{"code":410,"message":null,"details":null,"metadata":[]}"#;
    assert!(matches!(error(0, odd), Expired(_)));
    let odd = r#"{"reason":"Expired","code":"x","details":{"causes":{},"retryAfterSeconds":-1}}"#;
    assert!(matches!(error(500, odd), Expired(_)));
    assert!(matches!(error(0, r#"{"code":4294967706}"#), Unavailable(_)));
    let secret = r#"{"kind":"Secret","metadata":{"name":"a"},"data":{"k":"c2VjcmV0"}}"#;
    let Unavailable(message) = error(0, secret) else { panic!() };
    assert!(!message.contains("c2VjcmV0"), "{message}");
    for body in ["", "null", "7", "[]", "\u{0}"] {
        assert!(matches!(error(0, body), Unavailable(_)), "{body}");
    }
}

#[test]
fn a_line_that_is_no_object_ends_the_stream_with_an_error() {
    for line in [&b"<html>"[..], b"[]", b"7", b"nonsense", b"\xff"] {
        assert!(watch_event(line).is_err());
    }
    assert!(watch_event(br#"{"type":"ERROR"}"#).is_err());
    assert!(watch_event(br#"{"type":"ERROR","object":{"code":NaN}}"#).is_err());
}

#[test]
fn a_line_that_is_an_object_and_no_event_is_rejected() {
    for line in [
        "{}",
        r#"{"type":"ADDED"}"#,
        r#"{"type":"ADDED","object":null}"#,
        r#"{"type":null,"object":{"metadata":{"name":"a"}}}"#,
        r#"{"type":"MOVED","object":{"metadata":{"name":"a"}}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"name":"a"}"#,
        r#"{"type":"BOOKMARK"}"#,
        r#"{"type":"BOOKMARK","object":{}}"#,
        r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":""}}}"#,
        r#"{"type":"BOOKMARK","object":{"kind":"Secret","metadata":{"resourceVersion":"5"}}}"#,
        "{\"type\":\"ADDED\",\"object\":{\"x\":\"\u{0}\"}}",
    ] {
        let event = watch_event(line.as_bytes());
        assert!(matches!(event, Ok(WatchEvent::Rejected(_))), "{line}: {event:?}");
    }
}

/// Whatever a line or a list becomes on its way, reading it ends, and with good names only.
#[test]
fn damaged_bytes_never_panic() {
    let object = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"n","uid":
        "u","resourceVersion":"5","managedFields":[{"f":{}}]},"spec":{"x":["\u00e4",1e4,{}]}}"#;
    let line = format!(r#"{{"type":"ADDED","object":{object}}}"#);
    let list = format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{0},{0}]}}"#,
        object
    );
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut readable, mut rejected) = (0, 0);
    for _ in 0..20_000 {
        let mut line = line.clone().into_bytes();
        damage(&mut rng, &mut line);
        match watch_event(&line) {
            Ok(WatchEvent::Added(object)) => {
                readable += 1;
                assert!(object.key.as_str().matches('/').count() <= 1);
            }
            Ok(WatchEvent::Rejected(_) | WatchEvent::RejectedObject { .. }) => rejected += 1,
            Ok(_) | Err(_) => {}
        }
        let mut list = list.clone().into_bytes();
        damage(&mut rng, &mut list);
        if let Ok(page) = list_page(&list) {
            assert!(page.rejected_keys.len() <= page.rejected.len());
        }
        let _ = status_error(0, None, &list);
    }
    assert!(readable > 1_000 && rejected > 1_000, "{readable} {rejected}");
}

/// A few bytes flipped, cut out or put in.
fn damage(rng: &mut fastrand::Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..bytes.len());
        match rng.u8(..4) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = *rng.choice(b"{}[]\",:\\\0\xff").unwrap(),
            2 => drop(bytes.drain(at..(at + rng.usize(1..20)).min(bytes.len() - 1).max(at))),
            _ => bytes.insert(at, rng.u8(..)),
        }
    }
}

#[test]
fn only_an_event_that_is_spelled_plainly_is_read_in_one_pass() {
    let object = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","uid":"u"},"x":[1]}"#;
    let plain = format!(r#"{{"type":"ADDED","object":{object}}}"#);
    let expected = Some(json_of(added(object)));
    assert_eq!(plain_event(&plain, PODS).map(json_of), expected);
    for (other, is_event) in [
        (format!(r#"{{"type":"ADDED","object": {object}}}"#), true),
        (format!(r#"{{"type":"ADDED","object":{object} }}"#), true),
        (format!(r#"{{"object":{object},"type":"ADDED"}}"#), true),
        (format!(r#"{{"type":"\u0041DDED","object":{object}}}"#), true),
        (format!(r#"{{"type":"ADDED","object":{object},"more":{{}}}}"#), true),
        (format!(r#"{{"type":"ADDED","object":{object}}}}}"#), false),
        (format!(r#"{{"type":"ADDED","object":{object},{{}}}}"#), false),
        (format!(r#"{{"type":"ADDED","object":{object}"#), false),
    ] {
        assert!(plain_event(&other, PODS).is_none(), "{other}");
        let event = watch_event(other.as_bytes()).unwrap();
        let json = matches!(event, WatchEvent::Added(_)).then(|| json_of(event));
        assert_eq!(json, expected.clone().filter(|_| is_event), "{other}");
    }
}
