//! The size of a file, its limit, and what is written to a disk: truncate(2), fallocate(2), fsync(2).

use super::super::alone::{self, Hold};
use super::super::{At, Caller, Open, Type, notify};
use super::written;
use crate::call::{Answer, Args, Group, Outcome, calls, wait};
use crate::errno::Errno;
use crate::process::INFINITY;
use crate::signal::{Info, Signal};
use crate::stop::{Stop, loaded};
use crate::thread::Thread;
use alloc::rc::Rc;
use core::ops::Range;
use kernel::task::yield_now;
use linux_raw_sys::general::{
    FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE, IN_MODIFY, O_APPEND,
    RLIMIT_FSIZE,
};

/// Where the largest file ends.
const LARGEST: u64 = i64::MAX as u64;

/// The calls about sizes and disks.
pub(crate) const CALLS: Group = calls! {
    truncate(Text, Size) = truncate;
    ftruncate(Fd, Size) = ftruncate;
    fallocate(Fd, Hex, Size, Size) = fallocate;
    fadvise64(Fd, Size, Size, Int) = fadvise;
    readahead(Fd, Size, Size) = readahead;
    fsync(Fd) = fsync;
    fdatasync(Fd) = fsync;
    syncfs(Fd) = syncfs;
    sync_file_range(Fd, Size, Size, Hex) = sync_file_range;
    sync() = sync;
};

/// Returns how much of a write the limit of a file's size leaves (`RLIMIT_FSIZE`).
///
/// # Errors
/// `EFBIG`, with `SIGXFSZ`, for nothing.
pub(super) fn limited(
    thread: &Thread,
    open: &Open,
    place: At,
    length: usize,
) -> Result<usize, Stop> {
    let limit = thread.process.limits.get(RLIMIT_FSIZE).soft;
    if limit == INFINITY || length == 0 || open.file.pages().is_err() {
        return Ok(length);
    }
    let at = match place {
        // With an offset, too (pwrite(2), BUGS).
        _ if open.flags() & O_APPEND != 0 => open.file.stat()?.size,
        At::Offset(offset) => offset,
        At::Position => open.position.get(),
    };
    sized(thread, at.saturating_add(1))?;
    Ok(length.min(usize::try_from(limit - at).unwrap_or(usize::MAX)))
}

/// Checks that a file may grow to so many bytes.
///
/// # Errors
/// `EFBIG`, with `SIGXFSZ`, for more than `RLIMIT_FSIZE`.
fn sized(thread: &Thread, size: u64) -> Result<(), Errno> {
    let limit = thread.process.limits.get(RLIMIT_FSIZE).soft;
    if limit != INFINITY && size > limit {
        let _ = thread.process.send_to(&thread.signals, Info::kernel(Signal::XFSZ));
        return Err(Errno::EFBIG);
    }
    Ok(())
}

/// Takes a size, which is signed in C.
fn size(value: u64) -> Result<u64, Errno> {
    if value > i64::MAX as u64 { Err(Errno::EINVAL) } else { Ok(value) }
}

fn truncate(thread: &Rc<Thread>, [at, length, ..]: Args) -> Answer {
    let length = size(length)?;
    let place = super::find(thread, super::CWD, at, 0, super::Walk::FOLLOW)?;
    let stat = place.node.stat();
    match stat.kind {
        Type::Regular => {}
        Type::Folder => return Err(Errno::EISDIR.into()),
        _ => return Err(Errno::EINVAL.into()),
    }
    thread.credentials().may(&stat, 2)?;
    if let Some(extras) = place.node.extras() {
        extras.uses().may_write()?;
        extras.writing.check()?;
    }
    if length > stat.size {
        sized(thread, length)?;
    }
    place.node.resize(length)?;
    if let Some(file) = place.node.file() {
        super::cut(thread, &*file, length);
        file.written(&**thread);
    }
    notify::happened(&place, IN_MODIFY);
    Ok(Outcome::Value(0))
}

fn ftruncate(thread: &Rc<Thread>, [fd, length, ..]: Args) -> Answer {
    let length = size(length)?;
    let open = super::real(thread, fd)?;
    if !open.can_write() {
        return Err(Errno::EINVAL.into());
    }
    alone::check(&open, At::Offset(0), true)?;
    if length > open.file.stat()?.size {
        sized(thread, length)?;
    }
    open.file.truncate(length)?;
    super::cut(thread, &*open.file, length);
    open.file.written(&**thread);
    written(&open, 1);
    Ok(Outcome::Value(0))
}

