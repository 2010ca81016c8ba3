//! Whether what an observer of one resource was told follows from what happened on the server.
//!
//! in:  the server's history; what the observer was told, in order; its outages; its cache
//! out: which lists explain what it was not told, or every [`Violation`]
//!
//! A watch tells each change. A list tells only how each object stands, so that what happened to it
//! since the observer's last version is one change, and nothing if it came and went. The lists are
//! found from the changes that the observer was not told of, by the fewest that could have skipped
//! them: each within an outage, none that would have skipped what was told. With them, all that the
//! observer is to be told follows from the history, and must be what it was told.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::RangeInclusive;

use crate::deliveries::{Delivery, Event, number};
use crate::server_history::{Change, ServerHistory};
use crate::test_objects::View;

/// One observer of one resource.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Whose rules apply.
    pub pipeline: Pipeline,
    /// What it was told, in order.
    pub told: Vec<Delivery>,
    /// For each outage, the versions between which it may have listed again.
    pub outages: Vec<RangeInclusive<u64>>,
    /// How often it has listed, the first time included.
    pub lists: u64,
    /// Its cache in the end.
    pub cache: View,
    /// The version of its cache in the end.
    pub cache_version: u64,
}

/// What differs between observers by design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipeline {
    /// The changes of all objects in the server's order. Another object under the same name, found
    /// by a list, is an update, and a list tells what has not changed as an update, too.
    ClientGo,
    /// informerd's, with the changes of one object together.
    Delta,
    /// informerd's, with the changes of all objects in the server's order.
    InOrder,
}

/// How an observer's history is explained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The versions that one list each has made up for.
    pub lists: Vec<RangeInclusive<u64>>,
    /// Changes that these lists have merged away.
    pub merged: u64,
}

/// What one object's observer was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Added { version: u64, uid: String, initial: bool },
    Updated { old_version: u64, version: u64, uid: String },
    Deleted { version: u64, uid: String, tombstone: bool },
}

/// What does not follow from the server's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The server never had this state.
    NeverExisted { key: String, told: Told },
    /// The last state was not told.
    LastNotTold { key: String, version: u64 },
    /// A change was not told, and no outage permits that.
    SkippedWithoutOutage { key: String, version: u64 },
    /// A change was not told, and a list that skips it would have skipped another one that was.
    SkippedByNoList { key: String, version: u64, other: String, other_version: u64 },
    /// More lists would be needed than there were.
    TooFewLists { needed: usize, made: u64 },
    /// The object's own history differs from what follows from the server's.
    Differs { key: String, at: usize, expected: Option<Told>, told: Option<Told> },
    /// A list repeats a state once, and not every list was one too many.
    RepeatedTooOften { key: String, times: u64 },
    /// Told after a newer change of another object, although changes come in the server's order.
    OutOfOrder { key: String, version: u64, after: u64 },
    /// The cache does not hold what the server has.
    CacheDiffers { key: String, cached: Option<String>, server: Option<String> },
    /// The cache says that it is at a version at which it cannot be.
    CacheVersion { version: u64, newest: u64 },
    /// No run of notifications merges into this one.
    NotMerged { key: String, at: usize, told: Told },
    /// What came last was not told.
    MergedAway { key: String, last: Told },
    /// Another number of notifications is missing than the merges that were counted take away.
    MergesMiscounted { missing: u64, merges: u64 },
}

/// Explains what an observer was told, or says everything that cannot be.
pub fn explain(
    history: &ServerHistory,
    observed: &Observed,
) -> Result<Explanation, Vec<Violation>> {
    let mut told: BTreeMap<&str, Vec<Told>> = BTreeMap::new();
    for delivery in &observed.told {
        told.entry(&delivery.key).or_default().extend(Told::read(delivery));
    }
    let mut violations = never_existed(history, &told);
    if !violations.is_empty() {
        // Nothing else can be concluded from it.
        return Err(violations);
    }
    let timeline = timeline(history, &told);
    let lists = find_lists(&timeline, &observed.outages, &mut violations);
    if lists.len() as u64 >= observed.lists.max(1) {
        violations.push(Violation::TooFewLists { needed: lists.len() + 1, made: observed.lists });
    }
    for (key, changes) in &history.changes {
        let expected = follows(changes, history.begun_at, &lists, observed.pipeline);
        let told = told.get(key.as_str()).map(Vec::as_slice).unwrap_or_default();
        violations.extend(compare(key, &expected, told, observed));
    }
    if observed.pipeline.is_in_order() {
        violations.extend(out_of_order(history, observed));
        let (version, newest) = (observed.cache_version, history.newest_version());
        if version < newest {
            violations.push(Violation::CacheVersion { version, newest });
        }
    }
    violations.extend(differences(&observed.cache, &history.view()));
    match violations.is_empty() {
        true => {
            let merged = timeline.iter().filter(|it| !it.is_told).count() as u64;
            Ok(Explanation { lists, merged })
        }
        false => Err(violations),
    }
}

