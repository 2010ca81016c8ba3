//! A handler on the host of tests: what it reads, lists, logs and answers.

use informerd_handler::log::Level;
use informerd_handler::{Cache, Failure, Handler, Object, Watch, config, testing, warn};

struct Counter {
    greeting: String,
    seen: Vec<String>,
}

informerd_handler::export!(Counter);

impl Handler for Counter {
    fn watches() -> Vec<Watch> {
        vec![Watch { label_selector: "app".into(), ..Watch::all("apps/v1", "Deployment") }]
    }

    fn new() -> Result<Self, String> {
        let greeting = config::get_string("greeting").ok_or("config.greeting is missing")?;
        Ok(Self { greeting, seen: Vec::new() })
    }

    fn on_add(&mut self, object: Object<'_>, _: bool) -> Result<(), Failure> {
        let key = object.key();
        let newest = object.cache().get(&key.api_version(), &key.kind, Some("prod"), &key.name);
        warn!("{} {key}: {:?}", self.greeting, newest.map(|it| it.key().resource_version.clone()));
        self.seen.push(key.name.clone());
        Ok(())
    }

    fn on_synced(&mut self, cache: Cache<'_>) -> Result<(), Failure> {
        for page in cache.list("apps/v1", "Deployment").page_size(2).pages() {
            let page = page?;
            let names: Vec<_> = page.iter().map(|object| object.key().to_string()).collect();
            informerd_handler::log::log(Level::Info, "page", &[("names", &names.join(" "))]);
        }
        Ok(())
    }
}

fn deployment(namespace: &str, name: &str, version: u32) -> Object<'static> {
    testing::object(&format!(
        r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"namespace":"{namespace}",
            "name":"{name}","resourceVersion":"{version}","labels":null}},"spec":{{"replicas":3}}}}"#
    ))
}

fn said() -> Vec<String> {
    let line = |line: testing::Line| match line.fields.first() {
        Some((name, value)) => format!("{} {name}={value}", line.message),
        None => line.message,
    };
    testing::take_log().into_iter().map(line).collect()
}

#[test]
fn a_handler_is_configured_called_and_heard() {
    assert_eq!(Counter::new().err().unwrap(), "config.greeting is missing");
    testing::set_config(r#"{"greeting": "hi", "more": [1]}"#);
    assert_eq!(config::get("more").as_deref(), Some("[1]"));
    let mut counter = Counter::new().unwrap();
    let (old, new) = (deployment("prod", "a", 1), deployment("prod", "a", 2));
    deployment("prod", "b", 3);
    deployment("dev", "c", 4);
    counter.on_add(old, true).unwrap();
    counter.on_synced(testing::cache()).unwrap();
    assert_eq!(
        said(),
        ["hi prod/a: Some(\"2\")", "page names=dev/c prod/a", "page names=prod/b"],
        "the cache has the newest of each name, in pages"
    );
    counter.on_update(new, deployment("prod", "a", 5)).unwrap();
    assert_eq!(counter.seen, ["a"], "what is not implemented does nothing");
}

#[test]
fn values_are_told_apart() {
    let object = deployment("prod", "a", 1);
    assert_eq!(object.get("/metadata/labels").as_deref(), Some("null"));
    assert_eq!(object.get("/metadata/annotations"), None);
    assert_eq!(object.get("/metadata/name").as_deref(), Some("\"a\""));
    assert_eq!(object.get_string("/metadata/name").as_deref(), Some("a"));
    assert_eq!(object.get_string("/spec/replicas"), None);
}

#[test]
fn the_cache_says_what_it_cannot_answer() {
    let mut pages = testing::cache().list("v1", "Pod").labels("app=web").pages();
    let failure = Failure::from(pages.next().unwrap().unwrap_err());
    assert!(matches!(failure, Failure::Permanent(reason) if reason.contains("selectors")));
    assert!(pages.next().is_none(), "an error is the last item");
}

#[cfg(feature = "k8s-openapi")]
#[test]
fn objects_are_parsed_into_types() {
    use k8s_openapi::api::apps::v1::Deployment;

    let watch = Watch::kind::<Deployment>();
    assert_eq!((&*watch.api_version, &*watch.kind), ("apps/v1", "Deployment"));
    let parsed: Deployment = deployment("prod", "a", 1).parse().unwrap();
    assert_eq!(parsed.spec.unwrap().replicas, Some(3));
    let failure = deployment("prod", "a", 1).parse::<Vec<u8>>().unwrap_err();
    assert!(matches!(failure, Failure::Permanent(reason) if reason.starts_with("prod/a is not")));
}

#[test]
fn failures_are_short_to_write() {
    use std::time::Duration;

    let Failure::Retry(retry) = Failure::retry_after(Duration::from_secs(2), "busy") else {
        panic!()
    };
    assert_eq!((retry.after_ms, &*retry.reason), (Some(2_000), "busy"));
    let Failure::Retry(retry) = Failure::retry("busy") else { panic!() };
    assert_eq!(retry.after_ms, None);
}
