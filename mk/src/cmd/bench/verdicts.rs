//! What tests said of themselves, here and on Linux.

use std::collections::BTreeMap;
use std::fmt;

/// How lines about a test begin, and what they mean.
pub(super) type Words = [(&'static str, &'static str)];

/// In the words of busybox.
pub(super) const BUSYBOX: &Words =
    &[("PASS: ", "pass"), ("FAIL: ", "fail"), ("SKIPPED: ", "skip"), ("UNTESTED: ", "skip")];

/// In the words of redis.
pub(super) const REDIS: &Words = &[
    ("[ok]: ", "pass"),
    ("[err]: ", "fail"),
    ("[exception]: ", "fail"),
    ("[TIMEOUT]: ", "fail"),
    ("[skip]: ", "skip"),
    ("[ignore]: ", "skip"),
];

/// The verdict of each test, by its name; of several with one name, they are numbered.
#[derive(Debug, Default)]
pub(super) struct Verdicts(BTreeMap<String, &'static str>);

impl Verdicts {
    /// Reads what a suite printed. How long a test took is not a part of its name, nor is the file
    /// of one that failed.
    pub(super) fn of(printed: &str, words: &Words) -> Self {
        let mut all = BTreeMap::new();
        for line in printed.lines() {
            let Some((verdict, name)) =
                words.iter().find_map(|(word, verdict)| Some((verdict, line.strip_prefix(word)?)))
            else {
                continue;
            };
            let time = name.strip_suffix(" ms)").and_then(|it| it.rsplit_once(" ("));
            let (name, _) = time.or_else(|| name.rsplit_once(" in tests/")).unwrap_or((name, ""));
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
        let ours =
            Verdicts::of("PASS: sed a\nPASS: sed a\nFAIL: sed b\nnoise\nUNTESTED: c\n", BUSYBOX);
        let theirs = Verdicts::of("PASS: sed a\nPASS: sed a\nPASS: sed b\nSKIPPED: d\n", BUSYBOX);
        assert_eq!(ours.to_string(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(
            ours.differences(&theirs),
            "c: skip, and nothing on Linux\nd: nothing, and skip on Linux\n\
             sed b: fail, and pass on Linux\n"
        );
        assert!(ours.differences(&ours).is_empty() && Verdicts::of("noise", BUSYBOX).is_empty());
    }

    #[test]
    fn a_test_that_fails_has_the_name_under_which_it_passes() {
        let ours = Verdicts::of("[err]: SET (a) in tests/unit/x.tcl\nExpected 1\n", REDIS);
        let theirs = Verdicts::of("[ok]: SET (a) (12 ms)\n[ignore]: B: large\n", REDIS);
        assert_eq!(
            ours.differences(&theirs),
            "B: large: nothing, and skip on Linux\nSET (a): fail, and pass on Linux\n"
        );
    }
}
