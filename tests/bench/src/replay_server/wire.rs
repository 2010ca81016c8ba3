//! A recording as it goes over the wire.
//!
//! in:   a recording's file in one encoding
//! out:  slices of chunks to write as they are; pages of lists, copied together

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;

use crate::encoding::Encoding;
use crate::recording::{FIRST_VERSION, unseen};

/// Chunked events, and where they are.
pub(super) struct Wire {
    encoding: Encoding,
    /// What is listed before the watch is ended, and afterwards.
    states: [State; 2],
    updates: Vec<u8>,
    /// Where each update ends.
    update_ends: Vec<usize>,
    /// Where the digits of its resourceVersion begin.
    update_versions: Vec<usize>,
    /// Ends a watch.
    error: Vec<u8>,
}

/// The Pods at one time.
#[derive(Default)]
struct State {
    /// The ADDED events and the bookmark.
    events: Vec<u8>,
    /// What a list has of each object in `events`, from behind the opening brace.
    items: Vec<Range<usize>>,
    is_complete: bool,
}

impl Wire {
    pub(super) fn read(recording: &Path, encoding: Encoding) -> anyhow::Result<Self> {
        let path = encoding.file(recording);
        let read = || -> anyhow::Result<Self> {
            let mut wire = Self {
                encoding,
                states: Default::default(),
                updates: Vec::new(),
                update_ends: Vec::new(),
                update_versions: Vec::new(),
                error: Vec::new(),
            };
            let mut reader = BufReader::with_capacity(1 << 20, File::open(&path)?);
            let mut frame = Vec::new();
            while next_frame(&mut reader, encoding, &mut frame)? {
                wire.push(&frame)?;
            }
            let is_complete = wire.states.iter().all(|state| state.is_complete);
            anyhow::ensure!(is_complete, "no bookmark ends the initial state");
            Ok(wire)
        };
        read().with_context(|| format!("cannot replay {}", path.display()))
    }

    fn push(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        let state = &mut self.states[usize::from(!self.error.is_empty())];
        match event_type(frame, self.encoding).context("this is no event")? {
            b"ADDED" => {
                let item = item(frame, self.encoding).context("an object without kind")?;
                let start = chunk(frame, &mut state.events);
                state.items.push(start + item.start..start + item.end);
            }
            b"BOOKMARK" => {
                chunk(frame, &mut state.events);
                state.is_complete = true;
            }
            b"MODIFIED" => {
                let start = chunk(frame, &mut self.updates);
                if let Some(version) = memchr::memmem::find(frame, VERSION) {
                    self.update_versions.push(start + version + VERSION.len());
                }
                self.update_ends.push(self.updates.len());
            }
            b"ERROR" => {
                chunk(frame, &mut self.error);
            }
            other => {
                anyhow::bail!("{} events are not replayed", String::from_utf8_lossy(other))
            }
        }
        Ok(())
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The initial state of a watch-list.
    pub(super) fn initial_events(&self, expired: bool) -> &[u8] {
        &self.states[usize::from(expired)].events
    }

    /// What ends a watch whose version is too old.
    pub(super) fn error_event(&self) -> &[u8] {
        &self.error
    }

    /// The version of what is listed.
    pub(super) fn version(&self, expired: bool) -> u64 {
        let pods = self.states[0].items.len();
        let later = if expired { self.updates() + unseen(pods) } else { 0 };
        FIRST_VERSION + (pods + later) as u64
    }

    /// How many there are.
    pub(super) fn updates(&self) -> usize {
        self.update_ends.len()
    }

    /// How many of them a reader who is at this version has.
    pub(super) fn updates_until(&self, version: u64) -> usize {
        let seen = version.saturating_sub(self.version(false));
        usize::try_from(seen).unwrap_or(usize::MAX)
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
            let version = (self.version(false) + (skipped + update) as u64 + 1).to_string();
            let at = self.update_versions[update] - end_of(start);
            // As long as the recorded one, since versions have seven digits.
            events[at..at + version.len()].copy_from_slice(version.as_bytes());
        }
        events.into()
    }

