//! What is measured: a table.

use super::link::Faults;
use std::time::Duration;

/// What is moved, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Much, out of the server.
    Out,
    /// Much, into it.
    In,
    /// So many bytes, each time on a new connection.
    Flow(usize),
    /// A MiB on a new connection, beside so many that are idle.
    Beside(usize),
    /// 100 000 bytes out of the server, over a link that is narrow.
    Narrow,
}

/// One thing to measure.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) what: String,
    pub(super) kind: Kind,
    pub(super) faults: Faults,
}

/// Bits a second of the cable.
const RATE: u64 = 200_000_000;
/// Frames of its queue.
const QUEUE: usize = 1000;
/// Round trips, in milliseconds, and shares of faults, in percent.
const TRIPS: [u64; 3] = [1, 20, 100];
const LOST: [f64; 4] = [0.0, 0.1, 1.0, 3.0];
const LATE: [f64; 2] = [0.0, 5.0];
/// The round trip of what is not of the grid.
const FLOW_TRIP: u64 = 50;
const MIDDLE_TRIP: u64 = 20;
/// Percent of the faults that are not of the grid.
const OTHER: f64 = 1.0;
/// Frames of a queue that bursts overflow: a seventh of what is under way.
const SHORT: usize = 50;
/// Idle connections beside a new one.
const BESIDE: [usize; 3] = [0, 1000, 10_000];
/// As few as say that it works.
const BRIEF: usize = 100;

/// A cable of that round trip, without faults.
pub(super) fn cable(trip: u64) -> Faults {
    let delay = Duration::from_micros(trip * 500);
    Faults { delay, rate: RATE, queue: QUEUE, ..Faults::default() }
}

/// All that there is to measure, or one of each kind.
pub(super) fn all(brief: bool) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (way, kind) in [("out", Kind::Out), ("in", Kind::In)] {
        for trip in TRIPS {
            for lost in LOST {
                for late in LATE {
                    let what = format!("{way}, {trip} ms, {lost} % lost, {late} % late");
                    tasks.push(Task { what, kind, faults: Faults { lost, late, ..cable(trip) } });
                }
            }
        }
        let cable = cable(MIDDLE_TRIP);
        for (what, faults) in [
            (format!("{OTHER} % repeated"), Faults { repeated: OTHER, ..cable }),
            (format!("{OTHER} % corrupted"), Faults { corrupted: OTHER, ..cable }),
            (format!("a queue of {SHORT}"), Faults { queue: SHORT, ..cable }),
        ] {
            let what = format!("{way}, {MIDDLE_TRIP} ms, {what}");
            tasks.push(Task { what, kind, faults });
        }
    }
    for kib in [10, 100] {
        for lost in [0.0, 1.0, 3.0] {
            let what = format!("{kib} KiB, {FLOW_TRIP} ms, {lost} % lost");
            let faults = Faults { lost, ..cable(FLOW_TRIP) };
            tasks.push(Task { what, kind: Kind::Flow(kib << 10), faults });
        }
    }
    for count in if brief { &[BRIEF][..] } else { &BESIDE } {
        let what = format!("1 MiB, {MIDDLE_TRIP} ms, beside {count} idle");
        tasks.push(Task { what, kind: Kind::Beside(*count), faults: cable(MIDDLE_TRIP) });
    }
    let what = "100 000 bytes over a link of 1 300".to_owned();
    tasks.push(Task { what, kind: Kind::Narrow, faults: cable(1) });
    if brief {
        let wanted = [
            "out, 1 ms, 1 % lost, 0 % late",
            "out, 20 ms, 0 % lost, 5 % late",
            "in, 1 ms, 1 % lost, 0 % late",
            "in, 20 ms, 1 % corrupted",
            "10 KiB, 50 ms, 1 % lost",
        ];
        let other = |kind| !matches!(kind, Kind::Out | Kind::In | Kind::Flow(_));
        tasks.retain(|task| other(task.kind) || wanted.contains(&&*task.what));
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_are_named_alike_and_the_brief_ones_are_of_all_kinds() {
        let all = all(false);
        let names: BTreeSet<_> = all.iter().map(|task| &task.what).collect();
        assert_eq!((names.len(), all.len()), (64, 64));
        let brief = super::all(true);
        let kinds: Vec<_> = brief.iter().map(|task| std::mem::discriminant(&task.kind)).collect();
        assert!(all.iter().all(|task| kinds.contains(&std::mem::discriminant(&task.kind))));
        assert_eq!(brief.len(), 7);
    }

    #[test]
    fn half_of_a_round_trip_is_that_of_each_way() {
        assert_eq!(cable(1).delay, Duration::from_micros(500));
        assert_eq!(cable(100).delay, Duration::from_millis(50));
    }
}
