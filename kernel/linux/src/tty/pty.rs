//! Pseudoterminals (pty(7)): terminals whose other side is a program.

use super::{Terminal, Terminals, Wire};
use crate::errno::Errno;
use crate::file::{
    At, Caller, Change, File, Inode, Listing, Open, Stat, Statfs, Type, device, next_device, now,
};
use crate::memory::{Sink, Source, may_take};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::task::Waker;
use linux_raw_sys::ioctl as request;

/// The most pseudoterminals (/proc/sys/kernel/pty/max is 4096 on Linux).
const MOST: usize = 256;

/// Bytes of output that a master has not read, at most.
const ROOM: usize = 8192;

/// Bytes of it that there is room for in any case.
const SMALL: usize = 4096;

/// The major number of slaves.
const MAJOR: u32 = 136;

/// What is between a slave and its master.
#[derive(Default)]
struct Pair {
    /// What the slave printed.
    output: RefCell<VecDeque<u8>>,
    /// The master may read.
    readable: Arc<Watch>,
    /// Who waits for room.
    wakers: RefCell<kernel::sync::Wakers>,
}

/// The slave's side.
struct ToMaster(Rc<Pair>);

/// How many of `count` bytes are taken now. Where that is fewer, the reader makes room.
fn taken(output: &VecDeque<u8>, count: usize) -> usize {
    let count = count.min(ROOM - output.len());
    let there = output.capacity() - output.len();
    if count <= there || may_take(output.len() + count) {
        return count;
    }
    count.min(there.max(SMALL.saturating_sub(output.len())))
}

impl Wire for ToMaster {
    fn write(&self, bytes: &[u8]) -> usize {
        let mut output = self.0.output.borrow_mut();
        let count = taken(&output, bytes.len());
        if output.try_reserve(count).is_err() {
            return 0;
        }
        output.extend(&bytes[..count]);
        drop(output);
        if count > 0 {
            self.0.readable.raise();
        }
        count
    }

    fn room(&self) -> Option<usize> {
        Some(taken(&self.0.output.borrow(), ROOM))
    }

    fn wait(&self, waker: &Waker) {
        self.0.wakers.borrow_mut().add(waker);
    }
}

/// A pseudoterminal.
pub struct Pty {
    pair: Rc<Pair>,
    terminal: Rc<Terminal>,
    number: usize,
    /// `TIOCSPTLCK`: it cannot be opened yet.
    locked: Cell<bool>,
    /// How many slaves are open; `None` before the first.
    slaves: Cell<Option<usize>>,
    mode: Cell<u32>,
    owner: Cell<(u32, u32)>,
    made: u64,
}

impl Pty {
    /// Makes one, and returns its master.
    ///
    /// # Errors
    /// `ENOSPC` for too many.
    pub fn open(
        terminals: &Rc<Terminals>,
        node: Rc<dyn Inode>,
        caller: &dyn Caller,
    ) -> Result<Rc<dyn File>, Errno> {
        let mut ptys = terminals.ptys.borrow_mut();
        let number = ptys.iter().position(Option::is_none).unwrap_or(ptys.len());
        if number >= MOST {
            return Err(Errno::ENOSPC);
        }
        let pair = Rc::new(Pair::default());
        let terminal = terminals.make(Box::new(ToMaster(Rc::clone(&pair))));
        let who = caller.credentials();
        let pty = Rc::new(Self {
            pair,
            terminal,
            number,
            locked: Cell::new(true),
            slaves: Cell::new(None),
            mode: Cell::new(0o620),
            owner: Cell::new((who.uid, who.gid)),
            made: now(),
        });
        if number == ptys.len() {
            ptys.push(None);
        }
        ptys[number] = Some(Rc::clone(&pty));
        let terminals = Rc::downgrade(terminals);
        Ok(Rc::new(Master { pty, terminals, node }))
    }
}

/// The open master.
struct Master {
    pty: Rc<Pty>,
    terminals: Weak<Terminals>,
    node: Rc<dyn Inode>,
}

impl File for Master {
    fn read(&self, _: &Open, _: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        let pair = &self.pty.pair;
        let mut output = pair.output.borrow_mut();
        if output.is_empty() {
            let gone = self.pty.slaves.get() == Some(0);
            return Err(if gone { Errno::EIO.into() } else { Stop::Wait });
        }
        let mut done = 0;
        while to.left() > 0 && !output.is_empty() {
            match to.put(output.as_slices().0) {
                Ok(count) => {
                    output.drain(..count);
                    done += count;
                }
                Err(stop) if done == 0 => return Err(stop),
                Err(_) => break,
            }
        }
        drop(output);
        pair.wakers.borrow_mut().wake();
        self.pty.terminal.show();
        Ok(done)
    }

