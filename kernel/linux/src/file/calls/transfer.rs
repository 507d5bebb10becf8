//! Reads and writes.

use super::super::alone::{self, Hold};
use super::super::{At, Caller, Open, Type};
use super::size::limited;
use super::{accessed, written};
use crate::call::{Answer, Args, Group, calls, changed, wait};
use crate::channel::Event;
use crate::errno::Errno;
use crate::memory::{Part, Sink, Source};
use crate::socket::calls::message;
use crate::socket::{SocketFile, Style};
use crate::stop::{Load, Stop, TURN};
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use kernel::time::Instant;
use kernel::user::TOP;
use linux_raw_sys::general::{O_PATH, SEEK_MAX, SEEK_SET};
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
};

/// The most bytes of one call (`MAX_RW_COUNT`).
pub(super) const MOST: usize = 0x7fff_f000;

/// The most parts of one call (`UIO_MAXIOV`).
const PARTS: u64 = 1024;

/// What is left of a read or write.
struct Transfer {
    parts: Vec<Part>,
    at: At,
    left: usize,
    done: usize,
    write: bool,
    /// Each write is to the end, as with `O_APPEND` (`RWF_APPEND`).
    append: bool,
    /// It has begun to wait.
    waits: bool,
    /// What is its own from then on, so that all is moved as one.
    hold: Option<Hold>,
}

