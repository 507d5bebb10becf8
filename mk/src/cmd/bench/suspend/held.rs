//! What a guest holds after many cycles of save and restore, with a body on its way all the while.

use super::super::figures::{Figures, figure, figures};
use super::{BODIES, Guest};
use crate::ui::Ui;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::fmt;

/// Cycles after which it is looked at.
const STEP: u32 = 25;
/// Bytes of heap that may differ besides pages that are granted: of buffers, of which a connection has
/// some or many.
const HEAP: f64 = 100_000.0;
/// Bytes of a page that is granted, which is of the heap.
const PAGE: f64 = 4096.0;
/// The most grants: a ring to receive has 256 buffers.
const GRANTS: f64 = 300.0;

/// What there was after so many cycles.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Held {
    cycles: u32,
    /// Bodies that came back, each on one connection and with the sum that it was sent with.
    bodies: f64,
    heap_used_bytes: f64,
    grants: f64,
    grants_quarantined: f64,
    event_channels: f64,
    tasks: f64,
}

impl Held {
    fn of(cycles: u32, said: &Figures) -> Result<Self> {
        let at = |key| figure(said, key);
        Ok(Self {
            cycles,
            bodies: at("bodies")?,
            heap_used_bytes: at("heap_used_bytes")?,
            grants: at("grants")?,
            grants_quarantined: at("grants_quarantined")?,
            event_channels: at("event_channels")?,
            tasks: at("tasks")?,
        })
    }

    /// Compares with what there was after the first cycles.
    ///
    /// # Errors
    /// When something was left behind.
    fn judge(&self, before: &Self) -> Result<()> {
        let own = |held: &Self| held.heap_used_bytes - held.grants * PAGE;
        let flat = own(self) < own(before) + HEAP
            && self.grants <= GRANTS
            && self.grants_quarantined == 0.0
            && self.event_channels == before.event_channels
            && self.tasks == before.tasks;
        ensure!(flat, "something is left behind:\n{before}\n{self}");
        Ok(())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cycles,
            bodies,
            heap_used_bytes,
            grants,
            grants_quarantined,
            event_channels,
            tasks,
        } = self;
        write!(
            f,
            "{cycles} cycles: {bodies} bodies came back; heap {heap_used_bytes}, {grants} grants and \
             {grants_quarantined} in quarantine, {event_channels} ports, {tasks} tasks"
        )
    }
}

/// Takes the guest through the cycles, and says now and then how that goes.
///
/// # Errors
/// When a body is not what it was, comes by a second connection, or something is left behind.
pub(super) fn measure(guest: &Guest<'_>, cycles: u32, ui: &Ui) -> Result<Vec<Held>> {
    let mut all = Vec::<Held>::new();
    let mut done = 0;
    while all.is_empty() || done < cycles {
        // First without any. What later ones are compared with is there after the first of them: lists of
        // buffers are full then.
        let step = if all.is_empty() { 0 } else { STEP.min(cycles.div_ceil(2)).min(cycles - done) };
        ui.step(&format!("cycles {done} to {} of {cycles}", done + step));
        let said = figures(&guest.script(&format!("CYCLES={step}\n{BODIES}"))?);
        done += step;
        let mut held = Held::of(done, &said)?;
        if let Some(last) = all.last() {
            held.bodies += last.bodies;
        }
        ui.note(&held.to_string());
        if let Some(warm) = all.get(1) {
            held.judge(warm)?;
        }
        all.push(held);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_behind_is_an_error() {
        let held = |heap, grants, quarantined, ports, tasks| Held {
            cycles: 25,
            bodies: 9.0,
            heap_used_bytes: heap,
            grants,
            grants_quarantined: quarantined,
            event_channels: ports,
            tasks,
        };
        let before = held(10e5, 200.0, 0.0, 4.0, 7.0);
        assert!(held(10.9e5, 200.0, 0.0, 4.0, 7.0).judge(&before).is_ok());
        // More buffers to receive, each of a page.
        assert!(held(13e5, 260.0, 0.0, 4.0, 7.0).judge(&before).is_ok());
        for after in [
            held(11.1e5, 200.0, 0.0, 4.0, 7.0),
            held(13.6e5, 260.0, 0.0, 4.0, 7.0),
            held(10e5, 301.0, 0.0, 4.0, 7.0),
            held(10e5, 200.0, 1.0, 4.0, 7.0),
            held(10e5, 200.0, 0.0, 5.0, 7.0),
            held(10e5, 200.0, 0.0, 4.0, 8.0),
        ] {
            assert!(after.judge(&before).is_err());
        }
    }

    #[test]
    fn all_that_is_said_is_read() {
        let said = "bench: bodies=3\nbench: event_channels=4\nbench: grants=200\nbench: \
                    grants_quarantined=0\nbench: heap_used_bytes=500000\nbench: tasks=7\n";
        let held = Held::of(25, &figures(said)).unwrap();
        assert_eq!((held.cycles, held.bodies, held.tasks), (25, 3.0, 7.0));
        assert!(Held::of(25, &figures(&said[20..])).is_err());
    }
}
