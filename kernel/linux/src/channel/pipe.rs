//! Pipes (pipe(7)): bytes in one direction, in order.

use crate::errno::Errno;
use crate::file::{At, Caller, File, Open, Stat, Type, next_inode};
use crate::memory::{Sink, Source};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::{Cell, RefCell};
use kernel::user::PAGE;
use linux_raw_sys::general::{F_GETPIPE_SZ, F_SETPIPE_SZ};
use linux_raw_sys::ioctl::FIONREAD;

/// Bytes that a pipe holds at most (fcntl(2), `F_SETPIPE_SZ`).
pub const CAPACITY: usize = 65_536;

/// Bytes that are written as a whole or not at all: `PIPE_BUF`.
const ATOMIC: usize = 4096;

/// Bytes for which an idle pipe keeps memory: those who hand over a byte do so again and again.
const KEPT: usize = 64;

/// The most that `F_SETPIPE_SZ` allows (/proc/sys/fs/pipe-max-size).
const MOST: usize = 1 << 20;

/// A pipe, without its ends.
pub struct Pipe {
    bytes: RefCell<VecDeque<u8>>,
    capacity: Cell<usize>,
    readers: Cell<usize>,
    writers: Cell<usize>,
    /// How often a side was opened: to read, to write.
    opened: [Cell<u64>; 2],
    /// There is something to read, or nobody left to write.
    readable: Arc<Watch>,
    /// There is room, or nobody left to read.
    writable: Arc<Watch>,
    inode: u64,
}

/// One open end of a pipe, or both at once (a FIFO that is open for reading and writing).
pub struct PipeEnd {
    pipe: Rc<Pipe>,
    reads: bool,
    writes: bool,
    /// How often the other side of one with a name had been opened, where nobody had it open then.
    alone: Option<u64>,
}

impl Pipe {
    /// Makes an empty pipe without ends.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            bytes: RefCell::default(),
            capacity: Cell::new(CAPACITY),
            readers: Cell::new(0),
            writers: Cell::new(0),
            opened: Default::default(),
            readable: Watch::new(),
            writable: Watch::new(),
            inode: next_inode(),
        })
    }

    /// Makes a pipe, and returns the end to read from and the one to write to.
    #[must_use]
    pub fn pair() -> [Rc<PipeEnd>; 2] {
        let pipe = Self::new();
        [PipeEnd::open(&pipe, true, false), PipeEnd::open(&pipe, false, true)]
    }

    /// Returns how many bytes it may hold (`F_GETPIPE_SZ`).
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity.get()
    }

    /// Changes that (`F_SETPIPE_SZ`), and returns what it became: a power of two of pages.
    ///
    /// # Errors
    /// `EINVAL` for more than 2 GiB, `EPERM` for more than 1 MiB, `EBUSY` if more than that is in it.
    pub fn set_capacity(&self, capacity: usize) -> Result<usize, Errno> {
        if capacity > 1 << 31 {
            return Err(Errno::EINVAL);
        }
        let capacity = capacity.next_power_of_two().max(PAGE);
        if capacity > MOST {
            return Err(Errno::EPERM);
        }
        if self.bytes.borrow().len() > capacity {
            return Err(Errno::EBUSY);
        }
        self.capacity.set(capacity);
        self.writable.raise();
        Ok(capacity)
    }

    /// Returns how many ends are open to read and to write.
    pub(super) const fn ends(&self) -> [usize; 2] {
        [self.readers.get(), self.writers.get()]
    }

    /// Returns whether anybody has it open.
    pub(super) fn is_open(&self) -> bool {
        self.ends() != [0; 2]
    }

    fn room(&self) -> usize {
        self.capacity.get().saturating_sub(self.bytes.borrow().len())
    }

    fn take(&self, to: &mut Sink<'_>) -> Result<usize, Stop> {
        let mut bytes = self.bytes.borrow_mut();
        let mut taken = 0;
        while to.left() > 0 && !bytes.is_empty() {
            match to.put(bytes.as_slices().0) {
                Ok(count) if count == bytes.len() => {
                    bytes.clear();
                    taken += count;
                }
                Ok(count) => {
                    bytes.drain(..count);
                    taken += count;
                }
                Err(_) if taken > 0 => break,
                Err(stop) => return Err(stop),
            }
        }
        if bytes.is_empty() && bytes.capacity() > KEPT {
            *bytes = VecDeque::new();
        }
        Ok(taken)
    }

    fn put(&self, from: &mut Source<'_>, most: usize) -> Result<usize, Stop> {
        if most <= KEPT { self.put_by::<KEPT>(from, most) } else { self.put_by::<512>(from, most) }
    }

    /// Puts up to `most` bytes, `N` at a time.
    fn put_by<const N: usize>(&self, from: &mut Source<'_>, most: usize) -> Result<usize, Stop> {
        let mut bytes = self.bytes.borrow_mut();
        let mut put = 0;
        while put < most {
            let mut piece = [0; N];
            let length = N.min(most - put);
            let count = match from.peek(&mut piece[..length]) {
                Ok(0) => break,
                Ok(count) if has_room(&mut bytes, count, from) => count,
                Ok(_) if put == 0 => return Err(Errno::ENOMEM.into()),
                Err(stop) if put == 0 => return Err(stop),
                Ok(_) | Err(_) => break,
            };
            bytes.extend(&piece[..count]);
            from.skip(count);
            put += count;
        }
        Ok(put)
    }
}

