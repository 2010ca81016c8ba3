use std::sync::{Arc, mpsc};
use std::thread;

use informer::{Delivery, Handled, Notification, Object, ObjectKey, ResourceEventHandler};
use kube::core::{ApiResource, GroupVersionKind};

use super::*;
use crate::guest::bindings::informerd::handler::log::{Field, Level};
use crate::guest::{GuestHandler, SharedGuest, StartedGuest};

/// One whose `log` is broken.
fn engine_with_a_bug() -> GuestEngine {
    let mut engine = GuestEngine::new().unwrap();
    let linker = Arc::get_mut(&mut engine.linker).unwrap();
    linker.allow_shadowing(true);
    let mut log = linker.instance("informerd:handler/log@0.1.0").unwrap();
    let broken = |_: wasmtime::StoreContextMut<'_, GuestState>,
                  (_, message, _): (Level, String, Vec<Field>)|
     -> wasmtime::Result<()> { panic!("odd input: {message}") };
    log.func_wrap("log", broken).unwrap();
    engine
}

fn object() -> Arc<Object> {
    Arc::new(Object {
        key: ObjectKey::new(Some("default"), "a"),
        uid: "u".into(),
        resource_version: "1".into(),
        json: "{}".into(),
    })
}

/// It logs what is added, and of changes only those of labels.
const LABELS: &str = include_str!("../../../../guests/core_module/wat/labels.wat");

async fn handler(engine: &GuestEngine, name: &str, wat: &str) -> (GuestHandler, SharedGuest) {
    let module = GuestModule::compile(engine, &wat::parse_str(wat).unwrap()).unwrap();
    let limits = GuestLimits::default();
    let started = StartedGuest::start(module, name, "{}".to_owned(), limits).await;
    let guest = SharedGuest::new(started.unwrap(), [0].into());
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
    (GuestHandler::new(name, kind, guest.clone(), 0), guest)
}

fn added() -> Delivery {
    let notification = Notification::Added { object: object(), in_initial_list: false };
    Delivery { notification, attempt: 1 }
}

/// H42: wasmtime would let the instance be called again.
#[tokio::test]
async fn a_panic_of_the_host_costs_the_call_and_is_counted() {
    let (mut handler, guest) = handler(&engine_with_a_bug(), "unlucky", LABELS).await;
    let bugs = host_bugs();
    let handled = handler.handle(&added()).await;
    let Handled::Retry { reason, .. } = handled else { panic!("{handled:?}") };
    assert_eq!(
        reason,
        "ran into a bug of informerd, which is to be reported: odd input: added default/a none"
    );
    assert_eq!(host_bugs(), bugs + 1);
    assert!(!guest.has_instance(), "it is not called again");

    let updated = Notification::Updated { old: object(), new: object() };
    let handled = handler.handle(&Delivery { notification: updated, attempt: 1 }).await;
    assert_eq!(handled, Handled::Done, "in a fresh instance");
    assert!(guest.has_instance());
}

/// H1, of a guest whose engine's clock stands still when it is called.
#[test]
fn a_guest_that_loops_after_a_time_without_guests_is_cut_off() {
    let reads = "(call $read-labels (i32.load offset=60 (local.get $call)) (global.get $labels))";
    assert!(LABELS.contains(reads));
    let loops = LABELS.replacen(reads, "(loop $again (br $again))", 1);
    let (tell, told) = mpsc::channel();
    // Beside this test: what is never interrupted keeps its thread.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let engine = GuestEngine::new().unwrap();
            let (mut handler, _) = handler(&engine, "loops", &loops).await;
            tokio::time::sleep(Duration::from_secs(4)).await;
            tell.send(handler.handle(&added()).await).unwrap();
        });
    });
    let handled = told.recv_timeout(Duration::from_secs(60)).expect("it is interrupted");
    let Handled::Retry { reason, .. } = handled else { panic!("{handled:?}") };
    assert!(reason.contains("CPU time"), "{reason}");
}