/// Where two caches differ.
fn differences(cache: &View, server: &View) -> Vec<Violation> {
    let keys: HashSet<&String> = cache.keys().chain(server.keys()).collect();
    let differs = keys.into_iter().filter(|key| cache.get(*key) != server.get(*key));
    let state = |view: &View, key: &String| view.get(key).map(|(uid, rv)| format!("{uid}@{rv}"));
    differs
        .map(|key| Violation::CacheDiffers {
            key: key.clone(),
            cached: state(cache, key),
            server: state(server, key),
        })
        .collect()
}

impl Told {
    /// None for the end of the initial list.
    pub fn read(delivery: &Delivery) -> Option<Self> {
        let (version, uid) = (|| number(&delivery.rv), delivery.uid.clone());
        match delivery.event {
            Event::Add => Some(Self::Added { version: version(), uid, initial: delivery.initial }),
            Event::Update => {
                let old_version = number(&delivery.old_rv);
                Some(Self::Updated { old_version, version: version(), uid })
            }
            Event::Delete => {
                let tombstone = delivery.final_state_unknown;
                Some(Self::Deleted { version: version(), uid, tombstone })
            }
            Event::Synced => None,
        }
    }

    fn version(&self) -> u64 {
        match self {
            Self::Added { version, .. }
            | Self::Updated { version, .. }
            | Self::Deleted { version, .. } => *version,
        }
    }

    /// The change that it is about. A tombstone has the state before the deletion.
    fn is_of(&self, change: &Change) -> bool {
        let (uid, is_deletion) = match self {
            Self::Added { uid, .. } | Self::Updated { uid, .. } => (uid, false),
            Self::Deleted { uid, tombstone, .. } => (uid, !tombstone),
        };
        (change.version, &change.uid, change.is_deletion) == (self.version(), uid, is_deletion)
    }

    /// The version of an update from before this version to after it: both are in the same list.
    fn passes_over(&self, between: u64) -> Option<u64> {
        match self {
            Self::Updated { old_version, version, .. } => {
                (*old_version < between && between < *version).then_some(*version)
            }
            _ => None,
        }
    }

    fn is_tombstone(&self) -> bool {
        matches!(self, Self::Deleted { tombstone: true, .. })
    }

    /// A list has found nothing new.
    fn is_repetition(&self) -> bool {
        matches!(self, Self::Updated { old_version, version, .. } if old_version == version)
    }
}

impl Violation {
    /// The object that it is about.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::NeverExisted { key, .. }
            | Self::LastNotTold { key, .. }
            | Self::SkippedWithoutOutage { key, .. }
            | Self::SkippedByNoList { key, .. }
            | Self::Differs { key, .. }
            | Self::RepeatedTooOften { key, .. }
            | Self::OutOfOrder { key, .. }
            | Self::CacheDiffers { key, .. }
            | Self::NotMerged { key, .. }
            | Self::MergedAway { key, .. } => Some(key),
            Self::TooFewLists { .. }
            | Self::CacheVersion { .. }
            | Self::MergesMiscounted { .. } => None,
        }
    }
}

impl Pipeline {
    fn is_in_order(self) -> bool {
        self != Self::Delta
    }
}

/// A change, and what became of it.
struct Moment<'a> {
    key: &'a str,
    version: u64,
    /// The first version of which a list does not tell it; none for the last state. A deletion is
    /// in no list.
    over_at: Option<u64>,
    is_told: bool,
}

