//! Connections that go on in the next image of the machine (`kernel::update`).

use super::pool::Pool;
use kernel::task::{Either, select};
use kernel::update::{Part, Phase};

/// Waits for the next phase of an update, for ever where there are none.
pub(super) async fn next_phase(part: &mut Option<Part>) -> Phase {
    match part {
        Some(part) => part.next().await,
        None => core::future::pending().await,
    }
}

/// Leaves all connections to another image, from this phase of the update on. Returns when there
/// is none after all.
pub(super) async fn update(part: &mut Part, mut phase: Phase, pool: &Pool) {
    loop {
        match phase {
            Phase::Rest => {
                pool.set_moving(true);
                match select(pool.empty(), part.next()).await {
                    Either::First(()) => part.done(None),
                    Either::Second(next) => {
                        phase = next;
                        continue;
                    }
                }
            }
            Phase::Resume => {
                pool.set_moving(false);
                return part.done(None);
            }
            _ => part.done(None),
        }
        phase = part.next().await;
    }
}
