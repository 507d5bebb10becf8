//! `public/elfnote.h`: the ELF notes in which an image tells the domain builder how to load and
//! start it.

/// Virtual address of the entry point.
pub const XEN_ELFNOTE_ENTRY: u32 = 1;
/// Virtual address of the page that the domain builder has filled with hypercall stubs.
pub const XEN_ELFNOTE_HYPERCALL_PAGE: u32 = 2;
/// Virtual address at which pseudo-physical page 0 is mapped.
pub const XEN_ELFNOTE_VIRT_BASE: u32 = 3;
/// Offset to subtract from a segment's `p_paddr` to get its pseudo-physical address.
pub const XEN_ELFNOTE_PADDR_OFFSET: u32 = 4;
/// Version of Xen that the guest was written for: `xen-3.0`.
pub const XEN_ELFNOTE_XEN_VERSION: u32 = 5;
/// Name of the guest's operating system.
pub const XEN_ELFNOTE_GUEST_OS: u32 = 6;
/// Version of the guest's operating system.
pub const XEN_ELFNOTE_GUEST_VERSION: u32 = 7;
/// Name of the loader that the image is for: `generic`.
pub const XEN_ELFNOTE_LOADER: u32 = 8;
/// Features that the guest supports or, with `!` before the name, requires.
pub const XEN_ELFNOTE_FEATURES: u32 = 10;
