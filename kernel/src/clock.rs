//! Sets the clock of this machine by what a time server told.

use crate::time::{Instant, TOLD as CLOCK};
use crate::{machine, suspend};
use core::time::Duration;
use spin::Mutex;

/// What the time of day was at an instant.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    wall: Duration,
    /// The domain that the instant belongs to, as the clock stops while it is saved.
    generation: u32,
}

machine::local! {
    /// What this machine was told.
    static TOLD: Mutex<Option<Told>> = Mutex::new(None);
}

/// Sets the [wall clock](crate::time::wall_clock) of this machine, and of nothing else on the host: from
/// now on it follows the monotonic clock, and no longer that of the host. Once the machine has been
/// restored or moved, it is the host's again until the next call.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use core::time::Duration;
/// use xenith::clock;
/// use xenith::time::wall_clock;
///
/// let leap_day = Duration::from_secs(1_709_164_800);
/// clock::set(leap_day);
/// assert_eq!(wall_clock().as_secs(), leap_day.as_secs());
/// ```
pub fn set(wall: Duration) {
    let (at, generation) = (Instant::now(), suspend::generation());
    *TOLD.get().lock() = Some(Told { at, wall, generation });
    CLOCK.call_once(|| now);
}

fn now() -> Option<Duration> {
    let told = (*TOLD.get().lock())?;
    let is_ours = told.generation == suspend::generation();
    is_ours.then(|| told.wall.saturating_add(told.at.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suspend::Outcome;
    use crate::task::block_on;
    use crate::testing;
    use crate::time::{sleep, wall_clock};

    #[test]
    fn a_clock_that_was_set_goes_on_until_the_machine_is_another_domain() {
        const DAY: Duration = Duration::from_secs(4_000_000_000);
        testing::simulate_time();
        let hosts = wall_clock();
        block_on(async {
            set(DAY);
            sleep(Duration::from_secs(90)).await;
            assert_eq!(wall_clock(), DAY + Duration::from_secs(90));
            testing::suspend(|| Outcome::Cancelled).await;
            assert_eq!(wall_clock(), DAY + Duration::from_secs(90));
            testing::suspend(|| Outcome::Renewed).await;
            assert!(wall_clock().abs_diff(hosts) < Duration::from_secs(600));
            set(DAY);
            assert_eq!(wall_clock(), DAY);
        });
    }
}
