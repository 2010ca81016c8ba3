//! Each malformed object at each place where an object can come: between good ones, and, where
//! that is possible, when a good state of it is cached.

use super::*;

/// How an object is malformed, and what becomes of it.
struct Case {
    name: &'static str,
    object: Vec<u8>,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// At this version.
    Delivered(&'static str),
    /// Left out; it is known to be `bad`.
    LeftOut,
    /// Left out; which object it is cannot be known.
    Unknown,
}

/// Where it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    FirstList,
    LaterList,
    FirstInitialEvents,
    LaterInitialEvents,
    Event(&'static str),
}

const PLACES: [Place; 7] = [
    Place::FirstList,
    Place::LaterList,
    Place::FirstInitialEvents,
    Place::LaterInitialEvents,
    Place::Event("ADDED"),
    Place::Event("MODIFIED"),
    Place::Event("DELETED"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_malformed_object_is_isolated_wherever_it_comes() {
    let cases: Vec<_> = cases().into_iter().chain(deep()).collect();
    let all = cases.iter().flat_map(|case| {
        PLACES.iter().flat_map(move |place| QUEUES.iter().map(move |queue| (case, place, queue)))
    });
    side_by_side(all.map(|(case, place, queue)| play(case, *place, *queue))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_are_delivered_wherever_they_come() {
    for case in &large() {
        let all = PLACES.iter().flat_map(|place| QUEUES.iter().map(move |queue| (place, queue)));
        side_by_side(all.map(|(place, queue)| play(case, *place, *queue))).await;
    }
}

async fn play(case: &Case, place: Place, queue: QueueKind) {
    let bad = case.object.as_slice();
    let (first, last) = (good("first", "1"), good("last", "11"));
    let (cached, gone) = (good("bad", "2"), good("gone", "3"));
    let before: [&[u8]; 3] = [&first, &cached, &gone];
    let after: [&[u8]; 3] = [&first, bad, &last];
    let initial = (Request::WatchList, Answer::open(initial_events("10", &before)));
    let (answers, live) = match place {
        Place::FirstList => (vec![(Request::List, Answer::ending(list("20", &after)))], Vec::new()),
        Place::LaterList => {
            let lists = [list("10", &before), list("20", &after)];
            let opened = (Request::Watch, Answer::open(""));
            let lists = lists.map(|list| (Request::List, Answer::ending(list)));
            (lists.into_iter().chain([opened]).collect(), expired())
        }
        Place::FirstInitialEvents => {
            let events = initial_events("20", &after);
            (vec![(Request::WatchList, Answer::open(events))], Vec::new())
        }
        Place::LaterInitialEvents => {
            let events = initial_events("20", &after);
            (vec![initial, (Request::WatchList, Answer::open(events))], expired())
        }
        Place::Event(event_type) => {
            let previous = event("ADDED", &good("previous", "4"));
            let next = event("ADDED", &good("next", "6"));
            (vec![initial], [previous, event(event_type, bad), next].concat())
        }
    };
    // In a list that is no JSON nothing is sure.
    let is_list = matches!(place, Place::FirstList | Place::LaterList);
    let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(bad).is_ok()
        || String::from_utf8(bad.to_vec()).is_err();
    let outcome = match case.outcome {
        Outcome::LeftOut if is_list && !is_json => Outcome::Unknown,
        outcome => outcome,
    };
    let (mut told, mut cached) = match place {
        Place::FirstList | Place::FirstInitialEvents => (
            vec!["added first@1 initial".to_owned(), "added last@11 initial".to_owned()],
            vec!["first@1".to_owned(), "last@11".to_owned()],
        ),
        _ => (
            ["first@1", "bad@2", "gone@3"].map(|it| format!("added {it} initial")).to_vec(),
            ["first@1", "bad@2", "gone@3"].map(str::to_owned).to_vec(),
        ),
    };
    told.push("synced".to_owned());
    let mut tells = |line: String| told.push(line);
    match place {
        Place::FirstList | Place::FirstInitialEvents => {
            if let Outcome::Delivered(rv) = outcome {
                tells(format!("added bad@{rv} initial"));
                cached.push(format!("bad@{rv}"));
            }
        }
        Place::LaterList | Place::LaterInitialEvents => {
            tells("added last@11".to_owned());
            cached.push("last@11".to_owned());
            if outcome != Outcome::Unknown {
                tells("deleted gone@3 unknown".to_owned());
                cached.retain(|it| it != "gone@3");
            }
        }
        Place::Event(_) => {
            tells("added previous@4".to_owned());
            tells("added next@6".to_owned());
            cached.extend(["previous@4".to_owned(), "next@6".to_owned()]);
        }
    }
    let was_there = !matches!(place, Place::FirstList | Place::FirstInitialEvents);
    if let (true, Outcome::Delivered(rv)) = (was_there, outcome) {
        cached.retain(|it| it != "bad@2");
        if place == Place::Event("DELETED") {
            tells(format!("deleted bad@{rv}"));
        } else {
            tells(format!("updated bad@2 bad@{rv}"));
            cached.push(format!("bad@{rv}"));
        }
    }
    told.sort();
    cached.sort();

    let name = format!("{} in {place:?}, {queue:?}", case.name);
    let trace = Trace::start(queue, answers).await;
    assert_eq!(trace.play(&name, live).await, told, "{name}");
    assert_eq!(trace.cached(), cached, "{name}");
    assert_eq!(trace.rejected(), u64::from(!matches!(outcome, Outcome::Delivered(_))), "{name}");
    assert_eq!(trace.informer.counters().failures.get(), 0, "{name}");
}

/// The object `bad`, with this instead of its metadata.
fn metadata(json: &str) -> Vec<u8> {
    format!(r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{json},"data":{{"k":"v"}}}}"#)
        .into_bytes()
}

/// With these members more in its metadata, and beside it.
fn with(in_metadata: &str, beside: &str) -> Vec<u8> {
    format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"bad","namespace":"default","uid":"bad","resourceVersion":"5"{in_metadata}}}{beside}}}"#
    )
    .into_bytes()
}