    /// A list from the item `first` on. The token to continue with is the next item's index. None if
    /// it would have to be protobuf, in which everybody here asks for a watch-list.
    pub(super) fn list_page(
        &self,
        expired: bool,
        first: usize,
        limit: Option<usize>,
    ) -> Option<Vec<u8>> {
        let head = match self.encoding {
            Encoding::Json => r#"{"kind":"PodList","apiVersion":"v1""#,
            Encoding::MetadataJson => {
                r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1""#
            }
            Encoding::Protobuf | Encoding::MetadataProtobuf => return None,
        };
        let State { events, items, .. } = &self.states[usize::from(expired)];
        let first = first.min(items.len());
        let end = limit.map_or(items.len(), |limit| items.len().min(first + limit));
        let rest = items.len() - end;
        let items = &items[first..end];
        let mut page = Vec::with_capacity(256 + items.iter().map(|it| it.len() + 2).sum::<usize>());
        let mut metadata = format!(r#""resourceVersion":"{}""#, self.version(expired));
        if rest > 0 {
            metadata += &format!(r#","continue":"{end}","remainingItemCount":{rest}"#);
        }
        write!(page, r#"{head},"metadata":{{{metadata}}},"items":["#)
            .expect("a Vec takes all bytes");
        for (index, item) in items.iter().enumerate() {
            page.extend_from_slice(if index == 0 { b"{" } else { b",{" });
            page.extend_from_slice(&events[item.clone()]);
        }
        page.extend_from_slice(b"]}\n");
        Some(page)
    }
}

/// Reads one event: a line, or 4 bytes of length and as many as they say.
fn next_frame(from: &mut impl BufRead, as_: Encoding, frame: &mut Vec<u8>) -> io::Result<bool> {
    frame.clear();
    if !as_.is_protobuf() {
        return Ok(from.read_until(b'\n', frame)? > 0);
    }
    if from.fill_buf()?.is_empty() {
        return Ok(false);
    }
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    frame.extend_from_slice(&length);
    let length = u64::from(u32::from_be_bytes(length));
    if from.take(length).read_to_end(frame)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(true)
}

fn event_type(frame: &[u8], encoding: Encoding) -> Option<&[u8]> {
    if encoding.is_protobuf() {
        // A WatchEvent's field 1, the type, is first and shorter than 128 bytes.
        let [FIELD_1, length, rest @ ..] = frame.get(4..)? else { return None };
        return rest.get(..usize::from(*length));
    }
    frame.strip_prefix(br#"{"type":""#)?.split(|byte| *byte == b'"').next()
}

/// Where in an ADDED event a list's item is. A PodList's items have neither kind nor apiVersion.
fn item(frame: &[u8], encoding: Encoding) -> Option<Range<usize>> {
    let head: &[u8] = match encoding {
        Encoding::Json => br#"{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","#,
        Encoding::MetadataJson => br#"{"type":"ADDED","object":{"#,
        Encoding::Protobuf | Encoding::MetadataProtobuf => b"",
    };
    let end = frame.len() - if encoding.is_protobuf() { 0 } else { "}\n".len() };
    frame.starts_with(head).then_some(head.len()..end)
}

/// Appends the event as one HTTP chunk; gives where it begins in `out`.
fn chunk(frame: &[u8], out: &mut Vec<u8>) -> usize {
    write!(out, "{:x}\r\n", frame.len()).expect("a Vec takes all bytes");
    let start = out.len();
    out.extend_from_slice(frame);
    out.extend_from_slice(b"\r\n");
    start
}

/// A field's number and that it has a length.
const FIELD_1: u8 = 1 << 3 | 2;

/// What stands before the digits of an object's own version in JSON; nothing before it in a Pod looks so.
const VERSION: &[u8] = br#""resourceVersion":""#;
