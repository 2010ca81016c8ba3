//! What a guest may call, and the state behind it: the objects of the running call, the log, and
//! WASI without any authority.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use informer::JsonText;
use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::informerd::handler::cache::Page;
use super::bindings::informerd::handler::log::{Field, Level};
use super::bindings::informerd::handler::{cache, config, log, objects, types};
use super::call_meter::CallMeter;
use super::call_objects::{CallObjects, TICKETS_MAX};
use super::guest_log::{GuestLog, GuestOutput};
use super::instance::CallError;
use super::limits::{GuestLimits, HANDLES_MAX, RANDOM_BYTES_MAX, StoreLimiter};
use super::readable_cache::{CachePage, ReadableCache};
use super::slow_lane::Lane;
use super::standard_streams::StandardStreams;
use crate::json_pointer;

/// What one instance's host functions work on.
pub(super) struct GuestState {
    pub(super) limiter: StoreLimiter,
    pub(super) meter: CallMeter,
    pub(super) call_objects: CallObjects,
    pub(super) log: GuestLog,
    /// The handler spec's `config` as JSON text.
    config: Arc<str>,
    /// Set when the handler's informers are known.
    cache: Arc<OnceLock<ReadableCache>>,
    /// The running call is not about a notification.
    at_start: bool,
    /// That the running call may still make.
    host_calls: u32,
    host_calls_max: u32,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl GuestState {
    /// Without `streams`, what it prints goes to the log.
    pub(super) fn new(
        limits: &GuestLimits,
        log: GuestLog,
        config: Arc<str>,
        cache: Arc<OnceLock<ReadableCache>>,
        lane: Lane,
        streams: Option<&StandardStreams>,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        let meter = CallMeter::new(lane);
        let mut wasi = WasiCtx::builder();
        match streams {
            Some(streams) => wasi.stdin(streams.clone()).stdout(streams.clone()),
            None => wasi.stdout(GuestOutput::new(&log, Level::Info)),
        };
        let wasi = wasi
            .stderr(GuestOutput::new(&log, Level::Warn))
            .monotonic_clock(meter.clone())
            .wall_clock(meter.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(RANDOM_BYTES_MAX)
            .build();
        Self {
            limiter: StoreLimiter::new(limits),
            meter,
            call_objects: CallObjects::default(),
            log,
            config,
            cache,
            at_start: true,
            host_calls: 0,
            host_calls_max: limits.host_calls_per_delivery,
            wasi,
            table,
        }
    }

    /// Before everything that runs guest code.
    pub(super) fn begin_call(&mut self, at_start: bool, cpu: Duration) {
        self.at_start = at_start;
        self.meter.start(cpu);
        self.limiter.memory_was_refused = false;
        self.host_calls = self.host_calls_max;
    }

    /// A page of what `read` gives, no longer than there is room for tickets.
    fn list(
        &mut self,
        limit: u32,
        read: impl FnOnce(&ReadableCache, usize) -> Result<CachePage, String>,
    ) -> wasmtime::Result<Result<Page, String>> {
        self.count_host_call()?;
        let limit = match usize::try_from(limit) {
            Ok(limit @ 1..PAGE_MAX) => limit,
            _ => PAGE_MAX,
        };
        let limit = limit.min(self.call_objects.room());
        if limit == 0 {
            return Ok(Err(format!(
                "this call has {TICKETS_MAX} tickets already: release those that are done with"
            )));
        }
        let (objects, cursor) = match self.readable_cache().map(|cache| read(cache, limit)) {
            None => (Vec::new(), None),
            Some(Ok(page)) => page,
            Some(Err(problem)) => return Ok(Err(problem)),
        };
        let tickets = objects.into_iter().map(|object| self.call_objects.ticket(object));
        Ok(Ok(Page { objects: tickets.collect::<Result<_, _>>()?, cursor }))
    }

    /// None in `watches` and `init`.
    fn readable_cache(&self) -> Option<&ReadableCache> {
        self.cache.get().filter(|_| !self.at_start)
    }

    fn count_host_call(&mut self) -> Result<(), CallError> {
        let left = self.host_calls.checked_sub(1);
        self.host_calls = left.ok_or(CallError::TooManyHostCalls(self.host_calls_max))?;
        Ok(())
    }
}

impl HasData for GuestState {
    type Data<'a> = &'a mut GuestState;
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for GuestState {}

impl objects::Host for GuestState {
    fn key(&mut self, object: u32) -> wasmtime::Result<types::ObjectKey> {
        self.count_host_call()?;
        Ok(self.call_objects.get(object)?.key())
    }

    fn get(&mut self, object: u32, pointer: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        let json = self.call_objects.json(object)?;
        Ok(value(json, &pointer).map(str::to_owned))
    }

    fn get_string(&mut self, object: u32, pointer: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        let json = self.call_objects.json(object)?;
        Ok(value(json, &pointer).and_then(json_pointer::string))
    }

    fn json(&mut self, object: u32) -> wasmtime::Result<String> {
        self.count_host_call()?;
        Ok(str::to_owned(self.call_objects.json(object)?))
    }
}

/// The text of the value; none if there is nothing.
fn value<'a>(json: &'a JsonText, pointer: &str) -> Option<&'a str> {
    match (pointer.strip_prefix("/status"), json.status()) {
        (Some(in_status), Some(status)) if in_status.is_empty() || in_status.starts_with('/') => {
            json_pointer::get(status, in_status)
        }
        _ => json_pointer::get(json, pointer),
    }
}

impl log::Host for GuestState {
    fn log(&mut self, level: Level, message: String, fields: Vec<Field>) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.log.write(level, &message, &fields);
        Ok(())
    }
}

