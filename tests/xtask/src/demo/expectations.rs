//! Lines of the log that are waited for.

/// The parts of one line, in any order.
pub(crate) type ExpectedLine = &'static [&'static str];

/// Lines that are still to come, in any order.
pub(crate) struct Expectations {
    missing: Vec<ExpectedLine>,
}

impl Expectations {
    pub(crate) fn new(lines: &[ExpectedLine]) -> Self {
        Self { missing: lines.to_vec() }
    }

    /// One line meets every expectation that it fits.
    pub(crate) fn see(&mut self, line: &str) {
        self.missing.retain(|expected| !expected.iter().all(|part| line.contains(part)));
    }

    pub(crate) fn are_met(&self) -> bool {
        self.missing.is_empty()
    }

    /// For a message: what did not come.
    pub(crate) fn missing(&self) -> String {
        let lines: Vec<String> = self
            .missing
            .iter()
            .map(|parts| parts.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" and "))
            .collect();
        lines.join(", nor one with ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_meets_an_expectation_only_with_all_its_parts() {
        let mut expectations = Expectations::new(&[&["OnAdd", "web"], &["OnDelete"]]);
        expectations.see("OnAdd db");
        assert_eq!(expectations.missing(), "`OnAdd` and `web`, nor one with `OnDelete`");
        expectations.see("web had an OnAdd");
        assert_eq!(expectations.missing(), "`OnDelete`");
        expectations.see("OnDelete");
        assert!(expectations.are_met());
    }
}
