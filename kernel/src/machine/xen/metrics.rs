//! What Xen and the console count.

use super::console;
use crate::metrics::Metric;
use ::xen::{evtchn, hypercall};

pub(crate) fn metrics(each: &mut dyn FnMut(Metric)) {
    let events = evtchn::stats();
    let dropped = u64::from(console::dropped());
    for metric in [
        Metric::counter("hypercalls", "Hypercalls made.", hypercall::count()),
        Metric::gauge("event_channels", "Event channels open.", events.open as u64),
        Metric::counter("events", "Events on open channels.", events.events),
        Metric::counter("events_stray", "Events that nobody waited for.", events.stray),
        Metric::counter("console_dropped_bytes", "Log bytes without room.", dropped),
    ] {
        each(metric);
    }
}