fn fallocate(thread: &Rc<Thread>, [fd, mode, offset, length, ..]: Args) -> Answer {
    let open = super::real(thread, fd)?;
    let (offset, length) = (size(offset)?, size(length)?);
    if length == 0 {
        return Err(Errno::EINVAL.into());
    }
    if !open.can_write() {
        return Err(Errno::EBADF.into());
    }
    alone::check(&open, At::Offset(0), true)?;
    match open.file.stat()?.kind {
        Type::Regular => {}
        Type::Pipe => return Err(Errno::ESPIPE.into()),
        Type::Folder => return Err(Errno::EISDIR.into()),
        _ => return Err(Errno::ENODEV.into()),
    }
    if mode as u32 & FALLOC_FL_KEEP_SIZE == 0 {
        sized(thread, offset.saturating_add(length))?;
    }
    reserve(thread, open, mode as u32, offset, length)
}

/// A range of a file is about to be zeros: the pages that are all of it are nobody's then.
fn punch(thread: &Thread, open: &Open, range: Range<u64>) {
    let Ok(pages) = open.file.pages() else { return };
    let size = kernel::user::PAGE as u64;
    let whole = range.start.div_ceil(size)..range.end / size;
    for memory in thread.system.processes().filter_map(|it| it.memory()) {
        memory.punch(&pages, whole.clone());
    }
}

/// Bytes that are reserved at once.
const PIECE: u64 = 4 << 20;

/// Has a file hold a range, or do else what `mode` says. A long range is reserved by pieces, and
/// others run between them, who do not write to it.
fn reserve(thread: &Rc<Thread>, open: Rc<Open>, mode: u32, offset: u64, length: u64) -> Answer {
    if mode & !FALLOC_FL_KEEP_SIZE != 0 || length <= PIECE {
        if mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) != 0 {
            punch(thread, &open, offset..offset.saturating_add(length));
        }
        open.file.allocate(mode, offset, length)?;
        open.file.written(&**thread);
        written(&open, 1);
        return Ok(Outcome::Value(0));
    }
    let end = offset.checked_add(length).filter(|&end| end <= LARGEST).ok_or(Errno::EFBIG)?;
    let total = kernel::memory::stats().total as u64;
    if total > 0 && length > total {
        return Err(Errno::ENOSPC.into());
    }
    let thread = Rc::clone(thread);
    let hold = Hold::take(&open, At::Offset(0), true);
    wait(async move {
        let _hold = hold;
        // Before the first piece: who is killed does not come to the end.
        open.file.written(&*thread);
        for at in (offset..end).step_by(PIECE as usize) {
            let piece = PIECE.min(end - at);
            let kept = mode | FALLOC_FL_KEEP_SIZE;
            loaded(|| open.file.allocate(kept, at, piece)).await?;
            yield_now().await;
            if thread.signals.is_killed() {
                return Err(Errno::EINTR);
            }
        }
        // There is room: this is the size alone.
        loaded(|| open.file.allocate(mode, end - 1, 1)).await?;
        written(&open, 1);
        Ok(0)
    })
}

fn fadvise(thread: &Rc<Thread>, [fd, _, length, advice, ..]: Args) -> Answer {
    let open = super::real(thread, fd)?;
    if open.file.stat()?.kind == Type::Pipe {
        return Err(Errno::ESPIPE.into());
    }
    if size(length).is_err() || advice > 5 {
        return Err(Errno::EINVAL.into());
    }
    Ok(Outcome::Value(0))
}

fn readahead(thread: &Rc<Thread>, [fd, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    if !open.can_read() {
        return Err(Errno::EBADF.into());
    }
    if open.file.stat()?.kind == Type::Regular {
        Ok(Outcome::Value(0))
    } else {
        Err(Errno::EINVAL.into())
    }
}

/// Nothing is on its way to a disk.
fn fsync(thread: &Rc<Thread>, [fd, ..]: Args) -> Answer {
    let open = super::real(thread, fd)?;
    match open.file.stat()?.kind {
        Type::Regular | Type::Folder | Type::Block => Ok(Outcome::Value(0)),
        _ => Err(Errno::EINVAL.into()),
    }
}

fn syncfs(thread: &Rc<Thread>, [fd, ..]: Args) -> Answer {
    super::real(thread, fd)?;
    Ok(Outcome::Value(0))
}

fn sync_file_range(thread: &Rc<Thread>, [fd, offset, length, flags, ..]: Args) -> Answer {
    let open = super::real(thread, fd)?;
    if flags & !7 != 0 || offset.checked_add(length).is_none_or(|it| size(it).is_err()) {
        return Err(Errno::EINVAL.into());
    }
    match open.file.stat()?.kind {
        Type::Regular | Type::Block | Type::Folder | Type::Link => Ok(Outcome::Value(0)),
        _ => Err(Errno::ESPIPE.into()),
    }
}

fn sync(_: &Rc<Thread>, _: Args) -> Answer {
    Ok(Outcome::Value(0))
}
