//! One state of one object.

use alloc::string::String;
use core::cell::OnceCell;
use core::fmt;
use core::marker::PhantomData;

use crate::bindings::informerd::handler::types::Ticket;
use crate::{Cache, ObjectKey, host};

/// One state of one object, readable during the call that brought it: the lifetime keeps it
/// from being stored. Store what was read, or the [`key`](Object::key).
///
/// The text stays in the host until it is asked for, and a value at a pointer costs far less than all of it.
pub struct Object<'call> {
    ticket: Ticket,
    key: OnceCell<ObjectKey>,
    call: PhantomData<&'call ()>,
}

impl<'call> Object<'call> {
    /// One of the running call; `key` if it was given along.
    pub(crate) fn new(ticket: Ticket, key: Option<ObjectKey>) -> Self {
        let key = key.map_or_else(OnceCell::new, OnceCell::from);
        Self { ticket, key, call: PhantomData }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Name, uid and resource version of this state. Asked for once where the call did not bring it.
    pub fn key(&self) -> &ObjectKey {
        self.key.get_or_init(|| host::objects::key(self.ticket))
    }

    /// The JSON text at a JSON pointer, a string with its quotes; none if there is nothing.
    pub fn get(&self, pointer: &str) -> Option<String> {
        host::objects::get(self.ticket, pointer)
    }

    /// The string at a JSON pointer; none if there is nothing, or something else.
    pub fn get_string(&self, pointer: &str) -> Option<String> {
        host::objects::get_string(self.ticket, pointer)
    }

    /// All of it as JSON text.
    pub fn json(&self) -> String {
        host::objects::json(self.ticket)
    }

    /// All of it, as a type of yours or of k8s-openapi.
    ///
    /// The error is for good, as the state would not parse the next time either: answer it with `?`.
    #[cfg(feature = "serde")]
    pub fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, crate::Failure> {
        serde_json::from_str(&self.json()).map_err(|error| {
            crate::Failure::permanent(alloc::format!("{} is not as expected: {error}", self.key()))
        })
    }

    /// The host's cache, in this call.
    pub fn cache(&self) -> Cache<'call> {
        Cache::new()
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Object").field(self.key()).finish()
    }
}
