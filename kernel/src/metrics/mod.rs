//! Numbers about the running machine, for those who watch it.
//!
//! Whatever counts something is a [`Source`]; the kernel's own is [`Machine`].
//! `apps/metrics` turns them into the text that Prometheus reads.
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use xenith::metrics::{Machine, Source};
//!
//! Machine.metrics(&mut |metric| {
//!     println!("xenith_{} {}", metric.name, metric.value);
//! });
//! ```

#[cfg(target_os = "xen")]
mod xen;

use crate::{memory, task, time};

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, in Prometheus' manner, without the prefix `xenith_`.
    pub name: &'static str,
    /// What it says, in a few words.
    pub help: &'static str,
    /// How to read it.
    pub kind: Kind,
    /// The number.
    pub value: u64,
}

impl Metric {
    /// A number that only grows.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: Kind::Counter, value }
    }

    /// A number that goes up and down.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: Kind::Gauge, value }
    }
}

/// Gives numbers to `each`, a `&mut dyn FnMut(Metric)`: `counter(name, help, value)` or
/// `gauge(name, help, value)`, with a name and a help that are constants, which stand in
/// the image as they are and are not put together by code.
#[macro_export]
macro_rules! metrics {
    ($each:expr; $($kind:ident($name:literal, $help:literal, $value:expr $(,)?)),+ $(,)?) => {
        $crate::metrics::give(
            $each,
            const { &[$($crate::metrics::Metric::$kind($name, $help, 0)),+] },
            &[$($value),+],
        )
    };
}

/// What [`metrics!`](crate::metrics!) does.
#[doc(hidden)]
pub fn give(each: &mut dyn FnMut(Metric), metrics: &'static [Metric], values: &[u64]) {
    for (metric, &value) in metrics.iter().zip(values) {
        each(Metric { value, ..*metric });
    }
}

/// Something that counts.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use std::cell::Cell;
/// use xenith::metrics::{Metric, Source};
///
/// #[derive(Default)]
/// struct Visits {
///     pages: Cell<u64>,
///     open: Cell<u64>,
/// }
///
/// impl Source for Visits {
///     fn metrics(&self, each: &mut dyn FnMut(Metric)) {
///         xenith::metrics! { each;
///             counter("visits_pages", "Pages served.", self.pages.get()),
///             gauge("visits_open", "Visits under way.", self.open.get()),
///         }
///     }
/// }
///
/// let visits = Visits::default();
/// visits.pages.set(7);
/// let mut values = Vec::new();
/// visits.metrics(&mut |metric| values.push((metric.name, metric.value)));
/// assert_eq!(values, [("visits_pages", 7), ("visits_open", 0)]);
/// ```
pub trait Source {
    /// Gives each number to `each`.
    fn metrics(&self, each: &mut dyn FnMut(Metric));
}

/// The machine: memory, tasks, events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Source for Machine {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        let memory = memory::stats();
        let uptime = time::Instant::now().as_nanos() / 1_000_000;
        let number = |value: usize| value as u64;
        crate::metrics! { each;
            counter("uptime_milliseconds", "Time since the machine began.", uptime),
            gauge("memory_bytes", "Memory of the machine.", number(memory.total)),
            gauge("memory_mapped_bytes", "Memory that is mapped.", number(memory.mapped)),
            gauge("heap_bytes", "Memory that the heap has.", number(memory.heap)),
            gauge("heap_used_bytes", "Memory in use.", number(memory.allocated)),
            gauge("heap_allocations", "Allocations alive.", number(memory.allocations)),
            counter("heap_failures", "Allocations refused.", number(memory.failures)),
            gauge("tasks", "Tasks that there are.", number(task::alive())),
            gauge("tasks_ready", "Tasks that wait for their turn.", number(task::ready())),
        }
        // Linux counts for itself.
        #[cfg(target_os = "xen")]
        xen::metrics(each);
    }
}