    fn write(&self, _: &Open, _: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        let mut done = 0;
        let mut piece = [0; 256];
        loop {
            let count = match from.peek(&mut piece) {
                Ok(0) => return Ok(done),
                Ok(count) => count,
                Err(stop) if done == 0 => return Err(stop),
                Err(_) => return Ok(done),
            };
            let taken = self.pty.terminal.typed(&piece[..count]);
            from.skip(taken);
            done += taken;
            if taken < count {
                return if done > 0 { Ok(done) } else { Err(Stop::Wait) };
            }
        }
    }

    fn ready(&self) -> Ready {
        let mut ready = Ready::empty();
        if self.pty.terminal.has_room() {
            ready |= Ready::OUT | Ready::WRNORM;
        }
        if !self.pty.pair.output.borrow().is_empty() {
            ready |= Ready::IN | Ready::RDNORM;
        }
        if self.pty.slaves.get() == Some(0) {
            ready |= Ready::HUP;
        }
        ready
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(&self.pty.pair.readable)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(self.node.stat())
    }

    fn ioctl(&self, caller: &dyn Caller, number: u32, argument: u64) -> Result<usize, Stop> {
        let memory = caller.memory();
        match number {
            request::TIOCGPTN => memory.put(argument, &(self.pty.number as u32))?,
            request::TIOCSPTLCK => self.pty.locked.set(memory.get::<i32>(argument)? != 0),
            request::TIOCGPTLCK => memory.put(argument, &i32::from(self.pty.locked.get()))?,
            0x541b => {
                let count = self.pty.pair.output.borrow().len();
                memory.put(argument, &(count as i32))?;
            }
            // Whoever has the master may ask.
            request::TIOCGPGRP => memory.put(argument, &self.pty.terminal.foreground())?,
            request::TIOCGSID => match self.pty.terminal.session() {
                0 => return Err(Errno::ENOTTY.into()),
                session => memory.put(argument, &session)?,
            },
            // These are about the master's own side, for which nobody is in the background.
            request::TCFLSH => match argument {
                0 | 2 => {
                    self.pty.pair.output.borrow_mut().clear();
                    self.pty.pair.wakers.borrow_mut().wake();
                    self.pty.terminal.show();
                }
                1 => {}
                _ => return Err(Errno::EINVAL.into()),
            },
            request::TCXONC if argument > 3 => return Err(Errno::EINVAL.into()),
            request::TCXONC | request::TCSBRK | request::TCSBRKP => {}
            _ => {
                let result = self.pty.terminal.ioctl(caller, number, argument);
                // What was typed was thrown away: there is room for more.
                if matches!(number, request::TCSETSF | request::TCSETSF2) {
                    self.pty.pair.readable.raise();
                }
                return result;
            }
        }
        Ok(0)
    }