impl Transfer {
    /// Does what can be done without waiting. What was done is kept count of.
    fn go(&mut self, thread: &Thread, open: &Rc<Open>) -> Result<usize, Stop> {
        let memory = thread.memory();
        // What can be waited for returns what there is; of all else all is read.
        let at_once = !self.write && open.file.watch_by(thread).is_some();
        let mut turn = 0;
        loop {
            let at = match self.at {
                At::Offset(offset) => At::Offset(offset + self.done as u64),
                At::Position => At::Position,
            };
            let result = if self.append {
                append(open, at, &mut Source::new(&memory, &self.parts))
            } else if self.write {
                open.file.write(open, at, &mut Source::new(&memory, &self.parts))
            } else if self.waits && SocketFile::of(open).is_ok() {
                // It waits as it began, whatever `SO_RCVLOWAT` is meanwhile.
                open.file.read(open, at, &mut Sink::new(&memory, &self.parts))
            } else {
                open.file.read_by(thread, open, at, &mut Sink::new(&memory, &self.parts))
            };
            match result {
                Ok(count) => {
                    self.advance(count);
                    if self.left == 0 || count == 0 || at_once {
                        return Ok(self.done);
                    }
                    turn += count;
                    if turn >= TURN {
                        // As on Linux, no signal but one that ends the program cuts off what is
                        // moved from or to a file.
                        if open.file.stat().is_ok_and(|it| it.kind == Type::Regular) {
                            return Err(Stop::Load(Load::turn()));
                        }
                        if thread.has_signal() {
                            return Ok(self.done);
                        }
                        return Err(Stop::Load(Load::turn()));
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
#[inline(always)]
fn one(thread: &Rc<Thread>, [fd, at, length, ..]: &Args, place: At, write: bool) -> Answer {
    let (at, open) = (*at, thread.process.open(*fd)?);
    if !(if write { open.can_write() } else { open.can_read() }) {
        return Err(Errno::EBADF.into());
    }
    alone::check(&open, place, write)?;
    open.judge(&**thread, write)?;
    user(at, *length)?;
    ends(&open, place, *length)?;
    let length = usize::try_from(*length).unwrap_or(MOST).min(MOST);
    let length = if write { limited(thread, &open, place, length)? } else { length };
    let part = Part { at: at as usize, length };
    let (memory, parts) = (thread.memory_now(), [part]);
    let result = if write {
        // Before the first byte: who is killed does not come to the end.
        if length > 0 {
            open.file.written(&**thread);
        }
        open.file.write(&open, place, &mut Source::new(&memory, &parts))
    } else {
        open.file.read_by(&**thread, &open, place, &mut Sink::new(&memory, &parts))
    };
    drop(memory);
    match result {
        Ok(count) if count == length && !write => {
            accessed(&open, count);
            moved(thread, false, count);
            Ok(count.into())
        }
        result => rest(thread, open, part, place, write, result),
    }
}

/// Writes behind the end of a file that has one. The position moves if that is where it was to be.
fn append(open: &Open, at: At, from: &mut Source<'_>) -> Result<usize, Stop> {
    if open.file.pages().is_err() {
        return open.file.write(open, at, from);
    }
    let end = open.file.stat()?.size;
    let count = open.file.write(open, At::Offset(end), from)?;
    if at == At::Position && count > 0 {
        open.position.set(end + count as u64);
    }
    Ok(count)
}

/// Counts a read or a write, for `/proc/self/io`.
#[inline(always)]
fn moved(thread: &Thread, write: bool, count: usize) {
    let (process, at) = (&thread.process, usize::from(write));
    process.moved[at].update(|it| it + count as u64);
    process.moves[at].update(|it| it + 1);
}

/// Goes on where one range was not read, and written, as a whole.
#[inline(never)]
fn rest(
    thread: &Rc<Thread>,
    open: Rc<Open>,
    part: Part,
    place: At,
    write: bool,
    result: Result<usize, Stop>,
) -> Answer {
    let left = part.length;
    let is_all = match &result {
        Ok(count) if *count == left || *count == 0 => true,
        // An eventfd takes one number of however many bytes.
        Ok(_) if write => open.as_kind::<Event>().is_some(),
        Ok(_) => open.file.watch_by(&**thread).is_some(),
        Err(Stop::Fail(_)) => true,
        Err(_) => false,
    };
    if is_all {
        return finish(thread, &open, write, result);
    }
    let mut parts = Vec::new();
    if parts.try_reserve_exact(1).is_err() {
        // What was moved counts, though there is no memory to go on.
        let result = if result.is_ok() { result } else { Err(Errno::ENOMEM.into()) };
        return finish(thread, &open, write, result);
    }
    parts.push(part);
    let mut transfer = Transfer {
        parts,
        at: place,
        left,
        done: 0,
        write,
        append: false,
        waits: false,
        hold: None,
    };
    match result {
        Ok(count) => transfer.advance(count),
        Err(stop) => return later(thread, open, transfer, stop),
    }
    all(thread, open, transfer)
}

/// Checks that a transfer ends where a file may end (`rw_verify_area` of Linux).
fn ends(open: &Open, place: At, length: u64) -> Result<(), Errno> {
    let at = match place {
        At::Offset(offset) => offset,
        At::Position => open.position.get(),
    };
    if at.saturating_add(length) > i64::MAX as u64 { Err(Errno::EINVAL) } else { Ok(()) }
}

/// Checks that a range is one that a program may have.
fn user(at: u64, length: u64) -> Result<(), Errno> {
    let end = at.checked_add(length);
    if end.is_some_and(|end| end <= TOP as u64) { Ok(()) } else { Err(Errno::EFAULT) }
}

fn finish(thread: &Thread, open: &Open, write: bool, result: Result<usize, Stop>) -> Answer {
    match result {
        Ok(count) => {
            moved(thread, write, count);
            if write {
                written(open, count);
            } else {
                accessed(open, count);
            }
            Ok(count.into())
        }
        Err(Stop::Wait) => Err(Errno::EAGAIN.into()),
        Err(stop) => {
            if write && matches!(stop, Stop::Fail(Errno::EPIPE)) {
                broken(thread, open);
            }
            Err(stop)
        }
    }
}

/// Nobody reads what is written to `open`: that is a signal for a pipe and a stream, and an error
/// alone for a socket of messages.
pub(super) fn broken(thread: &Thread, open: &Open) {
    if SocketFile::of(open).is_ok_and(|it| it.form().style != Style::Stream) {
        return;
    }
    thread.broken_pipe();
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
    if matches!(stop, Stop::Wait)
        && !transfer.write
        && SocketFile::of(&open).is_ok_and(|it| it.least() > 1)
    {
        return message::read(thread, &open, transfer.parts, |it, count| moved(it, false, count));
    }
    transfer.waits = true;
    if matches!(stop, Stop::Load(_)) {
        transfer.hold = Hold::take(&open, transfer.at, transfer.write);
    }
    let (write, so_far) = (transfer.write, transfer.done);
    let (waiting, opened) = (Rc::clone(thread), Rc::clone(&open));
    let limit = open.file.timeouts()[usize::from(write)];
    let end = limit.map(|limit| Instant::now().saturating_add(limit));
    let answer = wait(later_on(waiting, open, transfer, stop, end));
    match answer {
        // As in `rest`.
        Err(_) if so_far > 0 => finish(thread, &opened, write, Ok(so_far)),
        other => other,
    }
}

/// Waits until a transfer can go on, and for its end.
async fn later_on(
    thread: Rc<Thread>,
    open: Rc<Open>,
    mut transfer: Transfer,
    mut stop: Stop,
    end: Option<Instant>,
) -> Result<usize, Errno> {
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
            Stop::Wait => match (open.file.watch_by(&*thread), changes) {
                (_, None) => {}
                (Some(watch), Some(seen)) => {
                    if open.is_nonblocking() {
                        return done(&thread, &open, &transfer, Err(Errno::EAGAIN));
                    }
                    if let Err(errno) = changed(&thread, watch, seen, end).await {
                        return done(&thread, &open, &transfer, Err(errno));
                    }
                }
                (None, _) => return done(&thread, &open, &transfer, Err(Errno::EAGAIN)),
            },
        }
        changes = Some(open.file.watch_by(&*thread).map_or(0, |it| it.changes()));
        match transfer.go(&thread, &open) {
            Ok(count) => return done(&thread, &open, &transfer, Ok(count)),
            Err(next) => stop = next,
        }
    }
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
    if let Ok(count) = result {
        moved(thread, transfer.write, count);
    }
    match &result {
        Ok(count) if transfer.write => written(open, *count),
        Ok(count) => accessed(open, *count),
        Err(Errno::EPIPE) if transfer.write => broken(thread, open),
        _ => {}
    }
    result
}

fn read(thread: &Rc<Thread>, args: Args) -> Answer {
    one(thread, &args, At::Position, false)
}

fn write(thread: &Rc<Thread>, args: Args) -> Answer {
    one(thread, &args, At::Position, true)
}

/// Returns where a read or write with an offset happens.
fn place(thread: &Thread, fd: u64, offset: u64) -> Result<At, Errno> {
    if offset > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    can_seek(&*thread.process.files().get(fd)?)?;
    Ok(At::Offset(offset))
}

/// Asks whether a file has positions.
pub(super) fn can_seek(open: &Open) -> Result<(), Errno> {
    let at = open.position.get();
    match open.file.seek(open, at.cast_signed(), SEEK_SET) {
        Err(Stop::Fail(Errno::ESPIPE)) => Err(Errno::ESPIPE),
        Err(Stop::Fail(Errno::EBADF)) => Err(Errno::EBADF),
        _ => Ok(()),
    }
}

fn pread(thread: &Rc<Thread>, args: Args) -> Answer {
    one(thread, &args, place(thread, args[0], args[3])?, false)
}

fn pwrite(thread: &Rc<Thread>, args: Args) -> Answer {
    one(thread, &args, place(thread, args[0], args[3])?, true)
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
    let mut parts = memory.ram().sized(count as usize)?;
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

fn vector(thread: &Rc<Thread>, args: Args, place: At, write: bool) -> Answer {
    flagged(thread, args, place, write, 0)
}

/// Moves a list of ranges with flags of preadv2(2) and its sister. Of them, those that ask for
/// speed or safety are taken and do nothing, as there is no disk to write to, and who reads
/// appends nothing. Where nothing is moved nobody looks at them.
fn flagged(
    thread: &Rc<Thread>,
    [fd, at, count, ..]: Args,
    place: At,
    write: bool,
    flags: u64,
) -> Answer {
    const HINTS: u64 = 0x1 | 0x2 | 0x4;
    const APPEND: u64 = 0x10;
    let open = thread.process.files().get(fd)?;
    if !(if write { open.can_write() } else { open.can_read() }) {
        return Err(Errno::EBADF.into());
    }
    alone::check(&open, place, write)?;
    open.judge(&**thread, write)?;
    let (mut parts, left) = vectors(thread, at, count)?;
    ends(&open, place, left as u64)?;
    if flags & !(HINTS | APPEND) != 0 && left > 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    let append = write && flags & APPEND != 0;
    let left = match place {
        _ if !write => left,
        _ if append => limited(thread, &open, At::Offset(open.file.stat()?.size), left)?,
        place => limited(thread, &open, place, left)?,
    };
    let mut room = left;
    parts.retain_mut(|part| {
        part.length = part.length.min(room);
        room -= part.length;
        part.length > 0
    });
    if write && left > 0 {
        open.file.written(&**thread);
    }
    let (done, waits, hold) = (0, false, None);
    all(thread, open, Transfer { parts, at: place, left, done, write, append, waits, hold })
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

/// Returns where preadv2(2) and its sister go: -1 is the position.
fn place2(thread: &Thread, [fd, _, _, offset, ..]: Args) -> Result<At, Errno> {
    if offset == u64::MAX { Ok(At::Position) } else { place(thread, fd, offset) }
}

fn preadv2(thread: &Rc<Thread>, args: Args) -> Answer {
    flagged(thread, args, place2(thread, args)?, false, args[5])
}

fn pwritev2(thread: &Rc<Thread>, args: Args) -> Answer {
    flagged(thread, args, place2(thread, args)?, true, args[5])
}

fn lseek(thread: &Rc<Thread>, [fd, offset, whence, ..]: Args) -> Answer {
    let open = thread.process.files().get(fd)?;
    if whence as u32 > SEEK_MAX && open.flags() & O_PATH == 0 {
        return Err(Errno::EINVAL.into());
    }
    alone::check(&open, At::Position, false)?;
    let to = open.file.seek(&open, offset.cast_signed(), whence as u32)?;
    Ok((to as usize).into())
}
