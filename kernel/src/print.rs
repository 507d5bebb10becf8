//! Prints lines on the console.

use crate::machine;
use core::fmt;

/// Prints a line on the console, formatted as by [`format!`](alloc::format).
///
/// Never waits: what the console has no room for is dropped and counted (rule K2). Control
/// characters are escaped (rule K5). An app whose output must not be lost takes a
/// `xenith::Console` and writes to that. There is no `print!`, because lines of the
/// [log](mod@crate::log) go to the same console.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use xenith::println;
///
/// let port = 8080;
/// println!("listening on port {port}");
/// ```
#[macro_export]
macro_rules! println {
    ($($text:tt)*) => {
        $crate::print::line(format_args!($($text)*))
    };
}

/// Prints a line: what [`println!`](crate::println!) does.
#[doc(hidden)]
pub fn line(text: fmt::Arguments<'_>) {
    machine::line(text);
}
