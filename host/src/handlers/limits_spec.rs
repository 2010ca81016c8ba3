//! Limits as they are written down: in a handler spec, and in the operator's file of ceilings.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use super::quantity;
use crate::guest::GuestLimits;

/// What the module may use; what is absent has the host's default. In a file of ceilings: the most that a
/// handler spec may ask for; what is absent has informerd's own maximum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsSpec {
    /// Linear memory of an instance.
    #[serde(default, deserialize_with = "quantity::bytes")]
    pub memory: Option<usize>,
    /// CPU time of one call.
    #[serde(default, deserialize_with = "quantity::duration")]
    pub cpu_per_call: Option<Duration>,
    /// CPU time of instantiation, of `watches` and of `init`, each.
    #[serde(default, deserialize_with = "quantity::duration")]
    pub cpu_at_start: Option<Duration>,
    /// Calls of imports while one notification is handled.
    pub host_calls_per_delivery: Option<u32>,
    /// Log lines a second; five times as many at once.
    pub log_lines_per_second: Option<u32>,
    /// Bytes of log lines a second; five times as many at once.
    #[serde(default, deserialize_with = "quantity::bytes")]
    pub log_bytes_per_second: Option<usize>,
}

impl LimitsSpec {
    /// The limits of a handler. An error names the field, and its range on this host.
    pub fn within(&self, ceilings: &GuestLimits) -> Result<GuestLimits, String> {
        let limits = self.or(GuestLimits::default_below(ceilings));
        limits.check(ceilings)?;
        Ok(limits)
    }

    fn or(&self, absent: GuestLimits) -> GuestLimits {
        GuestLimits {
            memory: self.memory.unwrap_or(absent.memory),
            cpu_per_call: self.cpu_per_call.unwrap_or(absent.cpu_per_call),
            cpu_at_start: self.cpu_at_start.unwrap_or(absent.cpu_at_start),
            host_calls_per_delivery: self
                .host_calls_per_delivery
                .unwrap_or(absent.host_calls_per_delivery),
            log_lines_per_second: self.log_lines_per_second.unwrap_or(absent.log_lines_per_second),
            log_bytes_per_second: self.log_bytes_per_second.unwrap_or(absent.log_bytes_per_second),
        }
    }
}

/// Reads the operator's ceilings: a YAML document that has what a handler spec has under `spec`, that is
/// `limits: { memory: 256Mi }`. An error names the file and the field.
pub fn read_ceilings(file: &Path) -> anyhow::Result<GuestLimits> {
    let shown = || format!("the limit ceilings {} (--limit-ceilings)", file.display());
    let text = fs::read_to_string(file).with_context(shown)?;
    ceilings(&text).map_err(anyhow::Error::msg).with_context(shown)
}

fn ceilings(yaml: &str) -> Result<GuestLimits, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ceilings {
        limits: LimitsSpec,
    }
    let Ceilings { limits } = serde_saphyr::from_str(yaml)
        .map_err(|error: serde_saphyr::Error| error.without_snippet().to_string())?;
    let ceilings = limits.or(GuestLimits::MAX);
    ceilings.check(&GuestLimits::MAX)?;
    Ok(ceilings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_is_above_the_defaults_and_what_a_spec_asks_for() {
        let ceilings = ceilings("limits: { memory: 32Mi, cpuPerCall: 1s }").unwrap();
        let nothing_asked = LimitsSpec::default().within(&ceilings).unwrap();
        assert_eq!(nothing_asked.memory, 32 << 20, "the default is above the ceiling");
        assert_eq!(nothing_asked.cpu_per_call, Duration::from_millis(100), "the default is below");
        let asked = |memory| LimitsSpec { memory: Some(memory), ..LimitsSpec::default() };
        assert_eq!(asked(1 << 20).within(&ceilings).unwrap().memory, 1 << 20);
        assert_eq!(
            asked(64 << 20).within(&ceilings).unwrap_err(),
            "limits.memory is 64Mi, and must be from 64Ki to 32Mi"
        );
    }

    #[test]
    fn bad_ceilings_name_the_field() {
        for (text, named) in [
            ("limits: { memory: 2Gi }", "limits.memory is 2Gi, and must be from 64Ki to 1Gi"),
            ("limits: { cpuPerCall: 0s }", "limits.cpuPerCall is 0s, and must be from 1ms to 10s"),
            ("limits: { cpuAtStart: 31s }", "limits.cpuAtStart"),
            ("limits: { hostCallsPerDelivery: 0 }", "limits.hostCallsPerDelivery is 0"),
            ("limits: { logLinesPerSecond: 9999 }", "from 1 to 1000"),
            ("limits: { logBytesPerSecond: 1000 }", "from 1Ki to 1Mi"),
            ("limits: { memry: 1Mi }", "memry"),
            ("memory: 1Mi", "memory"),
        ] {
            let error = ceilings(text).unwrap_err();
            assert!(error.contains(named), "{text} gave {error}");
        }
    }
}
