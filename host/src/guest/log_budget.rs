//! How much one handler may write to the log: a token bucket for lines and one for bytes.

use std::time::Duration;

use tokio::time::Instant;

const LINE_BYTES_MAX: usize = 4 << 10;
/// Reasons are kept with every dead letter.
pub(super) const REASON_BYTES_MAX: usize = 1 << 10;
const LINES_PER_SECOND: f64 = 100.0;
const LINES_BURST: f64 = 500.0;
const BYTES_PER_SECOND: f64 = 65_536.0;
const BYTES_BURST: f64 = 5.0 * BYTES_PER_SECOND;
const SUMMARY_PERIOD: Duration = Duration::from_secs(10);

/// What a guest said, fit for one line of a log: cut, and without control characters, so that it cannot
/// pass for something that the host said.
pub(super) fn one_line(text: &str, bytes_max: usize) -> String {
    let text = &text[..text.floor_char_boundary(bytes_max)];
    text.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect()
}

/// Belongs to the handler, not to an instance: a fresh instance gets no fresh budget.
pub(super) struct LogBudget {
    lines: f64,
    bytes: f64,
    refilled: Instant,
    dropped: u64,
    summarised: Instant,
}

impl LogBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { lines: LINES_BURST, bytes: BYTES_BURST, refilled: now, dropped: 0, summarised: now }
    }

    /// What of the line may be written; none if the budget is used up.
    pub(super) fn admit(&mut self, line: &str, now: Instant) -> Option<String> {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.lines = (self.lines + passed * LINES_PER_SECOND).min(LINES_BURST);
        self.bytes = (self.bytes + passed * BYTES_PER_SECOND).min(BYTES_BURST);
        let line = one_line(line, LINE_BYTES_MAX);
        if self.lines < 1.0 || self.bytes < line.len() as f64 {
            self.dropped += 1;
            return None;
        }
        self.lines -= 1.0;
        self.bytes -= line.len() as f64;
        Some(line)
    }

    /// How many lines were dropped, at most once in ten seconds.
    pub(super) fn take_dropped(&mut self, now: Instant) -> Option<u64> {
        let is_time = now.saturating_duration_since(self.summarised) >= SUMMARY_PERIOD;
        if self.dropped == 0 || !is_time {
            return None;
        }
        self.summarised = now;
        Some(std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_the_burst_and_then_to_the_rate() {
        let start = Instant::now();
        let mut budget = LogBudget::new(start);
        let admitted = |budget: &mut LogBudget, now| {
            (0..10_000).filter(|_| budget.admit("a line", now).is_some()).count()
        };
        assert_eq!(admitted(&mut budget, start), 500);
        assert_eq!(admitted(&mut budget, start + Duration::from_secs(1)), 100);
        let later = start + SUMMARY_PERIOD;
        assert_eq!(budget.take_dropped(later), Some(9_500 + 9_900));
        assert_eq!(budget.take_dropped(later), None);
    }

    #[test]
    fn a_guest_cannot_forge_a_line() {
        let forged = "x\n2026-01-01 INFO OnAdd\r\u{1b}[31mred";
        assert_eq!(one_line(forged, 100), "x 2026-01-01 INFO OnAdd  [31mred");
        assert_eq!(one_line("äö", 3), "ä");
    }

    #[test]
    fn long_lines_are_cut_between_characters_and_count_by_their_bytes() {
        let now = Instant::now();
        let mut budget = LogBudget::new(now);
        let line = "ä".repeat(3_000);
        assert_eq!(budget.admit(&line, now).map(|line| line.len()), Some(4_096));
        let admitted = (0..1_000).filter(|_| budget.admit(&line, now).is_some()).count();
        assert_eq!(admitted, 79, "320 KiB in lines of 4 KiB, one of which went before");
    }
}
