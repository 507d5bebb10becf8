//! Checks on plain text.

use super::Finding;

/// Lines after which a file is a question, and after which it is a finding.
const LINES: (usize, usize) = (500, 800);

/// Folders that only some machine has. Written in two parts, because this file
/// is checked as well.
const MACHINES: &[&str] =
    &[concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/"), concat!("/", "Users/")];

/// Finds files that are too long to be read in one go.
pub(crate) fn length(file: &str, content: &str) -> Option<Finding> {
    let lines = content.lines().count();
    let (question, most) = LINES;
    let what =
        format!("{lines} lines: a file has at most {most}, and beyond {question} should split");
    (lines > question).then(|| Finding { warning: lines <= most, ..Finding::new(file, None, what) })
}

/// Finds absolute paths that make sense on one machine only.
pub(crate) fn machine_names(file: &str, content: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in content.lines().zip(1..) {
        for machine in MACHINES {
            let here = line.match_indices(machine).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + machine.len()..].chars().next();
                // Inside a longer path it is somebody else's folder.
                !before.is_some_and(|c| c.is_alphanumeric() || "/._-}~".contains(c))
                    && after.is_some_and(|c| c.is_alphanumeric() || c == '.')
            });
            if here {
                let what = format!("a path below {machine} exists on some machines only");
                findings.push(Finding::new(file, number, what));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found() {
        let lines = |count| length("a.rs", &"x\n".repeat(count));
        assert_eq!(lines(500), None);
        assert!(lines(501).unwrap().warning);
        assert!(!lines(801).unwrap().warning);
    }

    #[test]
    fn names_of_machines_are_found() {
        let bad = concat!("a\nsee /", "work/main\n'/", "home/jo/x'\n");
        let lines: Vec<_> = machine_names("a", bad).iter().map(|it| it.line).collect();
        assert_eq!(lines, [Some(2), Some(3)]);
        let good = concat!("~/", "work/x https://a.b/", "work/x src/", "root/x /", "home/<you>");
        assert_eq!(machine_names("a", good), []);
    }
}
