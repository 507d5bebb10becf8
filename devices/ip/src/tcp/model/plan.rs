//! What is the same for a whole run of the model, and the ways to choose it.

use super::*;

pub(super) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    (*state >> 33) % below.max(1)
}

/// What is the same for a whole run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Both open at once; otherwise the second end listens.
    pub(super) both: bool,
    /// What each end writes, and how many bytes at most at a time.
    pub(super) writes: [usize; 2],
    pub(super) piece: usize,
    /// How many bytes each end reads at a time, and how long it waits between two times.
    pub(super) reads: [(usize, Duration); 2],
    /// One end closes when it has the other's end alone.
    pub(super) polite: bool,
    pub(super) no_delay: bool,
    pub(super) share: usize,
    pub(super) mss: [u16; 2],
    pub(super) scale: u8,
    pub(super) large: u32,
    pub(super) delay: Duration,
    /// Options of SYNs that do not get through: of SACK, timestamps and scaling.
    pub(super) strip: (bool, bool, bool),
    pub(super) ecn: bool,
    pub(super) memory: usize,
    /// Of 100 frames, how many are lost, doubled, late and marked, among the first ones.
    pub(super) faults: [u64; 4],
    pub(super) bad: u64,
    pub(super) seqs: [u32; 2],
}

impl Plan {
    pub(super) fn plain() -> Self {
        Self {
            both: false,
            writes: [3000, 0],
            piece: 100_000,
            reads: [(100_000, Duration::ZERO); 2],
            polite: false,
            no_delay: false,
            share: 1 << 20,
            mss: [1000, 1000],
            scale: 4,
            large: 0,
            delay: ms(10),
            strip: (false, false, false),
            ecn: false,
            memory: 8 << 20,
            faults: [0; 4],
            bad: 0,
            seqs: [1000, 2000],
        }
    }

    pub(super) fn random(state: &mut u64) -> Self {
        let mut new = Self::any(state);
        if new.faults[0] >= 30 {
            // Where so much is lost for long, round trips that were measured by timestamps are as
            // long as timeouts, as Linux's would be, and it takes hours.
            new.bad = new.bad.min(100);
        }
        new
    }

    fn any(state: &mut u64) -> Self {
        let mut pick = |of: &[u64]| of[random(state, of.len() as u64) as usize];
        let some = |it: u64| it as usize;
        Self {
            both: pick(&[0, 0, 1]) == 1,
            writes: [(); 2].map(|()| some(pick(&[0, 1, 999, 5000, 40_000, 200_000]))),
            piece: some(pick(&[100_000, 1000, 100, 7777])),
            reads: [(); 2].map(|()| {
                (some(pick(&[100_000, 100_000, 3000, 999])), ms(pick(&[0, 0, 1, 20, 300])))
            }),
            polite: pick(&[0, 1]) == 1,
            no_delay: pick(&[0, 1]) == 1,
            share: some(pick(&[1 << 20, 1 << 20, 65_536, 8000, 2000])),
            mss: [(); 2].map(|()| pick(&[1460, 1000, 536, 120]) as u16),
            scale: pick(&[0, 4, 7, 14]) as u8,
            large: pick(&[0, 0, 64_000]) as u32,
            delay: ms(pick(&[0, 1, 10, 50, 300])),
            strip: (pick(&[0, 1]) == 1, pick(&[0, 1]) == 1, pick(&[0, 1]) == 1),
            ecn: pick(&[0, 1]) == 1,
            memory: some(pick(&[8 << 20, 8 << 20, 256 << 10, 64 << 10])),
            faults: [pick(&[0, 1, 5, 30]), pick(&[0, 2, 20]), pick(&[0, 5, 40]), pick(&[0, 10])],
            bad: pick(&[20, 100, 1000]),
            seqs: [(); 2]
                .map(|()| pick(&[1000, 0xffff_ffff, 0xffff_f000, 0x7fff_fff0, 0x8000_0000]) as u32),
        }
    }
}
