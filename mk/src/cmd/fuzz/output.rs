//! What libFuzzer prints: progress in lines such as
//! `#4096 pulse cov: 596 ft: 1412 corp: 169/5099b lim: 177 exec/s: 4637 rss: 96Mb`, and
//! a crash in many others.

use crate::ui::bytes;
use std::fmt;

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    runs: u64,
    coverage: u64,
    inputs: u64,
    per_second: u64,
}

impl Progress {
    /// Takes a line; whether it is one about progress.
    pub(super) fn take(&mut self, line: &str) -> bool {
        let mut words = line.split_whitespace();
        let runs = words.next().and_then(|word| word.strip_prefix('#')?.parse().ok());
        let Some(runs) = runs else { return false };
        self.runs = runs;
        while let Some(word) = words.next() {
            let place = match word {
                "cov:" => &mut self.coverage,
                "corp:" => &mut self.inputs,
                "exec/s:" => &mut self.per_second,
                _ => continue,
            };
            let number = words.next().and_then(|it| it.split('/').next()?.parse().ok());
            *place = number.unwrap_or(*place);
        }
        true
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>10} runs, {:>5} a second, {:>6} edges, {:>4} inputs",
            bytes(self.runs),
            bytes(self.per_second),
            bytes(self.coverage),
            self.inputs
        )
    }
}

/// What a crash is: the lines that say it, its file, and how to see it again.
pub(super) fn report(target: &str, said: &[String]) -> String {
    let file = said.iter().find_map(|line| line.split_once("Test unit written to "));
    let file = file.map(|(_, file)| file.trim());
    let first = said.iter().position(|line| line.contains("panicked at"));
    let first = first.or_else(|| said.iter().position(|line| line.contains("ERROR: ")));
    let mut text = match first {
        Some(at) => said[at..].iter().take(2).map(|line| line.trim()).collect::<Vec<_>>().join(" "),
        // It ended before libFuzzer could say anything.
        None => said[said.len().saturating_sub(5)..].join("\n"),
    };
    if let Some(file) = file {
        text += &format!("\n  input:      {file}");
        text += &format!("\n  once again: cargo mk fuzz {target} --input {file}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_lines() {
        let mut progress = Progress::default();
        let line = "#1234\tNEW    cov: 596 ft: 1412 corp: 169/5099b lim: 177 exec/s: 46 rss: 9Mb";
        assert!(progress.take(line));
        let expected = Progress { runs: 1234, coverage: 596, inputs: 169, per_second: 46 };
        assert_eq!(progress, expected);
        assert!(!progress.take("###### Recommended dictionary. ######"));
        assert!(!progress.take("INFO: Seed: 5"));
        assert!(progress.take("#2000\tpulse  exec/s: 50"));
        assert_eq!(progress, Progress { runs: 2000, per_second: 50, ..expected });
    }

    #[test]
    fn a_crash_says_what_where_and_how() {
        let said = [
            "INFO: Seed: 5",
            "thread '<unnamed>' panicked at devices/src/a.rs:1:2:",
            "index out of bounds",
            "SUMMARY: libFuzzer: deadly signal",
            "artifact_prefix='c/'; Test unit written to c/crash-01",
        ];
        let text = report("http", &said.map(str::to_owned));
        assert!(text.starts_with("thread '<unnamed>' panicked at devices/src/a.rs:1:2: index"));
        assert!(text.ends_with("once again: cargo mk fuzz http --input c/crash-01"), "{text}");
        assert_eq!(report("http", &["killed".to_owned()]), "killed");
    }
}
