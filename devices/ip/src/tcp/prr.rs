//! Proportional Rate Reduction (RFC 6937): how the window falls to the threshold within the
//! round trip that follows a loss, with something sent for each ACK, instead of at once.

/// One episode.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Prr {
    /// `RecoverFS`: bytes in flight at its start.
    flight: u32,
    /// `ssthresh`.
    threshold: u32,
    /// `prr_delivered`.
    delivered: u32,
    /// `prr_out`.
    out: u32,
}

impl Prr {
    /// Begins an episode, with `flight` bytes sent and not acknowledged, of which the window
    /// is to become `threshold`.
    pub(crate) const fn begin(flight: u32, threshold: u32) -> Self {
        Self { flight: if flight == 0 { 1 } else { flight }, threshold, delivered: 0, out: 0 }
    }

    /// Counts what was sent during the episode, new or again.
    pub(crate) fn sent(&mut self, bytes: u32) {
        self.out = self.out.saturating_add(bytes);
    }

    /// Returns the window after an ACK that says that `delivered` more bytes arrived, with
    /// `in_flight` left (RFC 6937, section 3.1). `safe`: it advanced SND.UNA and revealed no
    /// further loss, so that the window may grow as in slow start; otherwise packets are
    /// conserved (section 3.1, PRR-SSRB and PRR-CRB; chosen like this by RFC 9937, section 6).
    /// `None` when nothing was delivered: it stays as it is.
    pub(crate) fn window(
        &mut self,
        delivered: u32,
        in_flight: u32,
        safe: bool,
        mss: u32,
    ) -> Option<u32> {
        if delivered == 0 {
            return None;
        }
        self.delivered = self.delivered.saturating_add(delivered);
        let mut more = if in_flight > self.threshold {
            let share = u64::from(self.delivered) * u64::from(self.threshold);
            let share = share.div_ceil(self.flight.into());
            u32::try_from(share.saturating_sub(self.out.into())).unwrap_or(u32::MAX)
        } else {
            let limit = self.delivered.saturating_sub(self.out).max(delivered);
            let limit = limit.saturating_add(if safe { mss } else { 0 });
            limit.min(self.threshold - in_flight)
        };
        if self.out == 0 {
            // The fast retransmission is sent whatever comes.
            more = more.max(mss);
        }
        Some(in_flight.saturating_add(more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of 20 segments was lost, and three were sacked (RFC 6937, section 4).
    #[test]
    fn one_is_sent_for_two_that_arrive_until_half_is_in_flight() {
        let mut prr = Prr::begin(20_000, 10_000);
        let (mut flight, mut sent) = (16_000, 0);
        for _ in 0..16 {
            flight -= 1000;
            let window = prr.window(1000, flight, false, 1000).unwrap();
            while flight + 1000 <= window {
                flight += 1000;
                sent += 1;
                prr.sent(1000);
            }
        }
        assert_eq!((sent, flight), (6 + 4, 10_000));
    }

    #[test]
    fn after_heavy_losses_packets_are_conserved_or_grow_as_in_slow_start() {
        let mut prr = Prr::begin(100_000, 70_000);
        assert_eq!(prr.window(1000, 20_000, false, 1000), Some(21_000));
        prr.sent(1000);
        assert_eq!(prr.window(1000, 20_000, false, 1000), Some(21_000));
        prr.sent(1000);
        assert_eq!(prr.window(1000, 20_000, true, 1000), Some(22_000));
        prr.sent(2000);
        // Never beyond the threshold.
        assert_eq!(prr.window(9000, 69_500, true, 1000), Some(70_000));
    }

    #[test]
    fn the_first_retransmission_is_sent_and_nothing_for_nothing() {
        let mut prr = Prr::begin(10_000, 2_000);
        assert_eq!(prr.window(0, 9_000, true, 1000), None);
        assert_eq!(prr.window(1, 9_000, true, 1000), Some(10_000));
        prr.sent(1000);
        assert_eq!(prr.window(1, 9_000, true, 1000), Some(9_000));
    }

    #[test]
    fn no_number_overflows() {
        for flight in [0, 1, u32::MAX] {
            for threshold in [0, 1, u32::MAX] {
                let mut prr = Prr::begin(flight, threshold);
                for delivered in [u32::MAX, 1, u32::MAX] {
                    assert!(prr.window(delivered, flight, true, u32::MAX).is_some());
                    prr.sent(u32::MAX);
                }
            }
        }
    }
}
