//! A process: what its threads share, and what is left of it until somebody has waited for it.

pub mod calls;
mod credentials;
pub mod descriptor;
mod limits;
mod status;
#[cfg(test)]
mod tests;

pub use credentials::{Credentials, Ids};
pub use limits::{INFINITY, Limit, Limits, most_threads};
pub(crate) use limits::{free, grows, room};
pub use status::{Report, Status};

use crate::errno::Errno;
use crate::file::uses::Use;
use crate::file::{Caller, Context, Files, Open, Place};
use crate::memory::Memory;
use crate::signal::{Info, Receiver, Sent, Set, Signal, Signals};
use crate::time::{Intervals, Timers};
use crate::watch::Watch;
use alloc::rc::{Rc, Weak};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Range;
use kernel::time::Instant;

/// A process (a thread group, as clone(2) says).
pub struct Process {
    /// Its number.
    pub id: i32,
    parent: RefCell<Weak<Self>>,
    group: Cell<i32>,
    session: Cell<i32>,
    /// It has given up the terminal of its session (`TIOCNOTTY`).
    without_terminal: Cell<bool>,
    /// Its signals, and its threads.
    pub signals: Rc<Signals>,
    memory: RefCell<Weak<Memory>>,
    /// Whether that is its parent's, which holds the parent's limits (vfork(2)).
    borrows: Cell<bool>,
    /// Its descriptors.
    files: RefCell<Rc<Files>>,
    /// Where it is in the tree.
    pub fs: RefCell<Rc<Context>>,
    /// Its limits.
    pub limits: Limits,
    /// As whom it runs.
    pub credentials: RefCell<Credentials>,
    /// The program that it runs.
    pub program: RefCell<Program>,
    /// What its parent is sent when it ends; 0: nothing.
    pub exit_signal: Cell<i32>,
    /// How it will end: all its threads are to.
    ending: Cell<Option<Status>>,
    /// How it has ended.
    status: Cell<Option<Status>>,
    /// A stop or the end of one that its parent has not seen yet.
    report: Cell<Option<Report>>,
    /// Raised when one of its threads has ended, or a child has changed, or it does no longer use
    /// the memory of its parent (vfork(2)).
    pub changed: Arc<Watch>,
    released: Cell<bool>,
    /// Time that its threads that have ended ran, in ns.
    pub ran: Cell<u64>,
    /// Time that its children ran that it has waited for, in ns.
    pub children_ran: Cell<u64>,
    /// How many bytes it had in memory at its end.
    pub(crate) resident: Cell<usize>,
    /// The most that one had of those that it waited for, and of those that they did.
    pub(crate) children_resident: Cell<usize>,
    /// When it was made.
    pub began: Instant,
    /// Bytes that it read and wrote by calls.
    pub moved: [Cell<u64>; 2],
    /// How many of these calls there were.
    pub moves: [Cell<u64>; 2],
    /// How many pages were brought to it when it touched them.
    pub faults: Cell<u64>,
    /// The timers of setitimer(2).
    pub intervals: Intervals,
    /// The timers of timer_create(2).
    pub timers: Timers,
    /// What prctl(2) keeps.
    pub controls: Controls,
}

/// The program that a process runs.
#[derive(Clone)]
pub struct Program {
    /// The absolute path of the file.
    pub path: Rc<[u8]>,
    /// Where the file was found: it stays that file, whatever becomes of its name.
    pub place: Option<Place>,
    /// Where its arguments are in its memory.
    pub arguments: Range<usize>,
    /// Where its environment is.
    pub environment: Range<usize>,
    /// Where its auxiliary vector is (getauxval(3)).
    pub auxiliary: Range<usize>,
    /// Whether the process has called execve(2).
    pub executed: bool,
    /// Keeps the file from being written.
    pub runs: Option<Rc<Use>>,
    /// Where the vDSO is; 0: nowhere.
    pub vdso: usize,
}

