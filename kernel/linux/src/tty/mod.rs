//! Terminals: what is typed becomes lines and signals, and what is printed is shown (termios(3)).

mod file;
mod input;
pub mod pty;
mod settings;

pub use file::TerminalFile;
pub use settings::{Settings, Size};

use crate::errno::Errno;
use crate::file::Inode;
use crate::memory::{Sink, Source};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::task::Waker;
use linux_raw_sys::general as abi;

/// Signals that a terminal sends (signal(7)).
pub(crate) mod signal {
    pub(crate) const HUP: u32 = 1;
    pub(crate) const INT: u32 = 2;
    pub(crate) const QUIT: u32 = 3;
    pub(crate) const CONT: u32 = 18;
    pub(crate) const TSTP: u32 = 20;
    pub(crate) const TTIN: u32 = 21;
    pub(crate) const TTOU: u32 = 22;
    pub(crate) const WINCH: u32 = 28;
}

/// Where what is printed goes: the console, or the other side of a pseudoterminal.
pub trait Wire {
    /// Takes as many bytes as there is room for, and returns how many.
    fn write(&self, bytes: &[u8]) -> usize;

    /// Returns how many bytes there is room for. `None`: only a write tells, and a line feed is
    /// sent as carriage return and line feed anyway.
    fn room(&self) -> Option<usize>;

    /// Wakes `waker` when there is room.
    fn wait(&self, waker: &Waker);
}

/// Whom a terminal sends a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A process group.
    Group(i32),
    /// The process that leads a session.
    Leader(i32),
}

/// Sends a signal.
pub type Send = Box<dyn Fn(Whom, u32)>;

/// A terminal.
pub struct Terminal {
    wire: Box<dyn Wire>,
    settings: RefCell<Settings>,
    size: Cell<Size>,
    input: RefCell<input::Input>,
    /// What is echoed and had no room yet.
    echo: RefCell<VecDeque<u8>>,
    watch: Arc<Watch>,
    /// Its number as a device, once it was opened by a name of its own.
    special: Cell<u64>,
    session: Cell<i32>,
    foreground: Cell<i32>,
    /// Output waits for XON.
    stopped: Cell<bool>,
    /// The other side is gone.
    hung_up: Cell<bool>,
    common: Rc<Common>,
    /// The time at which a read of nothing ends (`VTIME`), in ns of the monotonic clock.
    deadline: Cell<Option<kernel::time::Instant>>,
}

/// What all terminals have in common.
#[derive(Default)]
struct Common {
    /// Who sends their signals, once there is somebody.
    send: RefCell<Option<Send>>,
    all: RefCell<Vec<Weak<Terminal>>>,
}

impl Common {
    /// Returns the terminals of a session: the one that controls it, and those that did and were hung
    /// up.
    fn of_session(&self, session: i32) -> impl Iterator<Item = Rc<Terminal>> {
        let all = self.all.borrow();
        let own = |it: &Rc<Terminal>| session > 0 && it.session() == session;
        all.iter().filter_map(Weak::upgrade).filter(own).collect::<Vec<_>>().into_iter()
    }

    /// Returns the terminal that controls a session.
    fn controls(&self, session: i32) -> Option<Rc<Terminal>> {
        self.of_session(session).find(|it| !it.hung_up.get())
    }
}

/// The most bytes of echo that wait for room.
const ECHO: usize = 4096;

impl Terminal {
    /// Makes one.
    fn new(wire: Box<dyn Wire>, common: &Rc<Common>) -> Rc<Self> {
        Rc::new(Self {
            wire,
            settings: RefCell::default(),
            size: Cell::default(),
            input: RefCell::default(),
            echo: RefCell::default(),
            watch: Watch::new(),
            special: Cell::new(0),
            session: Cell::new(0),
            foreground: Cell::new(0),
            stopped: Cell::new(false),
            hung_up: Cell::new(false),
            common: Rc::clone(common),
            deadline: Cell::new(None),
        })
    }

    /// Tells when something was typed, or there is room to print.
    pub const fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Sets its size, which tells nobody.
    pub fn set_size(&self, size: Size) {
        self.size.set(size);
    }

    /// Returns its number as a device, as stat(2) has it; 0 before it was opened.
    pub const fn special(&self) -> u64 {
        self.special.get()
    }

    /// Returns the session that it controls; 0 for none.
    pub const fn session(&self) -> i32 {
        self.session.get()
    }

    /// Returns the process group in the foreground; 0 for none.
    pub const fn foreground(&self) -> i32 {
        self.foreground.get()
    }

