use std::sync::Arc;

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

/// H42: wasmtime would let the instance be called again.
#[tokio::test]
async fn a_panic_of_the_host_costs_the_call_and_is_counted() {
    // It logs what is added, and of changes only those of labels.
    let labels = include_str!("../../../../guests/core_module/wat/labels.wat");
    let module = wat::parse_str(labels).unwrap();
    let module = GuestModule::compile(&engine_with_a_bug(), &module).unwrap();
    let limits = GuestLimits::default();
    let started = StartedGuest::start(module, "unlucky", "{}".to_owned(), limits).await;
    let guest = SharedGuest::new(started.unwrap(), [0].into());
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
    let mut handler = GuestHandler::new("unlucky", kind, guest.clone(), 0);
    let bugs = host_bugs();
    let added = Notification::Added { object: object(), in_initial_list: false };
    let handled = handler.handle(&Delivery { notification: added, attempt: 1 }).await;
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
