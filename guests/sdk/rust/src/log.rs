//! Lines in the host's log, under the handler's name.
//!
//! [`info!`](crate::info) and its like take what `format!` takes; [`log`] takes fields, too.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::bindings::informerd::handler::log::Field;
pub use crate::bindings::informerd::handler::log::Level;
use crate::host;

/// Writes one line: a message for people, and named values for machines.
pub fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let field =
        |(name, value): &(&str, &str)| Field { name: name.to_string(), value: value.to_string() };
    host::log::log(level, message, &fields.iter().map(field).collect::<Vec<_>>());
}

macro_rules! level_macro {
    ($dollar:tt, $name:ident, $level:ident) => {
        #[doc = concat!("Writes one line at ", stringify!($name), ": the arguments of `format!`.")]
        #[macro_export]
        macro_rules! $name {
                                    ($dollar($dollar argument:tt)*) => {
                                        $crate::log::log_line(
                                            $crate::log::Level::$level,
                                            ::core::format_args!($dollar($dollar argument)*),
                                        )
                                    };
                                }
    };
}

level_macro!($, error, Error);
level_macro!($, warn, Warn);
level_macro!($, info, Info);
level_macro!($, debug, Debug);
level_macro!($, trace, Trace);

#[doc(hidden)]
pub fn log_line(level: Level, message: core::fmt::Arguments<'_>) {
    log(level, &message.to_string(), &[]);
}
