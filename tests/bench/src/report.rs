//! Figures for people (Markdown) and for programs (JSON).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::figures::{FIGURES, comparisons, median, of, sorted, subjects, verdicts};
use crate::machine::Machine;
use crate::measure::Sample;
use crate::plot;

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
        for (pods, of_size) in self.sizes() {
            let updates = of_size[0].updates;
            let _ = writeln!(text, "\n## {pods} pods, {updates} updates\n");
            let columns: Vec<Column> = FIGURES.iter().map(|it| (it.title, it.value)).collect();
            write_table(&mut text, &columns, &of_size);
            write_goals(&mut text, &of_size);
            write_factors(&mut text, &of_size);
            text.push('\n');
            write_table(&mut text, MORE_FIGURES, &of_size);
        }
        text
    }

    /// One line of JSON per figure and peer.
    pub(crate) fn to_lines(&self) -> anyhow::Result<String> {
        let mut lines = String::new();
        for (_, of_size) in self.sizes() {
            for comparison in comparisons(&of_size) {
                lines += &serde_json::to_string(&comparison)?;
                lines.push('\n');
            }
        }
        Ok(lines)
    }

    /// Writes `NAME.md`, `NAME.json` and, of the most Pods, `NAME.svg`.
    pub(crate) fn write_files(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        let mut markdown = format!("# {name}\n\n");
        let mut files = vec![("json", format!("{}\n", serde_json::to_string_pretty(self)?))];
        if let Some((pods, of_size)) = self.sizes().pop_last() {
            let title = format!("Times what informerd uses, {pods} Pods");
            files.push(("svg", plot::svg(&title, &comparisons(&of_size))));
            let _ = writeln!(markdown, "![{title}]({name}.svg)\n");
        }
        markdown += &self.to_markdown();
        files.push(("md", markdown));
        for (extension, text) in files {
            let path = folder.join(name).with_extension(extension);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// The samples by their number of Pods.
    fn sizes(&self) -> BTreeMap<usize, Vec<&Sample>> {
        let mut sizes = BTreeMap::<_, Vec<_>>::new();
        for sample in &self.samples {
            sizes.entry(sample.pods).or_default().push(sample);
        }
        sizes
    }

    fn write_machine(&self, text: &mut String) {
        let Machine { cpu, cores, memory_gib, kernel, rustc, .. } = &self.machine;
        let Machine { informerd, commit, kube, client_go, go, allocator, .. } = &self.machine;
        let _ = writeln!(text, "- {cpu}, {cores} cores, {memory_gib} GiB, {kernel}; {rustc}");
        let _ = writeln!(
            text,
            "- {informerd}, commit {commit}, with jemalloc; kube {kube}, with {allocator} allocator; client-go {client_go}, {go}"
        );
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

/// Whether informerd reaches what it is meant to, by the medians.
fn write_goals(text: &mut String, samples: &[&Sample]) {
    let verdicts = verdicts(samples);
    if verdicts.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n| goal | at most | reached | |\n|---|--:|--:|---|");
    for verdict in verdicts {
        let title = verdict.figure.title;
        let (what, goal, reached) = match verdict.peer {
            Some(peer) => (
                format!("{title}: part of {}", peer.title()),
                format!("1/{}", number((1.0 / verdict.goal).round())),
                format!("1/{}", number(1.0 / verdict.reached)),
            ),
            None => (title.to_owned(), number(verdict.goal), number(verdict.reached)),
        };
        let mark = if verdict.is_met() { "met" } else { "MISSED" };
        let _ = writeln!(text, "| {what} | {goal} | {reached} | {mark} |");
    }
}

/// How many times as much each peer uses, by the medians of the same runs.
fn write_factors(text: &mut String, samples: &[&Sample]) {
    let comparisons = comparisons(samples);
    if comparisons.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nTimes what informerd uses:\n");
    let _ = write!(text, "| peer |");
    for figure in FIGURES {
        let _ = write!(text, " {} |", figure.name);
    }
    let _ = writeln!(text, "\n|---|{}", "--:|".repeat(FIGURES.len()));
    for peer in subjects(samples).into_iter().filter(|subject| !subject.is_informerd()) {
        let _ = write!(text, "| {} |", peer.title());
        for comparison in comparisons.iter().filter(|it| it.peer == peer) {
            let _ = write!(text, " {:.1} x |", 1.0 / comparison.ratio);
        }
        text.push('\n');
    }
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

const MORE_FIGURES: &[Column] = &[
    ("total RSS / objects, KiB", Sample::total_rss_kib_per_object),
    ("peak RSS, MiB", |sample| sample.peak_rss as f64 / 1024.0),
    ("RSS without objects, MiB", |sample| sample.ready_rss as f64 / 1024.0),
    ("RSS per object after the updates, KiB", Sample::updated_rss_kib_per_object),
    ("updates per s", Sample::updates_per_s),
    ("merged", |sample| sample.merged as f64),
    ("failed", |sample| sample.failed as f64),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::Subject;

    #[test]
    fn medians_ranges_goals_and_factors_are_told() {
        let samples = [
            Sample::example(Subject::Informerd, 0.02),
            Sample::example(Subject::Informerd, 0.025),
            Sample::example(Subject::Informerd, 0.03),
            Sample::example(Subject::KubeRsDynamic, 0.1),
        ];
        let samples: Vec<&Sample> = samples.iter().collect();
        let mut table = String::new();
        let columns: Vec<Column> = FIGURES.iter().map(|it| (it.title, it.value)).collect();
        write_table(&mut table, &columns, &samples);
        assert!(table.contains("| 3 | 25 (20..30) | 5 | 0.50 | 1 | 2 | 1.37 | 1.25 |"), "{table}");
        let mut goals = String::new();
        write_goals(&mut goals, &samples);
        assert!(goals.contains("`DynamicObject` | 1/7 | 1/4 | MISSED |"), "{goals}");
        assert!(goals.contains("RSS before it | 1.30 | 1.25 | met |"), "{goals}");
        let mut factors = String::new();
        write_factors(&mut factors, &samples);
        assert!(factors.contains("`DynamicObject` | 4.0 x | 1.0 x |"), "{factors}");
    }
}