/// What prctl(2) keeps.
#[derive(Clone, Debug)]
pub struct Controls {
    /// What it is sent when its parent ends (`PR_SET_PDEATHSIG`).
    pub parent_ended: Cell<i32>,
    /// Whether orphans below it become its children (`PR_SET_CHILD_SUBREAPER`).
    pub reaps: Cell<bool>,
    /// `PR_SET_NO_NEW_PRIVS`
    pub no_new_privileges: Cell<bool>,
    /// `PR_SET_DUMPABLE`, as its opposite: 1 is what processes begin with.
    pub undumpable: Cell<bool>,
    /// `PR_SET_KEEPCAPS`
    pub keeps_capabilities: Cell<bool>,
    /// What of its memory it would have in a core dump, of which there are none
    /// (`/proc/self/coredump_filter`).
    pub dumped: Cell<u32>,
    /// How ready it is to be ended without memory, which nobody asks (`/proc/self/oom_score_adj`).
    pub out_of_memory: Cell<i32>,
    /// The nice value (setpriority(2)).
    pub nice: Cell<i32>,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            parent_ended: Cell::new(0),
            reaps: Cell::new(false),
            no_new_privileges: Cell::new(false),
            undumpable: Cell::new(false),
            keeps_capabilities: Cell::new(false),
            dumped: Cell::new(0x33),
            out_of_memory: Cell::new(0),
            nice: Cell::new(0),
        }
    }
}

impl Process {
    /// Makes one without threads and without a parent: the first one of a session.
    #[must_use]
    pub fn new(id: i32, memory: &Rc<Memory>) -> Rc<Self> {
        let process = Self::alone(id, memory);
        process.apply_signal_limit();
        Rc::new(process)
    }

    fn alone(id: i32, memory: &Rc<Memory>) -> Self {
        Self {
            id,
            parent: RefCell::default(),
            group: Cell::new(id),
            session: Cell::new(id),
            without_terminal: Cell::new(false),
            signals: Rc::new(Signals::new()),
            memory: RefCell::new(Rc::downgrade(memory)),
            borrows: Cell::new(false),
            files: RefCell::new(Rc::new(Files::new(1024, Rc::clone(memory.ram())))),
            fs: RefCell::new(Context::new()),
            limits: Limits::new(),
            credentials: RefCell::new(Credentials::new(0, 0)),
            program: RefCell::new(Program {
                path: Rc::from(Vec::new()),
                place: None,
                arguments: 0..0,
                environment: 0..0,
                auxiliary: 0..0,
                executed: false,
                runs: None,
                vdso: 0,
            }),
            exit_signal: Cell::new(Signal::CHLD.number()),
            ending: Cell::new(None),
            status: Cell::new(None),
            report: Cell::new(None),
            changed: Watch::new(),
            released: Cell::new(false),
            ran: Cell::new(0),
            children_ran: Cell::new(0),
            resident: Cell::new(0),
            children_resident: Cell::new(0),
            began: Instant::now(),
            moved: Default::default(),
            moves: Default::default(),
            faults: Cell::new(0),
            intervals: Intervals::default(),
            timers: Timers::default(),
            controls: Controls::default(),
        }
    }

    /// Makes a child of this one, with `memory`. `flags`: what it shares (`CLONE_FILES`,
    /// `CLONE_FS`). Its `parent` is this one or this one's own.
    ///
    /// # Errors
    /// `ENOMEM`
    pub fn fork(
        self: &Rc<Self>,
        id: i32,
        memory: &Rc<Memory>,
        flags: u64,
        parent: &Rc<Self>,
    ) -> Result<Rc<Self>, Errno> {
        use linux_raw_sys::general::{CLONE_FILES, CLONE_FS, CLONE_VM};
        let shares = |flag: u32| flags & u64::from(flag) != 0;
        let files = match shares(CLONE_FILES) {
            true => self.files(),
            false => {
                room(memory.ram(), size_of::<Files>())?;
                Rc::new(self.files().copy()?)
            }
        };
        // What a process takes beside its memory, threads and descriptors.
        room(memory.ram(), size_of::<Self>() + size_of::<Signals>() + 512)?;
        let child = Rc::new(Self {
            parent: RefCell::new(Rc::downgrade(parent)),
            group: self.group.clone(),
            session: self.session.clone(),
            without_terminal: self.without_terminal.clone(),
            signals: Rc::new(self.signals.fork()),
            files: RefCell::new(files),
            borrows: Cell::new(shares(CLONE_VM)),
            fs: RefCell::new(match shares(CLONE_FS) {
                true => Rc::clone(&self.fs.borrow()),
                false => self.fs.borrow().copy(),
            }),
            limits: self.limits.clone(),
            credentials: self.credentials.clone(),
            program: RefCell::new(Program { executed: false, ..self.program.borrow().clone() }),
            controls: Controls {
                parent_ended: Cell::new(0),
                reaps: Cell::new(false),
                ..self.controls.clone()
            },
            ..Self::alone(id, memory)
        });
        child.apply_cpu_limit();
        // What it is a copy of may have been borrowed.
        child.apply_memory_limits();
        Ok(child)
    }

