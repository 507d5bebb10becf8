//! The notes by which Xen's domain builder starts a PV guest.

use super::elf::Elf;

/// Owner of the notes.
pub(crate) const OWNER: &[u8] = b"Xen";

pub(crate) const ENTRY: u32 = 1;
pub(crate) const HYPERCALL_PAGE: u32 = 2;
pub(crate) const VIRT_BASE: u32 = 3;
pub(crate) const PADDR_OFFSET: u32 = 4;
pub(crate) const XEN_VERSION: u32 = 5;
pub(crate) const GUEST_OS: u32 = 6;
pub(crate) const LOADER: u32 = 8;

/// Names of the types, as Xen's public/elfnote.h has them.
pub(crate) const NAMES: &[&str] = &[
    "INFO",
    "ENTRY",
    "HYPERCALL_PAGE",
    "VIRT_BASE",
    "PADDR_OFFSET",
    "XEN_VERSION",
    "GUEST_OS",
    "GUEST_VERSION",
    "LOADER",
    "PAE_MODE",
    "FEATURES",
    "BSD_SYMTAB",
    "HV_START_LOW",
    "L1_MFN_VALID",
    "SUSPEND_CANCEL",
    "INIT_P2M",
    "MOD_START_PFN",
    "SUPPORTED_FEATURES",
    "PHYS32_ENTRY",
];

/// Whether a type's value is text.
const fn is_text(kind: u32) -> bool {
    matches!(kind, 5..=10)
}

/// The number in a note of that type.
///
/// # Errors
/// What to say when there is none.
pub(crate) fn number(elf: &Elf<'_>, kind: u32) -> Result<u64, String> {
    let name = NAMES[kind as usize];
    let value = elf.note(OWNER, kind).ok_or_else(|| format!("there is no Xen note {name}"))?;
    match *value {
        [a, b, c, d, e, f, g, h] => Ok(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
        [a, b, c, d] => Ok(u32::from_le_bytes([a, b, c, d]).into()),
        _ => Err(format!("the Xen note {name} is {} bytes long, not 4 or 8", value.len())),
    }
}

/// The text in a note of that type.
///
/// # Errors
/// What to say when there is none.
pub(crate) fn text<'data>(elf: &Elf<'data>, kind: u32) -> Result<&'data str, String> {
    let name = NAMES[kind as usize];
    let value = elf.note(OWNER, kind).ok_or_else(|| format!("there is no Xen note {name}"))?;
    value
        .strip_suffix(b"\0")
        .and_then(|text| std::str::from_utf8(text).ok())
        .ok_or_else(|| format!("the Xen note {name} is not a text that ends with a zero byte"))
}

/// A note's value for people.
pub(crate) fn shown(kind: u32, value: &[u8]) -> String {
    match (is_text(kind), value.len()) {
        (true, _) => String::from_utf8_lossy(value).trim_end_matches('\0').to_owned(),
        (false, 4 | 8) => {
            let number = value.iter().rev().fold(0, |sum: u64, &byte| sum << 8 | u64::from(byte));
            format!("{number:#x}")
        }
        _ => value.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}
