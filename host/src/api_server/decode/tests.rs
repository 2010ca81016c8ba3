//! Odd but legal objects, and bad ones, as a server or a proxy may send them.

use informer::{ListerWatcherError, WatchEvent};

use super::{list_page, status_error, watch_event};

fn added(object: &str) -> WatchEvent {
    watch_event(format!(r#"{{"type":"ADDED","object":{object}}}"#).as_bytes()).unwrap()
}

fn json_of(event: WatchEvent) -> String {
    match event {
        WatchEvent::Added(object) => object.json.to_string(),
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
    assert_eq!(&*object.json, json);
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

#[test]
fn an_object_that_cannot_be_read_is_isolated() {
    for bad in [
        r#"{}"#,
        r#"{"metadata":{}}"#,
        r#"{"metadata":{"name":7}}"#,
        r#"{"metadata":{"name":"../.."}}"#,
        r#"{"metadata":{"name":"a"},"metadata":{"name":"b"}}"#,
        r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a"}}"#,
        r#"[]"#,
        r#"null"#,
    ] {
        assert!(matches!(added(bad), WatchEvent::Rejected(_)), "{bad}");
    }
    let page = list_page(
        br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},
            "items":[{"metadata":{"name":"a"}},{"metadata":{}},{"metadata":{"name":"c"}}]}"#,
    )
    .unwrap();
    assert_eq!((page.objects.len(), page.rejected.len()), (2, 1));
}

#[test]
fn a_lists_items_get_the_type_that_the_list_names() {
    let page = list_page(
        br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9","continue":"t"},
            "items":[{"metadata":{"name":"a","managedFields":[]}},
                     {"apiVersion":"x/v1","kind":"Other","metadata":{"name":"b"}}]}"#,
    )
    .unwrap();
    assert_eq!(page.resource_version, "9");
    assert_eq!(page.continue_token.as_deref(), Some("t"));
    let json: Vec<&str> = page.objects.iter().map(|object| &*object.json).collect();
    assert_eq!(json[0], r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#);
    assert_eq!(json[1], r#"{"apiVersion":"x/v1","kind":"Other","metadata":{"name":"b"}}"#);
}

#[test]
fn what_is_no_list_is_an_error() {
    for body in [&b"{}"[..], b"<html>", br#"{"kind":"Table","rows":[]}"#, b""] {
        assert!(matches!(list_page(body), Err(ListerWatcherError::Unavailable(_))));
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
fn a_line_that_is_no_event_ends_the_stream_with_an_error() {
    for line in [&b"<html>"[..], b"{}", b"", br#"{"type":"ADDED"}"#] {
        assert!(watch_event(line).is_err());
    }
    let unknown = watch_event(br#"{"type":"MOVED","object":{}}"#).unwrap();
    assert!(matches!(unknown, WatchEvent::Rejected(_)));
}
