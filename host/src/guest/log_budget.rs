//! How much one handler may write to the log: a token bucket for lines and one for bytes.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::limits::GuestLimits;

/// A line's message, and the fields that fit beside it.
pub(super) const LINE_BYTES_MAX: usize = 4 << 10;
/// Reasons are kept with every dead letter.
pub(super) const REASON_BYTES_MAX: usize = 1 << 10;
/// As many seconds' lines and bytes may come at once.
const BURST_SECONDS: f64 = 5.0;
/// After the first line that is dropped, it takes so long until it is said how many were.
pub(super) const SUMMARY_PERIOD: Duration = Duration::from_secs(10);

/// What a guest said, fit for one line of a log: cut, and without control characters, so that it cannot
/// pass for something that the host said.
pub(super) fn one_line(text: &str, bytes_max: usize) -> String {
    let text = &text[..text.floor_char_boundary(bytes_max)];
    text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

/// A line's fields as a JSON object, since tracing knows only names that are known at compile time. Those that
/// do not fit are left out; none if none is left. Of two fields with one name the later counts.
pub(super) fn fields_json<'a>(
    fields: impl Iterator<Item = (&'a str, &'a str)>,
    bytes_max: usize,
) -> Option<String> {
    let mut kept = Map::new();
    let mut room = bytes_max.saturating_sub("{}".len());
    for (name, value) in fields {
        // Quotes, colon and comma; what has to be escaped is not counted.
        let bytes = name.len() + value.len() + 6;
        let Some(left) = room.checked_sub(bytes) else { break };
        room = left;
        kept.insert(one_line(name, bytes), one_line(value, bytes).into());
    }
    (!kept.is_empty()).then(|| Value::Object(kept).to_string())
}

/// How much a handler may write in a second.
#[derive(Clone, Copy)]
pub(super) struct LogRates {
    lines: f64,
    bytes: f64,
}

/// Two token buckets, of which is kept what was taken out: so they can be left to who has other rates.
#[derive(Default)]
pub(super) struct LogBudget {
    lines: f64,
    bytes: f64,
    /// When it was asked last.
    at: Option<Instant>,
    dropped: u64,
}

impl LogRates {
    pub(super) fn of(limits: &GuestLimits) -> Self {
        Self {
            lines: f64::from(limits.log_lines_per_second),
            bytes: limits.log_bytes_per_second as f64,
        }
    }
}

impl LogBudget {
    /// Whether a line of so many bytes may be written.
    pub(super) fn admit(&mut self, rates: LogRates, bytes: usize, now: Instant) -> bool {
        let passed = self.at.replace(now).map(|at| now.saturating_duration_since(at));
        let passed = passed.unwrap_or_default().as_secs_f64();
        let bytes = bytes as f64;
        self.lines = (self.lines - passed * rates.lines).max(0.0);
        self.bytes = (self.bytes - passed * rates.bytes).max(0.0);
        if self.lines + 1.0 > rates.lines * BURST_SECONDS
            || self.bytes + bytes > rates.bytes * BURST_SECONDS
        {
            self.dropped += 1;
            return false;
        }
        self.lines += 1.0;
        self.bytes += bytes;
        true
    }

    /// Lines that were not admitted since they were taken last.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_the_burst_and_then_to_the_rate() {
        let start = Instant::now();
        let rates = LogRates::of(&GuestLimits::default());
        let mut budget = LogBudget::default();
        let admitted = |budget: &mut LogBudget, now| {
            (0..10_000).filter(|_| budget.admit(rates, 6, now)).count()
        };
        assert_eq!(admitted(&mut budget, start), 500);
        assert_eq!(admitted(&mut budget, start + Duration::from_secs(1)), 100);
        assert_eq!(budget.take_dropped(), 9_500 + 9_900);
        assert_eq!(budget.take_dropped(), 0);
    }

    #[test]
    fn a_guest_cannot_forge_a_line() {
        let forged = "x\n2026-01-01 INFO OnAdd\r\u{1b}[31mred";
        assert_eq!(one_line(forged, 100), "x 2026-01-01 INFO OnAdd  [31mred");
        assert_eq!(one_line("äö", 3), "ä");
    }

    #[test]
    fn long_lines_are_cut_between_characters_and_count_by_their_bytes() {
        let (rates, now) = (LogRates::of(&GuestLimits::default()), Instant::now());
        let mut budget = LogBudget::default();
        let line = one_line(&"ä".repeat(3_000), LINE_BYTES_MAX);
        assert_eq!(line.len(), 4_096);
        let admitted = (0..1_000).filter(|_| budget.admit(rates, line.len(), now)).count();
        assert_eq!(admitted, 80, "320 KiB in lines of 4 KiB");
    }

    #[test]
    fn fields_are_json_and_share_the_line_with_the_message() {
        let fields = [("pod", "web-1"), ("says", "\"a\"\n"), ("long", &"x".repeat(80))];
        let json = |room| fields_json(fields.into_iter(), room);
        assert_eq!(json(60).unwrap(), r#"{"pod":"web-1","says":"\"a\" "}"#);
        assert_eq!(json(20).unwrap(), r#"{"pod":"web-1"}"#);
        assert_eq!(json(0), None);
    }
}