/// Makes room for `count` bytes more. Returns whether there is some.
fn has_room(bytes: &mut VecDeque<u8>, count: usize, from: &Source<'_>) -> bool {
    bytes.capacity() - bytes.len() >= count || from.has_room() && bytes.try_reserve(count).is_ok()
}

/// Returns whether flags of open(2) ask to read, and to write.
const fn access(flags: u32) -> [bool; 2] {
    let mode = flags & linux_raw_sys::general::O_ACCMODE;
    [mode != linux_raw_sys::general::O_WRONLY, mode != linux_raw_sys::general::O_RDONLY]
}

impl PipeEnd {
    /// Opens an end of `pipe`.
    #[must_use]
    pub fn open(pipe: &Rc<Pipe>, reads: bool, writes: bool) -> Rc<Self> {
        Self::with(pipe, reads, writes, None)
    }

    /// Opens an end of a pipe that has a name: one side may be there without the other.
    pub(super) fn open_named(pipe: &Rc<Pipe>, reads: bool, writes: bool) -> Rc<Self> {
        let other = usize::from(reads);
        let is_alone = reads != writes && pipe.ends()[other] == 0;
        let alone = is_alone.then(|| pipe.opened[other].get());
        Self::with(pipe, reads, writes, alone)
    }

    fn with(pipe: &Rc<Pipe>, reads: bool, writes: bool, alone: Option<u64>) -> Rc<Self> {
        pipe.readers.update(|it| it + usize::from(reads));
        pipe.writers.update(|it| it + usize::from(writes));
        // Who waits in open(2) for this side.
        if reads {
            pipe.opened[0].update(|it| it + 1);
            pipe.writable.raise();
        }
        if writes {
            pipe.opened[1].update(|it| it + 1);
            pipe.readable.raise();
        }
        if reads && writes {
            // It has one watch for both.
            pipe.writable.forward(&pipe.readable);
        }
        Rc::new(Self { pipe: Rc::clone(pipe), reads, writes, alone })
    }

    /// Returns how much may be written now.
    ///
    /// # Errors
    /// `EPIPE` if nobody reads, [`Stop::Wait`] for nothing.
    pub fn room(&self) -> Result<usize, Stop> {
        match self.pipe.room() {
            _ if self.pipe.readers.get() == 0 => Err(Errno::EPIPE.into()),
            0 => Err(Stop::Wait),
            room => Ok(room),
        }
    }

    /// Copies up to `most` bytes to `to`, and leaves them in the pipe. Returns how many: 0 at the
    /// end.
    ///
    /// # Errors
    /// [`Stop::Wait`] for nothing yet, `ENOMEM`.
    pub fn peek(&self, to: &mut Vec<u8>, most: usize) -> Result<usize, Stop> {
        let bytes = self.pipe.bytes.borrow();
        if bytes.is_empty() && self.pipe.writers.get() > 0 {
            return Err(Stop::Wait);
        }
        let count = bytes.len().min(most);
        to.try_reserve(count).map_err(|_| Errno::ENOMEM)?;
        let (first, second) = bytes.as_slices();
        let cut = first.len().min(count);
        to.extend_from_slice(&first[..cut]);
        to.extend_from_slice(&second[..count - cut]);
        Ok(count)
    }