/// All changes since the observers began, oldest first.
fn timeline<'a>(history: &'a ServerHistory, told: &BTreeMap<&str, Vec<Told>>) -> Vec<Moment<'a>> {
    let mut timeline = Vec::new();
    for (key, changes) in &history.changes {
        let told = told.get(key.as_str()).map(Vec::as_slice).unwrap_or_default();
        let versions: HashSet<u64> =
            told.iter().filter(|it| !it.is_tombstone()).map(Told::version).collect();
        for (index, change) in changes.iter().enumerate() {
            let version = change.version;
            let is_told = versions.contains(&version);
            let next = changes.get(index + 1).map(|next| next.version);
            let over_at = match told.iter().find_map(|it| it.passes_over(version)) {
                Some(update) if !is_told => Some(update),
                _ if change.is_deletion => Some(version),
                _ => next,
            };
            timeline.push(Moment { key, version, over_at, is_told });
        }
    }
    timeline.retain(|moment| moment.version > history.begun_at);
    timeline.sort_by_key(|moment| moment.version);
    timeline
}

fn never_existed(history: &ServerHistory, told: &BTreeMap<&str, Vec<Told>>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (key, told) in told {
        let changes = history.changes.get(*key).map(Vec::as_slice).unwrap_or_default();
        let unknown = told.iter().filter(|told| !changes.iter().any(|it| told.is_of(it)));
        violations.extend(
            unknown
                .map(|told| Violation::NeverExisted { key: (*key).to_owned(), told: told.clone() }),
        );
    }
    violations
}

