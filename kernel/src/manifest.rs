//! Defines the manifest of an image: an ELF note that [`unikernel!`](crate::unikernel) writes and
//! `cargo mk` reads.
//!
//! Section `.note.xenith`, name `Xenith`, type 1. The description is UTF-8
//! text, one line an entry, fields separated by tabs:
//!
//! ```text
//! xenith   1                                    format
//! name     <name>
//! version  <version>
//! memory   <number> <unit>                      KiB, MiB or GiB
//! stack    <number> <unit>                      likewise, if it is not 64 KiB
//! commit   <id>                                 if `cargo mk` knew it
//! crate    <name> <version>                     any number, for apps that ask for it
//! about    <line of the description>            any number of times
//! device   <field> <class> <id>                 one device; the id may be empty ...
//! xl       <setting> <first id> <item>          ... what its domain's configuration has for it
//! arg      <name> <kind>                        one argument ...
//! default  <as written in the source>           ... its default, if it has one
//! help     <line of its help>                   ... any number of times
//! ```
//!
//! The lines `commit` and `crate` come from `cargo mk`, by the environment
//! variable `XENITH_BUILD_` and the package's name. Crates are listed for an app
//! with `package.metadata.xenith.crates = true`: others need not carry them.

use crate::args::Argument;
use crate::device::{Class, Xl};
use crate::machine;

/// Version of the format, in the first line.
pub const FORMAT: &str = "1";

/// Type of the note.
const NT_MANIFEST: u32 = 1;

/// Holds an ELF note with a description of `N` bytes.
#[derive(Debug)]
#[repr(C, align(4))]
pub struct Note<const N: usize> {
    name_size: u32,
    description_size: u32,
    kind: u32,
    name: [u8; 8],
    description: [u8; N],
}

/// Returns the total length of `pieces` in bytes.
#[must_use]
pub const fn length(pieces: &[&str]) -> usize {
    let (mut length, mut i) = (0, 0);
    while i < pieces.len() {
        length += pieces[i].len();
        i += 1;
    }
    length
}

impl<const N: usize> Note<N> {
    /// Makes a note of `pieces`, concatenated. They have `N` bytes in all.
    #[must_use]
    pub const fn new(pieces: &[&str]) -> Self {
        let mut description = [0; N];
        let (mut at, mut i) = (0, 0);
        while i < pieces.len() {
            let piece = pieces[i].as_bytes();
            let mut j = 0;
            while j < piece.len() {
                description[at] = piece[j];
                at += 1;
                j += 1;
            }
            i += 1;
        }
        assert!(at == N);
        Self {
            name_size: 7,
            description_size: N as u32,
            kind: NT_MANIFEST,
            name: *b"Xenith\0\0",
            description,
        }
    }

    /// Returns the description: the manifest.
    #[must_use]
    pub const fn text(&self) -> &[u8] {
        &self.description
    }
}

/// Returns the manifest of this program, in the format above. Empty if there is none, as in tests.
#[must_use]
pub fn this() -> &'static str {
    // It was put together from text.
    core::str::from_utf8(machine::manifest()).unwrap_or_default()
}

/// Names the unit of `memory` in a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// 2^10 bytes.
    KiB,
    /// 2^20 bytes.
    MiB,
    /// 2^30 bytes.
    GiB,
}

impl Unit {
    const fn bytes(self) -> u64 {
        match self {
            Self::KiB => 1 << 10,
            Self::MiB => 1 << 20,
            Self::GiB => 1 << 30,
        }
    }
}

/// Returns the size of a stack in bytes. The linker script makes one of the least, 64 KiB, where an
/// app does not say.
///
/// # Panics
/// If there cannot be such a stack; in an app that is an error of the compiler.
#[doc(hidden)]
#[must_use]
pub const fn stack(number: u64, unit: Unit) -> usize {
    let size = number.saturating_mul(unit.bytes());
    assert!(size >= 64 << 10, "stack: a guest has at least 64 KiB of stack");
    assert!(size <= 64 << 20, "stack: a guest has at most 64 MiB of stack");
    assert!(size.is_multiple_of(4 << 10), "stack: its size should be a multiple of 4 KiB");
    size as usize
}