    /// Makes it the controlling terminal of a session, whose leader's group is in the
    /// foreground. One of its that was hung up means nothing to it any more.
    pub fn control(&self, session: i32, group: i32) {
        for old in self.common.of_session(session) {
            old.release();
        }
        self.session.set(session);
        self.foreground.set(group);
    }

    /// Its session has ended, or gives it up.
    pub fn release(&self) {
        self.session.set(0);
        self.foreground.set(0);
    }

    /// Sends a signal to the group in the foreground.
    fn send(&self, number: u32) {
        let group = self.foreground.get();
        if group > 0 {
            self.send_to(Whom::Group(group), number);
        }
    }

    fn send_to(&self, whom: Whom, number: u32) {
        if let Some(send) = &*self.common.send.borrow() {
            send(whom, number);
        }
    }

    /// The other side is gone: reads end, and who leads the session is told. With its end the group
    /// in the foreground is.
    pub fn hang_up(&self) {
        self.hung_up.set(true);
        let session = self.session.get();
        if session > 0 {
            self.send_to(Whom::Leader(session), signal::HUP);
            self.send_to(Whom::Leader(session), signal::CONT);
        }
        self.watch.raise();
    }

    /// Returns whether something may be typed.
    fn has_room(&self) -> bool {
        !self.input.borrow().is_full(&self.settings.borrow())
    }

    /// Takes what was typed, as far as there is room for, and returns how much.
    pub fn typed(&self, bytes: &[u8]) -> usize {
        let settings = *self.settings.borrow();
        for (at, &byte) in bytes.iter().enumerate() {
            if self.input.borrow().is_full(&settings) {
                self.show();
                return at;
            }
            self.take(byte, &settings);
        }
        self.show();
        self.watch.raise();
        bytes.len()
    }

    /// Takes a byte that was typed.
    fn take(&self, byte: u8, settings: &Settings) {
        let effect = self.input.borrow_mut().take(byte, settings);
        if settings.has_input(abi::IXON) && effect.flow.is_some() {
            self.stopped.set(effect.flow == Some(false));
        } else if settings.has_input(abi::IXANY) {
            self.stopped.set(false);
        }
        {
            let mut echo = self.echo.borrow_mut();
            if echo.len() + effect.echo.len() <= ECHO && echo.try_reserve(effect.echo.len()).is_ok()
            {
                echo.extend(&effect.echo);
            }
        }
        if let Some(number) = effect.signal {
            self.send(number);
        }
    }

    /// Shows what is to be echoed, as far as there is room.
    pub fn show(&self) {
        let mut echo = self.echo.borrow_mut();
        let newlines = self.settings.borrow().has_output(abi::ONLCR);
        while let Some(&byte) = echo.front() {
            let written = match self.wire.room() {
                Some(_) if byte == b'\n' && newlines => self.whole(b"\r\n"),
                _ => self.wire.write(&[byte]) == 1,
            };
            if !written {
                break;
            }
            echo.pop_front();
        }
    }

    /// Writes all of `bytes`, or nothing.
    fn whole(&self, bytes: &[u8]) -> bool {
        let fits = self.wire.room().is_none_or(|it| it >= bytes.len());
        fits && self.wire.write(bytes) == bytes.len()
    }

    /// Waits for room with the next change of the watch.
    fn await_room(&self) {
        self.wire.wait(&Waker::from(Arc::clone(&self.watch)));
    }

    /// Prints.
    fn print(&self, from: &mut Source<'_>) -> Result<usize, Stop> {
        if self.hung_up.get() {
            return Err(Errno::EIO.into());
        }
        self.show();
        let settings = *self.settings.borrow();
        let mut done = 0;
        let mut piece = [0; 256];
        while !self.stopped.get() && self.echo.borrow().is_empty() {
            let count = match from.peek(&mut piece) {
                Ok(0) => return Ok(done),
                Ok(count) => count,
                Err(stop) if done == 0 => return Err(stop),
                Err(_) => return Ok(done),
            };
            let written = if self.wire.room().is_none() || !settings.has_output(abi::OPOST) {
                self.wire.write(&piece[..count])
            } else {
                let each = |&&byte: &&u8| match byte {
                    b'\n' if settings.has_output(abi::ONLCR) => self.whole(b"\r\n"),
                    b'\r' if settings.has_output(abi::OCRNL) => self.whole(b"\n"),
                    byte => self.whole(&[byte]),
                };
                piece[..count].iter().take_while(each).count()
            };
            from.skip(written);
            done += written;
            if written < count {
                break;
            }
        }
        if done == 0 && from.left() > 0 {
            self.await_room();
            return Err(Stop::Wait);
        }
        Ok(done)
    }

