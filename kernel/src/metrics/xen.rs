//! The metrics of Xen and the console.

use super::Metric;
use crate::machine::console;
use ::xen::{evtchn, hypercall};

pub(super) fn metrics(each: &mut dyn FnMut(Metric)) {
    let events = evtchn::stats();
    let calls = hypercall::counts();
    let dropped = u64::from(console::dropped());
    crate::metrics! { each;
        counter("hypercalls", "Hypercalls made.", hypercall::count()),
        counter("notifications", "Events sent: event_channel_op.", calls.event_channel),
        counter("grant_operations", "Calls of grant_table_op.", calls.grant_table),
        counter("waits", "Waits for events: sched_op.", calls.sched),
        gauge("event_channels", "Event channels open.", events.open as u64),
        counter("events", "Events on channels that were open.", events.events),
        gauge("events_stray", "Pending ports that are not open.", events.stray),
        counter("console_dropped_bytes", "Output bytes dropped.", dropped),
    }
}
