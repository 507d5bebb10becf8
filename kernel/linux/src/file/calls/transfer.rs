//! Reads and writes.

use super::super::{At, Caller, Open, Type, notify};
use crate::call::{Answer, Args, Group, Outcome, calls, wait};
use crate::errno::Errno;
use crate::memory::{Part, Sink, Source};
use crate::process::INFINITY;
use crate::signal::{Info, Signal};
use crate::stop::Stop;
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use kernel::user::TOP;
use linux_raw_sys::general::{
    FALLOC_FL_KEEP_SIZE, IN_MODIFY, O_APPEND, O_PATH, RLIMIT_FSIZE, SEEK_MAX, SEEK_SET,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The calls that move bytes.
pub(crate) const CALLS: Group = calls! {
    read(Fd, Filled, Size) = read;
    write(Fd, Data, Size) = write;
    pread64(Fd, Filled, Size, Size) = pread;
    pwrite64(Fd, Data, Size, Size) = pwrite;
    readv(Fd, FilledParts, Int) = readv;
    writev(Fd, Parts, Int) = writev;
    preadv(Fd, FilledParts, Int, Size) = preadv;
    pwritev(Fd, Parts, Int, Size) = pwritev;
    preadv2(Fd, FilledParts, Int, Size, Hex, Hex) = preadv2;
    pwritev2(Fd, Parts, Int, Size, Hex, Hex) = pwritev2;
    lseek(Fd, Size, WHENCE) = lseek;
    sendfile(Fd, Fd, Hex, Size) = sendfile;
    splice(Fd, Hex, Fd, Hex, Size, Hex) = splice;
    copy_file_range(Fd, Hex, Fd, Hex, Size, Hex) = copy_file_range;
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

/// The most bytes of one call (`MAX_RW_COUNT`).
const MOST: usize = 0x7fff_f000;

/// The most parts of one call (`UIO_MAXIOV`).
const PARTS: u64 = 1024;

/// Bytes that are copied at once between two files.
const PIECE: usize = 64 * 1024;

/// What is left of a read or write.
struct Transfer {
    parts: Vec<Part>,
    at: At,
    left: usize,
    done: usize,
    write: bool,
}

impl Transfer {
    /// Does what can be done without waiting. What was done is kept count of.
    fn go(&mut self, thread: &Thread, open: &Rc<Open>) -> Result<usize, Stop> {
        let memory = thread.memory();
        // What can be waited for returns what there is; of all else all is read.
        let at_once = !self.write && open.file.watch().is_some();
        loop {
            let at = match self.at {
                At::Offset(offset) => At::Offset(offset + self.done as u64),
                At::Position => At::Position,
            };
            let result = if self.write {
                open.file.write(open, at, &mut Source::new(&memory, &self.parts))
            } else {
                open.file.read(open, at, &mut Sink::new(&memory, &self.parts))
            };
            match result {
                Ok(count) => {
                    self.advance(count);
                    if self.left == 0 || count == 0 || at_once {
                        return Ok(self.done);
                    }
                }
                Err(Stop::Fail(_)) if self.done > 0 => return Ok(self.done),
                Err(stop) => return Err(stop),
            }
        }
    }

    fn advance(&mut self, count: usize) {
        self.done += count;
        self.left = self.left.saturating_sub(count);
        let mut count = count;
        let mut whole = 0;
        for part in &mut self.parts {
            let here = part.length.min(count);
            part.at = part.at.wrapping_add(here);
            part.length -= here;
            count -= here;
            if part.length > 0 {
                break;
            }
            whole += 1;
        }
        self.parts.drain(..whole);
    }
}

/// Reads or writes one range: the way that nearly all calls go, without an allocation.
fn one(thread: &Rc<Thread>, fd: u64, at: u64, length: u64, place: At, write: bool) -> Answer {
    let open = thread.process.files.get(fd)?;
    if !(if write { open.can_write() } else { open.can_read() }) {
        return Err(Errno::EBADF.into());
    }
    open.file.judge(&**thread, write)?;
    user(at, length)?;
    let length = usize::try_from(length).unwrap_or(MOST).min(MOST);
    let length = if write { limited(thread, &open, place, length)? } else { length };
    let parts = [Part { at: at as usize, length }];
    let memory = thread.memory();
    let result = if write {
        open.file.write(&open, place, &mut Source::new(&memory, &parts))
    } else {
        open.file.read(&open, place, &mut Sink::new(&memory, &parts))
    };
    let is_all = match &result {
        Ok(count) => *count == length || *count == 0 || !write && open.file.watch().is_some(),
        Err(Stop::Fail(_)) => true,
        Err(_) => false,
    };
    if is_all {
        return finish(thread, &open, write, result);
    }
    let mut parts = Vec::new();
    parts.try_reserve_exact(1).map_err(|_| Errno::ENOMEM)?;
    parts.push(Part { at: at as usize, length });
    let mut transfer = Transfer { parts, at: place, left: length, done: 0, write };
    match result {
        Ok(count) => transfer.advance(count),
        Err(stop) => return later(thread, open, transfer, stop),
    }
    match transfer.go(thread, &open) {
        Err(stop @ (Stop::Wait | Stop::Load(_))) => later(thread, open, transfer, stop),
        result => finish(thread, &open, write, result),
    }
}

/// Checks that a range is one that a program may have.
fn user(at: u64, length: u64) -> Result<(), Errno> {
    let end = at.checked_add(length);
    if end.is_some_and(|end| end <= TOP as u64) { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Returns how much of a write the limit of a file's size leaves (`RLIMIT_FSIZE`).
///
/// # Errors
/// `EFBIG`, with `SIGXFSZ`, for nothing.
fn limited(thread: &Thread, open: &Open, place: At, length: usize) -> Result<usize, Stop> {
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

/// Something was written.
fn written(thread: &Thread, open: &Open, count: usize) {
    open.file.written(thread);
    if let Some(place) = open.place.as_ref().filter(|_| count > 0) {
        notify::happened(place, IN_MODIFY);
    }
}

fn finish(thread: &Thread, open: &Open, write: bool, result: Result<usize, Stop>) -> Answer {
    match result {
        Ok(count) => {
            if write {
                written(thread, open, count);
            }
            Ok(count.into())
        }
        Err(Stop::Wait) => Err(Errno::EAGAIN.into()),
        Err(stop) => {
            if write && matches!(stop, Stop::Fail(Errno::EPIPE)) {
                thread.broken_pipe();
            }
            Err(stop)
        }
    }
}

/// Does a transfer to its end.
fn all(thread: &Rc<Thread>, open: Rc<Open>, mut transfer: Transfer) -> Answer {
    match transfer.go(thread, &open) {
        Err(stop @ (Stop::Wait | Stop::Load(_))) => later(thread, open, transfer, stop),
        result => finish(thread, &open, transfer.write, result),
    }
}

/// Goes on with a transfer when it can.
fn later(thread: &Rc<Thread>, open: Rc<Open>, mut transfer: Transfer, stop: Stop) -> Answer {
    if matches!(stop, Stop::Wait) && open.is_nonblocking() {
        let result = if transfer.done > 0 { Ok(transfer.done) } else { Err(Stop::Wait) };
        return finish(thread, &open, transfer.write, result);
    }
    let thread = Rc::clone(thread);
    wait(async move {
        let mut stop = stop;
        // The watch is asked for its changes before each attempt; before the first one was none.
        let mut changes = None;
        loop {
            match stop {
                Stop::Fail(errno) => return done(&thread, &open, &transfer, Err(errno)),
                Stop::Load(load) => {
                    if let Err(errno) = load.wait().await {
                        return done(&thread, &open, &transfer, Err(errno));
                    }
                }
                Stop::Wait => match (open.file.watch(), changes) {
                    (_, None) => {}
                    (Some(watch), Some(seen)) => {
                        if open.is_nonblocking() {
                            return done(&thread, &open, &transfer, Err(Errno::EAGAIN));
                        }
                        let changed = watch.changed_since(seen);
                        if let Err(errno) = thread.interruptible(changed).await {
                            return done(&thread, &open, &transfer, Err(errno));
                        }
                    }
                    (None, _) => return done(&thread, &open, &transfer, Err(Errno::EAGAIN)),
                },
            }
            changes = Some(open.file.watch().map_or(0, |it| it.changes()));
            match transfer.go(&thread, &open) {
                Ok(count) => return done(&thread, &open, &transfer, Ok(count)),
                Err(next) => stop = next,
            }
        }
    })
}

/// What a transfer that waited ends with: what was moved, if that is something.
fn done(
    thread: &Thread,
    open: &Open,
    transfer: &Transfer,
    result: Result<usize, Errno>,
) -> Result<usize, Errno> {
    let result = match result {
        Err(_) if transfer.done > 0 => Ok(transfer.done),
        other => other,
    };
    match &result {
        Ok(count) if transfer.write => written(thread, open, *count),
        Err(Errno::EPIPE) if transfer.write => thread.broken_pipe(),
        _ => {}
    }
    result
}

fn read(thread: &Rc<Thread>, [fd, at, length, ..]: Args) -> Answer {
    one(thread, fd, at, length, At::Position, false)
}

fn write(thread: &Rc<Thread>, [fd, at, length, ..]: Args) -> Answer {
    one(thread, fd, at, length, At::Position, true)
}

/// Returns where a read or write with an offset happens.
fn place(thread: &Thread, fd: u64, offset: u64) -> Result<At, Errno> {
    if offset > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    can_seek(&*thread.process.files.get(fd)?)?;
    Ok(At::Offset(offset))
}

/// Asks whether a file has positions.
fn can_seek(open: &Open) -> Result<(), Errno> {
    let at = open.position.get();
    match open.file.seek(open, at.cast_signed(), SEEK_SET) {
        Err(Stop::Fail(Errno::ESPIPE)) => Err(Errno::ESPIPE),
        Err(Stop::Fail(Errno::EBADF)) => Err(Errno::EBADF),
        _ => Ok(()),
    }
}

fn pread(thread: &Rc<Thread>, [fd, at, length, offset, ..]: Args) -> Answer {
    one(thread, fd, at, length, place(thread, fd, offset)?, false)
}

fn pwrite(thread: &Rc<Thread>, [fd, at, length, offset, ..]: Args) -> Answer {
    one(thread, fd, at, length, place(thread, fd, offset)?, true)
}

/// `struct iovec`
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Vector {
    base: u64,
    length: u64,
}

/// Reads a list of `struct iovec`.
fn vectors(thread: &Thread, at: u64, count: u64) -> Result<(Vec<Part>, usize), Stop> {
    if count > PARTS {
        return Err(Errno::EINVAL.into());
    }
    let memory = thread.memory();
    let mut parts = Vec::new();
    parts.try_reserve_exact(count as usize).map_err(|_| Errno::ENOMEM)?;
    let mut total = 0_usize;
    for index in 0..count {
        let one: Vector = memory.get(at.wrapping_add(index * 16))?;
        let length = usize::try_from(one.length).ok().filter(|&it| it <= isize::MAX as usize);
        let length = length.ok_or(Errno::EINVAL)?;
        user(one.base, length as u64)?;
        let length = length.min(MOST - total);
        total += length;
        if length > 0 {
            parts.push(Part { at: one.base as usize, length });
        }
    }
    Ok((parts, total))
}

fn vector(thread: &Rc<Thread>, [fd, at, count, ..]: Args, place: At, write: bool) -> Answer {
    let open = thread.process.files.get(fd)?;
    if !(if write { open.can_write() } else { open.can_read() }) {
        return Err(Errno::EBADF.into());
    }
    open.file.judge(&**thread, write)?;
    let (mut parts, left) = vectors(thread, at, count)?;
    let left = if write { limited(thread, &open, place, left)? } else { left };
    let mut room = left;
    parts.retain_mut(|part| {
        part.length = part.length.min(room);
        room -= part.length;
        part.length > 0
    });
    all(thread, open, Transfer { parts, at: place, left, done: 0, write })
}

fn readv(thread: &Rc<Thread>, args: Args) -> Answer {
    vector(thread, args, At::Position, false)
}

fn writev(thread: &Rc<Thread>, args: Args) -> Answer {
    vector(thread, args, At::Position, true)
}

fn preadv(thread: &Rc<Thread>, args: Args) -> Answer {
    vector(thread, args, place(thread, args[0], args[3])?, false)
}

fn pwritev(thread: &Rc<Thread>, args: Args) -> Answer {
    vector(thread, args, place(thread, args[0], args[3])?, true)
}

/// Where preadv2(2) and its sister go; -1 is the position. Of the flags, those that ask for
/// speed or safety are taken and do nothing, as there is no disk to write to.
fn place2(thread: &Thread, [fd, _, _, offset, _, flags]: Args) -> Result<At, Stop> {
    const HINTS: u64 = 0x1 | 0x2 | 0x4;
    const APPEND: u64 = 0x10;
    if flags & !(HINTS | APPEND) != 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if flags & APPEND != 0 {
        let size = thread.process.files.get(fd)?.file.stat()?.size;
        return Ok(place(thread, fd, size)?);
    }
    Ok(if offset == u64::MAX { At::Position } else { place(thread, fd, offset)? })
}

fn preadv2(thread: &Rc<Thread>, args: Args) -> Answer {
    vector(thread, args, place2(thread, args)?, false)
}

fn pwritev2(thread: &Rc<Thread>, args: Args) -> Answer {
    vector(thread, args, place2(thread, args)?, true)
}

fn lseek(thread: &Rc<Thread>, [fd, offset, whence, ..]: Args) -> Answer {
    let open = thread.process.files.get(fd)?;
    if whence as u32 > SEEK_MAX && open.flags() & O_PATH == 0 {
        return Err(Errno::EINVAL.into());
    }
    let to = open.file.seek(&open, offset.cast_signed(), whence as u32)?;
    Ok((to as usize).into())
}

/// Copies between two files by a buffer of the kernel's: at most 64 KiB at once.
struct Copy {
    from: Rc<Open>,
    to: Rc<Open>,
    /// Offsets that are not the positions of the files.
    offsets: [Option<u64>; 2],
    left: usize,
    done: usize,
    /// What was read and is not written yet.
    rest: Vec<u8>,
    /// Where the offsets are written back to; 0: nowhere.
    told: [u64; 2],
    never_waits: bool,
}

impl Copy {
    const fn at(offset: Option<u64>) -> At {
        match offset {
            Some(offset) => At::Offset(offset),
            None => At::Position,
        }
    }

    /// Copies until it has to wait, and says for which file.
    fn go(&mut self) -> Result<(), (Stop, bool)> {
        while self.left > 0 {
            if self.rest.is_empty() {
                let most = self.left.min(PIECE);
                let mut sink = Sink::kernel(&mut self.rest, most);
                let read = self.from.file.read(&self.from, Self::at(self.offsets[0]), &mut sink);
                let count = read.map_err(|stop| (stop, false))?;
                if count == 0 {
                    return Ok(());
                }
                self.offsets[0] = self.offsets[0].map(|it| it + count as u64);
            }
            let mut source = Source::kernel(&self.rest);
            let written = self.to.file.write(&self.to, Self::at(self.offsets[1]), &mut source);
            let count = written.map_err(|stop| (stop, true))?;
            self.offsets[1] = self.offsets[1].map(|it| it + count as u64);
            self.rest.drain(..count);
            self.done += count;
            self.left -= count.min(self.left);
            // What can be waited for is not waited for once something was copied.
            if self.from.file.watch().is_some() && self.rest.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives back what was read but not written, where that is possible.
    fn settle(&mut self) {
        let unread = self.rest.len() as u64;
        self.rest.clear();
        match &mut self.offsets[0] {
            Some(offset) => *offset -= unread,
            None => self.from.position.update(|it| it.saturating_sub(unread)),
        }
    }

    async fn run(mut self, thread: Rc<Thread>) -> Result<usize, Errno> {
        let result = loop {
            let seen = |open: &Open| open.file.watch().map(|it| it.changes());
            let changes = [seen(&self.from), seen(&self.to)];
            match self.go() {
                Ok(()) => break Ok(()),
                Err((Stop::Fail(errno), _)) => break Err(errno),
                Err((Stop::Load(load), _)) => {
                    if let Err(errno) = load.wait().await {
                        break Err(errno);
                    }
                }
                Err((Stop::Wait, writes)) => {
                    let open = if writes { &self.to } else { &self.from };
                    // What a pipe gave cannot be given back: it is waited for.
                    let holds = !self.rest.is_empty() && self.from.file.watch().is_some();
                    if (open.is_nonblocking() || self.never_waits || self.done > 0) && !holds {
                        break Err(Errno::EAGAIN);
                    }
                    let (Some(watch), Some(seen)) =
                        (open.file.watch(), changes[usize::from(writes)])
                    else {
                        break Err(Errno::EAGAIN);
                    };
                    if holds {
                        watch.changed_since(seen).await;
                    } else if let Err(errno) = thread.interruptible(watch.changed_since(seen)).await
                    {
                        break Err(errno);
                    }
                }
            }
        };
        self.settle();
        if self.done > 0 {
            written(&thread, &self.to, self.done);
        }
        let memory = thread.memory();
        for (at, offset) in self.told.into_iter().zip(self.offsets) {
            if let (true, Some(offset)) = (at != 0, offset) {
                crate::stop::loaded(|| memory.put(at, &offset)).await?;
            }
        }
        match result {
            Err(errno) if self.done == 0 => {
                if errno == Errno::EPIPE {
                    thread.broken_pipe();
                }
                Err(errno)
            }
            _ => Ok(self.done),
        }
    }
}

/// Reads an offset that is passed by its address.
fn offset(thread: &Thread, open: &Open, at: u64) -> Result<Option<u64>, Stop> {
    if at == 0 {
        return Ok(None);
    }
    can_seek(open)?;
    let offset: u64 = thread.memory().get(at)?;
    if offset > i64::MAX as u64 { Err(Errno::EINVAL.into()) } else { Ok(Some(offset)) }
}

fn sendfile(thread: &Rc<Thread>, [to, from, at, count, ..]: Args) -> Answer {
    let (from, to) = (thread.process.files.get(from)?, thread.process.files.get(to)?);
    if !from.can_read() || !to.can_write() {
        return Err(Errno::EBADF.into());
    }
    let left = usize::try_from(count).unwrap_or(MOST).min(MOST);
    let folder = from.file.stat()?.kind == Type::Folder;
    if folder || from.file.pages().is_err() && from.file.watch().is_some() {
        return Err(Errno::EINVAL.into());
    }
    let offsets = [offset(thread, &from, at)?, None];
    if to.flags() & O_APPEND != 0 {
        return Err(Errno::EINVAL.into());
    }
    let copy = Copy {
        from,
        to,
        offsets,
        left,
        done: 0,
        rest: Vec::new(),
        told: [at, 0],
        never_waits: false,
    };
    wait(copy.run(Rc::clone(thread)))
}

fn splice(thread: &Rc<Thread>, [from, from_at, to, to_at, count, flags]: Args) -> Answer {
    let (from, to) = (thread.process.files.get(from)?, thread.process.files.get(to)?);
    if !from.can_read() || !to.can_write() {
        return Err(Errno::EBADF.into());
    }
    if flags & !0xf != 0 {
        return Err(Errno::EINVAL.into());
    }
    let is_pipe = |open: &Open| open.file.stat().map(|it| it.kind == Type::Pipe);
    let pipes = [is_pipe(&from)?, is_pipe(&to)?];
    let inode = |open: &Open| open.file.stat().map(|it| (it.device, it.inode));
    let same =
        Rc::ptr_eq(&from.file, &to.file) || pipes == [true; 2] && inode(&from)? == inode(&to)?;
    if pipes == [false, false] || to.flags() & O_APPEND != 0 || same {
        return Err(Errno::EINVAL.into());
    }
    if pipes[0] && from_at != 0 || pipes[1] && to_at != 0 {
        return Err(Errno::ESPIPE.into());
    }
    let offsets = [offset(thread, &from, from_at)?, offset(thread, &to, to_at)?];
    // No more than the pipe takes, so that nothing is held that was read from it.
    let left = usize::try_from(count).unwrap_or(MOST).min(PIECE);
    let (told, never_waits) = ([from_at, to_at], flags & 2 != 0);
    let copy = Copy { from, to, offsets, left, done: 0, rest: Vec::new(), told, never_waits };
    wait(copy.run(Rc::clone(thread)))
}

fn copy_file_range(thread: &Rc<Thread>, [from, from_at, to, to_at, count, flags]: Args) -> Answer {
    let (from, to) = (thread.process.files.get(from)?, thread.process.files.get(to)?);
    if flags != 0 {
        return Err(Errno::EINVAL.into());
    }
    for open in [&from, &to] {
        match open.file.stat()?.kind {
            Type::Regular => {}
            Type::Folder => return Err(Errno::EISDIR.into()),
            _ => return Err(Errno::EINVAL.into()),
        }
    }
    if !from.can_read() || !to.can_write() || to.flags() & O_APPEND != 0 {
        return Err(Errno::EBADF.into());
    }
    let offsets = [offset(thread, &from, from_at)?, offset(thread, &to, to_at)?];
    let left = usize::try_from(count).unwrap_or(MOST).min(MOST);
    if Rc::ptr_eq(&from.file, &to.file) {
        let begin = |offset: Option<u64>, open: &Open| offset.unwrap_or(open.position.get());
        let (a, b) = (begin(offsets[0], &from), begin(offsets[1], &to));
        if a.abs_diff(b) < left as u64 {
            return Err(Errno::EINVAL.into());
        }
    }
    let told = [from_at, to_at];
    let copy =
        Copy { from, to, offsets, left, done: 0, rest: Vec::new(), told, never_waits: false };
    wait(copy.run(Rc::clone(thread)))
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
    if length > stat.size {
        sized(thread, length)?;
    }
    place.node.resize(length)?;
    if let Some(file) = place.node.file() {
        super::cut(thread, &*file, length);
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
    if length > open.file.stat()?.size {
        sized(thread, length)?;
    }
    open.file.truncate(length)?;
    super::cut(thread, &*open.file, length);
    written(thread, &open, 1);
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
    match open.file.stat()?.kind {
        Type::Regular => {}
        Type::Pipe => return Err(Errno::ESPIPE.into()),
        Type::Folder => return Err(Errno::EISDIR.into()),
        _ => return Err(Errno::ENODEV.into()),
    }
    if mode as u32 & FALLOC_FL_KEEP_SIZE == 0 {
        sized(thread, offset.saturating_add(length))?;
    }
    open.file.allocate(mode as u32, offset, length)?;
    Ok(Outcome::Value(0))
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
    let open = thread.process.files.get(fd)?;
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
