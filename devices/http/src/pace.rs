//! How long a peer is waited for.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use kernel::suspend;
use kernel::time::{Elapsed, Instant, Sleep, sleep_until};

/// Patience with a peer that sends or takes bytes: a time that waiting uses up and bytes
/// give back, so that a peer may pause, and has to keep up a rate all the same.
///
/// Only waiting counts: what a program takes for itself is not the peer's fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// In ns.
    left: u64,
    /// What there is of it at most.
    most: u64,
    /// What a byte gives back.
    byte: u64,
    /// The end in any case.
    until: Option<Instant>,
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Pace {
    /// A pause of `pause`, and `rate` bytes a second in the long run.
    pub(super) fn new(pause: Duration, rate: u32) -> Self {
        let most = nanoseconds(pause);
        let byte = 1_000_000_000_u64.checked_div(rate.into()).unwrap_or(0);
        Self { left: most, most, byte, until: None }
    }

    /// `pause` for each step, however short.
    pub(super) fn each(pause: Duration) -> Self {
        Self { byte: u64::MAX, ..Self::new(pause, 0) }
    }

    /// Without an end, where somebody else has patience.
    pub(super) const fn endless() -> Self {
        Self { left: u64::MAX, most: u64::MAX, byte: 0, until: None }
    }

    /// And no longer than until then.
    pub(super) const fn until(self, moment: Instant) -> Self {
        Self { until: Some(moment), ..self }
    }

    /// When a peer that began at `begun`, and moved `count` bytes since, is too slow.
    pub(super) fn end(&self, begun: Instant, count: usize) -> Instant {
        let takes = self.byte.saturating_mul(count as u64);
        begun.saturating_add(Duration::from_nanos(self.most.saturating_add(takes)))
    }

    /// Waits for bytes to be moved. The step is lent, as moving it would be work with each.
    ///
    /// Patience begins anew with what is waited for while this machine becomes another domain: what
    /// the peer sent meanwhile is lost, and its TCP pauses for longer after each loss (RFC 6298, 5.5).
    ///
    /// # Errors
    /// [`Elapsed`] when there is no patience left.
    pub(super) async fn wait<E>(
        &mut self,
        mut step: Pin<&mut impl Future<Output = Result<usize, E>>>,
    ) -> Result<Result<usize, E>, Elapsed> {
        let mut patience = Patience::new(*self);
        let moved = poll_fn(|context| match step.as_mut().poll(context) {
            Poll::Ready(moved) => Poll::Ready(Ok(moved)),
            Poll::Pending => patience.poll_over(context).map(|()| Err(Elapsed)),
        })
        .await?;
        patience.moved(moved.as_ref().copied().unwrap_or(0));
        *self = patience.pace;
        Ok(moved)
    }
}

/// Patience for who is polled again and again, and not for one step.
pub(super) struct Patience {
    pace: Pace,
    /// Since when the peer is waited for, until when, and in which domain. Most often it is not.
    wait: Option<(Instant, Sleep, u32)>,
}

impl Patience {
    pub(super) const fn new(pace: Pace) -> Self {
        Self { pace, wait: None }
    }

    /// Waits for the peer. Ready when there is no patience left; until then, `context` is woken for
    /// that.
    pub(super) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Self { pace, wait } = self;
        loop {
            let (_, end, generation) = wait.get_or_insert_with(|| {
                let begun = Instant::now();
                let end = begun.saturating_add(Duration::from_nanos(pace.left));
                let end = pace.until.map_or(end, |until| until.min(end));
                (begun, sleep_until(end), suspend::generation())
            });
            ready!(Pin::new(end).poll(context));
            let over = pace.until.is_some_and(|until| until <= Instant::now());
            if over || *generation == suspend::generation() {
                return Poll::Ready(());
            }
            (pace.left, *wait) = (pace.most, None);
        }
    }

    /// Takes note that the peer moved `count` bytes, or is not waited for.
    pub(super) fn moved(&mut self, count: usize) {
        let Pace { left, most, byte, .. } = &mut self.pace;
        if let Some((begun, ..)) = self.wait.take() {
            *left = left.saturating_sub(nanoseconds(begun.elapsed()));
        }
        let back = (count as u64).saturating_mul(*byte);
        *left = left.saturating_add(back).min(*most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::pin::pin;
    use kernel::suspend::Outcome;
    use kernel::task::{block_on, join};
    use kernel::time::sleep;

    /// How long a peer is borne that moves so many bytes after each so many seconds, for
    /// an hour at most.
    fn borne(mut pace: Pace, count: usize, seconds: u64) -> u64 {
        kernel::testing::simulate_time();
        block_on(async {
            let begun = Instant::now();
            let step = || async {
                sleep(Duration::from_secs(seconds)).await;
                Ok::<_, ()>(count)
            };
            while begun.elapsed().as_secs() < 3600 && pace.wait(pin!(step())).await.is_ok() {}
            begun.elapsed().as_secs()
        })
    }

    #[test]
    fn a_peer_may_pause_and_has_to_keep_up_a_rate() {
        let pace = Pace::new(Duration::from_secs(20), 500);
        for (count, seconds, bears) in [
            (1, 6, 20),
            (0, 1, 20),
            // As much as it should.
            (500, 1, 3600),
            (9500, 19, 3600),
            // A little less: what is missing adds up.
            (450, 1, 191),
            // A lot once does not make up for a long pause.
            (1_000_000, 21, 20),
        ] {
            let bore = borne(pace, count, seconds);
            assert!(bore.abs_diff(bears) <= 10, "{count} in {seconds} s: {bore}, not {bears}");
        }
        kernel::testing::simulate_time();
        let until = Instant::now().saturating_add(Duration::from_secs(100));
        assert_eq!(borne(pace.until(until), 500, 1), 100);
        assert_eq!(borne(Pace::each(Duration::from_secs(20)), 1, 6), 3600);
        assert_eq!(borne(Pace::each(Duration::from_secs(20)), 1, 21), 20);
    }

    #[test]
    fn patience_begins_anew_with_another_domain() {
        kernel::testing::simulate_time();
        let wait = |mut pace: Pace, outcome, seconds| {
            block_on(async {
                let begun = Instant::now();
                let suspended = async {
                    sleep(Duration::from_secs(15)).await;
                    kernel::testing::suspend(|| outcome).await;
                };
                let step = async {
                    sleep(Duration::from_secs(seconds)).await;
                    Ok::<_, ()>(1)
                };
                let waited = async {
                    let waited = pace.wait(pin!(step)).await;
                    (waited.is_ok(), begun.elapsed().as_secs())
                };
                join(suspended, waited).await.1
            })
        };
        let pace = Pace::new(Duration::from_secs(20), 500);
        assert_eq!(wait(pace, Outcome::Renewed, 39), (true, 39));
        assert_eq!(wait(pace, Outcome::Renewed, 50), (false, 40));
        assert_eq!(wait(pace, Outcome::Cancelled, 50), (false, 20));
        // The end in any case is the end.
        let until = Instant::now().saturating_add(Duration::from_secs(19));
        assert_eq!(wait(pace.until(until), Outcome::Renewed, 50), (false, 19));
    }

    #[test]
    fn who_is_ready_is_not_waited_for() {
        let mut pace = Pace::new(Duration::ZERO, 500);
        let moved = block_on(pace.wait(pin!(async { Ok::<_, ()>(7) })));
        assert_eq!(moved, Ok(Ok(7)));
    }
}