    /// Returns its descriptors.
    #[must_use]
    pub fn files(&self) -> Rc<Files> {
        Rc::clone(&self.files.borrow())
    }

    /// Returns what is open as `fd`: as [`files`](Self::files) and [`Files::get`], in one step.
    ///
    /// # Errors
    /// `EBADF`
    pub fn open(&self, fd: u64) -> Result<Rc<Open>, Errno> {
        self.files.borrow().get(fd)
    }

    /// Returns it if its only thread asks: what a thread alone would no longer share (unshare(2))
    /// belongs to the process.
    ///
    /// # Errors
    /// `EINVAL`
    pub(crate) fn unshare(&self) -> Result<&Self, Errno> {
        if self.signals.receivers().borrow().len() > 1 { Err(Errno::EINVAL) } else { Ok(self) }
    }

    /// Gives it descriptors of its own where another process uses the same (`CLONE_FILES`).
    ///
    /// # Errors
    /// `ENOMEM`
    pub fn unshare_files(&self) -> Result<(), Errno> {
        let copied = match &*self.files.borrow() {
            files if Rc::strong_count(files) > 1 => files.copy()?,
            _ => return Ok(()),
        };
        self.files.replace(Rc::new(copied));
        Ok(())
    }

    /// Returns its memory, unless it has ended.
    #[must_use]
    pub fn memory(&self) -> Option<Rc<Memory>> {
        self.memory.borrow().upgrade()
    }

    /// Has it hold its limit of pending signals.
    pub(crate) fn apply_signal_limit(&self) {
        let soft = self.limits.get(linux_raw_sys::general::RLIMIT_SIGPENDING).soft;
        self.signals.set_limit(usize::try_from(soft).unwrap_or(usize::MAX));
    }

    /// Has it hold its limit of the time that it runs.
    pub(crate) fn apply_cpu_limit(&self) {
        let Limit { soft, hard } = self.limits.get(linux_raw_sys::general::RLIMIT_CPU);
        let ns = |seconds: u64| seconds.saturating_mul(1_000_000_000);
        let most = (soft != INFINITY).then(|| (ns(soft), ns(hard)));
        self.intervals.most.set(most);
    }

    /// Has its memory hold its limits, if it is its own.
    pub(crate) fn apply_memory_limits(&self) {
        if !self.borrows.get()
            && let Some(memory) = self.memory()
        {
            memory.set_limits(self.memory_limits());
        }
    }

    /// Returns the limits that its memory holds.
    #[must_use]
    pub fn memory_limits(&self) -> crate::memory::Limits {
        use linux_raw_sys::general::{RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK};
        let soft = |resource| match self.limits.get(resource).soft {
            INFINITY => usize::MAX,
            bytes => bytes as usize,
        };
        crate::memory::Limits {
            address_space: soft(RLIMIT_AS),
            data: soft(RLIMIT_DATA),
            stack: soft(RLIMIT_STACK),
        }
    }

    /// Gives it another memory (execve(2)).
    pub(crate) fn set_memory(&self, memory: &Rc<Memory>) {
        self.memory.replace(Rc::downgrade(memory));
        self.borrows.set(false);
    }

    /// Returns its parent.
    #[must_use]
    pub fn parent(&self) -> Option<Rc<Self>> {
        self.parent.borrow().upgrade()
    }

    /// Returns whether `parent` is its parent.
    #[must_use]
    pub fn is_child_of(&self, parent: &Self) -> bool {
        core::ptr::eq(self.parent.borrow().as_ptr(), parent)
    }

    /// Makes `parent` its parent.
    pub(crate) fn set_parent(&self, parent: &Rc<Self>) {
        self.parent.replace(Rc::downgrade(parent));
    }

    /// Returns the number of its process group.
    #[must_use]
    pub const fn group(&self) -> i32 {
        self.group.get()
    }

    /// Moves it to another group, and session.
    pub(crate) fn set_group(&self, group: i32, session: i32) {
        self.group.set(group);
        if self.session.replace(session) != session {
            self.without_terminal.set(false);
        }
    }

    /// The terminal of its session is neither its own any more nor of those that it starts.
    pub(crate) fn leave_terminal(&self) {
        self.without_terminal.set(true);
    }

