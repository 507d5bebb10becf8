//! The calls about files, and what they have in common.

pub(crate) mod attributes;
pub(crate) mod copy;
pub(crate) mod descriptors;
pub(crate) mod locks;
pub(crate) mod names;
pub(crate) mod notify;
pub(crate) mod size;
pub(crate) mod transfer;

use super::{Caller, File, Open, Place, Walk};
use crate::errno::Errno;
use crate::stop::Stop;
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use linux_raw_sys::general::{AT_EMPTY_PATH, AT_FDCWD, IN_MODIFY, O_PATH};

/// `AT_FDCWD` as an argument.
const CWD: u64 = AT_FDCWD as u32 as u64;

/// Reads a path.
fn path(thread: &Thread, at: u64) -> Result<Vec<u8>, Stop> {
    thread.memory().text(at, super::LONGEST_PATH - 1)
}

/// Returns the folder that a relative path begins in; `None` for the working directory, and for
/// an absolute path, with which the descriptor is not looked at.
fn base(thread: &Thread, fd: u64, path: &[u8]) -> Result<Option<Rc<Open>>, Errno> {
    if fd as u32 == AT_FDCWD as u32 || path.starts_with(b"/") {
        return Ok(None);
    }
    thread.process.files().get(fd).map(Some)
}

/// Returns what is open as `fd`, and not by its name alone (`O_PATH`).
///
/// # Errors
/// `EBADF`
pub(crate) fn real(thread: &Thread, fd: u64) -> Result<Rc<Open>, Errno> {
    let open = thread.process.files().get(fd)?;
    if open.flags() & O_PATH == 0 { Ok(open) } else { Err(Errno::EBADF) }
}

/// Finds what a descriptor and the path at an address lead to. `flags` are `AT_*`.
fn find(thread: &Thread, fd: u64, at: u64, flags: u32, walk: Walk) -> Result<Place, Stop> {
    let empty = flags & AT_EMPTY_PATH != 0;
    // Linux takes no address for an empty path as well.
    let path = if empty && at == 0 { Vec::new() } else { path(thread, at)? };
    let base = base(thread, fd, &path)?;
    let walk = if empty { walk | Walk::EMPTY } else { walk };
    thread.system.tree.find(thread, base.as_deref(), &path, walk)
}

/// A file has become shorter: what is mapped of it beyond its end is no longer there.
fn cut(thread: &Thread, file: &dyn File, size: u64) {
    let Ok(pages) = file.pages() else { return };
    let first = size.div_ceil(kernel::user::PAGE as u64);
    for process in thread.system.processes() {
        if let Some(memory) = process.memory() {
            memory.forget(&pages, first);
        }
    }
}

/// Something was read.
#[inline(always)]
fn accessed(open: &Open, count: usize) {
    if let Some(place) = open.place.as_ref().filter(|_| count > 0) {
        super::notify::happened(place, linux_raw_sys::general::IN_ACCESS);
    }
}

/// Something was written.
fn written(open: &Open, count: usize) {
    if let Some(place) = open.place.as_ref().filter(|_| count > 0) {
        super::notify::happened(place, IN_MODIFY);
    }
}
