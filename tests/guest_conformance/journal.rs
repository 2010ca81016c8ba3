//! What a guest logged and how its calls ended, as text that is the same for every language.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tests::{Delivery, Logged, Said};
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

impl Journal {
    pub(super) fn chapter(&mut self, title: &str) {
        let blank = if self.text.is_empty() { "" } else { "\n" };
        writeln!(self.text, "{blank}# {title}").unwrap();
    }

    /// Adds what is new in the log, up to a delivery.
    pub(super) fn write(&mut self, log: &[Logged], deliveries: usize) {
        for line in &log[self.lines..] {
            if self.deliveries == deliveries {
                break;
            }
            self.lines += 1;
            match line {
                Logged::Said(said) => self.said(said),
                Logged::Delivered(delivery) => {
                    self.deliveries += 1;
                    self.delivered(delivery);
                }
            }
        }
    }

    pub(super) fn text(self) -> String {
        self.text
    }

    fn said(&mut self, said: &Said) {
        let Said { level, message, fields } = said;
        // Printed on standard error, when it trapped.
        if fields.is_none() && *level == Level::WARN {
            return;
        }
        writeln!(self.text, "{} {message}", level.to_string().to_lowercase()).unwrap();
        let fields: Map<String, Value> =
            serde_json::from_str(fields.as_deref().unwrap_or("{}")).unwrap();
        for (name, value) in fields {
            let mut value = value.as_str().unwrap().to_owned();
            if name == "uid" {
                value = self.uid(&value);
            }
            writeln!(self.text, "    {name} = {value}").unwrap();
        }
    }

    fn delivered(&mut self, delivery: &Delivery) {
        let Delivery { event, key, uid, rv, old_rv, ok, reason, .. } = delivery;
        write!(self.text, "  On{event:?}").unwrap();
        if !key.is_empty() {
            write!(self.text, " {key} {}", self.uid(uid)).unwrap();
            let from = if old_rv.is_empty() { String::new() } else { format!("{old_rv} -> ") };
            write!(self.text, " {from}{rv}").unwrap();
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
