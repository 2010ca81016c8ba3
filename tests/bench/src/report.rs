//! Figures for people (Markdown) and for programs (JSON).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::measure::Sample;
use crate::subject::Subject;

/// Everything that one call of the benchmark found out.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Report {
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) samples: Vec<Sample>,
}

/// A column: its title and what it shows of a sample.
type Column = (&'static str, fn(&Sample) -> f64);

impl Report {
    pub(crate) fn to_markdown(&self) -> String {
        let mut text = format!("```sh\n{}\n```\n\n", self.command);
        self.write_machine(&mut text);
        let sizes: BTreeSet<usize> = self.samples.iter().map(|sample| sample.pods).collect();
        for pods in sizes {
            let of_size: Vec<&Sample> = self.samples.iter().filter(|it| it.pods == pods).collect();
            let updates = of_size[0].updates;
            let _ = writeln!(text, "\n## {pods} pods, {updates} updates\n");
            write_table(&mut text, FIGURES, &of_size);
            write_limits(&mut text, &of_size);
            write_ratios(&mut text, &of_size);
            text.push('\n');
            write_table(&mut text, MORE_FIGURES, &of_size);
        }
        text
    }

    pub(crate) fn to_json(&self) -> anyhow::Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// Writes `NAME.md` and `NAME.json`.
    pub(crate) fn write_files(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        let markdown = format!("# {name}\n\n{}", self.to_markdown());
        for (extension, text) in [("md", markdown), ("json", self.to_json()?)] {
            let path = folder.join(name).with_extension(extension);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn write_machine(&self, text: &mut String) {
        let Machine { cpu, cores, memory_gib, kernel, rustc, .. } = &self.machine;
        let Machine { informerd, commit, kube, allocator, .. } = &self.machine;
        let _ = writeln!(text, "- {cpu}, {cores} cores, {memory_gib} GiB, {kernel}; {rustc}");
        let _ =
            writeln!(text, "- {informerd}, commit {commit}; kube {kube}; {allocator} allocator");
        let Machine { load_before, load_after, .. } = &self.machine;
        let _ =
            writeln!(text, "- load: {load_before} before the first run, {load_after} in the last");
    }
}

/// One row per subject.
fn write_table(text: &mut String, columns: &[Column], samples: &[&Sample]) {
    let _ = write!(text, "| subject | runs |");
    for (title, _) in columns {
        let _ = write!(text, " {title} |");
    }
    let _ = writeln!(text, "\n|---|--:|{}", "--:|".repeat(columns.len()));
    for subject in subjects(samples) {
        let of_subject = of(samples, subject);
        let _ = write!(text, "| {} | {} |", subject.title(), of_subject.len());
        for (_, value) in columns {
            let _ = write!(text, " {} |", median_and_range(&of_subject, *value));
        }
        text.push('\n');
    }
}

/// Whether informerd keeps what it must not exceed, by the medians.
fn write_limits(text: &mut String, samples: &[&Sample]) {
    let ours = of(samples, Subject::Informerd);
    if ours.is_empty() {
        return;
    }
    text.push('\n');
    for ((title, value), most, unit) in LIMITS {
        let median = median(&ours, *value);
        let verdict = if median <= *most { "kept" } else { "EXCEEDED" };
        let median = number(median);
        let _ =
            writeln!(text, "- limit: {title} at most {most} {unit}: {verdict}, {median} {unit}");
    }
}

/// How many times as much each peer uses, by the medians of the same runs.
fn write_ratios(text: &mut String, samples: &[&Sample]) {
    let subjects = subjects(samples);
    let Some(ours) = subjects.iter().copied().find(|subject| subject.is_informerd()) else {
        return;
    };
    let peers: Vec<_> = subjects.into_iter().filter(|subject| !subject.is_informerd()).collect();
    if peers.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nTimes what {} uses:\n", ours.title());
    let _ = write!(text, "| peer |");
    for (title, _) in RATIOS {
        let _ = write!(text, " {title} |");
    }
    let _ = writeln!(text, "\n|---|{}", "--:|".repeat(RATIOS.len()));
    for peer in peers {
        let _ = write!(text, "| {} |", peer.title());
        for (_, value) in RATIOS {
            let ours = median(&of(samples, ours), *value);
            let _ = write!(text, " {:.1} x |", median(&of(samples, peer), *value) / ours);
        }
        text.push('\n');
    }
}

/// In the order in which they were measured.
fn subjects(samples: &[&Sample]) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for sample in samples {
        if !subjects.contains(&sample.subject) {
            subjects.push(sample.subject);
        }
    }
    subjects
}

fn of<'a>(samples: &[&'a Sample], subject: Subject) -> Vec<&'a Sample> {
    samples.iter().copied().filter(|sample| sample.subject == subject).collect()
}