    /// Returns the number of the session whose terminal is its own; 0 if it has given that up.
    pub(crate) const fn terminal_session(&self) -> i32 {
        if self.without_terminal.get() { 0 } else { self.session.get() }
    }

    /// Returns the number of its session.
    #[must_use]
    pub const fn session(&self) -> i32 {
        self.session.get()
    }

    /// Returns the absolute path of the file that it runs.
    #[must_use]
    pub fn exe(&self) -> Rc<[u8]> {
        Rc::clone(&self.program.borrow().path)
    }

    /// Returns where its arguments are in its memory.
    #[must_use]
    pub fn arguments(&self) -> Range<usize> {
        self.program.borrow().arguments.clone()
    }

    /// Returns where its environment is in its memory.
    #[must_use]
    pub fn environment(&self) -> Range<usize> {
        self.program.borrow().environment.clone()
    }

    /// Returns its name, which ends with NUL: that of its first thread, if that has not ended.
    #[must_use]
    pub fn name(&self) -> [u8; 16] {
        let receivers = self.signals.receivers().borrow();
        receivers.first().map_or([0; 16], |it| it.name.get())
    }

    /// Returns how many threads it has.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.signals.receivers().borrow().len()
    }

    /// Returns the thread of that number.
    #[must_use]
    pub fn thread(&self, id: i32) -> Option<Rc<Receiver>> {
        self.signals.receivers().borrow().iter().find(|it| it.id() == id).cloned()
    }

    /// Returns the state of its first thread as proc(5) has it: R, S, T, or Z.
    #[must_use]
    pub fn state(&self) -> char {
        let receivers = self.signals.receivers().borrow();
        self.state_of(receivers.first().map(|it| &**it))
    }

    /// Returns how many of its threads have the processor, or could go on.
    #[must_use]
    pub fn running(&self) -> usize {
        let receivers = self.signals.receivers().borrow();
        receivers.iter().filter(|it| self.state_of(Some(it)) == 'R').count()
    }

    /// Returns the state of one of its threads.
    #[must_use]
    pub fn state_of(&self, thread: Option<&Receiver>) -> char {
        if self.status.get().is_some() {
            'Z'
        } else if self.signals.stopped().is_some() {
            'T'
        } else if thread.is_some_and(Receiver::is_runnable) {
            'R'
        } else {
            'S'
        }
    }

    /// Returns how it will end, if that is known.
    pub(crate) fn ending(&self) -> Option<Status> {
        self.ending.get()
    }

    /// Returns whether it has ended, or is about to.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ending.get().is_some() || self.status.get().is_some()
    }

    /// Returns how it has ended.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.status.get()
    }

    /// Ends all its threads.
    pub fn end(&self, status: Status) {
        if !self.is_over() {
            self.ending.set(Some(status));
        }
        self.signals.receivers().borrow().iter().for_each(|it| it.kill());
        self.timers.clear();
    }

    /// Whether `caller`, who is `it` for that, may look into it, as ptrace(2) says it: into its own
    /// process, as root, or as the one whom this one is in every way, unless nobody is to look.
    pub(crate) fn may_look(&self, caller: &dyn Caller, it: &crate::file::Credentials) -> bool {
        if caller.process()[0] == self.id || caller.user()[0] == 0 {
            return true;
        }
        let own = self.credentials.borrow();
        let is = |ids: &Ids, id| [ids.real, ids.effective, ids.saved] == [id; 3];
        let same = is(&own.user, it.uid) && is(&own.group, it.gid);
        same && !self.controls.undumpable.get()
    }

    /// Ends its threads but one, which goes on with another program.
    pub(crate) fn end_others(&self, but: &Receiver) {
        let receivers = self.signals.receivers().borrow();
        receivers.iter().filter(|it| !core::ptr::eq(&***it, but)).for_each(|it| it.kill());
    }

    /// A thread has ended, which ran for `ran` ns. Returns how the process has, if it was the last.
    pub(crate) fn leave(&self, thread: &Receiver, status: Status, ran: u64) -> Option<Status> {
        self.ran.update(|it| it + ran);
        let left = self.signals.remove(thread);
        self.changed.raise();
        if left > 0 {
            return None;
        }
        // Nobody ended it as a whole: it ends as its last thread does.
        let status = self.ending.get().unwrap_or(status);
        self.status.set(Some(status));
        self.intervals.clear();
        self.timers.clear();
        self.program.borrow_mut().runs = None;
        self.signals.end();
        // It is no user of the table any more, though nobody may have waited for it for long. The last
        // one closes what is open.
        let none = Rc::new(Files::new(0, Rc::clone(self.files().ram())));
        drop(self.files.replace(none));
        self.release();
        Some(status)
    }

    /// It no longer uses the memory of its parent.
    pub(crate) fn release(&self) {
        self.released.set(true);
        self.changed.raise();
    }

    /// Whether it no longer uses the memory of its parent.
    pub(crate) const fn is_released(&self) -> bool {
        self.released.get()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `EAGAIN` if as many real-time signals are pending as may be.
    pub fn send(&self, info: Info) -> Result<(), Errno> {
        if self.status.get().is_some() {
            return Ok(());
        }
        self.make_room(info.signal());
        let sent = self.signals.send(info).map_err(|_| Errno::EAGAIN)?;
        self.sent(sent, info.signal());
        Ok(())
    }

    /// Sends a signal to one of its threads.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    pub fn send_to(&self, thread: &Receiver, info: Info) -> Result<(), Errno> {
        self.make_room(info.signal());
        let sent = self.signals.send_to(thread, info).map_err(|_| Errno::EAGAIN)?;
        self.sent(sent, info.signal());
        Ok(())
    }

    /// Has caches give up pages for a signal of which there may be many, if there is little memory.
    fn make_room(&self, signal: Signal) {
        if signal.is_queued()
            && let Some(memory) = self.memory()
        {
            let _ = memory.ram().has_room();
        }
    }

    fn sent(&self, sent: Sent, signal: Signal) {
        match sent {
            Sent::Later => {}
            Sent::Killed => self.end(Status::signal(signal)),
            Sent::Continued => self.tell(Report::Continued),
        }
    }

    /// Stops it, because of `signal`.
    pub(crate) fn stop(&self, signal: Signal) {
        self.signals.stop(signal);
        self.tell(Report::Stopped(signal));
    }

    /// Tells its parent that it stopped, or goes on.
    fn tell(&self, report: Report) {
        self.report.set(Some(report));
        let Some(parent) = self.parent() else { return };
        let action = parent.signals.action(Signal::CHLD);
        if !action.has(linux_raw_sys::general::SA_NOCLDSTOP) {
            let uid = self.credentials.borrow().user.real;
            let (code, status) = report.child();
            let _ = parent.send(Info::child(Signal::CHLD, code, self.id, uid, status));
        }
        parent.changed.raise();
    }

    /// Returns a stop, or the end of one, that was not asked for yet. `take`: it is now.
    pub(crate) fn report(&self, stops: bool, continues: bool, take: bool) -> Option<Report> {
        let report = self.report.get().filter(|it| match it {
            Report::Stopped(_) => stops,
            Report::Continued => continues,
        })?;
        if take {
            self.report.set(None);
        }
        Some(report)
    }

    /// Tells its parent that it has ended. Returns whether the parent does not want to know, so
    /// that nothing is left of it.
    pub(crate) fn tell_end(&self, status: Status) -> bool {
        let Some(parent) = self.parent() else { return true };
        let Some(signal) = u64::try_from(self.exit_signal.get()).ok().and_then(Signal::new) else {
            parent.changed.raise();
            return false;
        };
        let action = parent.signals.action(signal);
        let unwanted = signal == Signal::CHLD
            && (action.handler == crate::signal::Action::IGNORE
                || action.has(linux_raw_sys::general::SA_NOCLDWAIT));
        let uid = self.credentials.borrow().user.real;
        let (code, value) = status.child();
        let _ = parent.send(Info::child(signal, code, self.id, uid, value));
        parent.changed.raise();
        unwanted
    }

    /// Returns the time for which its threads ran, in ns, those as well that have ended.
    #[must_use]
    pub fn cpu_time(&self) -> u64 {
        let receivers = self.signals.receivers().borrow();
        self.ran.get() + receivers.iter().map(|it| it.cpu_time()).sum::<u64>()
    }

    /// Whether none of its threads handles or ignores it, and it ends with `signal`.
    #[must_use]
    pub fn dies_of(&self, signal: Signal) -> bool {
        let action = self.signals.action(signal);
        !action.has_handler() && !action.ignores(signal) && !Set::STOPS.has(signal)
    }
}
