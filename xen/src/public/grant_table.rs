//! `public/grant_table.h`, version 1 of the table: pages that another domain may access.

/// `GNTTABOP_setup_table`: extends the table and returns its frames.
pub const GNTTABOP_SETUP_TABLE: u32 = 2;

/// `GNTTABOP_copy`: copies bytes between pages, each of which may be granted.
pub const GNTTABOP_COPY: u32 = 5;

/// `GNTTABOP_query_size`: returns the size of the table and its limit.
pub const GNTTABOP_QUERY_SIZE: u32 = 6;

/// `GNTST_okay`: the operation succeeded.
pub const GNTST_OKAY: i16 = 0;

/// `GNTST_general_error`.
pub const GNTST_GENERAL_ERROR: i16 = -1;
/// `GNTST_bad_gntref`: there is no such entry, or it grants nothing.
pub const GNTST_BAD_GNTREF: i16 = -3;
/// `GNTST_permission_denied`: it grants access to another domain, or no write access.
pub const GNTST_PERMISSION_DENIED: i16 = -8;
/// `GNTST_bad_page`: the granting domain does not own the frame.
pub const GNTST_BAD_PAGE: i16 = -9;
/// `GNTST_bad_copy_arg`: the copy would cross the end of the page.
pub const GNTST_BAD_COPY_ARG: i16 = -10;

/// `struct gnttab_setup_table`: the argument of [`GNTTABOP_SETUP_TABLE`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SetupTable {
    /// The domain whose table it is.
    pub dom: u16,
    /// Number of frames that the table shall have.
    pub nr_frames: u32,
    /// `GNTST_*`, written by Xen.
    pub status: i16,
    /// Address of `nr_frames` machine frame numbers, written by Xen.
    pub frame_list: *mut u64,
}

/// `struct gnttab_query_size`: the argument of [`GNTTABOP_QUERY_SIZE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct QuerySize {
    /// The domain whose table it is.
    pub dom: u16,
    /// Number of frames, written by Xen.
    pub nr_frames: u32,
    /// Limit of frames, written by Xen.
    pub max_nr_frames: u32,
    /// `GNTST_*`, written by Xen.
    pub status: i16,
}

/// `GNTCOPY_source_gref`: the source is named by a grant reference, and not by a frame.
pub const GNTCOPY_SOURCE_GREF: u16 = 1;
/// `GNTCOPY_dest_gref`: the same for the destination.
pub const GNTCOPY_DEST_GREF: u16 = 2;

/// A page of [`CopyBytes`], and where in it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// A grant reference or a machine frame number.
    pub page: u64,
    /// The domain that granted the page, or owns it.
    pub domid: u16,
    /// Bytes before those that are meant.
    pub offset: u16,
}

/// `struct gnttab_copy`: the argument of [`GNTTABOP_COPY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CopyBytes {
    /// Where the bytes are.
    pub source: Place,
    /// Where they go.
    pub dest: Place,
    /// How many there are, within both pages.
    pub len: u16,
    /// `GNTCOPY_*`.
    pub flags: u16,
    /// `GNTST_*`, written by Xen.
    pub status: i16,
}

// As in the header.
const _: () = assert!(size_of::<CopyBytes>() == 40);

/// Size of a `grant_entry_v1` in bytes: `flags` and `domid` of 16 bits, `frame` of 32.
pub const ENTRY_SIZE: usize = 8;

/// Number of entries in a frame of the table.
pub const ENTRIES: usize = super::PAGE_SIZE / ENTRY_SIZE;

/// `GNTTAB_NR_RESERVED_ENTRIES`: the first entries are the toolstack's, for the pages of the
/// console and of xenstore (rule G8).
pub const RESERVED_ENTRIES: u32 = 8;

/// `GTF_type_mask`: the type of an entry; 0 (`GTF_invalid`) grants nothing.
pub const GTF_TYPE_MASK: u16 = 3;
/// `GTF_permit_access`: the entry lets `domid` map `frame` and copy from and to it.
pub const GTF_PERMIT_ACCESS: u16 = 1;
/// `GTF_readonly`: restricts that to reading.
pub const GTF_READONLY: u16 = 1 << 2;
/// `GTF_reading`: the frame is mapped or pinned for reading; written by Xen.
pub const GTF_READING: u16 = 1 << 3;
/// `GTF_writing`: the frame is mapped or pinned for writing; written by Xen.
pub const GTF_WRITING: u16 = 1 << 4;
