//! What a handler does.

use alloc::string::String;
use alloc::vec::Vec;

use crate::{Cache, Failure, Object, Watch};

/// A handler. Each method is one call of the host; they never overlap. What is not implemented is handled
/// by doing nothing.
pub trait Handler: Sized + 'static {
    /// What this module watches. Empty leaves it to the handler spec, whose watches win. Called before
    /// [`Handler::new`]; it may read the [configuration](crate::config).
    fn watches() -> Vec<Watch> {
        Vec::new()
    }

    /// Makes the handler of a new instance: after loading, and again after an instance was lost, by a
    /// panic for example. The place to read the [configuration](crate::config); an error refuses it.
    fn new() -> Result<Self, String>;

    /// The object appeared, or was there when the handler joined.
    fn on_add(&mut self, object: Object<'_>, is_in_initial_list: bool) -> Result<(), Failure> {
        let _ = (object, is_in_initial_list);
        Ok(())
    }

    /// The object changed, from the state that was handled last. On a periodic resync both are the same state.
    fn on_update(&mut self, old: Object<'_>, new: Object<'_>) -> Result<(), Failure> {
        let _ = (old, new);
        Ok(())
    }

    /// The object is gone; this was its last known state. `final_state_unknown`: it may have changed after
    /// that.
    fn on_delete(&mut self, last: Object<'_>, final_state_unknown: bool) -> Result<(), Failure> {
        let _ = (last, final_state_unknown);
        Ok(())
    }

    /// Every object that was there when the handler joined has been handled, or has failed for good.
    fn on_synced(&mut self, cache: Cache<'_>) -> Result<(), Failure> {
        let _ = cache;
        Ok(())
    }
}
