//! Functions and lines of Linux programs, where `apps/linux` says that one crashed: in the files of
//! the folder that is their root.

use crate::symbols::Symbols;
use std::path::{Component, Path, PathBuf};

/// What to add at the end of `line`, if it is one of a report of a program that is in `folders`.
pub(crate) fn addition(line: &str, folders: &[PathBuf]) -> Option<String> {
    let (path, offset) = place_in(line)?;
    // Nothing outside of the folders is read because a guest says so.
    let inside: PathBuf =
        Path::new(path).components().filter(|it| matches!(it, Component::Normal(_))).collect();
    folders.iter().find_map(|folder| {
        let symbols = Symbols::read(&folder.join(&inside), folder).ok()?;
        let places = symbols.places(symbols.address_of(offset)?);
        let shown: Vec<_> = places.iter().map(ToString::to_string).collect();
        (!shown.is_empty()).then(|| format!("  {}", shown.join(", inlined into ")))
    })
}

/// The file and the offset of code in it that `line` names. A return address is behind its call,
/// which may be the last of a function: the call itself is what is looked for.
fn place_in(line: &str) -> Option<(&str, u64)> {
    let (_, report) = line.split_once("linux: ")?;
    let called = report.starts_with("  called from ");
    let ends = report.starts_with("process ") && report.contains(" ends: ");
    if !called && !ends {
        return None;
    }
    let (path, offset) = report.strip_suffix(')')?.rsplit_once(" + 0x")?;
    let (_, path) = path.rsplit_once(" (")?;
    let offset = u64::from_str_radix(offset, 16).ok()?;
    Some((path, offset.checked_sub(u64::from(called))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reports_of_programs_hold_places() {
        for (line, place) in [
            (
                "[    0.5] ERROR linux::signal::report: linux: process 1 (a b) ends: SIGSEGV (11), \
                 address 0x10, at 0x401136 (/bin/a b + 0x1136)",
                Some(("/bin/a b", 0x1136)),
            ),
            ("linux:   called from 0x401200 (/bin/x + 0x1200)", Some(("/bin/x", 0x11ff))),
            ("linux:   called from 0x401200 (/bin/x + 0x0)", None),
            ("linux:   called from 0x401200", None),
            ("linux: process 1 (x) starts (/bin/x + 0x12)", None),
            ("see (/bin/x + 0x12)", None),
        ] {
            assert_eq!(place_in(line), place, "{line}");
        }
    }

    #[test]
    fn a_function_is_found_by_its_place_in_the_file() {
        // This test itself is a program with symbols and lines.
        let own = std::env::current_exe().unwrap();
        let (folder, name) = (own.parent().unwrap(), own.file_name().unwrap().to_str().unwrap());
        let symbols = Symbols::read(&own, folder).unwrap();
        let offset = (0..).map(|it| it * 64).find(|&offset| {
            let places = symbols.address_of(offset).map(|it| symbols.places(it));
            places.is_some_and(|it| !it.is_empty())
        });
        let offset = offset.unwrap();
        let line =
            format!("linux: process 1 (x) ends: SIGSEGV (11), at 0x1 (/{name} + {offset:#x})");
        let folders = [folder.join("absent"), folder.into()];
        assert!(addition(&line, &folders).is_some_and(|it| it.starts_with("  ")));
        let outside = line.replace(&format!("/{name}"), &format!("/../../../absent/{name}"));
        assert_eq!(addition(&outside, &folders), None);
    }
}
