//! Decides what is said about pods.
//!
//! in: each state of each pod. out: lines to log. Knows no clock: a crash loop is counted from the
//! pod's last calm state, where some states in a row were ready and brought no restart. Whatever is
//! delivered twice is said once. A new instance starts empty and learns each pod from its next
//! state.

use crate::config::Config;
use crate::pod::{PodStatus, Trouble, TroubleKind, plural};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen of every pod that is there, and what was said about it.
#[derive(Default)]
pub(crate) struct Reporter {
    config: Config,
    namespaces: BTreeMap<String, Namespace>,
}

pub(crate) struct PodKey<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
    pub(crate) resource_version: &'a str,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Seen {
    /// In the initial list. Tables wait for the end of it.
    Initially,
    Live,
    /// In a resync: the state may be known, and time has passed since.
    Again,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) severity: Severity,
    pub(crate) text: String,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Severity {
    Info,
    Warn,
}

#[derive(Default)]
struct Namespace {
    pods: BTreeMap<String, Pod>,
    /// The sum of `pods`, kept up to date so that a change costs the same in a large namespace.
    table: Table,
    /// The table last logged.
    logged: Table,
}

struct Pod {
    uid: String,
    resource_version: String,
    phase: String,
    restarts: u32,
    /// How many of `restarts` came since the pod was last calm.
    restarts_since_calm: u32,
    calm_states: u32,
    /// The troubles that were told and are not over.
    told: BTreeSet<TroubleKind>,
}

#[derive(Clone, Default, PartialEq)]
struct Table {
    /// Has no zeros.
    pods_by_phase: BTreeMap<String, u64>,
    restarts: u64,
    troubled: u64,
}

impl Reporter {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, namespaces: BTreeMap::new() }
    }

    /// A known state says nothing unless time has passed.
    pub(crate) fn see(&mut self, key: &PodKey<'_>, status: &PodStatus, seen: Seen) -> Vec<Line> {
        let mut lines = Vec::new();
        let namespace = self.namespaces.entry(key.namespace.into()).or_default();
        let mut pod = match namespace.take(key.name) {
            Some(pod) if pod.uid == key.uid => {
                if pod.resource_version == key.resource_version && seen != Seen::Again {
                    namespace.put(key.name, pod);
                    return lines;
                }
                pod
            }
            // Deleted and created again, and the deletion was not seen.
            Some(old) => {
                lines.extend(old.gone(key, true));
                Pod::new(key, status)
            }
            None => Pod::new(key, status),
        };
        lines.extend(pod.see(key, status, &self.config));
        namespace.put(key.name, pod);
        if seen != Seen::Initially && self.config.tables {
            lines.extend(namespace.changed_table(key.namespace));
        }
        lines
    }

    /// Unknown pods and earlier ones of the same name say nothing.
    pub(crate) fn forget(&mut self, key: &PodKey<'_>, final_state_unknown: bool) -> Vec<Line> {
        let mut lines = Vec::new();
        let Some(namespace) = self.namespaces.get_mut(key.namespace) else {
            return lines;
        };
        if namespace.pods.get(key.name).is_some_and(|it| it.uid == key.uid) {
            lines.extend(namespace.take(key.name).and_then(|it| it.gone(key, final_state_unknown)));
        }
        if self.config.tables {
            lines.extend(namespace.changed_table(key.namespace));
        }
        if namespace.pods.is_empty() {
            self.namespaces.remove(key.namespace);
        }
        lines
    }

    /// The tables that changed since they were last logged; all of them after the initial list.
    pub(crate) fn tables(&mut self) -> Vec<Line> {
        if !self.config.tables {
            return Vec::new();
        }
        let namespaces = self.namespaces.iter_mut();
        namespaces.filter_map(|(name, namespace)| namespace.changed_table(name)).collect()
    }
}

impl Namespace {
    fn take(&mut self, name: &str) -> Option<Pod> {
        let pod = self.pods.remove(name)?;
        self.table.subtract(&pod);
        Some(pod)
    }

    fn put(&mut self, name: &str, pod: Pod) {
        self.table.add(&pod);
        self.pods.insert(name.into(), pod);
    }

    fn changed_table(&mut self, name: &str) -> Option<Line> {
        if self.table == self.logged {
            return None;
        }
        self.logged = self.table.clone();
        Some(Line { severity: Severity::Info, text: format!("{name}: {}", self.table.text()) })
    }
}

impl Pod {
    /// Restarts from before it was known are nobody's news.
    fn new(key: &PodKey<'_>, status: &PodStatus) -> Self {
        Self {
            uid: key.uid.into(),
            resource_version: String::new(),
            phase: String::new(),
            restarts: status.restarts,
            restarts_since_calm: 0,
            calm_states: 0,
            told: BTreeSet::new(),
        }
    }

