//! Whether one handler was told what another one of the same informer was, merged where it fell
//! behind.
//!
//! By the rules of the listener: an add and what follows it is an add, updates in a row are one,
//! from the first old state to the last new one, an update and a deletion is a deletion, an add and
//! a deletion is nothing; a deletion and an add stay two.

use std::collections::{BTreeMap, BTreeSet};

use crate::deliveries::Delivery;
use crate::explanation::{Told, Violation};

/// Explains what `merged` lacks of `full` by as many merges as the host has counted. Gives how many
/// notifications that are.
pub fn explain_merges(
    full: &[Delivery],
    merged: &[Delivery],
    merges: u64,
) -> Result<u64, Vec<Violation>> {
    let (full_by_key, merged_by_key) = (by_key(full), by_key(merged));
    let keys: BTreeSet<_> = full_by_key.keys().chain(merged_by_key.keys()).collect();
    let slice = |by_key: &BTreeMap<_, Vec<Told>>, key| by_key.get(key).cloned().unwrap_or_default();
    let mut violations: Vec<_> = keys
        .into_iter()
        .filter_map(|key| not_merged(key.1, &slice(&full_by_key, key), &slice(&merged_by_key, key)))
        .collect();
    let count = |by_key: &BTreeMap<_, Vec<Told>>| by_key.values().map(Vec::len).sum::<usize>();
    let missing = count(&full_by_key).saturating_sub(count(&merged_by_key)) as u64;
    // A merge takes one notification away; that of an add and a deletion takes both.
    if violations.is_empty() && !(merges..=2 * merges).contains(&missing) {
        violations.push(Violation::MergesMiscounted { missing, merges });
    }
    if violations.is_empty() { Ok(missing) } else { Err(violations) }
}

/// By resource and key.
fn by_key(deliveries: &[Delivery]) -> BTreeMap<(&str, &str), Vec<Told>> {
    let mut by_key: BTreeMap<_, Vec<Told>> = BTreeMap::new();
    for delivery in deliveries {
        let key = (delivery.resource.as_str(), delivery.key.as_str());
        by_key.entry(key).or_default().extend(Told::read(delivery));
    }
    by_key
}

fn not_merged(key: &str, full: &[Told], merged: &[Told]) -> Option<Violation> {
    let mut full = full.iter();
    for (at, told) in merged.iter().enumerate() {
        let mut waiting = None;
        while waiting.as_ref() != Some(told) {
            let next = full.next().cloned();
            match next.and_then(|next| merge(waiting, next)) {
                Some(merged) => waiting = merged,
                None => {
                    let (key, told) = (key.to_owned(), told.clone());
                    return Some(Violation::NotMerged { key, at, told });
                }
            }
        }
    }
    let mut waiting = None;
    for next in full {
        match merge(waiting, next.clone()) {
            Some(merged) => waiting = merged,
            None => return Some(Violation::MergedAway { key: key.to_owned(), last: next.clone() }),
        }
    }
    waiting.map(|last| Violation::MergedAway { key: key.to_owned(), last })
}

/// None if the two stay apart; the inner none if nothing is left of them.
fn merge(waiting: Option<Told>, next: Told) -> Option<Option<Told>> {
    use Told::{Added, Deleted, Updated};
    let merged = match (waiting, next) {
        (None, next) => Some(next),
        (Some(Added { initial, .. }), Updated { version, uid, .. }) => {
            Some(Added { version, uid, initial })
        }
        (Some(Updated { old_version, .. }), Updated { version, uid, .. }) => {
            Some(Updated { old_version, version, uid })
        }
        (Some(Added { .. }), Deleted { .. }) => None,
        (Some(Updated { .. }), deleted @ Deleted { .. }) => Some(deleted),
        (Some(_), _) => return None,
    };
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliveries::Event::{self, Add, Delete, Update};

    fn told(event: Event, rv: u64, old_rv: u64) -> Delivery {
        Delivery {
            event,
            resource: "configmaps".to_owned(),
            key: "a".to_owned(),
            uid: "u".to_owned(),
            rv: rv.to_string(),
            old_rv: old_rv.to_string(),
            initial: false,
            final_state_unknown: false,
            ok: true,
            reason: String::new(),
        }
    }

    fn full() -> [Delivery; 6] {
        [
            told(Add, 1, 0),
            told(Update, 2, 1),
            told(Update, 3, 2),
            told(Delete, 4, 0),
            told(Add, 5, 0),
            told(Delete, 6, 0),
        ]
    }

    #[test]
    fn permitted_merges_pass() {
        let full = full();
        assert_eq!(explain_merges(&full, &full, 0), Ok(0));
        let merged = [told(Add, 1, 0), told(Update, 3, 1), told(Delete, 4, 0)];
        // Two updates became one, an add and a deletion nothing.
        assert_eq!(explain_merges(&full, &merged, 2), Ok(3));
        let merged = [told(Add, 3, 0), told(Delete, 4, 0), told(Add, 5, 0), told(Delete, 6, 0)];
        assert_eq!(explain_merges(&full, &merged, 2), Ok(2));
        assert_eq!(explain_merges(&full, &[], 4), Ok(6));
    }

    #[test]
    fn what_is_no_merge_is_a_violation() {
        let violation = |full: &[Delivery], merged: &[Delivery], merges| {
            let mut violations = explain_merges(full, merged, merges).unwrap_err();
            assert_eq!(violations.len(), 1, "{violations:?}");
            violations.remove(0)
        };
        // The state that the handler was given last is not the old one.
        let merged = [told(Add, 1, 0), told(Update, 3, 2), told(Delete, 4, 0)];
        let found = violation(&full(), &merged, 2);
        assert!(matches!(found, Violation::NotMerged { at: 1, .. }), "{found}");
        // A deletion is skipped, although its add was told.
        let merged = [told(Add, 1, 0), told(Update, 5, 1), told(Delete, 6, 0)];
        let found = violation(&full(), &merged, 2);
        assert!(matches!(found, Violation::NotMerged { at: 1, .. }), "{found}");
        // The last state is lost.
        let found = violation(&full()[..3], &[told(Add, 1, 0)], 2);
        assert!(matches!(found, Violation::MergedAway { .. }), "{found}");
        // Merges that the host has not counted.
        let merged = [told(Add, 3, 0), told(Delete, 4, 0)];
        let found = violation(&full()[..4], &merged, 0);
        assert_eq!(found, Violation::MergesMiscounted { missing: 2, merges: 0 });
    }
}
