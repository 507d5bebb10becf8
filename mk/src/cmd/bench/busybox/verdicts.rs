//! What tests said of themselves, in the words of busybox's.

use std::collections::BTreeMap;
use std::fmt;

/// How lines about a test begin, and what they mean.
const WORDS: [(&str, &str); 4] =
    [("PASS: ", "pass"), ("FAIL: ", "fail"), ("SKIPPED: ", "skip"), ("UNTESTED: ", "skip")];

/// The verdict of each test, by its name; of several with one name, they are numbered.
#[derive(Debug, Default)]
pub(super) struct Verdicts(BTreeMap<String, &'static str>);

impl Verdicts {
    /// Reads what a suite printed.
    pub(super) fn of(printed: &str) -> Self {
        let mut all = BTreeMap::new();
        for line in printed.lines() {
            let Some((verdict, name)) =
                WORDS.iter().find_map(|(word, verdict)| Some((verdict, line.strip_prefix(word)?)))
            else {
                continue;
            };
            let mut numbered = name.to_owned();
            for number in 2.. {
                if !all.contains_key(&numbered) {
                    break;
                }
                numbered = format!("{name} ({number})");
            }
            all.insert(numbered, *verdict);
        }
        Self(all)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A line for each test that has not the same verdict in `other`.
    pub(super) fn differences(&self, other: &Self) -> String {
        let mut names: Vec<&String> = self.0.keys().chain(other.0.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let of = |all: &Self, name: &str| all.0.get(name).copied().unwrap_or("nothing");
        let line = |name: &&String| {
            let (ours, theirs) = (of(self, name), of(other, name));
            (ours != theirs).then(|| format!("{name}: {ours}, and {theirs} on Linux\n"))
        };
        names.iter().filter_map(line).collect()
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |verdict| self.0.values().filter(|it| **it == verdict).count();
        let [pass, fail, skip] = ["pass", "fail", "skip"].map(count);
        write!(f, "{pass} passed, {fail} failed, {skip} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_compared() {
        let ours = Verdicts::of("PASS: sed a\nPASS: sed a\nFAIL: sed b\nnoise\nUNTESTED: c\n");
        let theirs = Verdicts::of("PASS: sed a\nPASS: sed a\nPASS: sed b\nSKIPPED: d\n");
        assert_eq!(ours.to_string(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(
            ours.differences(&theirs),
            "c: skip, and nothing on Linux\nd: nothing, and skip on Linux\n\
             sed b: fail, and pass on Linux\n"
        );
        assert!(ours.differences(&ours).is_empty() && Verdicts::of("noise").is_empty());
    }
}