/// The fewest lists that skip all that was not told. A list spans from the first change that it
/// skips to the last that supersedes one of them, and the longer it is, the more it would skip: so
/// what is told must not be in its way, and each list is made as long as that permits.
fn find_lists(
    timeline: &[Moment<'_>],
    outages: &[RangeInclusive<u64>],
    violations: &mut Vec<Violation>,
) -> Vec<RangeInclusive<u64>> {
    let is_in_outage = |list: &RangeInclusive<u64>| {
        outages.iter().any(|outage| outage.contains(list.start()) && outage.contains(list.end()))
    };
    let contradiction = |list: &RangeInclusive<u64>| {
        let begin = timeline.partition_point(|moment| moment.version < *list.start());
        let within = timeline[begin..].iter().take_while(|it| it.version <= *list.end());
        within.filter(|it| it.is_told).find(|it| it.over_at.is_some_and(|at| at <= *list.end()))
    };
    let mut lists: Vec<RangeInclusive<u64>> = Vec::new();
    for moment in timeline.iter().filter(|moment| !moment.is_told) {
        let (key, version) = (moment.key.to_owned(), moment.version);
        let Some(over_at) = moment.over_at else {
            violations.push(Violation::LastNotTold { key, version });
            continue;
        };
        // One list cannot end within another one.
        let is_within = lists.last().is_some_and(|last| version <= *last.end());
        let joined = lists
            .last()
            .map(|last| *last.start()..=over_at.max(*last.end()))
            .filter(|it| is_within || (is_in_outage(it) && contradiction(it).is_none()));
        let is_joined = joined.is_some();
        let list = joined.unwrap_or(version..=over_at);
        if !is_in_outage(&list) {
            violations.push(Violation::SkippedWithoutOutage { key, version });
        } else if let Some(other) = contradiction(&list) {
            let (other, other_version) = (other.key.to_owned(), other.version);
            violations.push(Violation::SkippedByNoList { key, version, other, other_version });
        } else {
            if is_joined {
                lists.pop();
            }
            lists.push(list);
        }
    }
    lists
}

/// What an object's observer is to be told, by the rules of its pipeline.
fn follows(
    changes: &[Change],
    begun_at: u64,
    lists: &[RangeInclusive<u64>],
    pipeline: Pipeline,
) -> Vec<Told> {
    let first_list = 0..=begun_at;
    let mut told = Vec::new();
    let mut known: Option<&Change> = None;
    for (index, change) in changes.iter().enumerate() {
        let mut all_lists = [&first_list].into_iter().chain(lists);
        let list = all_lists.find(|list| list.contains(&change.version));
        let next = changes.get(index + 1);
        if list.is_some_and(|list| next.is_some_and(|next| list.contains(&next.version))) {
            // The list is of a later time.
            continue;
        }
        let Change { version, uid, is_deletion } = change.clone();
        let tombstone = |last: &Change| Told::Deleted {
            version: last.version,
            uid: last.uid.clone(),
            tombstone: true,
        };
        let initial = change.version <= begun_at;
        match known {
            Some(last) if is_deletion && list.is_some() => told.push(tombstone(last)),
            Some(_) if is_deletion => told.push(Told::Deleted { version, uid, tombstone: false }),
            None if is_deletion => {}
            Some(last) if last.uid == uid || pipeline == Pipeline::ClientGo => {
                told.push(Told::Updated { old_version: last.version, version, uid });
            }
            known => {
                told.extend(known.map(tombstone));
                told.push(Told::Added { version, uid, initial });
            }
        }
        known = Some(change).filter(|_| !is_deletion);
    }
    told
}

/// The first difference. What lists have repeated is left out, if it may be.
fn compare(key: &str, expected: &[Told], told: &[Told], observed: &Observed) -> Option<Violation> {
    let key = key.to_owned();
    let mut expected = expected.iter();
    let mut known = None;
    let mut times = 0;
    for (at, told) in told.iter().enumerate() {
        if told.is_repetition()
            && observed.pipeline == Pipeline::ClientGo
            && known == Some(told.version())
        {
            times += 1;
            continue;
        }
        let expected = expected.next();
        if expected != Some(told) {
            let (expected, told) = (expected.cloned(), Some(told.clone()));
            return Some(Violation::Differs { key, at, expected, told });
        }
        known = Some(told.version()).filter(|_| !matches!(told, Told::Deleted { .. }));
    }
    if let Some(missing) = expected.next() {
        let expected = Some(missing.clone());
        return Some(Violation::Differs { key, at: told.len(), expected, told: None });
    }
    (times >= observed.lists.max(1)).then_some(Violation::RepeatedTooOften { key, times })
}

/// What was told after something newer. Within an outage that may be a list's own order.
fn out_of_order(history: &ServerHistory, observed: &Observed) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut newest = history.begun_at;
    for delivery in &observed.told {
        let Some(told) = Told::read(delivery) else { continue };
        let version = told.version();
        if told.is_tombstone() || told.is_repetition() || version <= history.begun_at {
            continue;
        }
        let may_be_listed =
            |outage: &RangeInclusive<u64>| outage.contains(&version) && outage.contains(&newest);
        if version < newest && !observed.outages.iter().any(may_be_listed) {
            let key = delivery.key.clone();
            violations.push(Violation::OutOfOrder { key, version, after: newest });
        }
        newest = newest.max(version);
    }
    violations
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { version, uid, initial } => {
                write!(f, "{} {uid}@{version}", if *initial { "initial add" } else { "add" })
            }
            Self::Updated { old_version, version, uid } => {
                write!(f, "update {uid}@{version} of @{old_version}")
            }
            Self::Deleted { version, uid, tombstone } => {
                write!(f, "{} {uid}@{version}", if *tombstone { "tombstone" } else { "delete" })
            }
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |told: &Option<Told>| match told {
            Some(told) => told.to_string(),
            None => "nothing".to_owned(),
        };
        match self {
            Self::NeverExisted { key, told } => {
                write!(f, "{key}: was told {told}, and the server never had that")
            }
            Self::LastNotTold { key, version } => {
                write!(f, "{key}: was never told of its last state @{version}")
            }
            Self::SkippedWithoutOutage { key, version } => {
                write!(f, "{key}: was not told of @{version}, and there was no outage")
            }
            Self::SkippedByNoList { key, version, other, other_version } => write!(
                f,
                "{key}: was not told of @{version}, but of {other}@{other_version}, which a list \
                 that skips the one does not tell"
            ),
            Self::TooFewLists { needed, made } => {
                write!(f, "what it was not told of takes {needed} lists, and it made {made}")
            }
            Self::Differs { key, at, expected, told } => write!(
                f,
                "{key}: as number {at} it was told {}, and the server's history gives {}",
                or_none(told),
                or_none(expected)
            ),
            Self::RepeatedTooOften { key, times } => {
                write!(f, "{key}: {times} updates that change nothing, more than there were lists")
            }
            Self::OutOfOrder { key, version, after } => {
                write!(f, "{key}: was told of @{version} after @{after}")
            }
            Self::CacheDiffers { key, cached, server } => {
                let or_none = |state: &Option<String>| state.clone().unwrap_or("nothing".into());
                write!(f, "{key}: {} cached, {} there", or_none(cached), or_none(server))
            }
            Self::CacheVersion { version, newest } => {
                write!(f, "the cache is said to be at @{version}, the newest change is @{newest}")
            }
            Self::NotMerged { key, at, told } => {
                write!(f, "{key}: as number {at} it was told {told}, which no merge makes")
            }
            Self::MergedAway { key, last } => write!(f, "{key}: was not told of the last {last}"),
            Self::MergesMiscounted { missing, merges } => {
                write!(f, "{missing} notifications are missing after {merges} merges")
            }
        }
    }
}

#[cfg(test)]
mod tests;