    fn see(&mut self, key: &PodKey<'_>, status: &PodStatus, config: &Config) -> Vec<Line> {
        let restarted = status.restarts.saturating_sub(self.restarts);
        self.resource_version = key.resource_version.into();
        self.phase.clone_from(&status.phase);
        self.restarts = status.restarts;
        self.restarts_since_calm = self.restarts_since_calm.saturating_add(restarted);
        let is_calm = status.ready && restarted == 0 && status.troubles.is_empty();
        self.calm_states = if is_calm { self.calm_states.saturating_add(1) } else { 0 };
        if self.calm_states >= config.calm_states {
            self.restarts_since_calm = 0;
        }

        let mut lines = Vec::new();
        for trouble in self.troubles(status, config) {
            if self.told.insert(trouble.kind) {
                let text = format!("{key} is {}: {}", trouble.kind, trouble.detail);
                lines.push(Line { severity: Severity::Warn, text });
            }
        }
        lines.extend(self.recover(key, status, config));
        lines
    }

    /// What this state shows, and what only many states show.
    fn troubles(&self, status: &PodStatus, config: &Config) -> Vec<Trouble> {
        if status.has_ended() {
            return Vec::new();
        }
        let mut troubles = status.troubles.clone();
        let is_shown = troubles.iter().any(|it| it.kind == TroubleKind::CrashLooping);
        if !is_shown && self.restarts_since_calm >= config.restart_threshold {
            let detail = format!(
                "{} since it was last calm",
                plural(self.restarts_since_calm.into(), "restart")
            );
            troubles.push(Trouble { kind: TroubleKind::CrashLooping, detail });
        }
        troubles
    }

    fn recover(&mut self, key: &PodKey<'_>, status: &PodStatus, config: &Config) -> Option<Line> {
        let is_calm = self.calm_states >= config.calm_states;
        let is_over = |kind: &TroubleKind| match kind {
            _ if status.has_ended() => true,
            _ if status.troubles.iter().any(|it| it.kind == *kind) => false,
            // Between two crashes the container runs, and may well be ready.
            TroubleKind::CrashLooping => is_calm,
            _ => status.phase == "Running",
        };
        let over: Vec<TroubleKind> = self.told.iter().copied().filter(is_over).collect();
        self.told.retain(|it| !over.contains(it));
        let was = listed(over.iter())?;
        let phase = &status.phase;
        Some(if phase == "Failed" {
            Line { severity: Severity::Warn, text: format!("{key} has failed, it was {was}") }
        } else {
            let text = format!("{key} has recovered and is {phase}, it was {was}");
            Line { severity: Severity::Info, text }
        })
    }

    fn gone(&self, key: &PodKey<'_>, final_state_unknown: bool) -> Option<Line> {
        let was = listed(self.told.iter())?;
        let text = if final_state_unknown {
            format!("{key} is gone, it was {was} when last seen")
        } else {
            format!("{key} was deleted while {was}")
        };
        Some(Line { severity: Severity::Info, text })
    }
}

impl Table {
    fn add(&mut self, pod: &Pod) {
        *self.pods_by_phase.entry(pod.phase.clone()).or_default() += 1;
        self.restarts += u64::from(pod.restarts);
        self.troubled += u64::from(!pod.told.is_empty());
    }

    fn subtract(&mut self, pod: &Pod) {
        if let Some(pods) = self.pods_by_phase.get_mut(&pod.phase) {
            *pods -= 1;
            if *pods == 0 {
                self.pods_by_phase.remove(&pod.phase);
            }
        }
        self.restarts -= u64::from(pod.restarts);
        self.troubled -= u64::from(!pod.told.is_empty());
    }

    fn text(&self) -> String {
        let phases: Vec<String> =
            self.pods_by_phase.iter().map(|(phase, pods)| format!("{pods} {phase}")).collect();
        if phases.is_empty() {
            return "no pods".into();
        }
        let pods = plural(self.pods_by_phase.values().sum(), "pod");
        let restarts = plural(self.restarts, "restart");
        let mut text = format!("{pods} ({}), {restarts}", phases.join(", "));
        if self.troubled > 0 {
            text.push_str(&format!(", {} in trouble", self.troubled));
        }
        text
    }
}

impl std::fmt::Display for PodKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn listed<'a>(kinds: impl Iterator<Item = &'a TroubleKind>) -> Option<String> {
    let kinds: Vec<String> = kinds.map(TroubleKind::to_string).collect();
    (!kinds.is_empty()).then(|| kinds.join(" and "))
}

#[cfg(test)]
mod tests;