impl config::Host for GuestState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(json_pointer::child(&self.config, &name).map(str::to_owned))
    }

    fn get_string(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        Ok(json_pointer::child(&self.config, &name).and_then(json_pointer::string))
    }

    fn json(&mut self) -> wasmtime::Result<String> {
        self.count_host_call()?;
        Ok(self.config.to_string())
    }
}

impl cache::Host for GuestState {
    fn get(
        &mut self,
        api_version: String,
        kind: String,
        namespace: Option<String>,
        name: String,
    ) -> wasmtime::Result<Option<u32>> {
        self.count_host_call()?;
        let found = self
            .readable_cache()
            .and_then(|cache| cache.get(&api_version, &kind, namespace.as_deref(), &name));
        Ok(found.map(|object| self.call_objects.ticket(object)).transpose()?)
    }

    fn list_objects(
        &mut self,
        api_version: String,
        kind: String,
        namespace: Option<String>,
        label_selector: String,
        limit: u32,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<Page, String>> {
        self.list(limit, |cache, limit| {
            let after = (limit, cursor.as_deref());
            cache.list(&api_version, &kind, namespace.as_deref(), &label_selector, after)
        })
    }

    fn list_by_index(
        &mut self,
        api_version: String,
        kind: String,
        index: String,
        value: String,
        limit: u32,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<Page, String>> {
        self.list(limit, |cache, limit| {
            cache.list_by_index(&api_version, &kind, &index, &value, (limit, cursor.as_deref()))
        })
    }

    fn release(&mut self, objects: Vec<u32>) -> wasmtime::Result<()> {
        self.count_host_call()?;
        Ok(self.call_objects.release(&objects)?)
    }
}

/// Objects in one page of the cache.
const PAGE_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use informer::Json;

    use super::value;

    #[test]
    fn a_value_is_the_same_whether_or_not_it_is_known_where_the_status_is() {
        let text = r#"{"statuses":1,"spec":{"status":2},"status":{"phase":"x","":3}}"#;
        let start = text.find(r#"{"phase""#).unwrap();
        let known = Json::from(text).with_status(start..text.len() - 1).text().unwrap();
        let unknown = Json::from(text).text().unwrap();
        assert!(known.status().is_some() && unknown.status().is_none());
        for (pointer, expected) in [
            ("/status", Some(&text[start..text.len() - 1])),
            ("/status/phase", Some("\"x\"")),
            ("/status/", Some("3")),
            ("/status/none", None),
            ("/status/phase/0", None),
            ("/statuses", Some("1")),
            ("/spec/status", Some("2")),
            ("", Some(text)),
        ] {
            assert_eq!(value(&known, pointer), expected, "{pointer}");
            assert_eq!(value(&unknown, pointer), expected, "{pointer}");
        }
    }
}
