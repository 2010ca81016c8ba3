//! What people see of answers: tables as kubectl's, and single handlers.

use jiff::Timestamp;

use super::wire::{DeadLetter, Handler, Informer, LogRecord, SourceKind, State};

/// Columns as wide as what is in them.
pub(super) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_owned);
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.clone().map(|cell| plain(&cell))).collect();
    let mut widths = [0; N];
    for row in rows.iter().chain([&header]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in [&header].into_iter().chain(&rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:<width$}   "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

pub(super) fn handlers(handlers: &[Handler]) -> String {
    let rows = handlers.iter().map(|it| {
        [
            it.name.clone(),
            state(it),
            it.synced.to_string(),
            it.generation.to_string(),
            it.digest.as_deref().map_or("-".to_owned(), short),
            it.events.to_string(),
            it.errors.to_string(),
            it.pending.to_string(),
            it.dead_letters.to_string(),
            it.since.as_deref().map_or("-".to_owned(), age),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let header = [
        "NAME",
        "STATE",
        "SYNCED",
        "GENERATION",
        "DIGEST",
        "EVENTS",
        "ERRORS",
        "PENDING",
        "DEAD",
        "AGE",
    ];
    table(header, &rows)
}

/// All that is known of a handler.
pub(super) fn handler(it: &Handler) -> String {
    let source = match it.source.kind {
        SourceKind::Directory => format!("{} of the handlers directory", it.source.name),
        SourceKind::Resource => it.source.name.clone(),
        SourceKind::Operator => format!("{}, loaded until the host ends", it.source.name),
    };
    let with_reason = |state: &State| match &state.reason {
        Some(reason) => format!("{}: {reason}", state.name),
        None => state.name.clone(),
    };
    let mut lines = vec![
        ("Name", it.name.clone()),
        ("Described by", source),
        ("State", with_reason(&it.state)),
    ];
    if let Some(replacement) = &it.replacement {
        lines.push(("Next generation", with_reason(replacement)));
    }
    lines.extend([
        ("Paused", it.paused.to_string()),
        ("Hibernating", it.hibernating.to_string()),
        ("Synced", it.synced.to_string()),
        ("Generation", it.generation.to_string()),
        ("Since", it.since.clone().unwrap_or_else(|| "-".to_owned())),
        ("Digest", it.digest.clone().unwrap_or_else(|| "none yet".to_owned())),
    ]);
    let watches = it.watches.iter().enumerate();
    lines.extend(watches.map(|(n, watch)| (if n == 0 { "Watches" } else { "" }, watch.clone())));
    lines.extend([
        ("Events", format!("{} delivered, {} merged", it.events, it.merged)),
        ("Errors", it.errors.to_string()),
        ("Pending", it.pending.to_string()),
        ("Dead letters", it.dead_letters.to_string()),
    ]);
    let mut text = String::new();
    for (name, value) in lines {
        let name = if name.is_empty() { String::new() } else { format!("{name}:") };
        text.push_str(&format!("{name:<18}{}\n", plain(&value)));
    }
    text
}

pub(super) fn dead_letters(letters: &[DeadLetter]) -> String {
    let rows = letters.iter().map(|it| {
        [
            it.handler.clone(),
            it.key.clone(),
            it.attempts.to_string(),
            it.resource_version.clone(),
            it.reason.clone(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    table(["HANDLER", "KEY", "ATTEMPTS", "VERSION", "REASON"], &rows)
}

pub(super) fn informers(informers: &[Informer]) -> String {
    let rows = informers.iter().map(|it| {
        [
            it.resource.clone(),
            match it.failure {
                Some(_) => format!("{} fails", it.phase),
                None => it.phase.clone(),
            },
            it.synced.to_string(),
            it.objects.to_string(),
            it.events.to_string(),
            it.lists.to_string(),
            it.failures.to_string(),
            it.failure.clone().unwrap_or_default(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let header =
        ["RESOURCE", "PHASE", "SYNCED", "OBJECTS", "EVENTS", "LISTS", "FAILURES", "PROBLEM"];
    table(header, &rows)
}

pub(super) fn log_record(record: &LogRecord) -> String {
    match record {
        LogRecord::Line { at, level, message, fields } => {
            let fields = fields.as_ref().map(|it| format!(" {}", it.get())).unwrap_or_default();
            plain(&format!("{at} {level:>5} {message}{fields}"))
        }
        LogRecord::Lost(count) => format!("… {count} lines lost: they were not read in time"),
    }
}

fn state(handler: &Handler) -> String {
    let mut state = match (&*handler.state.name, handler.paused) {
        ("Running", true) => "Paused".to_owned(),
        (state, true) => format!("{state}, paused"),
        (state, false) => state.to_owned(),
    };
    if let Some(next) = &handler.replacement {
        state.push_str(&format!(" (next: {})", next.name));
    }
    state
}

/// As much of a digest as tells it from others.
fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

/// How long ago a time was, as roughly as kubectl says it.
fn age(since: &str) -> String {
    let Ok(since) = since.parse::<Timestamp>() else { return since.to_owned() };
    in_short(Timestamp::now().duration_since(since).as_secs())
}

fn in_short(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{}s", seconds.max(0)),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A guest may have made it up, and a terminal would obey it.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells_and_nothing_is_obeyed() {
        let rows =
            [["a".to_owned(), "long\u{1b}[31m one".to_owned()], ["bcd".to_owned(), "x".to_owned()]];
        let text = table(["NAME", "WHY"], &rows);
        assert_eq!(text, "NAME   WHY\na      long [31m one\nbcd    x\n");
    }

    #[test]
    fn ages_are_rough() {
        let said = [-5, 119, 120, 7_199, 7_200, 172_799, 172_800].map(in_short);
        assert_eq!(said, ["0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
    }
}
