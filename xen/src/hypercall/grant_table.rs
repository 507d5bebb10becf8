//! Makes the calls about the grant table (`public/grant_table.h`).

use super::{address, hypercall};
use crate::public::grant_table::{
    GNTST_OKAY, GNTTABOP_QUERY_SIZE, GNTTABOP_SETUP_TABLE, QuerySize, SetupTable,
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
