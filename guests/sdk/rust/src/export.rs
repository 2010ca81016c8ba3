//! From a [`Handler`] to the exports of a module.

use alloc::string::String;
use core::cell::RefCell;

use crate::bindings::informerd::handler::types::Ticket;
use crate::{Cache, Failure, Handler, Object, ObjectKey};

/// Exports a [`Handler`] as the module that this crate is compiled to. Once in a crate, whose `crate-type` is
/// `cdylib`. Off wasm it only checks the type, so that `cargo test` works.
#[macro_export]
macro_rules! export {
    ($handler:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::__private::{
                Failure, Guest, Instance, ObjectKey, String, Ticket, Vec, Watch,
            };

            static INSTANCE: Instance<$handler> = Instance::new();

            struct Module;

            impl Guest for Module {
                fn watches() -> Vec<Watch> {
                    <$handler as $crate::Handler>::watches()
                }
                fn init() -> Result<(), String> {
                    INSTANCE.init()
                }
                fn on_add(key: ObjectKey, object: Ticket, initial: bool) -> Result<(), Failure> {
                    INSTANCE.on_add(key, object, initial)
                }
                fn on_update(key: ObjectKey, old: Ticket, new: Ticket) -> Result<(), Failure> {
                    INSTANCE.on_update(key, old, new)
                }
                fn on_delete(key: ObjectKey, last: Ticket, unknown: bool) -> Result<(), Failure> {
                    INSTANCE.on_delete(key, last, unknown)
                }
                fn on_synced() -> Result<(), Failure> {
                    INSTANCE.on_synced()
                }
            }

    $crate::__private::export_handler_module!(Module with_types_in $crate::bindings);
        };

        #[cfg(not(target_family = "wasm"))]
        const _: fn() = || {
            fn is_a_handler<H: $crate::Handler>() {}
            is_a_handler::<$handler>();
        };
    };
}

/// The handler of this instance, once `init` has made it.
#[doc(hidden)]
pub struct Instance<H>(RefCell<Option<H>>);

// SAFETY: an instance of a module is called by one thread at a time, and has no way to make another: the
// contract says so, and wasm without the `atomics` feature, which is all that is let through here, cannot.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl<H> Sync for Instance<H> {}

impl<H: Handler> Instance<H> {
    #[expect(clippy::new_without_default, reason = "a static needs a const fn")]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    pub fn init(&self) -> Result<(), String> {
        let handler = H::new()?;
        self.0.replace(Some(handler));
        Ok(())
    }

    pub fn on_add(&self, key: ObjectKey, object: Ticket, initial: bool) -> Result<(), Failure> {
        self.with(|handler| handler.on_add(Object::new(object, Some(key)), initial))
    }

    pub fn on_update(&self, key: ObjectKey, old: Ticket, new: Ticket) -> Result<(), Failure> {
        self.with(|handler| handler.on_update(Object::new(old, None), Object::new(new, Some(key))))
    }

    pub fn on_delete(&self, key: ObjectKey, last: Ticket, unknown: bool) -> Result<(), Failure> {
        self.with(|handler| handler.on_delete(Object::new(last, Some(key)), unknown))
    }

    pub fn on_synced(&self) -> Result<(), Failure> {
        self.with(|handler| handler.on_synced(Cache::new()))
    }

    fn with(&self, call: impl FnOnce(&mut H) -> Result<(), Failure>) -> Result<(), Failure> {
        match &mut *self.0.borrow_mut() {
            Some(handler) => call(handler),
            None => Err(Failure::retry("the host did not call init")),
        }
    }
}
