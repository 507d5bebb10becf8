//! `public/grant_table.h`, version 1 of the table: which pages of ours another
//! domain may use.

/// `GNTTABOP_setup_table`: makes the table some frames long and names them.
pub const GNTTABOP_SETUP_TABLE: u32 = 2;

/// `GNTTABOP_query_size`: how long the table is and may become.
pub const GNTTABOP_QUERY_SIZE: u32 = 6;

/// `GNTST_okay`: the operation succeeded.
pub const GNTST_OKAY: i16 = 0;

/// `GNTST_general_error`.
pub const GNTST_GENERAL_ERROR: i16 = -1;
/// `GNTST_bad_gntref`: there is no such entry, or it lends nothing.
pub const GNTST_BAD_GNTREF: i16 = -3;
/// `GNTST_permission_denied`: not to this domain, or not for writing.
pub const GNTST_PERMISSION_DENIED: i16 = -8;
/// `GNTST_bad_page`: the entry names a frame that its owner does not have.
pub const GNTST_BAD_PAGE: i16 = -9;
/// `GNTST_bad_copy_arg`: a copy would leave the page.
pub const GNTST_BAD_COPY_ARG: i16 = -10;

/// `struct gnttab_setup_table`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SetupTable {
    /// The domain whose table it is.
    pub dom: u16,
    /// How many frames are wanted.
    pub nr_frames: u32,
    /// `GNTST_*`, written by Xen.
    pub status: i16,
    /// Where Xen writes the machine frame numbers: `nr_frames` of them.
    pub frame_list: *mut u64,
}

/// `struct gnttab_query_size`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QuerySize {
    /// The domain whose table it is.
    pub dom: u16,
    /// Frames now, written by Xen.
    pub nr_frames: u32,
    /// Frames at most, written by Xen.
    pub max_nr_frames: u32,
    /// `GNTST_*`, written by Xen.
    pub status: i16,
}

/// Bytes of one `grant_entry_v1`: `flags` and `domid` of 16 bits, then `frame`
/// of 32.
pub const ENTRY_SIZE: usize = 8;

/// Entries in one frame of the table.
pub const ENTRIES: usize = super::PAGE_SIZE / ENTRY_SIZE;

/// The first entries belong to the toolstack (`GNTTAB_NR_RESERVED_ENTRIES`):
/// the console's page and xenstore's (rule G8).
pub const RESERVED_ENTRIES: u32 = 8;

/// `GTF_type_mask`: the bits that say what an entry is; 0 is no grant.
pub const GTF_TYPE_MASK: u16 = 3;
/// `GTF_permit_access`: the entry lets `domid` use `frame`.
pub const GTF_PERMIT_ACCESS: u16 = 1;
/// `GTF_readonly`: but not write to it.
pub const GTF_READONLY: u16 = 1 << 2;
/// `GTF_reading`: it is mapped or pinned for reading now; written by Xen.
pub const GTF_READING: u16 = 1 << 3;
/// `GTF_writing`: it is mapped or pinned for writing now; written by Xen.
pub const GTF_WRITING: u16 = 1 << 4;
