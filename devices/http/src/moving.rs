//! Connections that go on in the next image of the machine (`kernel::update`).

use super::pool::Pool;
use core::time::Duration;
use kernel::task::{Either, select};
use kernel::time::timeout;
use kernel::update::{Part, Phase};

/// Time that requests have which are under way when connections are left. Most have had longer:
/// this is for those that began since.
const CUT: Duration = Duration::from_secs(1);

/// Waits for the next phase of an update that is more than waiting for requests, for ever where
/// there are none. Dropping the future loses nothing.
pub(super) async fn next_phase(part: &mut Option<Part>, pool: &Pool) -> Phase {
    let Some(part) = part else { return core::future::pending().await };
    loop {
        let phase = match part.owed() {
            None => part.next().await,
            Some(_) => match select(pool.settled(), part.next()).await {
                Either::First(()) => {
                    part.done(None);
                    continue;
                }
                Either::Second(phase) => phase,
            },
        };
        if phase != Phase::Soon {
            return phase;
        }
        pool.await_requests();
    }
}

/// Leaves all connections to another image, from this phase of the update on. Returns when there
/// is none after all.
pub(super) async fn update(part: &mut Part, mut phase: Phase, pool: &Pool) {
    loop {
        match phase {
            Phase::Rest => {
                pool.set_moving(true);
                if timeout(CUT, pool.empty()).await.is_err() {
                    let open = pool.stats.get().open;
                    log::warn!(
                        "http: {open} connections are reset, as their requests take too long"
                    );
                    pool.end();
                    let _ = timeout(CUT, pool.empty()).await;
                }
                part.done(None);
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
