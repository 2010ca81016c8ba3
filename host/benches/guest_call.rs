//! What the sandbox adds to a call: the guest `no_op` is told of an update, and reads one value of it.
//!
//! `bare` is the same component, export and host call with wasmtime alone: bindings without async, no limit, the
//! value ready. `native` is a closure that reads the value where it is.
//!
//! `cargo bench --workspace --bench guest_call`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::hint::black_box;
use std::sync::Arc;

use divan::Bencher;
use host::guest::{GuestEngine, GuestHandler, GuestLimits, GuestModule, SharedGuest, StartedGuest};
use informer::{Delivery, Handled, Json, Notification, Object, ObjectKey, ResourceEventHandler};
use kube::core::{ApiResource, GroupVersionKind};
use tikv_jemallocator::Jemalloc;
use tokio::runtime::{Builder, Runtime};
use wasmtime::component::{Component, HasData, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use bindings::exports::informerd::handler::handler::ObjectKey as BareKey;
use bindings::informerd::handler::log::{Field, Level};
use bindings::informerd::handler::{cache, config, log, objects, types};

mod bindings {
    wasmtime::component::bindgen!({ path: "../wit", world: "handler-module", imports: { default: trappable } });
}

/// The host's.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

const POD: &str = include_str!("../../tests/bench/pod.json");
const NO_CONFIG: &str = "{}";
const STATUS: &str = "\"status\":";
const READS: &str = r#"{"read":"/status/phase"}"#;

fn main() {
    divan::main();
}

#[divan::bench(args = [NO_CONFIG, READS])]
fn bare(bencher: Bencher<'_, '_>, config: &str) {
    let (guest, mut store) = bare_guest(config).unwrap();
    let handler = guest.informerd_handler_handler();
    let key = bare_key();
    bencher.bench_local(|| handler.call_on_update(&mut store, &key, 0, 1).unwrap());
}

#[divan::bench(args = [NO_CONFIG, READS])]
fn informerd(bencher: Bencher<'_, '_>, config: &str) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut handler = handler(&runtime, config).unwrap();
    let delivery = delivery();
    // As in the listener's task, many in one turn of it.
    runtime.block_on(async {
        assert_eq!(handler.handle(&delivery).await, Handled::Done);
    });
    bencher.bench_local(|| {
        runtime.block_on(async {
            for _ in 0..CALLS {
                black_box(handler.handle(&delivery).await);
            }
        });
    });
}

/// The same host call, without a guest.
#[divan::bench]
fn native(bencher: Bencher<'_, '_>) {
    let reads = |json: &str| json.find("\"phase\":").map(|at| json[at + 9..at + 16].to_owned());
    bencher.bench_local(|| black_box(reads(black_box(POD))));
}

/// In one measurement of `informerd`, whose figure is to be divided by it.
const CALLS: usize = 100;

fn handler(runtime: &Runtime, config: &str) -> anyhow::Result<GuestHandler> {
    let engine = GuestEngine::new().map_err(anyhow::Error::msg)?;
    let module = GuestModule::compile(&engine, &std::fs::read(artifacts::NO_OP)?)?;
    let limits = GuestLimits::default();
    let started =
        runtime.block_on(StartedGuest::start(module, "no-op", config.to_owned(), limits))?;
    let guest = SharedGuest::new(started, [0].into());
    Ok(GuestHandler::new("no-op", pods(), guest, 0))
}

fn pods() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Pod"), "pods")
}

fn delivery() -> Delivery {
    // As the decoder notes it.
    let status = POD.find(STATUS).unwrap() + STATUS.len()..POD.trim_end().len() - 1;
    let object = |version: &str| {
        Arc::new(Object {
            key: ObjectKey::new(Some("team-00"), "checkout-5d8c7b9f6d-x2x7k"),
            uid: "9ab8ad6e-1c0f-4f5e-8b68-0c0f4a6e4f52".into(),
            resource_version: version.into(),
            json: Json::from(POD).with_status(status.clone()),
        })
    };
    let notification = Notification::Updated { old: object("1000001"), new: object("1000002") };
    Delivery { notification, attempt: 1 }
}

fn bare_key() -> BareKey {
    BareKey {
        group: String::new(),
        version: "v1".into(),
        kind: "Pod".into(),
        namespace: Some("team-00".into()),
        name: "checkout-5d8c7b9f6d-x2x7k".into(),
        uid: "9ab8ad6e-1c0f-4f5e-8b68-0c0f4a6e4f52".into(),
        resource_version: "1000002".into(),
    }
}

fn bare_guest(config: &str) -> wasmtime::Result<(bindings::HandlerModule, Store<BareState>)> {
    let mut engine = Config::new();
    engine.concurrency_support(false).wasm_component_model(true);
    let engine = Engine::new(&engine)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    bindings::HandlerModule::add_to_linker::<_, BareState>(&mut linker, |state| state)?;
    let component = Component::from_file(&engine, artifacts::NO_OP)?;
    let reads = (config == READS).then(|| "/status/phase".to_owned());
    let state = BareState { reads, wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
    let mut store = Store::new(&engine, state);
    let guest = bindings::HandlerModule::instantiate(&mut store, &component, &linker)?;
    guest.informerd_handler_handler().call_init(&mut store)?.map_err(wasmtime::Error::msg)?;
    Ok((guest, store))
}

struct BareState {
    reads: Option<String>,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl HasData for BareState {
    type Data<'a> = &'a mut BareState;
}

impl WasiView for BareState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for BareState {}

impl objects::Host for BareState {
    fn key(&mut self, _object: u32) -> wasmtime::Result<types::ObjectKey> {
        wasmtime::bail!("not called")
    }

    fn get(&mut self, _object: u32, _pointer: String) -> wasmtime::Result<Option<String>> {
        Ok(Some("\"Running\"".to_owned()))
    }

    fn get_string(&mut self, _object: u32, _pointer: String) -> wasmtime::Result<Option<String>> {
        wasmtime::bail!("not called")
    }

    fn json(&mut self, _object: u32) -> wasmtime::Result<String> {
        wasmtime::bail!("not called")
    }
}

impl config::Host for BareState {
    fn get(&mut self, _name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.reads.as_ref().map(|pointer| format!("{pointer:?}")))
    }

    fn get_string(&mut self, _name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.reads.clone())
    }

    fn json(&mut self) -> wasmtime::Result<String> {
        wasmtime::bail!("not called")
    }
}

impl log::Host for BareState {
    fn log(&mut self, _: Level, _: String, _: Vec<Field>) -> wasmtime::Result<()> {
        wasmtime::bail!("not called")
    }
}

impl cache::Host for BareState {
    fn get(
        &mut self,
        _api_version: String,
        _kind: String,
        _namespace: Option<String>,
        _name: String,
    ) -> wasmtime::Result<Option<u32>> {
        wasmtime::bail!("not called")
    }

    fn list_objects(
        &mut self,
        _api_version: String,
        _kind: String,
        _namespace: Option<String>,
        _label_selector: String,
        _limit: u32,
        _cursor: Option<String>,
    ) -> wasmtime::Result<Result<cache::Page, String>> {
        wasmtime::bail!("not called")
    }

    fn list_by_index(
        &mut self,
        _api_version: String,
        _kind: String,
        _index: String,
        _value: String,
        _limit: u32,
        _cursor: Option<String>,
    ) -> wasmtime::Result<Result<cache::Page, String>> {
        wasmtime::bail!("not called")
    }

    fn release(&mut self, _objects: Vec<u32>) -> wasmtime::Result<()> {
        wasmtime::bail!("not called")
    }
}
