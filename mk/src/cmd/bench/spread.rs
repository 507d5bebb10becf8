//! Several measurements of one thing.

use crate::ui::bytes;
use serde::Serialize;

/// The middle and the ends of several measurements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: u64,
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) all: Vec<u64>,
}

impl Spread {
    /// Of at least one value.
    pub(super) fn of(all: Vec<u64>) -> Self {
        let mut sorted = all.clone();
        sorted.sort_unstable();
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let median = u64::midpoint(at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2));
        Self { median, least: at(0), most: at(sorted.len().saturating_sub(1)), all }
    }

    pub(super) fn row(&self, what: &str) -> [String; 4] {
        [what.to_owned(), bytes(self.median), bytes(self.least), bytes(self.most)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = Spread::of(vec![30, 10, 20]);
        assert_eq!((spread.median, spread.least, spread.most), (20, 10, 30));
        assert_eq!(Spread::of(vec![10, 20]).median, 15);
        assert_eq!(Spread::of(vec![7]).median, 7);
    }
}
