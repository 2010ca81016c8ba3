//! What a handler was told, and the rules that every such history obeys.

use std::collections::{BTreeMap, HashMap};

use crate::captured_log::Fields;
use crate::test_objects::View;

/// Which call it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Add,
    Update,
    Delete,
    Synced,
}

/// One call of a guest, as the host logged it.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub event: Event,
    /// The plural.
    pub resource: String,
    pub key: String,
    pub uid: String,
    pub rv: String,
    pub old_rv: String,
    pub initial: bool,
    pub final_state_unknown: bool,
    pub ok: bool,
    pub reason: String,
}

impl Delivery {
    pub(crate) fn read(mut line: Fields) -> Self {
        let mut take = |name| line.remove(name).unwrap_or_default();
        Self {
            event: match take("message").as_str() {
                "OnAdd" => Event::Add,
                "OnUpdate" => Event::Update,
                "OnDelete" => Event::Delete,
                "OnSynced" => Event::Synced,
                other => panic!("a delivery line about {other}"),
            },
            resource: take("resource"),
            key: take("key"),
            uid: take("uid"),
            rv: take("rv"),
            old_rv: take("old_rv"),
            initial: take("initial") == "true",
            final_state_unknown: take("final_state_unknown") == "true",
            ok: take("result") == "ok",
            reason: take("reason"),
        }
    }
}

/// Per object: an add only of what is absent, an update from the state given last, a deletion only
/// of what is present; another uid is another object. Versions grow.
pub fn assert_chain(deliveries: &[Delivery]) {
    let breaks = chain_breaks(deliveries);
    assert!(breaks.is_empty(), "{}", breaks.join("\n"));
}

/// Where a history breaks what [`assert_chain`] says.
pub fn chain_breaks(deliveries: &[Delivery]) -> Vec<String> {
    let mut present: HashMap<(&str, &str), &Delivery> = HashMap::new();
    let mut breaks = Vec::new();
    for delivery in deliveries.iter().filter(|it| it.ok && it.event != Event::Synced) {
        let key = (delivery.resource.as_str(), delivery.key.as_str());
        let before = present.remove(&key);
        let problem = match (delivery.event, before) {
            (Event::Add, Some(_)) => Some("added twice"),
            (Event::Update | Event::Delete, None) => Some("not added before"),
            (Event::Update, Some(before)) if before.rv != delivery.old_rv => {
                Some("old is not what was given last")
            }
            (Event::Update, Some(before)) if number(&before.rv) >= number(&delivery.rv) => {
                Some("back in time")
            }
            (Event::Update | Event::Delete, Some(before)) if before.uid != delivery.uid => {
                Some("another object")
            }
            _ => None,
        };
        breaks.extend(problem.map(|problem| format!("{problem}: {before:?}, then {delivery:?}")));
        if delivery.event != Event::Delete {
            present.insert(key, delivery);
        }
    }
    breaks
}

/// What a handler must believe to exist, by what it was told.
pub fn final_view(deliveries: &[Delivery], resource: &str) -> View {
    let mut view = BTreeMap::new();
    for delivery in deliveries.iter().filter(|it| it.ok && it.resource == resource) {
        match delivery.event {
            Event::Add | Event::Update => {
                view.insert(delivery.key.clone(), (delivery.uid.clone(), delivery.rv.clone()));
            }
            Event::Delete => {
                view.remove(&delivery.key);
            }
            Event::Synced => {}
        }
    }
    view
}

pub(crate) fn number(resource_version: &str) -> u64 {
    resource_version.parse().expect("a real server's versions are numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(event: Event, rv: &str, old_rv: &str, uid: &str) -> Delivery {
        Delivery {
            event,
            resource: "pods".to_owned(),
            key: "a".to_owned(),
            uid: uid.to_owned(),
            rv: rv.to_owned(),
            old_rv: old_rv.to_owned(),
            initial: false,
            final_state_unknown: false,
            ok: true,
            reason: String::new(),
        }
    }

    #[test]
    fn a_good_history_passes() {
        use Event::{Add, Delete, Update};
        let history = [
            delivery(Add, "1", "", "u"),
            delivery(Update, "5", "1", "u"),
            delivery(Delete, "7", "", "u"),
            delivery(Add, "8", "", "v"),
        ];
        assert_chain(&history);
        assert_eq!(final_view(&history, "pods")["a"], ("v".to_owned(), "8".to_owned()));
    }

    #[test]
    fn each_kind_of_bad_history_is_caught() {
        use Event::{Add, Delete, Update};
        let add = || delivery(Add, "5", "", "u");
        for bad in [
            vec![add(), add()],
            vec![delivery(Update, "6", "5", "u")],
            vec![delivery(Delete, "6", "", "u")],
            vec![add(), delivery(Update, "7", "6", "u")],
            vec![add(), delivery(Update, "4", "5", "u")],
            vec![add(), delivery(Update, "6", "5", "v")],
            vec![add(), delivery(Delete, "6", "", "v")],
        ] {
            std::panic::catch_unwind(|| assert_chain(&bad)).expect_err("a bad history passed");
        }
    }
}