/// With some bytes for `#`.
fn replaced(object: &[u8], bytes: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = object.split(|byte| *byte == b'#').collect();
    parts.join(bytes)
}

fn cases() -> Vec<Case> {
    use Outcome::{Delivered, LeftOut, Unknown};
    let bad = r#""name":"bad","namespace":"default","uid":"bad""#;
    let of_type = |api_version: &str, kind: &str| {
        let bad = format!(r#"{{{bad},"resourceVersion":"5"}}"#);
        format!(r#"{{"kind":{kind},"apiVersion":{api_version},"metadata":{bad}}}"#).into_bytes()
    };
    let name = |name: &str| metadata(&format!(r#"{{"name":{name},"namespace":"default"}}"#));
    let version = |rv: &str| metadata(&format!(r#"{{{bad},"resourceVersion":{rv}}}"#));
    [
        ("null", b"null".to_vec(), Unknown),
        ("a number", b"7".to_vec(), Unknown),
        ("a text", br#""bad""#.to_vec(), Unknown),
        ("an array", br#"["v1","ConfigMap",{"name":"bad"}]"#.to_vec(), Unknown),
        ("empty", b"{}".to_vec(), Unknown),
        ("no JSON", br#"{"metadata"}"#.to_vec(), Unknown),
        ("no metadata", br#"{"kind":"ConfigMap","apiVersion":"v1"}"#.to_vec(), Unknown),
        ("metadata null", metadata("null"), Unknown),
        ("metadata a text", metadata("\"bad\""), Unknown),
        ("metadata an array", metadata(r#"["default","bad","bad","5"]"#), Unknown),
        ("no name", metadata(r#"{"namespace":"default"}"#), Unknown),
        ("name null", name("null"), Unknown),
        ("name empty", name("\"\""), Unknown),
        ("name a number", name("7"), Unknown),
        ("name with slashes", name("\"a/b\""), Unknown),
        ("name upwards", name(r#""../..""#), Unknown),
        ("name one up", name(r#""..""#), Unknown),
        ("name with NUL", name(r#""a\u0000""#), Unknown),
        ("name a lone surrogate", name(r#""\ud800""#), Unknown),
        ("name no UTF-8", replaced(&name("\"a#\""), b"\xff"), Unknown),
        ("namespace with slashes", metadata(r#"{"name":"bad","namespace":"a/b"}"#), Unknown),
        ("namespace a number", metadata(r#"{"name":"bad","namespace":7}"#), Unknown),
        ("two names", metadata(&format!(r#"{{{bad},"name":"worse"}}"#)), Unknown),
        ("two metadatas", with("", r#","metadata":{"name":"worse"}"#), Unknown),
        ("two uids", metadata(&format!(r#"{{{bad},"uid":"worse"}}"#)), LeftOut),
        ("two kinds", with("", r#","kind":"ConfigMap""#), LeftOut),
        (
            "two labels",
            with(r#","labels":{"a":"1"},"labels":{"a":"1","a":"2"}"#, ""),
            Delivered("5"),
        ),
        ("another kind", of_type("\"v1\"", "\"Secret\""), LeftOut),
        ("another group", of_type("\"example.com/v1\"", "\"ConfigMap\""), LeftOut),
        ("a Table", of_type("\"meta.k8s.io/v1\"", "\"Table\""), LeftOut),
        ("kind null", of_type("\"v1\"", "null"), LeftOut),
        ("kind a number", of_type("\"v1\"", "7"), LeftOut),
        (
            "no kind",
            format!(r#"{{"apiVersion":"v1","metadata":{{{bad},"resourceVersion":"5"}}}}"#).into(),
            Delivered("5"),
        ),
        ("version a number", version("5"), LeftOut),
        ("version a lone surrogate", version(r#""\udc00""#), LeftOut),
        ("version null", version("null"), Delivered("")),
        ("version empty", version("\"\""), Delivered("")),
        (
            "version of 40 digits",
            version("\"1234567890123456789012345678901234567890\""),
            Delivered("1234567890123456789012345678901234567890"),
        ),
        ("version no number", version("\"x-5/…\""), Delivered("x-5/…")),
        (
            "label no UTF-8",
            replaced(&with(r##","labels":{"a":"#"}"##, ""), b"\xc3\x28"),
            Delivered("5"),
        ),
        (
            "data no UTF-8",
            replaced(&with("", r##","data":{"#":"#"}"##), b"\xff\xfe"),
            Delivered("5"),
        ),
        ("label a lone surrogate", with(r#","labels":{"a":"\ud800"}"#, ""), Delivered("5")),
        ("data a lone surrogate", with("", r#","data":{"\udfff":"\ud800x"}"#), Delivered("5")),
        ("data with NUL", with("", r#","data":{"a":"\u0000"}"#), Delivered("5")),
        ("data with a raw NUL", replaced(&with("", r##","data":{"a":"#"}"##), b"\0"), LeftOut),
        ("1e400", with("", r#","data":{"a":1e400,"b":-1e-400}"#), Delivered("5")),
        ("NaN", with("", r#","data":{"a":NaN,"b":[Infinity]}"#), LeftOut),
        ("NaN in metadata", with(r#","generation":NaN"#, ""), LeftOut),
        ("a bad escape", with("", r#","data":{"a":"\x"}"#), LeftOut),
    ]
    .into_iter()
    .map(|(name, object, outcome)| Case { name, object, outcome })
    .collect()
}

fn deep() -> Vec<Case> {
    let nested = |levels: usize| {
        let (arrays, ends) = ("[".repeat(levels), "]".repeat(levels));
        let (objects, closed) = (r#"{"a":"#.repeat(levels), "}".repeat(levels));
        (format!("{arrays}{ends}"), format!("{objects}1{closed}"))
    };
    let case = |name, levels| {
        let (arrays, objects) = nested(levels);
        let object = with(&format!(r#","annotations":{arrays}"#), &format!(r#","data":{objects}"#));
        Case { name, object, outcome: Outcome::Delivered("5") }
    };
    vec![case("200 levels", 200), case("9,999 levels", 9_999)]
}

fn large() -> Vec<Case> {
    let case = |name, bytes: usize| {
        let annotations = format!(r#","annotations":{{"a":"{}"}}"#, "x".repeat(bytes));
        Case { name, object: with(&annotations, ""), outcome: Outcome::Delivered("5") }
    };
    vec![case("1.5 MiB of annotations", 3 << 19), case("15 MiB of annotations", 15 << 20)]
}