    /// Takes `count` bytes that were [peeked](Self::peek) at.
    pub fn skip(&self, count: usize) {
        let full = self.pipe.room() < ATOMIC;
        let mut bytes = self.pipe.bytes.borrow_mut();
        bytes.drain(..count);
        if bytes.is_empty() && bytes.capacity() > KEPT {
            *bytes = VecDeque::new();
        }
        drop(bytes);
        if full && count > 0 {
            self.pipe.writable.raise();
        }
    }

    /// Whether nobody has opened the other side since it was opened without it.
    fn is_alone(&self) -> bool {
        self.alone == Some(self.pipe.opened[usize::from(self.reads)].get())
    }

    /// Waits until somebody has opened the other side, however short that is there. `None`: it was
    /// there already, or it never waits, as one without a name.
    pub fn other_side(&self) -> Option<impl Future<Output = ()> + use<>> {
        let alone = self.alone.filter(|_| self.is_alone())?;
        let (pipe, other) = (Rc::clone(&self.pipe), usize::from(self.reads));
        Some(async move {
            let watch = if other == 1 { &pipe.readable } else { &pipe.writable };
            loop {
                let changes = watch.changes();
                if pipe.opened[other].get() != alone {
                    return;
                }
                watch.changed_since(changes).await;
            }
        })
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let pipe = &self.pipe;
        if self.reads {
            pipe.readers.update(|it| it - 1);
            if pipe.readers.get() == 0 {
                pipe.writable.raise();
            }
        }
        if self.writes {
            pipe.writers.update(|it| it - 1);
            if pipe.writers.get() == 0 {
                pipe.readable.raise();
            }
        }
    }
}

impl File for PipeEnd {
    fn read(&self, _: &Open, at: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        if at != At::Position {
            return Err(Errno::ESPIPE.into());
        }
        if !self.reads {
            return Err(Errno::EBADF.into());
        }
        let pipe = &self.pipe;
        if to.left() == 0 {
            return Ok(0);
        }
        if pipe.bytes.borrow().is_empty() {
            return if pipe.writers.get() == 0 { Ok(0) } else { Err(Stop::Wait) };
        }
        let full = pipe.room() < ATOMIC;
        let count = pipe.take(to)?;
        if full {
            pipe.writable.raise();
        }
        Ok(count)
    }

    fn write(&self, _: &Open, at: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        if at != At::Position {
            return Err(Errno::ESPIPE.into());
        }
        if !self.writes {
            return Err(Errno::EBADF.into());
        }
        let pipe = &self.pipe;
        if from.left() == 0 {
            return Ok(0);
        }
        if pipe.readers.get() == 0 {
            return Err(Errno::EPIPE.into());
        }
        let (room, left) = (pipe.room(), from.left());
        // What was begun by an earlier call of the same write goes on in any portion.
        let whole = from.done() == 0 && left <= ATOMIC;
        if room == 0 || whole && room < left {
            return Err(Stop::Wait);
        }
        let count = pipe.put(from, room.min(left))?;
        if count > 0 {
            // Also when it was not empty: who watches edges counts them.
            pipe.readable.raise();
        }
        Ok(count)
    }

    fn reopen(&self, flags: u32) -> Result<Rc<dyn File>, Errno> {
        let [reads, writes] = access(flags);
        Ok(Self::open(&self.pipe, reads, writes))
    }

    fn ready(&self) -> Ready {
        let pipe = &self.pipe;
        let mut ready = Ready::empty();
        if self.reads {
            if !pipe.bytes.borrow().is_empty() {
                ready |= Ready::IN | Ready::RDNORM;
            }
            if pipe.writers.get() == 0 && !self.is_alone() {
                ready |= Ready::HUP;
            }
        }
        if self.writes {
            if pipe.room() >= ATOMIC {
                ready |= Ready::OUT | Ready::WRNORM;
            }
            if pipe.readers.get() == 0 {
                ready |= Ready::ERR;
            }
        }
        ready
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        // Who has both ends hears of both there.
        Some(if self.reads { &self.pipe.readable } else { &self.pipe.writable })
    }

