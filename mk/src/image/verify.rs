//! What must be true of an image before anybody boots it.
//!
//! Each check is a function that pushes a sentence for every breach; all run,
//! so that one look shows everything.

use super::drivers::Drivers;
use super::elf::{Elf, Segment};
use super::layout::PAGE;
use super::manifest::Manifest;
use super::{notes, stack};
use object::elf;

/// Everything that is wrong with `image`, a sentence each. Whose code is in it is asked where
/// its manifest and all drivers are given.
pub(crate) fn verify(image: &Elf<'_>, named: Option<(&Manifest, &Drivers)>) -> Vec<String> {
    let mut wrong = Vec::new();
    if image.kind != elf::ET_EXEC.0 {
        wrong.push(format!("the file is of ELF type {}, not EXEC (2)", image.kind));
    }
    segments(image, &mut wrong);
    start(image, &mut wrong);
    linked(image, &mut wrong);
    if let Some((manifest, drivers)) = named {
        drivers.unnamed(image, manifest, &mut wrong);
        stack::check(image, manifest, &mut wrong);
    }
    wrong
}

/// Segments are loaded as Xen and the kernel expect it.
fn segments(image: &Elf<'_>, wrong: &mut Vec<String>) {
    let mut loads: Vec<_> = image.loads().filter(|segment| segment.size > 0).collect();
    loads.sort_by_key(|segment| segment.address);
    if loads.is_empty() {
        wrong.push("nothing is loaded: there is no LOAD segment".to_owned());
    }
    for segment in &loads {
        let at = segment.address;
        if segment.is_writable() && segment.is_executable() {
            wrong.push(format!("the segment at {at:#x} is writable and executable"));
        }
        if segment.physical != at {
            wrong.push(format!(
                "the segment at {at:#x} has the physical address {:#x}: Xen loads it there",
                segment.physical
            ));
        }
        if !at.is_multiple_of(PAGE) {
            wrong.push(format!(
                "the segment at {at:#x} does not begin a page, so it cannot be protected"
            ));
        }
        if (segment.data.len() as u64) > segment.size {
            wrong.push(format!("the segment at {at:#x} is larger in the file than in memory"));
        }
    }
    for pair in loads.windows(2) {
        if pair[0].end().div_ceil(PAGE) > pair[1].address / PAGE {
            let (one, two) = (pair[0].address, pair[1].address);
            wrong.push(format!("the segments at {one:#x} and {two:#x} share a page"));
        }
    }
    for segment in &image.segments {
        let what = match elf::ProgramType(segment.kind) {
            elf::PT_DYNAMIC => "a dynamic part",
            elf::PT_INTERP => "a program interpreter",
            elf::PT_TLS => "thread-local data",
            elf::PT_GNU_STACK if segment.is_executable() => "an executable stack",
            _ => continue,
        };
        wrong.push(format!("the image has {what}, which nothing in a guest handles"));
    }
}

/// Xen finds what it needs to start the guest.
fn start(image: &Elf<'_>, wrong: &mut Vec<String>) {
    let mut number = |kind| notes::number(image, kind).map_err(|error| wrong.push(error)).ok();
    let entry = number(notes::ENTRY);
    let hypercall_page = number(notes::HYPERCALL_PAGE);
    let virt_base = number(notes::VIRT_BASE);
    let paddr_offset = number(notes::PADDR_OFFSET);
    let executable =
        |address| image.loads().any(|segment| segment.is_executable() && segment.holds(address));
    if let Some(entry) = entry {
        let filled = |segment: &Segment<'_>| {
            segment.holds(entry) && entry - segment.address < segment.data.len() as u64
        };
        if !image.loads().any(|segment| segment.is_executable() && filled(segment)) {
            wrong.push(format!("the entry {entry:#x} is not in the text"));
        }
        if entry != image.entry {
            let header = image.entry;
            wrong.push(format!("note ENTRY is {entry:#x}, and the ELF header has {header:#x}"));
        }
    }
    if let Some(page) = hypercall_page {
        if !page.is_multiple_of(PAGE) {
            wrong.push(format!("the hypercall page {page:#x} does not begin a page"));
        }
        if !executable(page) || !executable(page + PAGE - 1) {
            wrong.push(format!("the hypercall page {page:#x} is not executable"));
        }
    }
    if virt_base != paddr_offset {
        let shown = |value: Option<u64>| value.map_or("missing".into(), |it| format!("{it:#x}"));
        let (base, offset) = (shown(virt_base), shown(paddr_offset));
        wrong.push(format!("note VIRT_BASE is {base}, and PADDR_OFFSET {offset}"));
    }
    if let (Some(base), Some((lowest, _))) = (virt_base, image.extent())
        && base != lowest
    {
        wrong.push(format!("note VIRT_BASE is {base:#x}, and the lowest address {lowest:#x}"));
    }
    for (kind, expected) in [(notes::XEN_VERSION, "xen-3.0"), (notes::LOADER, "generic")] {
        match notes::text(image, kind) {
            Ok(text) if text == expected => {}
            Ok(text) => {
                let name = notes::NAMES[kind as usize];
                wrong.push(format!("note {name} is {text:?}, not {expected:?}"));
            }
            Err(error) => wrong.push(error),
        }
    }
    if let Err(error) = notes::text(image, notes::GUEST_OS) {
        wrong.push(error);
    }
}

