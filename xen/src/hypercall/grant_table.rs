//! Makes the calls about the grant table (`public/grant_table.h`).

use super::{address, hypercall};
use crate::ids::GrantRef;
use crate::public::PAGE_SIZE;
use crate::public::grant_table::{
    CopyBytes, GNTCOPY_DEST_GREF, GNTCOPY_SOURCE_GREF, GNTST_OKAY, GNTTABOP_COPY,
    GNTTABOP_QUERY_SIZE, GNTTABOP_SETUP_TABLE, Place, QuerySize, SetupTable,
};
use crate::{DomId, Errno};
use xen_sys::__HYPERVISOR_grant_table_op;

/// Returns the number of frames of this domain's grant table, and their limit
/// (`GNTTABOP_query_size`). A frame has 512 entries.
///
/// # Errors
/// `EINVAL` if Xen answers with another status than `GNTST_okay`.
pub fn grant_table_op_query_size() -> Result<(u32, u32), Errno> {
    let mut arg = QuerySize { dom: DomId::SELF.0, ..QuerySize::default() };
    // SAFETY: Xen reads and writes one structure, which outlives the call.
    unsafe {
        hypercall::<__HYPERVISOR_grant_table_op>([
            u64::from(GNTTABOP_QUERY_SIZE),
            address(&mut arg),
            1,
            0,
        ])
    }?;
    if arg.status == GNTST_OKAY {
        Ok((arg.nr_frames, arg.max_nr_frames))
    } else {
        Err(Errno::EINVAL)
    }
}

/// Extends this domain's grant table to `frames.len()` frames, unless it is that long, and
/// writes the machine frame numbers of all of them to `frames` (`GNTTABOP_setup_table`).
///
/// # Errors
/// `ENOSPC` if that exceeds the limit (`max_grant_frames`).
pub fn grant_table_op_setup_table(frames: &mut [u64]) -> Result<(), Errno> {
    let mut arg = SetupTable {
        dom: DomId::SELF.0,
        nr_frames: frames.len() as u32,
        status: 0,
        frame_list: frames.as_mut_ptr(),
    };
    // SAFETY: Xen reads and writes one structure and as many numbers as `frames` has.
    unsafe {
        hypercall::<__HYPERVISOR_grant_table_op>([
            u64::from(GNTTABOP_SETUP_TABLE),
            address(&mut arg),
            1,
            0,
        ])
    }?;
    if arg.status == GNTST_OKAY { Ok(()) } else { Err(Errno::ENOSPC) }
}

/// Copies the page that `peer` granted by `reference` to the machine frame `frame` of this domain
/// (`GNTTABOP_copy`).
///
/// # Errors
/// `EACCES` if `peer` granted no such page to this domain.
///
/// # Safety
/// No reference points into the page of that frame but one of the caller's for writing.
pub unsafe fn grant_table_op_copy(
    peer: DomId,
    reference: GrantRef,
    frame: u64,
) -> Result<(), Errno> {
    let arg = CopyBytes {
        source: Place { page: reference.0.into(), domid: peer.0, offset: 0 },
        dest: Place { page: frame, domid: DomId::SELF.0, offset: 0 },
        len: PAGE_SIZE as u16,
        flags: GNTCOPY_SOURCE_GREF,
        status: 0,
    };
    // SAFETY: Xen writes a page that is the caller's.
    unsafe { copy(arg) }
}

/// Copies the first `length` bytes of the machine frame `frame` of this domain to the page that
/// `peer` granted by `reference` for writing (`GNTTABOP_copy`).
///
/// # Errors
/// `EACCES` if `peer` granted no such page to this domain, or revoked it.
pub fn grant_table_op_copy_to(
    peer: DomId,
    reference: GrantRef,
    frame: u64,
    length: u16,
) -> Result<(), Errno> {
    let arg = CopyBytes {
        source: Place { page: frame, domid: DomId::SELF.0, offset: 0 },
        dest: Place { page: reference.0.into(), domid: peer.0, offset: 0 },
        len: length,
        flags: GNTCOPY_DEST_GREF,
        status: 0,
    };
    // SAFETY: what Xen writes is a page of another domain.
    unsafe { copy(arg) }
}

/// Has Xen copy what `arg` says.
///
/// # Safety
/// If the destination is a page of this domain, no reference points into it but one of the
/// caller's for writing.
unsafe fn copy(mut arg: CopyBytes) -> Result<(), Errno> {
    // SAFETY: Xen reads and writes one structure, and a page of which the caller says that it may.
    unsafe {
        hypercall::<__HYPERVISOR_grant_table_op>([
            u64::from(GNTTABOP_COPY),
            address(&mut arg),
            1,
            0,
        ])
    }?;
    if arg.status == GNTST_OKAY { Ok(()) } else { Err(Errno::EACCES) }
}
