//! Malformed lists and watches: what is around the objects.

use super::*;

/// What is cached when the malformed thing comes.
fn before() -> [Vec<u8>; 2] {
    [good("first", "1"), good("gone", "3")]
}

fn opened() -> (Request, Answer) {
    let [first, gone] = before();
    (Request::WatchList, Answer::open(initial_events("10", &[&first, &gone])))
}

/// `gone` is gone, and `last` is new.
fn after() -> [Vec<u8>; 2] {
    [good("first", "1"), good("last", "11")]
}

fn opened_again() -> (Request, Answer) {
    let [first, last] = after();
    (Request::WatchList, Answer::open(initial_events("20", &[&first, &last])))
}

fn listed(rv: &str, objects: [Vec<u8>; 2]) -> (Request, Answer) {
    let [one, other] = objects;
    (Request::List, Answer::ending(list(rv, &[&one, &other])))
}

const TOLD_BEFORE: [&str; 3] = ["added first@1 initial", "added gone@3 initial", "synced"];

fn told_after(more: &[&str]) -> Vec<String> {
    let mut told: Vec<_> = TOLD_BEFORE.iter().chain(more).map(|it| (*it).to_owned()).collect();
    told.sort();
    told
}

/// What a list that follows tells of.
const TOLD_AGAIN: [&str; 2] = ["added last@11", "deleted gone@3 unknown"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_counted_and_the_watch_goes_on() {
    let lines = [
        r#"{}"#,
        r#"{"type":"ADDED"}"#,
        r#"{"type":"DELETED","object":null}"#,
        r#"{"object":{"metadata":{"name":"gone"}}}"#,
        r#"{"type":null,"object":{"metadata":{"name":"gone"}}}"#,
        r#"{"type":"","object":{"metadata":{"name":"gone"}}}"#,
        r#"{"type":"deleted","object":{"metadata":{"name":"gone"}}}"#,
        r#"{"type":"MOVED","object":{"metadata":{"name":"gone"}}}"#,
        r#"{"type":"BOOKMARK"}"#,
        r#"{"type":"BOOKMARK","object":null}"#,
        r#"{"type":"BOOKMARK","object":{"metadata":{}}}"#,
        r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":""}}}"#,
        r#"{"type":"BOOKMARK","object":{"kind":"Secret","metadata":{"resourceVersion":"50"}}}"#,
        r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":50}}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"name":"half","#,
        r#"{"type":"ADDED","object":{"metadata":{"name":"half"}}"#,
        r#"{"type":"ADDED","object":{"metadata":{"name":"twice"}}}{"type":"ADDED"}"#,
    ];
    let all = lines.iter().flat_map(|line| QUEUES.map(|queue| (line, queue)));
    side_by_side(all.map(|(line, queue)| async move {
        let name = format!("{line}, {queue:?}");
        let trace = Trace::start(queue, [opened()]).await;
        let (previous, next) = (good("previous", "4"), good("next", "6"));
        let bad = format!("{line}\n").into_bytes();
        let live = [event("ADDED", &previous), bad, event("ADDED", &next)].concat();
        let told = told_after(&["added previous@4", "added next@6"]);
        assert_eq!(trace.play(&name, live).await, told, "{name}");
        assert_eq!(trace.cached(), ["first@1", "gone@3", "next@6", "previous@4"], "{name}");
        assert_eq!(trace.rejected(), 1, "{name}");
        assert_eq!(trace.informer.counters().failures.get(), 0, "{name}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lines_are_nothing() {
    for queue in QUEUES {
        let [first, gone] = before();
        let events = initial_events("10", &[&first, &gone]);
        let answer = Answer::open([b"\n\r\n", events.as_slice(), b"\n \t\n\n"].concat());
        let trace = Trace::start(queue, [(Request::WatchList, answer)]).await;
        let mut next = event("ADDED", &good("next", "6"));
        next.pop();
        let live = [b"\n\n", next.as_slice(), b"\r\n\r\n"].concat();
        assert_eq!(trace.play("empty", live).await, told_after(&["added next@6"]));
        assert_eq!(trace.rejected(), 0);
        assert_eq!(trace.informer.counters().failures.get(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_line_at_the_end_comes_again_when_the_watch_is_resumed() {
    let next = event("ADDED", &good("next", "6"));
    let all = [1, next.len() / 2, next.len() - 1].into_iter();
    let all = all.flat_map(|cut| QUEUES.map(|queue| (cut, queue)));
    side_by_side(all.map(|(cut, queue)| {
        let next = &next;
        async move {
            let name = format!("{cut} bytes, {queue:?}");
            let resumed = (Request::Watch, Answer::open(next.clone()));
            let trace = Trace::start(queue, [opened(), resumed]).await;
            let previous = event("ADDED", &good("previous", "4"));
            trace.say(&name, [&previous, &next[..cut]].concat()).await;
            trace.server.hang_up();
            let told = told_after(&["added previous@4", "added next@6"]);
            assert_eq!(trace.play(&name, Vec::new()).await, told, "{name}");
            let asked = trace.server.asked();
            let (request, query) = asked.last().unwrap();
            assert_eq!(*request, Request::Watch, "{name}");
            assert!(query.contains("resourceVersion=4"), "{name}: {query}");
            assert_eq!(trace.rejected(), 0, "{name}");
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_watch_ends_it_and_a_list_follows() {
    let secret = r#"{"kind":"Secret","metadata":{"name":"s"},"data":{"k":"aGlkZGVu"}}"#;
    let lines = [
        "<html><body>502 Bad Gateway</body></html>".to_owned(),
        "upstream connect error".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "\u{0}".to_owned(),
        r#"{"type":"ERROR"}"#.to_owned(),
        r#"{"type":"ERROR","object":null}"#.to_owned(),
        r#"{"type":"ERROR","object":"no"}"#.to_owned(),
        r#"{"type":"ERROR","object":{"kind":"Status","code":"no","details":7}}"#.to_owned(),
        r#"{"type":"ERROR","object":{"code":NaN}}"#.to_owned(),
        format!(r#"{{"type":"ERROR","object":{secret}}}"#),
    ];
    let all = lines.iter().flat_map(|line| QUEUES.map(|queue| (line, queue)));
    side_by_side(all.map(|(line, queue)| async move {
        let name = format!("{line}, {queue:?}");
        let trace = Trace::start(queue, [opened(), opened_again()]).await;
        let previous = event("ADDED", &good("previous", "4"));
        let live = [&previous, line.as_bytes(), b"\n"].concat();
        let told = trace.play(&name, live).await;
        let mut expected = told_after(&["added previous@4", "deleted previous@4 unknown"]);
        expected.extend(TOLD_AGAIN.map(str::to_owned));
        expected.sort();
        assert_eq!(told, expected, "{name}");
        assert_eq!(trace.cached(), ["first@1", "last@11"], "{name}");
        assert_eq!(trace.informer.counters().failures.get(), 1, "{name}");
        assert!(trace.informer.status().borrow().failure.is_none(), "{name}: recovered");
    }))
    .await;
}

/// What is cached stays, and what follows is a list that can be read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_list_is_tried_again() {
    let [first, last] = after();
    let whole = list("20", &[&first, &last]);
    let head = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"20"}"#;
    let body = |body: &str| Answer::ending(body.to_owned());
    let answers = [
        ("empty", body("")),
        ("no JSON", body("upstream connect error")),
        ("NUL", body("\u{0}")),
        ("a page", Answer::html("<html><body>Please log in</body></html>")),
        ("null", body("null")),
        ("an array", body("[]")),
        ("an object", Answer::ending(good("first", "1"))),
        ("a Table", body(r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[]}"#)),
        ("a Status", body(r#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#)),
        ("no items", body(&format!("{head}}}"))),
        ("items an object", body(&format!(r#"{head},"items":{{"a":{{}}}}}}"#))),
        ("items a text", body(&format!(r#"{head},"items":"none"}}"#))),
        ("items twice", body(&format!(r#"{head},"items":[],"items":[]}}"#))),
        (
            "version a number",
            body(r#"{"kind":"ConfigMapList","metadata":{"resourceVersion":5},"items":[]}"#),
        ),
        ("cut off", Answer::ending(&whole[..whole.len() - 10])),
        ("cut off at the end", Answer::ending(&whole[..whole.len() - 1])),
        ("cut off after NaN", body(&format!(r#"{head},"items":[{{"data":NaN}},{{"#))),
        ("with more behind it", Answer::ending([&whole[..], b"}"].concat())),
    ];
    let all = answers.iter().flat_map(|(what, answer)| QUEUES.map(|queue| (what, answer, queue)));
    side_by_side(all.map(|(what, answer, queue)| async move {
        let name = format!("{what}, {queue:?}");
        // Again when there is something, and at first.
        let bad = || (Request::List, answer.clone());
        let watch = (Request::Watch, Answer::open(""));
        let answers = [bad(), listed("10", before()), watch, bad(), listed("20", after())];
        let trace = Trace::start(queue, answers).await;
        let told = trace.play(&name, expired()).await;
        assert_eq!(told, told_after(&TOLD_AGAIN), "{name}");
        assert_eq!(trace.cached(), ["first@1", "last@11"], "{name}");
        assert_eq!((trace.rejected(), trace.informer.counters().failures.get()), (0, 2), "{name}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_where_a_watch_was_asked_for_is_tried_again() {
    for queue in QUEUES {
        let page = || Answer::html("<html>\n<body>\nPlease log in\n</body>\n</html>\n");
        let answers = [
            (Request::WatchList, page()),
            listed("10", before()),
            (Request::Watch, page()),
            opened_again(),
        ];
        let trace = Trace::start(queue, answers).await;
        assert_eq!(trace.play("pages", Vec::new()).await, told_after(&TOLD_AGAIN));
        assert_eq!((trace.rejected(), trace.informer.counters().failures.get()), (0, 1));
    }
}

/// As Go writes a list without anything.
#[tokio::test(flavor = "multi_thread")]
async fn items_null_is_an_empty_list() {
    for queue in QUEUES {
        let null = r#"{"kind":"ConfigMapList","metadata":{"resourceVersion":"20"},"items":null}"#;
        let watch = (Request::Watch, Answer::open(""));
        let answers = [listed("10", before()), watch, (Request::List, Answer::ending(null))];
        let trace = Trace::start(queue, answers).await;
        let told = told_after(&["deleted first@1 unknown", "deleted gone@3 unknown"]);
        assert_eq!(trace.play("null", expired()).await, told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_there_twice_is_one_object() {
    let (old, new, first) = (good("twice", "11"), good("twice", "12"), good("first", "1"));
    let with_old = || vec!["added twice@11", "deleted gone@3 unknown"];
    let with_both =
        || vec!["added twice@11", "updated twice@11 twice@12", "deleted gone@3 unknown"];
    let with_new = || vec!["added twice@12", "deleted gone@3 unknown"];
    let list = |last: &[u8]| (Request::List, Answer::ending(list("20", &[&old, &first, last])));
    let events = |last: &[u8]| {
        (Request::WatchList, Answer::open(initial_events("20", &[&old, &first, last])))
    };
    for queue in QUEUES {
        let watch = (Request::Watch, Answer::open(""));
        for (answers, told) in [
            (vec![listed("10", before()), watch.clone(), list(&old)], with_old()),
            (vec![listed("10", before()), watch, list(&new)], with_both()),
            (vec![opened(), events(&old)], with_old()),
            (vec![opened(), events(&new)], with_new()),
        ] {
            let trace = Trace::start(queue, answers).await;
            assert_eq!(trace.play("twice", expired()).await, told_after(&told), "{queue:?}");
            assert_eq!((trace.rejected(), trace.cached().len()), (0, 2));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_opaque_wherever_they_stand() {
    let long = "9".repeat(40);
    for (version, bookmarked) in [(long.as_str(), "0x-7_Z"), ("0x-7_Z", long.as_str())] {
        for queue in QUEUES {
            let [first, gone] = before();
            let bookmark = format!(
                r#"{{"kind":"ConfigMap","metadata":{{"resourceVersion":"{bookmarked}"}}}}"#
            );
            let answers = [
                (Request::List, Answer::ending(list(version, &[&first, &gone]))),
                (Request::Watch, Answer::open("")),
                (Request::Watch, Answer::open("")),
            ];
            let trace = Trace::start(queue, answers).await;
            trace.say("versions", event("BOOKMARK", bookmark.as_bytes())).await;
            trace.server.hang_up();
            assert_eq!(trace.play("versions", Vec::new()).await, told_after(&[]));
            let asked = trace.server.asked();
            let watches: Vec<_> = asked.iter().filter(|(it, _)| *it == Request::Watch).collect();
            for ((_, query), version) in watches.iter().zip([version, bookmarked]) {
                assert!(query.contains(&format!("resourceVersion={version}")), "{query}");
            }
            assert_eq!(watches.len(), 2);
        }
    }
}

/// An event has a bound, a list has none that an object could reach: so it comes by the list.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_too_large_for_an_event_comes_by_a_list() {
    let large = format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"last","uid":"last","resourceVersion":"11"}},"data":{{"a":"{}"}}}}"#,
        "x".repeat(17 << 20)
    )
    .into_bytes();
    let with_large = list("20", &[&good("first", "1"), &large]);
    for queue in QUEUES {
        let answers = [
            listed("10", before()),
            (Request::Watch, Answer::open("")),
            (Request::List, Answer::ending(with_large.clone())),
        ];
        let trace = Trace::start(queue, answers).await;
        let live = [event("ADDED", &large), event("ADDED", &good("lost", "12"))].concat();
        assert_eq!(trace.play("event", live).await, told_after(&TOLD_AGAIN));
        assert_eq!(trace.informer.counters().failures.get(), 1);

        let events = initial_events("20", &[&good("first", "1"), &large]);
        let initial = (Request::WatchList, Answer::open(events));
        let list = (Request::List, Answer::ending(with_large.clone()));
        let trace = Trace::start(queue, [initial, list]).await;
        let told = ["added first@1 initial", "added last@11 initial", "synced"];
        assert_eq!(trace.play("initial event", Vec::new()).await, told);
    }
}