    fn closed(&self, _: &Open) {
        if let Some(terminals) = self.terminals.upgrade() {
            let gone = terminals.ptys.borrow_mut()[self.pty.number].take();
            drop(gone);
        }
        self.pty.terminal.hang_up();
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

/// An open slave: a terminal that tells its master when it is closed.
struct Slave {
    pty: Rc<Pty>,
    file: Rc<super::TerminalFile>,
}

impl Slave {
    fn new(pty: &Rc<Pty>, file: Rc<super::TerminalFile>) -> Rc<Self> {
        pty.slaves.set(Some(pty.slaves.get().unwrap_or(0) + 1));
        Rc::new(Self { pty: Rc::clone(pty), file })
    }
}

/// Opens the terminal of the caller's session (`/dev/tty`): where it is a pseudoterminal, one more
/// slave of that.
///
/// # Errors
/// `ENXIO` if there is none.
pub fn open_own(
    terminals: &Rc<Terminals>,
    node: Rc<dyn Inode>,
    caller: &dyn Caller,
    flags: u32,
) -> Result<Rc<dyn File>, Errno> {
    let [_, _, session] = caller.process();
    let terminal = terminals.of_session(session).ok_or(Errno::ENXIO)?;
    let file = terminals.open(&terminal, node, caller.process(), flags);
    let ptys = terminals.ptys.borrow();
    let pty = ptys.iter().flatten().find(|it| Rc::ptr_eq(&it.terminal, &terminal));
    Ok(match pty {
        Some(pty) => Slave::new(pty, file),
        None => file,
    })
}

impl File for Slave {
    fn read(&self, open: &Open, at: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        let count = self.file.read(open, at, to)?;
        // The master may have waited for room.
        self.pty.pair.readable.raise();
        Ok(count)
    }

    fn write(&self, open: &Open, at: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        self.file.write(open, at, from)
    }

    fn judges(&self) -> bool {
        self.file.judges()
    }

    fn judge(&self, caller: &dyn Caller, write: bool) -> Result<(), Stop> {
        self.file.judge(caller, write)
    }

    fn ready(&self) -> Ready {
        self.file.ready()
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(self.pty.terminal.watch())
    }

    fn stat(&self) -> Result<Stat, Stop> {
        self.file.stat()
    }

    fn ioctl(&self, caller: &dyn Caller, number: u32, argument: u64) -> Result<usize, Stop> {
        let result = self.pty.terminal.ioctl(caller, number, argument);
        // What was typed was thrown away, for whose room the master may wait.
        if matches!(number, request::TCFLSH | request::TCSETSF | request::TCSETSF2) {
            self.pty.pair.readable.raise();
        }
        result
    }

    fn closed(&self, _: &Open) {
        self.pty.slaves.set(self.pty.slaves.get().map(|it| it.saturating_sub(1)));
        self.pty.pair.readable.raise();
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

/// The folder of the slaves (`/dev/pts`).
pub struct Folder {
    terminals: Rc<Terminals>,
    device: u64,
    made: u64,
}

impl Folder {
    /// Makes that of all pseudoterminals.
    #[must_use]
    pub fn new(terminals: &Rc<Terminals>) -> Rc<Self> {
        let terminals = Rc::clone(terminals);
        Rc::new(Self { terminals, device: next_device(), made: now() })
    }

    fn statfs(device: u64) -> Statfs {
        let magic = linux_raw_sys::general::DEVPTS_SUPER_MAGIC.into();
        Statfs { magic, size: 0, free: 0, files: 0, free_files: 0, device }
    }
}

impl Inode for Folder {
    fn id(&self) -> (u64, u64) {
        (self.device, 1)
    }

    fn kind(&self) -> Type {
        Type::Folder
    }

    fn stat(&self) -> Stat {
        stat(self.device, 1, Type::Folder, 0o755, (0, 0), 0, self.made)
    }

    fn lookup(&self, _: &dyn Caller, name: &[u8]) -> Result<Rc<dyn Inode>, Stop> {
        let number = core::str::from_utf8(name).ok().and_then(|it| it.parse::<usize>().ok());
        let ptys = self.terminals.ptys.borrow();
        let pty = number.filter(|it| format!("{it}").as_bytes() == name);
        let pty = pty.and_then(|it| ptys.get(it)?.clone()).ok_or(Errno::ENOENT)?;
        Ok(Rc::new(Entry { pty, terminals: Rc::clone(&self.terminals), device: self.device }))
    }

    fn list(&self, _: &dyn Caller) -> Result<Listing, Stop> {
        let mut all = Listing::default();
        for it in self.terminals.ptys.borrow().iter().flatten() {
            let name = format!("{}", it.number);
            all.push(name.as_bytes(), it.number as u64 + 3, Some(Type::Character))?;
        }
        Ok(all)
    }

    fn open(self: Rc<Self>, _: &dyn Caller, _: u32) -> Result<Rc<dyn File>, Stop> {
        Ok(crate::file::Handle::new(self, Errno::EISDIR))
    }

    fn system(&self) -> Statfs {
        Self::statfs(self.device)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

/// A slave's name.
struct Entry {
    pty: Rc<Pty>,
    terminals: Rc<Terminals>,
    device: u64,
}

fn stat(
    device: u64,
    inode: u64,
    kind: Type,
    mode: u32,
    (uid, gid): (u32, u32),
    special: u64,
    time: u64,
) -> Stat {
    Stat {
        device,
        inode,
        kind,
        mode,
        links: 1,
        uid,
        gid,
        special,
        size: 0,
        block: 1024,
        blocks: 0,
        accessed: time,
        modified: time,
        changed: time,
        born: 0,
    }
}

impl Inode for Entry {
    fn id(&self) -> (u64, u64) {
        (self.device, self.pty.number as u64 + 3)
    }

    fn kind(&self) -> Type {
        Type::Character
    }

    fn stat(&self) -> Stat {
        let pty = &self.pty;
        let special = device(MAJOR, pty.number as u32);
        let (mode, owner) = (pty.mode.get(), pty.owner.get());
        stat(self.device, self.id().1, Type::Character, mode, owner, special, pty.made)
    }

    fn open(self: Rc<Self>, caller: &dyn Caller, flags: u32) -> Result<Rc<dyn File>, Stop> {
        if self.pty.locked.get() || self.pty.terminal.hung_up.get() {
            return Err(Errno::EIO.into());
        }
        let (terminal, node) = (&self.pty.terminal, Rc::clone(&self));
        let file = self.terminals.open(terminal, node, caller.process(), flags);
        Ok(Slave::new(&self.pty, file))
    }

    fn set(&self, change: &Change) -> Result<(), Stop> {
        let (uid, gid) = self.pty.owner.get();
        self.pty.mode.set(change.mode.unwrap_or(self.pty.mode.get()));
        self.pty.owner.set((change.uid.unwrap_or(uid), change.gid.unwrap_or(gid)));
        Ok(())
    }

    fn system(&self) -> Statfs {
        Folder::statfs(self.device)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
