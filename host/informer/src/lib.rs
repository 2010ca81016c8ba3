//! client-go's informer pipeline: what an API server says, kept in a cache and told to handlers.
//!
//! ```text
//! ListerWatcher ──▶ Reflector ──▶ Queue ──▶ ProcessLoop ──▶ Indexer ──▶ Lister
//!                                               │
//!                                               └─▶ SharedProcessor
//!                                                          │
//!                              ResourceEventHandler ◀── ProcessorListener
//! ```
//!
//! The modules stand in the order in which a change passes through them. The core knows neither
//! HTTP nor wasm, and an object's JSON is but a text to it: a server comes in as a
//! [`ListerWatcher`], a handler as a [`ResourceEventHandler`].
#![warn(missing_docs)]

mod object;
mod hash;
mod json;
mod dictionary;
mod lister_watcher;
mod pager;
mod backoff;
mod reflector;
mod compactor;
mod process_loop;
mod queue;
mod delta_fifo;
mod real_fifo;
mod indexer;
mod object_store;
mod shared_processor;
mod processor_listener;
mod pending_notifications;
mod delivery_waits;
mod event_handler;
mod filtering_resource_event_handler;
mod shared_informer;
mod shared_informer_factory;
mod status;

pub use delivery_waits::DeliveryWaits;
pub use delta_fifo::DeltaFifo;
pub use event_handler::{Delivery, Handled, Notification, ResourceEventHandler};
pub use filtering_resource_event_handler::FilteringResourceEventHandler;
pub use indexer::{IndexError, IndexFunc, Indexer, Lister, NAMESPACE_INDEX, Transaction};
pub use json::{Json, JsonText, UnreadableJson};
pub use lister_watcher::{
    ListOptions, ListPage, ListerWatcher, ListerWatcherError, WatchEvent, WatchOptions,
};
pub use object::{Object, ObjectKey};
pub use pending_notifications::{
    BACKOFF_MAX, DeadLetter, DeliveryCounts, DeliveryPolicy, GONE_DEAD_LETTERS_MAX,
};
pub use queue::{
    Delta, Deltas, LeftOut, Popped, ProcessError, Queue, QueueKind, ReplacedList, TransformFunc,
};
pub use real_fifo::{RealFifo, RealFifoOptions};
pub use shared_informer::{
    HandlerOptions, HandlerRegistration, SharedInformer, SharedInformerOptions,
};
pub use shared_informer_factory::SharedInformerFactory;
pub use status::{Counter, InformerCounters, Phase, ReflectorFailure, ReflectorStatus};

// Unit tests use the same server and handler as the scenarios.
#[cfg(test)]
extern crate self as informer;
#[cfg(test)]
#[path = "../tests/objects.rs"]
mod objects;
#[cfg(test)]
#[path = "../tests/recorder.rs"]
mod recorder;
#[cfg(test)]
#[path = "../tests/scripted_server.rs"]
#[expect(dead_code, reason = "the scenarios use the rest")]
mod scripted_server;