    fn control(&self, command: u32, argument: u64) -> Result<usize, Stop> {
        match command {
            F_GETPIPE_SZ => Ok(self.pipe.capacity()),
            F_SETPIPE_SZ => Ok(self.pipe.set_capacity(argument as u32 as usize)?),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(Stat::of(Type::Pipe, 0o600, self.pipe.inode))
    }

    fn ioctl(&self, caller: &dyn Caller, request: u32, argument: u64) -> Result<usize, Stop> {
        if request != FIONREAD {
            return Err(Errno::ENOTTY.into());
        }
        let count = self.pipe.bytes.borrow().len() as u32;
        caller.memory().put(argument, &count)?;
        Ok(0)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    struct Ends(Rc<Open>, Rc<Open>);

    fn pair() -> Ends {
        let [reader, writer] = Pipe::pair();
        Ends(Open::uncounted(reader, 0), Open::uncounted(writer, 1))
    }

    impl Ends {
        fn write(&self, bytes: &[u8]) -> Result<usize, Stop> {
            self.1.file.write(&self.1, At::Position, &mut Source::kernel(bytes))
        }

        fn read(&self, most: usize) -> Result<Vec<u8>, Stop> {
            let mut read = Vec::new();
            self.0.file.read(&self.0, At::Position, &mut Sink::kernel(&mut read, most))?;
            Ok(read)
        }
    }

    #[test]
    fn bytes_come_in_order_and_then_the_end() {
        let ends = pair();
        assert!(matches!(ends.read(9), Err(Stop::Wait)));
        ends.write(b"hello ").unwrap();
        ends.write(b"world").unwrap();
        assert_eq!(ends.read(8).unwrap(), b"hello wo");
        let Ends(reader, writer) = ends;
        drop(writer);
        let rest = Ends(Rc::clone(&reader), reader);
        assert_eq!(rest.read(8).unwrap(), b"rld");
        assert_eq!(rest.read(8).unwrap(), b"");
        assert_eq!(rest.0.file.ready(), Ready::HUP);
    }

    #[test]
    fn what_fits_into_a_page_is_written_whole_or_not_at_all() {
        let ends = pair();
        assert_eq!(ends.write(&vec![1; CAPACITY - 100]).unwrap(), CAPACITY - 100);
        assert!(matches!(ends.write(&[2; 101]), Err(Stop::Wait)));
        // More than that may be cut.
        assert_eq!(ends.write(&[2; ATOMIC + 1]).unwrap(), 100);
        assert!(matches!(ends.write(&[2]), Err(Stop::Wait)));
        assert_eq!(ends.1.file.ready(), Ready::empty());
        ends.read(ATOMIC - 1).unwrap();
        assert_eq!(ends.1.file.ready(), Ready::empty());
        ends.read(1).unwrap();
        assert_eq!(ends.1.file.ready(), Ready::OUT | Ready::WRNORM);
    }

    #[test]
    fn nobody_left_to_read_is_an_error_for_who_writes() {
        let Ends(reader, writer) = pair();
        drop(reader);
        let ends = Ends(Rc::clone(&writer), writer);
        assert!(matches!(ends.write(b"x"), Err(Stop::Fail(Errno::EPIPE))));
        assert!(ends.1.file.ready().contains(Ready::ERR));
    }

    #[test]
    fn the_size_is_a_power_of_two_of_pages_and_bounded() {
        let pipe = Pipe::new();
        assert_eq!(pipe.capacity(), CAPACITY);
        assert_eq!(pipe.set_capacity(0), Ok(4096));
        assert_eq!(pipe.set_capacity(1), Ok(4096));
        assert_eq!(pipe.set_capacity(5000), Ok(8192));
        assert_eq!(pipe.set_capacity(1 << 32), Err(Errno::EINVAL));
        assert_eq!(pipe.set_capacity(MOST + 1), Err(Errno::EPERM));
        let _ends = [PipeEnd::open(&pipe, true, false), PipeEnd::open(&pipe, false, true)];
        let writer = Open::uncounted(PipeEnd::open(&pipe, false, true), 1);
        writer.file.write(&writer, At::Position, &mut Source::kernel(&[0; 5000])).unwrap();
        assert_eq!(pipe.set_capacity(4096), Err(Errno::EBUSY));
    }

    #[test]
    fn an_idle_pipe_holds_next_to_no_memory() {
        let ends = pair();
        ends.write(&[1; 10_000]).unwrap();
        ends.read(10_000).unwrap();
        let end = ends.0.as_kind::<PipeEnd>().unwrap();
        assert_eq!(end.pipe.bytes.borrow().capacity(), 0);
        ends.write(&[1; KEPT]).unwrap();
        ends.read(KEPT).unwrap();
        assert!(end.pipe.bytes.borrow().capacity() <= KEPT);
    }
}
