//! What a guest logged and how its calls ended, as text that is the same for every language.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tests::{Delivery, Logged};
use tracing::Level;

#[derive(Default)]
pub(super) struct Journal {
    text: String,
    /// Lines of the log that are in it, and deliveries among them.
    lines: usize,
    deliveries: usize,
    /// In the order of appearance.
    uids: Vec<String>,
}

/// One call: what the guest logged before it ended, and how that was.
struct Call {
    said: Vec<Said>,
    delivery: Delivery,
}

struct Said {
    level: String,
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    /// None if it was printed on standard error, as when a guest traps.
    fn of(said: &tests::Said) -> Option<Self> {
        let tests::Said { level, message, fields } = said;
        if fields.is_none() && *level == Level::WARN {
            return None;
        }
        let fields = serde_json::from_str(fields.as_deref().unwrap_or("{}")).unwrap();
        Some(Self { level: level.to_string().to_lowercase(), message: message.clone(), fields })
    }
}

/// The objects of the initial list come in any order: sorts the calls, but lets the numbers of the
/// lines where they are.
fn sort_initial_list(calls: &mut [Call]) {
    let initial = calls.iter().take_while(|call| call.delivery.initial).count();
    let initial = &mut calls[..initial];
    // What was said before the first object belongs to no object.
    let ready = initial
        .first_mut()
        .map(|call| call.said.drain(..call.said.len().saturating_sub(1)).collect::<Vec<_>>());
    let seq = |call: &Call| call.said.last().map(|said| said.fields["seq"].clone());
    let seqs: Vec<_> = initial.iter().map(seq).collect();
    initial.sort_by(|a, b| a.delivery.key.cmp(&b.delivery.key));
    for (call, seq) in initial.iter_mut().zip(seqs) {
        if let (Some(said), Some(seq)) = (call.said.last_mut(), seq) {
            said.fields["seq"] = seq;
        }
    }
    if let (Some(first), Some(ready)) = (initial.first_mut(), ready) {
        first.said.splice(..0, ready);
    }
}

impl Journal {
    pub(super) fn chapter(&mut self, title: &str) {
        let blank = if self.text.is_empty() { "" } else { "\n" };
        writeln!(self.text, "{blank}# {title}").unwrap();
    }

    /// Adds what is new in the log, up to a delivery.
    pub(super) fn write(&mut self, log: &[Logged], deliveries: usize) {
        let mut calls: Vec<Call> = Vec::new();
        let mut said = Vec::new();
        for line in &log[self.lines..] {
            if self.deliveries == deliveries {
                break;
            }
            self.lines += 1;
            match line {
                Logged::Said(line) => said.extend(Said::of(line)),
                Logged::Delivered(delivery) => {
                    self.deliveries += 1;
                    calls
                        .push(Call { said: std::mem::take(&mut said), delivery: delivery.clone() });
                }
            }
        }
        sort_initial_list(&mut calls);
        for Call { said, delivery } in calls {
            for line in said {
                self.said(line);
            }
            self.delivered(&delivery);
        }
    }

    pub(super) fn text(self) -> String {
        self.text
    }

    fn said(&mut self, said: Said) {
        writeln!(self.text, "{} {}", said.level, said.message).unwrap();
        for (name, value) in said.fields {
            let value = value.as_str().unwrap();
            let value = if name == "uid" { self.uid(value) } else { value.to_owned() };
            writeln!(self.text, "    {name} = {value}").unwrap();
        }
    }

    fn delivered(&mut self, delivery: &Delivery) {
        let Delivery { event, key, uid, rv, old_rv, ok, reason, .. } = delivery;
        write!(self.text, "  On{event:?}").unwrap();
        if !key.is_empty() {
            let uid = self.uid(uid);
            let from = if old_rv.is_empty() { String::new() } else { format!("{old_rv} -> ") };
            write!(self.text, " {key} {uid} {from}{rv}").unwrap();
        }
        let reason = if reason.contains("trapped: ") { "it trapped" } else { reason };
        match ok {
            true => writeln!(self.text, ": ok").unwrap(),
            false => writeln!(self.text, ": {reason}").unwrap(),
        }
    }

    fn uid(&mut self, uid: &str) -> String {
        let known = self.uids.iter().position(|it| it == uid);
        let place = known.unwrap_or_else(|| {
            self.uids.push(uid.to_owned());
            self.uids.len() - 1
        });
        format!("uid-{}", place + 1)
    }
}