/// Writes the lines about a device of `class` and its `arguments` into `to`, as far as they fit,
/// and returns their length. Measuring and writing are one function, so they cannot differ.
const fn walk(class: &Class, arguments: &[Argument], to: &mut [u8]) -> usize {
    const fn put(text: &str, to: &mut [u8], mut at: usize) -> usize {
        let (text, mut i) = (text.as_bytes(), 0);
        while i < text.len() {
            if at < to.len() {
                to[at] = text[i];
            }
            (at, i) = (at + 1, i + 1);
        }
        at
    }
    let (mut at, mut i) = (0, 0);
    if let Some(Xl { setting, first, item }) = class.xl {
        at = put("xl\t", to, at);
        at = put(setting, to, at);
        at = put("\t", to, at);
        at = put(first, to, at);
        at = put("\t", to, at);
        at = put(item, to, at);
        at = put("\n", to, at);
    }
    while i < arguments.len() {
        at = put("arg\t", to, at);
        at = put(arguments[i].name, to, at);
        at = put("\t", to, at);
        at = put(arguments[i].kind, to, at);
        if let Some(default) = arguments[i].default {
            at = put("\ndefault\t", to, at);
            at = put(default, to, at);
        }
        let mut j = 0;
        while j < arguments[i].help.len() {
            at = put("\nhelp\t", to, at);
            at = put(arguments[i].help[j], to, at);
            j += 1;
        }
        at = put("\n", to, at);
        i += 1;
    }
    at
}

/// Returns the length of the note's lines about a device of `class` with `arguments`.
#[doc(hidden)]
#[must_use]
pub const fn lines_length(class: &Class, arguments: &[Argument]) -> usize {
    walk(class, arguments, &mut [])
}

/// Returns the note's lines about a device of `class` with `arguments`: `N` bytes in all.
#[doc(hidden)]
#[must_use]
pub const fn lines<const N: usize>(class: &Class, arguments: &[Argument]) -> [u8; N] {
    let mut text = [0; N];
    assert!(walk(class, arguments, &mut text) == N);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_devices_say_becomes_lines() {
        const DISK: Class =
            Class { name: "disk", xl: Some(Xl { setting: "s", first: "0", item: "a={id}" }) };
        const PLAIN: Class = Class { name: "plain", xl: None };
        const ARGUMENTS: &[Argument] = &[
            Argument { name: "ip", kind: "text", default: Some("dhcp"), help: &[" Who.", " a"] },
            Argument { name: "b", kind: "c", default: None, help: &[] },
        ];
        const XL: [u8; lines_length(&DISK, &[])] = lines(&DISK, &[]);
        assert_eq!(&XL, b"xl\ts\t0\ta={id}\n");
        const LINES: [u8; lines_length(&PLAIN, ARGUMENTS)] = lines(&PLAIN, ARGUMENTS);
        assert_eq!(&LINES, b"arg\tip\ttext\ndefault\tdhcp\nhelp\t Who.\nhelp\t a\narg\tb\tc\n");
    }

    #[test]
    fn a_stack_has_pages_and_limits() {
        assert_eq!(stack(64, Unit::KiB), 64 << 10);
        assert_eq!(stack(64, Unit::MiB), 64 << 20);
        for (number, unit) in [
            (0, Unit::KiB),
            (60, Unit::KiB),
            (65, Unit::KiB),
            (65, Unit::MiB),
            (1, Unit::GiB),
            (u64::MAX, Unit::GiB),
        ] {
            let refused = std::panic::catch_unwind(|| stack(number, unit));
            assert!(refused.is_err(), "{number} {unit:?}");
        }
    }

    #[test]
    fn a_note_holds_its_parts() {
        const PARTS: &[&str] = &["name\t", "hello", "\n"];
        static NOTE: Note<{ length(PARTS) }> = Note::new(PARTS);
        assert_eq!(&NOTE.description, b"name\thello\n");
        assert_eq!((NOTE.name_size, NOTE.description_size, NOTE.kind), (7, 11, 1));
        assert_eq!(size_of_val(&NOTE), 32, "padded to a multiple of 4");
    }
}
