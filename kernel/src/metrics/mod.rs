//! Collects numbers about the running machine, for monitoring.
//!
//! Drivers and stacks that count something are [`Source`]s; the kernel's own is [`Machine`].
//! `apps/metrics` serves them in the text format of Prometheus.
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

/// Says how the value of a metric changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only increases, from 0 at boot.
    Counter,
    /// It can increase and decrease.
    Gauge,
}

/// Describes a number with its current value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name by the conventions of Prometheus, without the prefix `xenith_`.
    pub name: &'static str,
    /// Description in one line.
    pub help: &'static str,
    /// Kind of number.
    pub kind: Kind,
    /// Current value.
    pub value: u64,
}

impl Metric {
    /// Makes a counter.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: Kind::Counter, value }
    }

    /// Makes a gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: Kind::Gauge, value }
    }
}

/// Calls `each`, a `&mut dyn FnMut(Metric)`, with each of a list of metrics: `counter(name, help,
/// value)` or `gauge(name, help, value)`. Name and help are literals, which are stored as a table
/// in the image and not built by code.
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

/// Does what [`metrics!`](crate::metrics!) says.
#[doc(hidden)]
pub fn give(each: &mut dyn FnMut(Metric), metrics: &'static [Metric], values: &[u64]) {
    for (metric, &value) in metrics.iter().zip(values) {
        each(Metric { value, ..*metric });
    }
}

/// Provides metrics.
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
    /// Calls `each` with each metric.
    fn metrics(&self, each: &mut dyn FnMut(Metric));
}

/// Provides the metrics of the machine: memory, tasks and, on Xen, events and hypercalls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Source for Machine {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        let memory = memory::stats();
        let uptime = time::Instant::now().as_nanos() / 1_000_000;
        let number = |value: usize| value as u64;
        crate::metrics! { each;
            counter("uptime_milliseconds", "Time since boot.", uptime),
            gauge("memory_bytes", "Memory of the machine.", number(memory.total)),
            gauge("memory_mapped_bytes", "Memory that is mapped.", number(memory.mapped)),
            gauge("heap_bytes", "Memory that the heap has.", number(memory.heap)),
            gauge("heap_used_bytes", "Memory in use.", number(memory.allocated)),
            gauge("heap_allocations", "Allocations in use.", number(memory.allocations)),
            counter("heap_failures", "Allocations that failed.", number(memory.failures)),
            gauge("tasks", "Tasks that exist.", number(task::alive())),
            gauge("tasks_ready", "Tasks that are ready.", number(task::ready())),
        }
        // On Linux, the system has its own.
        #[cfg(target_os = "xen")]
        xen::metrics(each);
    }
}
