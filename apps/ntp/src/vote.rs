//! Chooses between what several servers say.

use core::time::Duration;

/// What a server says of the time of day at a common instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    /// How far off that may be.
    pub(crate) distance: Duration,
}

impl Sample {
    /// Whether both can be right.
    fn agrees(&self, other: &Self) -> bool {
        self.wall.abs_diff(other.wall) <= self.distance + other.distance
    }
}

/// Returns the sample that most others agree with, of several the nearest, and with how many it
/// does, itself among them; `None` if these are not more than half.
pub(crate) fn vote(samples: &[Sample]) -> Option<(Sample, usize)> {
    let count = |it: &Sample| samples.iter().filter(|other| it.agrees(other)).count();
    let best = samples.iter().max_by_key(|it| (count(it), core::cmp::Reverse(it.distance)))?;
    let count = count(best);
    (2 * count > samples.len()).then_some((*best, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ms: u64, distance: u64) -> Sample {
        let [wall, distance] = [ms, distance].map(Duration::from_millis);
        Sample { wall, distance }
    }

    #[test]
    fn most_of_them_win() {
        assert_eq!(vote(&[]), None);
        assert_eq!(vote(&[sample(5, 1)]), Some((sample(5, 1), 1)));
        // Two that disagree: who is wrong?
        assert_eq!(vote(&[sample(5000, 1), sample(9000, 1)]), None);
        let all = [sample(5000, 20), sample(99_000, 1), sample(5010, 10)];
        assert_eq!(vote(&all), Some((sample(5010, 10), 2)));
        let all = [sample(1, 0), sample(2000, 0), sample(1, 0), sample(2000, 0)];
        assert_eq!(vote(&all), None);
    }
}
