//! Each deliberate difference in a trace of its own.
