//! The calls that copy from one file to another: sendfile(2), splice(2), copy_file_range(2).

use super::super::{At, Caller, Open, Type, alone};
use super::size::limited;
use super::transfer::{MOST, broken, can_seek};
use super::{accessed, written};
use crate::call::{Answer, Args, Group, calls, changed, wait};
use crate::channel::PipeEnd;
use crate::errno::Errno;
use crate::memory::{Sink, Source};
use crate::stop::{Load, Stop, TURN};
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use kernel::time::Instant;
use linux_raw_sys::general::O_APPEND;

/// The calls that copy between files.
pub(crate) const CALLS: Group = calls! {
    sendfile(Fd, Fd, Hex, Size) = sendfile;
    splice(Fd, Hex, Fd, Hex, Size, Hex) = splice;
    copy_file_range(Fd, Hex, Fd, Hex, Size, Hex) = copy_file_range;
};

/// Bytes that are copied at once between two files.
const PIECE: usize = 64 * 1024;

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
    /// Since when a socket that has a limit is waited for, for what is copied now.
    since: Option<Instant>,
}

impl Copy {
    const fn at(offset: Option<u64>) -> At {
        match offset {
            Some(offset) => At::Offset(offset),
            None => At::Position,
        }
    }

    /// Copies until it has to wait, and says for which file. Others run after each turn.
    fn go(&mut self, thread: &Thread) -> Result<(), (Stop, bool)> {
        let end = self.done.saturating_add(TURN);
        while self.left > 0 {
            if self.done >= end {
                return Err((Load::turn().into(), false));
            }
            if self.rest.is_empty() {
                // The buffer is the kernel's.
                thread.system.ram.check_under_way().map_err(|errno| (errno.into(), false))?;
                let room = match self.to.as_kind::<PipeEnd>() {
                    // What is read has to fit, as it cannot be given back to a socket.
                    Some(pipe) => pipe.room().map_err(|stop| (stop, true))?,
                    None => PIECE,
                };
                if self.get(room.min(PIECE)).map_err(|stop| (stop, false))? == 0 {
                    return Ok(());
                }
            }
            let put = self.put(thread);
            if self.is_piped() {
                // The rest is still in the pipe.
                self.rest.clear();
            }
            if put.map_err(|stop| (stop, true))? == 0 {
                return Ok(());
            }
            // What can be waited for is not waited for once something was copied.
            if self.from.file.watch().is_some() && self.rest.is_empty() && !self.is_piped() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether it comes from a pipe, of which all is copied that is there.
    fn is_piped(&self) -> bool {
        self.from.as_kind::<PipeEnd>().is_some()
    }

    /// Reads up to `most` bytes. What a pipe has stays there until it is written.
    fn get(&mut self, most: usize) -> Result<usize, Stop> {
        let most = self.left.min(most);
        if let Some(pipe) = self.from.as_kind::<PipeEnd>() {
            return pipe.peek(&mut self.rest, most);
        }
        let place = Self::at(self.offsets[0]);
        alone::check(&self.from, place, false)?;
        let mut sink = Sink::kernel(&mut self.rest, most);
        let count = self.from.file.read(&self.from, place, &mut sink)?;
        self.offsets[0] = self.offsets[0].map(|it| it + count as u64);
        Ok(count)
    }

    /// Writes of what was read what can be written.
    fn put(&mut self, thread: &Thread) -> Result<usize, Stop> {
        let place = Self::at(self.offsets[1]);
        alone::check(&self.to, place, true)?;
        let most = limited(thread, &self.to, place, self.rest.len())?;
        // Before the first byte: who is killed does not come to the end.
        self.to.file.written(thread);
        let mut source = Source::kernel(&self.rest[..most]).within(&thread.system.ram);
        let count = self.to.file.write(&self.to, place, &mut source)?;
        if let Some(pipe) = self.from.as_kind::<PipeEnd>() {
            pipe.skip(count);
        }
        self.offsets[1] = self.offsets[1].map(|it| it + count as u64);
        self.rest.drain(..count);
        self.done += count;
        self.left -= count.min(self.left);
        if self.rest.is_empty() {
            self.since = None;
        }
        Ok(count)
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
            match self.go(&thread) {
                Ok(()) => break Ok(()),
                Err((Stop::Fail(errno), _)) => break Err(errno),
                Err((Stop::Load(load), _)) => {
                    if let Err(errno) = load.wait().await {
                        break Err(errno);
                    }
                }
                Err((Stop::Wait, writes)) => {
                    let open = if writes { &self.to } else { &self.from };
                    // A socket or the like takes all that there is, unless a signal comes.
                    let ends = self.done > 0 && (!writes || open.as_kind::<PipeEnd>().is_some());
                    if open.is_nonblocking() || self.never_waits || ends {
                        break Err(Errno::EAGAIN);
                    }
                    let (Some(watch), Some(seen)) =
                        (open.file.watch(), changes[usize::from(writes)])
                    else {
                        break Err(Errno::EAGAIN);
                    };
                    // As a read of the one and a write to the other would wait (socket(7)).
                    let limit = open.file.timeouts()[usize::from(writes)];
                    let end = limit.map(|limit| {
                        self.since.get_or_insert_with(Instant::now).saturating_add(limit)
                    });
                    if let Err(errno) = changed(&thread, watch, seen, end).await {
                        break Err(errno);
                    }
                }
            }
        };
        self.settle();
        if self.done > 0 {
            accessed(&self.from, self.done);
            written(&self.to, self.done);
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
                    broken(&thread, &self.to);
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

/// Does the same of a range of `count` bytes.
fn range(thread: &Thread, open: &Open, at: u64, count: u64) -> Result<Option<u64>, Stop> {
    let begin = match at {
        0 => open.position.get(),
        at => thread.memory().get(at)?,
    };
    if begin.checked_add(count).is_none() {
        return Err(Errno::EOVERFLOW.into());
    }
    offset(thread, open, at)
}

fn sendfile(thread: &Rc<Thread>, [to, from, at, count, ..]: Args) -> Answer {
    let (from, to) = (thread.process.files().get(from)?, thread.process.files().get(to)?);
    if !from.can_read() || !to.can_write() {
        return Err(Errno::EBADF.into());
    }
    if count > i64::MAX as u64 {
        return Err(Errno::EINVAL.into());
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
        since: None,
    };
    wait(copy.run(Rc::clone(thread)))
}

fn splice(thread: &Rc<Thread>, [from, from_at, to, to_at, count, flags]: Args) -> Answer {
    let (from, to) = (thread.process.files().get(from)?, thread.process.files().get(to)?);
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
    let left = usize::try_from(count).unwrap_or(MOST).min(MOST);
    let is_nonblocking = |at: usize| pipes[at] && [&from, &to][at].is_nonblocking();
    let never_waits = flags & 2 != 0 || is_nonblocking(0) || is_nonblocking(1);
    let told = [from_at, to_at];
    let (rest, since) = (Vec::new(), None);
    let copy = Copy { from, to, offsets, left, done: 0, rest, told, never_waits, since };
    wait(copy.run(Rc::clone(thread)))
}

fn copy_file_range(thread: &Rc<Thread>, [from, from_at, to, to_at, count, flags]: Args) -> Answer {
    let (from, to) = (thread.process.files().get(from)?, thread.process.files().get(to)?);
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
    // What is no file of pages has no size either, and tells of itself as it is read (proc(5)).
    if from.file.pages().is_err() || to.file.pages().is_err() {
        return Err(Errno::EXDEV.into());
    }
    let offsets = [range(thread, &from, from_at, count)?, range(thread, &to, to_at, count)?];
    let begin = |offset: Option<u64>, open: &Open| offset.unwrap_or(open.position.get());
    let (a, b) = (begin(offsets[0], &from), begin(offsets[1], &to));
    let there = from.file.stat()?.size.saturating_sub(a);
    let left = usize::try_from(count.min(there)).unwrap_or(MOST).min(MOST);
    if Rc::ptr_eq(&from.file, &to.file) && a.abs_diff(b) < left as u64 {
        return Err(Errno::EINVAL.into());
    }
    let told = [from_at, to_at];
    let (rest, never_waits, since) = (Vec::new(), false, None);
    let copy = Copy { from, to, offsets, left, done: 0, rest, told, never_waits, since };
    wait(copy.run(Rc::clone(thread)))
}
