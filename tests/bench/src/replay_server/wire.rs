//! The recording as it goes over the wire.
//!
//! in:   a recording's lines
//! out:  slices of chunks to write as they are; pages of lists, copied together

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Chunked events, and where the objects are in them.
#[derive(Default)]
pub(super) struct Wire {
    /// The ADDED events and the bookmark.
    initial: Vec<u8>,
    /// Each object in `initial`, without its opening brace, kind and apiVersion: a list's items
    /// have neither.
    items: Vec<Range<usize>>,
    list_version: u64,
    updates: Vec<u8>,
    /// Where each update ends.
    update_ends: Vec<usize>,
    /// Where the digits of its resourceVersion begin.
    update_versions: Vec<usize>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

impl Wire {
    pub(super) fn read(recording: &Path) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<Self> {
            let mut wire = Self::default();
            let mut reader = BufReader::with_capacity(1 << 20, File::open(recording)?);
            let mut line = String::new();
            while reader.read_line(&mut line)? > 0 {
                wire.push(&line)?;
                line.clear();
            }
            anyhow::ensure!(wire.list_version > 0, "no bookmark ends the initial state");
            Ok(wire)
        };
        read().with_context(|| format!("cannot replay {}", recording.display()))
    }

    fn push(&mut self, line: &str) -> anyhow::Result<()> {
        let event: Event<'_> = serde_json::from_str(line)?;
        let object = event.object.get();
        match event.event_type {
            "ADDED" => {
                let start = chunk(line, &mut self.initial);
                let item = object.strip_prefix(TYPE).context("an object without kind")?;
                let offset = item.as_ptr() as usize - line.as_ptr() as usize;
                self.items.push(start + offset..start + offset + item.len());
            }
            "BOOKMARK" => {
                chunk(line, &mut self.initial);
                let bookmark: serde_json::Value = serde_json::from_str(object)?;
                let version = bookmark["metadata"]["resourceVersion"].as_str();
                self.list_version = version.context("a bookmark without version")?.parse()?;
            }
            "MODIFIED" => {
                let start = chunk(line, &mut self.updates);
                let version = line.find(VERSION).context("an update without a version")?;
                self.update_versions.push(start + version + VERSION.len());
                self.update_ends.push(self.updates.len());
            }
            other => anyhow::bail!("{other} events are not replayed"),
        }
        Ok(())
    }

    pub(super) fn initial_events(&self) -> &[u8] {
        &self.initial
    }

    /// How many there are.
    pub(super) fn updates(&self) -> usize {
        self.update_ends.len()
    }

    /// How many of them a reader who is at this version has.
    pub(super) fn updates_until(&self, version: u64) -> usize {
        usize::try_from(version.saturating_sub(self.list_version)).unwrap_or(usize::MAX)
    }

    /// The first update after this one that begins the recording anew.
    pub(super) fn round_ends(&self, update: usize) -> usize {
        update.saturating_add(1).next_multiple_of(self.updates())
    }

    /// Updates of one round. Those of the first are as they were recorded; those of later ones have versions of
    /// their own.
    pub(super) fn update_events(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        let skipped = range.start / self.updates() * self.updates();
        let (start, end) = (range.start - skipped, range.end - skipped);
        let end_of = |count: usize| if count == 0 { 0 } else { self.update_ends[count - 1] };
        let recorded = &self.updates[end_of(start)..end_of(end)];
        if skipped == 0 {
            return recorded.into();
        }
        let mut events = recorded.to_vec();
        for update in start..end {
            let version = (self.list_version + (skipped + update) as u64 + 1).to_string();
            let at = self.update_versions[update] - end_of(start);
            // As long as the recorded one, since versions have seven digits.
            events[at..at + version.len()].copy_from_slice(version.as_bytes());
        }
        events.into()
    }

    /// A PodList from the item `first` on. The token to continue with is the next item's index.
    pub(super) fn list_page(&self, first: usize, limit: Option<usize>) -> Vec<u8> {
        let first = first.min(self.items.len());
        let end = limit.map_or(self.items.len(), |limit| self.items.len().min(first + limit));
        let items = &self.items[first..end];
        let mut page = Vec::with_capacity(256 + items.iter().map(|it| it.len() + 2).sum::<usize>());
        let version = self.list_version;
        let mut metadata = format!(r#""resourceVersion":"{version}""#);
        let rest = self.items.len() - end;
        if rest > 0 {
            metadata += &format!(r#","continue":"{end}","remainingItemCount":{rest}"#);
        }
        let head = r#"{"kind":"PodList","apiVersion":"v1","metadata":"#;
        write!(page, r#"{head}{{{metadata}}},"items":["#).expect("a Vec takes all bytes");
        for (index, item) in items.iter().enumerate() {
            page.extend_from_slice(if index == 0 { b"{" } else { b",{" });
            page.extend_from_slice(&self.initial[item.clone()]);
        }
        page.extend_from_slice(b"]}\n");
        page
    }
}

/// Appends the line as one HTTP chunk; gives where it begins in `out`.
fn chunk(line: &str, out: &mut Vec<u8>) -> usize {
    write!(out, "{:x}\r\n", line.len()).expect("a Vec takes all bytes");
    let start = out.len();
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
    start
}

/// What stands before the digits of an object's own version; nothing before it in a Pod looks so.
const VERSION: &str = r#""resourceVersion":""#;

/// How each object in a watch begins.
const TYPE: &str = r#"{"kind":"Pod","apiVersion":"v1","#;