/// Linking left nothing to do.
fn linked(image: &Elf<'_>, wrong: &mut Vec<String>) {
    // A weak one that nobody defines is address 0, which is what who asks for it looks for.
    for symbol in image.symbols.iter().filter(|symbol| symbol.undefined && !symbol.weak) {
        let name = rustc_demangle::demangle(symbol.name);
        wrong.push(format!("symbol {name:#} is undefined: it is used, and defined nowhere"));
    }
    for section in &image.sections {
        let relocations =
            matches!(elf::SectionType(section.kind), elf::SHT_REL | elf::SHT_RELA | elf::SHT_RELR);
        if relocations && section.size > 0 {
            let name = section.name;
            wrong.push(format!("section {name} has relocations, which nothing would apply"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::elf::{Note, Symbol};
    use super::super::pack::tests::sample;
    use super::*;

    /// An image with nothing wrong.
    fn good() -> Elf<'static> {
        const BASE: &[u8] = &[0, 0, 0x30, 0, 0, 0, 0, 0];
        let note = |kind, description| Note { owner: b"Xen", kind, description };
        let mut image = sample();
        image.segments[0].size = 0x1000;
        image.notes = vec![
            note(notes::ENTRY, BASE),
            note(notes::HYPERCALL_PAGE, BASE),
            note(notes::VIRT_BASE, BASE),
            note(notes::PADDR_OFFSET, BASE),
            note(notes::XEN_VERSION, b"xen-3.0\0"),
            note(notes::GUEST_OS, b"Xenith\0"),
            note(notes::LOADER, b"generic\0"),
        ];
        image
    }

    /// What is wrong after `change`.
    fn wrong(change: impl FnOnce(&mut Elf<'static>)) -> String {
        let mut image = good();
        change(&mut image);
        verify(&image, None).join("\n")
    }

    #[test]
    fn a_good_image_passes() {
        assert_eq!(wrong(|_| {}), "");
    }

    #[test]
    fn every_breach_has_its_message() {
        type Change = fn(&mut Elf<'static>);
        let cases: &[(Change, &str)] = &[
            (|it| it.kind = 3, "ELF type 3"),
            (|it| it.segments.retain(|it| !it.is_load()), "no LOAD segment"),
            (|it| it.segments[0].flags = 7, "writable and executable"),
            (|it| it.segments[1].physical = 0, "has the physical address 0x0"),
            (|it| it.segments[1].address += 8, "does not begin a page"),
            (|it| it.segments[1].size = 1, "larger in the file"),
            (|it| it.segments[0].size = 0x1001, "share a page"),
            (|it| it.segments[3].kind = elf::PT_DYNAMIC.0, "a dynamic part"),
            (|it| it.segments[3].kind = elf::PT_INTERP.0, "a program interpreter"),
            (|it| it.segments[4].flags = 7, "an executable stack"),
            (|it| it.entry += 1, "the ELF header has 0x300001"),
            (|it| it.notes[0].owner = b"NetBSD", "no Xen note ENTRY"),
            (|it| it.notes[0].description = b"\0\0\x31\0", "the entry 0x310000 is not in the text"),
            (|it| it.notes[0].description = b"\0", "1 bytes long, not 4 or 8"),
            (|it| it.notes[1].description = b"\x08\0\x30\0", "does not begin a page"),
            (|it| it.notes[1].description = b"\0\x10\x30\0", "is not executable"),
            (|it| it.notes[3].description = b"\0\0\0\0", "PADDR_OFFSET 0x0"),
            (|it| it.notes[2].description = b"\0\0\x20\0", "the lowest address 0x300000"),
            (|it| it.notes[4].description = b"xen-2.0\0", "note XEN_VERSION is \"xen-2.0\""),
            (|it| it.notes[5].description = b"Xenith", "ends with a zero byte"),
            (|it| it.notes[6].owner = b"NetBSD", "no Xen note LOADER"),
        ];
        for (number, (change, expected)) in cases.iter().enumerate() {
            let wrong = wrong(change);
            assert!(wrong.contains(expected), "case {number}: {wrong:?} should say {expected:?}");
        }
    }

    #[test]
    fn what_linking_left_over_is_found() {
        let symbol = Symbol { name: "memcpy", undefined: true, ..Symbol::default() };
        let weak = Symbol { weak: true, ..symbol.clone() };
        assert!(wrong(|image| image.symbols.push(symbol)).contains("symbol memcpy is undefined"));
        assert_eq!(wrong(|image| image.symbols.push(weak)), "");
    }
}
