//! What is compared, in which unit, and what informerd is meant to reach.
//!
//! in:   the samples of one number of Pods
//! out:  a [`Comparison`] for each figure and peer, a [`Verdict`] for each goal

use serde::Serialize;

use crate::measure::Sample;
use crate::subject::Subject;

/// One thing that is measured of every subject; less is better.
pub(crate) struct Figure {
    /// For programs.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) value: fn(&Sample) -> f64,
    goals: &'static [Goal],
}

enum Goal {
    /// At most this part of what the peer needs.
    PartOf(Subject, f64),
    AtMost(f64),
}

/// informerd beside one peer: a line of `--json`, whose field names others rely on.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Comparison {
    pub(crate) figure: &'static str,
    pub(crate) peer: Subject,
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) ratio: f64,
}

/// What became of a goal.
pub(crate) struct Verdict {
    pub(crate) figure: &'static Figure,
    /// Whose part is meant, if it is not a limit by itself.
    pub(crate) peer: Option<Subject>,
    pub(crate) goal: f64,
    pub(crate) reached: f64,
}

impl Verdict {
    pub(crate) fn is_met(&self) -> bool {
        self.reached <= self.goal
    }
}

/// By the medians of each subject's runs. Empty without informerd.
pub(crate) fn comparisons(samples: &[&Sample]) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for figure in FIGURES {
        let Some(ours) = figure.median(samples, Subject::Informerd) else { continue };
        for peer in subjects(samples).into_iter().filter(|subject| !subject.is_informerd()) {
            let Some(theirs) = figure.median(samples, peer) else { continue };
            let ratio = ours / theirs;
            comparisons.push(Comparison { figure: figure.name, peer, ours, theirs, ratio });
        }
    }
    comparisons
}

/// Of all goals whose subjects were measured.
pub(crate) fn verdicts(samples: &[&Sample]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for figure in FIGURES {
        let Some(ours) = figure.median(samples, Subject::Informerd) else { continue };
        for goal in figure.goals {
            let (peer, goal, reached) = match goal {
                Goal::AtMost(most) => (None, *most, ours),
                Goal::PartOf(peer, part) => match figure.median(samples, *peer) {
                    Some(theirs) => (Some(*peer), *part, ours / theirs),
                    None => continue,
                },
            };
            verdicts.push(Verdict { figure, peer, goal, reached });
        }
    }
    verdicts
}

impl Figure {
    fn median(&self, samples: &[&Sample], subject: Subject) -> Option<f64> {
        let of_subject = of(samples, subject);
        (!of_subject.is_empty()).then(|| median(&of_subject, self.value))
    }
}

/// In the order in which they were measured.
pub(crate) fn subjects(samples: &[&Sample]) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for sample in samples {
        if !subjects.contains(&sample.subject) {
            subjects.push(sample.subject);
        }
    }
    subjects
}

pub(crate) fn of<'a>(samples: &[&'a Sample], subject: Subject) -> Vec<&'a Sample> {
    samples.iter().copied().filter(|sample| sample.subject == subject).collect()
}

pub(crate) fn sorted(samples: &[&Sample], value: fn(&Sample) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = samples.iter().map(|sample| value(sample)).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// There must be a sample.
pub(crate) fn median(samples: &[&Sample], value: fn(&Sample) -> f64) -> f64 {
    let values = sorted(samples, value);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// The goals are meant for 50,000 Pods.
pub(crate) const FIGURES: &[Figure] = &[
    Figure {
        name: "cpu_per_update",
        title: "CPU per delivered update, µs",
        value: Sample::cpu_us_per_update,
        goals: &[
            Goal::PartOf(Subject::ClientGoDynamic, 1.0 / 20.0),
            Goal::PartOf(Subject::ClientGoTypedProtobuf, 1.0 / 3.0),
            Goal::PartOf(Subject::KubeRsDynamic, 1.0 / 7.0),
        ],
    },
    Figure {
        name: "rss_per_object",
        title: "RSS per object, KiB",
        value: Sample::rss_kib_per_object,
        goals: &[
            Goal::PartOf(Subject::ClientGoDynamic, 1.0 / 40.0),
            Goal::PartOf(Subject::ClientGoTypedProtobuf, 1.0 / 10.0),
        ],
    },
    Figure {
        name: "sync_cpu",
        title: "CPU to sync, s",
        value: |sample| sample.sync_cpu_s,
        goals: &[Goal::PartOf(Subject::ClientGoDynamic, 1.0 / 15.0)],
    },
    Figure {
        name: "sync_wall",
        title: "time to sync, s",
        value: |sample| sample.sync_wall_s,
        goals: &[],
    },
    Figure {
        name: "sync_peak_rss",
        title: "peak RSS of the sync, MiB",
        value: |sample| sample.synced_peak_rss as f64 / 1024.0,
        goals: &[],
    },
    Figure {
        name: "sync_peak_over_steady",
        title: "peak RSS of the sync / RSS after it",
        value: |sample| sample.synced_peak_rss as f64 / sample.synced_rss as f64,
        goals: &[Goal::AtMost(1.3)],
    },
    Figure {
        name: "relist_peak_over_steady",
        title: "peak RSS of a relist / RSS before it",
        value: |sample| sample.relist_peak_rss as f64 / sample.updated_rss as f64,
        goals: &[Goal::AtMost(1.3)],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_compared() {
        let samples = [
            Sample::example(Subject::Informerd, 0.02),
            Sample::example(Subject::Informerd, 0.03),
            Sample::example(Subject::Informerd, 0.04),
            Sample::example(Subject::ClientGoDynamic, 0.5),
        ];
        let samples: Vec<&Sample> = samples.iter().collect();
        let line = serde_json::to_string(&comparisons(&samples)[0]).unwrap();
        let expected = r#"{"figure":"cpu_per_update","peer":"client-go-dynamic","ours":30.0,"theirs":500.0,"ratio":0.06}"#;
        assert_eq!(line, expected);
        let of_dynamic: Vec<_> =
            verdicts(&samples).into_iter().filter(|it| it.peer.is_some()).collect();
        assert_eq!(of_dynamic.len(), 3, "other peers were not measured");
        assert!(!of_dynamic[0].is_met(), "0.06 is more than 1/20");
    }

    #[test]
    fn a_peer_alone_is_compared_with_nothing() {
        let sample = Sample::example(Subject::KubeRsTyped, 0.5);
        assert_eq!(comparisons(&[&sample]), []);
        assert!(verdicts(&[&sample]).is_empty());
    }
}