    /// Reads what was typed.
    fn read(self: &Rc<Self>, to: &mut Sink<'_>) -> Result<usize, Stop> {
        let settings = *self.settings.borrow();
        if to.left() == 0 {
            return Ok(0);
        }
        // What nobody had read went with the line.
        if self.hung_up.get() {
            return Ok(0);
        }
        let was_full = self.input.borrow().is_full(&settings);
        if let Some(count) = self.input.borrow_mut().read(to, &settings)? {
            self.deadline.set(None);
            if was_full {
                // Whoever types may go on.
                self.watch.raise();
            }
            return Ok(count);
        }
        let least = settings.control(abi::VMIN);
        let time = u64::from(settings.control(abi::VTIME));
        if settings.is_canonical() || least > 0 {
            return Err(Stop::Wait);
        }
        // It may wait for a time, or not at all.
        let now = kernel::time::Instant::now();
        match self.deadline.get() {
            _ if time == 0 => Ok(0),
            Some(deadline) if now >= deadline => {
                self.deadline.set(None);
                Ok(0)
            }
            Some(_) => Err(Stop::Wait),
            None => {
                let wait = core::time::Duration::from_millis(time * 100);
                let watch = Arc::clone(&self.watch);
                let waits = async move {
                    kernel::time::sleep(wait).await;
                    watch.raise();
                };
                kernel::task::try_spawn(waits).ok_or(Errno::ENOMEM)?.detach();
                // Only then there is somebody who ends it.
                self.deadline.set(Some(now.saturating_add(wait)));
                Err(Stop::Wait)
            }
        }
    }

    fn ready(&self) -> Ready {
        let mut ready = Ready::empty();
        let settings = self.settings.borrow();
        if self.input.borrow().is_ready(&settings) {
            ready |= Ready::IN | Ready::RDNORM;
        }
        if self.hung_up.get() {
            ready |= Ready::IN | Ready::RDNORM | Ready::HUP | Ready::ERR;
        }
        if !self.stopped.get() && self.wire.room().is_none_or(|it| it > 0) {
            ready |= Ready::OUT | Ready::WRNORM;
        } else {
            self.await_room();
        }
        ready
    }
}

/// All terminals of the machine.
#[derive(Default)]
pub struct Terminals {
    common: Rc<Common>,
    /// The pseudoterminals, by number.
    ptys: RefCell<Vec<Option<Rc<pty::Pty>>>>,
}

impl Terminals {
    /// Says who sends the signals of terminals.
    pub fn set_signals(&self, send: Send) {
        *self.common.send.borrow_mut() = Some(send);
    }

    /// Makes a terminal.
    pub fn make(&self, wire: Box<dyn Wire>) -> Rc<Terminal> {
        let terminal = Terminal::new(wire, &self.common);
        let mut all = self.common.all.borrow_mut();
        all.retain(|it| it.strong_count() > 0);
        all.push(Rc::downgrade(&terminal));
        terminal
    }

    /// Returns the terminal that controls a session.
    pub fn of_session(&self, session: i32) -> Option<Rc<Terminal>> {
        self.common.controls(session)
    }

    /// A session ends: the groups in the foreground of its terminals are told, also of one that was
    /// hung up, as long as it got no other.
    pub fn end_session(&self, session: i32) {
        for terminal in self.common.of_session(session) {
            terminal.send(signal::HUP);
            if terminal.hung_up.get() {
                terminal.send(signal::CONT);
            }
            terminal.release();
        }
    }

    /// Opens a terminal for a process, whose controlling one it becomes where that is not
    /// refused: `process` is its number, group and session.
    pub fn open(
        &self,
        terminal: &Rc<Terminal>,
        node: Rc<dyn Inode>,
        process: [i32; 3],
        flags: u32,
    ) -> Rc<TerminalFile> {
        let [id, group, session] = process;
        let special = node.stat().special;
        // `/dev/tty` is each one's name for its own.
        if special != crate::file::device(5, 0) {
            terminal.special.set(special);
        }
        let leads = id == session && self.of_session(session).is_none();
        if flags & abi::O_NOCTTY == 0 && leads && terminal.session() == 0 {
            terminal.control(session, group);
        }
        TerminalFile::new(terminal, node)
    }
}
