//! Puts names to the addresses in reports: the kernel's own of panics and
//! faults, Xen's of a crash, `xenctx`'s of a domain that runs, and those of Linux programs.

use crate::crashes;
use crate::symbols::Symbols;

/// Bytes of a line that are looked at. A report's first line may repeat a long
/// message, but then it ends without an address.
const LONGEST: usize = 256;

/// Passes a console on as it comes, each byte at once, and adds names where a
/// line of a report ends.
#[derive(Default)]
pub(crate) struct Names {
    /// The line so far, or its beginning.
    line: Vec<u8>,
}

impl Names {
    /// Appends `bytes`, whose lines end in plain line feeds, to `to`, and the names that an image's `symbols`
    /// have for them.
    pub(crate) fn feed(&mut self, bytes: &[u8], symbols: &Symbols, to: &mut Vec<u8>) {
        for &byte in bytes {
            if byte == b'\n' {
                if let Ok(line) = std::str::from_utf8(&self.line) {
                    to.extend(addition(line, symbols).bytes());
                }
                self.line.clear();
            } else if self.line.len() <= LONGEST {
                self.line.push(byte);
            }
            to.push(byte);
        }
    }
}

/// All of `text` with names.
pub(crate) fn named(text: &str, symbols: &Symbols) -> String {
    let mut bytes = Vec::new();
    Names::default().feed(text.as_bytes(), symbols, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What to add at the end of `line`: the name of its address, and below it the
/// functions that this one was inlined into. Mostly nothing.
pub(crate) fn addition(line: &str, symbols: &Symbols) -> String {
    let Some((start, address)) = address_in(line) else {
        return crashes::addition(line, symbols.programs()).unwrap_or_default();
    };
    let mut text = String::new();
    for place in symbols.places(address) {
        match text.is_empty() {
            true => text = format!("  {place}"),
            false => text += &format!("\n{start}     inlined into {place}"),
        }
    }
    text
}

/// How `line` starts and the address of code in it, if it is one of a report.
/// A return address is behind its call, which may be the last of a function:
/// the call itself is what is looked for.
fn address_in(line: &str) -> Option<(&'static str, u64)> {
    if let Some(text) = line.strip_prefix("xenith: ") {
        if let Some(address) = text.strip_prefix("  called from ") {
            return Some(("xenith:", hexadecimal(address)?.checked_sub(1)?));
        }
        let (_, address) = text.rsplit_once(" at ")?;
        return Some(("xenith:", hexadecimal(address)?));
    }
    if let Some(text) = line.strip_prefix("(XEN) RIP:") {
        // Behind the segment: the one of a PV guest's code, and not Xen's.
        let address = text.trim_start().strip_prefix("e033:[<")?;
        return Some(("(XEN)", digits(address.split_once(">]")?.0)?));
    }
    // As xenctx has it.
    Some(("", digits(line.strip_prefix("rip: ")?.split_whitespace().next()?)?))
}

/// An address as the kernel writes it.
fn hexadecimal(text: &str) -> Option<u64> {
    digits(text.strip_prefix("0x")?)
}

fn digits(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::elf::Elf;
    use crate::symbols::tests::symbols;
    use std::path::Path;

    #[test]
    fn only_lines_of_reports_hold_addresses() {
        for (line, address) in [
            ("xenith:   called from 0x301cc2", Some(0x30_1cc1)),
            ("xenith: page fault writing 0x5 (a null pointer) at 0x300314", Some(0x30_0314)),
            ("xenith: invalid opcode (error code 0x0) at 0x300314", Some(0x30_0314)),
            ("(XEN) RIP:    e033:[<000000000030157c>]", Some(0x30_157c)),
            ("(XEN) RIP:    e008:[<ffff82d04036029c>] x86_64/entry.S#f+0/0x4", None),
            ("rip: 0000000000301e2c ", Some(0x30_1e2c)),
            ("xenith: panic at src/main.rs:21:5: lost at 0x300314 or so", None),
            ("xenith: rsp 0x31c8f0 rbp 0x31c8f0", None),
            ("xenith:   called from 0x", None),
            ("xenith:   called from 0x0", None),
            ("xenith:   called from 0x123456789abcdef01", None),
            ("xenith:   called from 0x+1", None),
            ("hello at 0x300314", None),
            ("  xenith:   called from 0x301cc2", None),
            ("", None),
        ] {
            assert_eq!(address_in(line).map(|(_, address)| address), address, "{line}");
        }
    }

    #[test]
    fn names_follow_at_the_ends_of_lines_however_these_come() {
        let text = "a prompt> \u{e9}\nxenith:   called from 0x300110\nxenith: exit status 139\nno";
        let expected = text.replace("0x300110", "0x300110  app::start");
        for size in 1..text.len() {
            let symbols = symbols();
            let (mut names, mut to) = (Names::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                names.feed(piece, &symbols, &mut to);
            }
            assert_eq!(String::from_utf8(to).unwrap(), expected);
        }
    }

    #[test]
    fn without_symbols_nothing_is_added() {
        let symbols = Symbols::new(&Elf::default(), Path::new("/"));
        let text = "xenith:   called from 0x300110\n";
        assert_eq!(named(text, &symbols), text);
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let symbols = symbols();
        let mut names = Names::default();
        let mut to = Vec::new();
        names.feed(&vec![b'x'; 100_000], &symbols, &mut to);
        assert_eq!(to.len(), 100_000);
        assert!(names.line.capacity() < 1024);
    }
}
