//! What is known of informers and handlers, in Prometheus' words. Read when it is asked for; nothing
//! is counted twice.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::guest::{Counts, host_bugs};
use crate::handlers::{HandlerRegistry, HandlerState, HandlerStatus};

/// A registry that reads the handlers' and informers' state.
pub(crate) fn registry(handlers: Arc<HandlerRegistry>) -> Registry {
    let mut registry = Registry::with_prefix("informerd");
    registry.register_collector(Box::new(HandlersCollector(handlers)));
    registry
}

struct HandlersCollector(Arc<HandlerRegistry>);

impl fmt::Debug for HandlersCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlersCollector")
    }
}

impl Collector for HandlersCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let informers: Vec<_> = self
            .0
            .informers()
            .into_iter()
            .map(|(resource, informer)| (resource.to_string(), informer))
            .collect();
        let mut each = |name: &str, help: &str, kind: Kind, value: &dyn Fn(usize) -> u64| {
            let labels = informers.iter().map(|(resource, _)| resource.as_str());
            series(&mut encoder, (name, help, kind), "resource", labels, value)
        };
        let at = |index: usize| &informers[index].1;
        use Kind::{Count, Level};
        each("informer_objects", "Objects in the cache", Level, &|i| at(i).lister().len() as u64)?;
        each("informer_synced", "The first list is applied", Level, &|i| {
            at(i).has_synced().into()
        })?;
        each("informer_failing", "The server cannot be followed", Level, &|i| {
            at(i).status().borrow().failure.is_some().into()
        })?;
        each("informer_lists", "Complete lists", Count, &|i| at(i).counters().lists.get())?;
        each("informer_watches", "Watches opened", Count, &|i| at(i).counters().watches.get())?;
        each("informer_events", "Watch events", Count, &|i| at(i).counters().events.get())?;
        each("informer_failures", "Failed requests", Count, &|i| at(i).counters().failures.get())?;
        each("informer_rejected", "Objects left out", Count, &|i| at(i).counters().rejected.get())?;
        each("informer_process_loop_restarts", "Early ends", Count, &|i| {
            at(i).counters().process_loop_restarts.get()
        })?;

        let bugs = ConstCounter::new(host_bugs());
        let help = "Panics of the host's own code while it served a guest";
        bugs.encode(encoder.encode_descriptor("host_bugs", help, None, bugs.metric_type())?)?;

        let Counts { compiled, cached, damaged, cache_failures } = self.0.compile_counts();
        for (name, help, count) in [
            ("modules_compiled", "Modules that were compiled, each in a child process", compiled),
            ("modules_cached", "Modules that were in the compile cache", cached),
            ("compile_cache_damaged", "Damaged files of the compile cache", damaged),
            ("compile_cache_failures", "Failed accesses to the compile cache", cache_failures),
        ] {
            let count = ConstCounter::new(count);
            count.encode(encoder.encode_descriptor(name, help, None, count.metric_type())?)?;
        }

        let handlers = self.0.statuses();
        let mut each = |name: &str, help: &str, kind: Kind, value: &dyn Fn(usize) -> u64| {
            let labels = handlers.iter().map(|handler| handler.name.as_str());
            series(&mut encoder, (name, help, kind), "handler", labels, value)
        };
        let at = |index: usize| &handlers[index];
        each("handler_running", "It is registered at its informers", Level, &|i| {
            (at(i).state == HandlerState::Running).into()
        })?;
        each("handler_generation", "How often a module or a spec was put to work", Level, &|i| {
            at(i).generation
        })?;
        each("handler_quarantined", "Its module failed too often", Level, &|i| {
            matches!(at(i).state, HandlerState::Quarantined(_)).into()
        })?;
        each("handler_synced", "It handled its initial lists", Level, &|i| {
            at(i).has_synced.into()
        })?;
        each("handler_pending", "Notifications queued", Level, &|i| at(i).pending as u64)?;
        each("handler_dead_letters", "Objects that failed for good", Level, &|i| {
            at(i).dead_letters.len() as u64
        })?;
        each("handler_delivered", "Notifications handled", Count, &|i| at(i).counts.delivered)?;
        each("handler_failed", "Attempts that failed", Count, &|i| at(i).counts.failed)?;
        each("handler_merged", "Notifications merged", Count, &|i| at(i).counts.merged)?;
        each("handler_forgotten", "Dead letters of deleted objects given up", Count, &|i| {
            at(i).counts.forgotten
        })?;

        let help = "How long notifications waited for their handler, those of initial lists apart";
        let mut waits = encoder.encode_descriptor(
            "handler_delivery_wait",
            help,
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for HandlerStatus { name, counts, .. } in &handlers {
            let buckets: Vec<(f64, u64)> = counts.waits.buckets().collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = counts.waits.sum().as_secs_f64();
            let labels = [("handler", name.as_str())];
            let mut series = waits.encode_family(&labels)?;
            series.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Count,
    Level,
}

/// One metric with one label: `value` of each index.
fn series<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, Kind),
    label: &str,
    values: impl Iterator<Item = &'a str>,
    value: &dyn Fn(usize) -> u64,
) -> fmt::Result {
    let metric_type = match kind {
        Kind::Count => ConstCounter::new(0u64).metric_type(),
        Kind::Level => ConstGauge::new(0u64).metric_type(),
    };
    let mut metric: MetricEncoder<'_> = encoder.encode_descriptor(name, help, None, metric_type)?;
    for (index, of) in values.enumerate() {
        let labels = [(label, of)];
        let series = metric.encode_family(&labels)?;
        match kind {
            Kind::Count => ConstCounter::new(value(index)).encode(series)?,
            Kind::Level => ConstGauge::new(value(index)).encode(series)?,
        }
    }
    Ok(())
}