fn sorted(samples: &[&Sample], value: fn(&Sample) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = samples.iter().map(|sample| value(sample)).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(samples: &[&Sample], value: fn(&Sample) -> f64) -> f64 {
    let values = sorted(samples, value);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

fn median_and_range(samples: &[&Sample], value: fn(&Sample) -> f64) -> String {
    let values = sorted(samples, value);
    let (median, least, most) =
        (median(samples, value), number(values[0]), number(values[values.len() - 1]));
    match least == most {
        true => number(median),
        false => format!("{} ({least}..{most})", number(median)),
    }
}

/// Three digits, if it has a fraction at all.
fn number(value: f64) -> String {
    match value {
        it if it.fract() == 0.0 || it >= 100.0 => format!("{it:.0}"),
        it if it >= 10.0 => format!("{it:.1}"),
        it => format!("{it:.2}"),
    }
}

const FIGURES: &[Column] = &[
    ("CPU per delivered update, µs", Sample::cpu_us_per_update),
    ("RSS per object, KiB", Sample::rss_kib_per_object),
    ("total RSS / objects, KiB", Sample::total_rss_kib_per_object),
    ("peak RSS, MiB", |sample| sample.peak_rss as f64 / 1024.0),
    ("time to sync, s", |sample| sample.sync_wall_s),
    ("CPU to sync, s", |sample| sample.sync_cpu_s),
];

const MORE_FIGURES: &[Column] = &[
    ("RSS without objects, MiB", |sample| sample.ready_rss as f64 / 1024.0),
    ("peak RSS of the sync, MiB", |sample| sample.synced_peak_rss as f64 / 1024.0),
    ("RSS per object after the updates, KiB", Sample::updated_rss_kib_per_object),
    ("updates per s", Sample::updates_per_s),
    ("merged", |sample| sample.merged as f64),
    ("failed", |sample| sample.failed as f64),
];

/// What the architecture must reach at least; the goals of the design are lower.
const LIMITS: &[(Column, f64, &str)] = &[
    (("CPU per delivered update", Sample::cpu_us_per_update), 60.0, "µs"),
    (("RSS per object", |sample| sample.rss_kib_per_object() * 1.024), 8.0, "KB"),
];

const RATIOS: &[Column] = &[
    ("CPU per delivered update", Sample::cpu_us_per_update),
    ("RSS per object", Sample::rss_kib_per_object),
    ("peak RSS", |sample| sample.peak_rss as f64),
    ("time to sync", |sample| sample.sync_wall_s),
    ("CPU to sync", |sample| sample.sync_cpu_s),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(subject: Subject, update_cpu_s: f64) -> Sample {
        Sample {
            subject,
            pods: 100,
            updates: 1000,
            ready_cpu_s: 0.1,
            ready_rss: 1000,
            sync_wall_s: 1.0,
            sync_cpu_s: 0.5,
            synced_rss: 1500,
            synced_peak_rss: 2048,
            update_wall_s: 2.0,
            update_cpu_s,
            delivered: 1000,
            merged: 0,
            failed: 0,
            updated_rss: 1600,
            peak_rss: 2048,
        }
    }

    #[test]
    fn medians_ranges_and_ratios_are_told() {
        let samples = [
            sample(Subject::Informerd, 0.02),
            sample(Subject::Informerd, 0.025),
            sample(Subject::Informerd, 0.03),
            sample(Subject::KubePod, 0.1),
        ];
        let samples: Vec<&Sample> = samples.iter().collect();
        let mut table = String::new();
        write_table(&mut table, FIGURES, &samples);
        assert!(table.contains("| 3 | 25 (20..30) | 5 | 15 | 2 | 1 |"), "{table}");
        let mut limits = String::new();
        write_limits(&mut limits, &samples);
        assert!(limits.contains("at most 60 µs: kept, 25 µs"), "{limits}");
        let mut ratios = String::new();
        write_ratios(&mut ratios, &samples);
        assert!(ratios.contains("`Pod` | 4.0 x | 1.0 x |"), "{ratios}");
    }
}
