//! What a program says of itself on a console: a line for each figure.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// What stands before each figure.
const MARK: &str = "bench: ";

/// What a console says, by name.
pub(super) type Figures = BTreeMap<String, f64>;

/// Reads lines such as `bench: task_ns=12.5`.
pub(super) fn figures(console: &str) -> Figures {
    let lines = console.lines().filter_map(|line| line.strip_prefix(MARK)?.split_once('='));
    lines.filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?))).collect()
}

/// Gives the figure of that name.
///
/// # Errors
/// When it is not there.
pub(super) fn figure(figures: &Figures, key: &str) -> Result<f64> {
    figures.get(key).copied().with_context(|| format!("the guest did not say `{MARK}{key}=`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_by_name() {
        let read = figures("hello\nbench: a_ns=1.5\nbench: b=many\nx bench: c=1\nbench: d=7\n");
        assert_eq!(read, [("a_ns".to_owned(), 1.5), ("d".to_owned(), 7.0)].into());
        let error = figure(&read, "b").unwrap_err().to_string();
        assert_eq!(error, "the guest did not say `bench: b=`");
    }
}
