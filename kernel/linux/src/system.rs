//! What all processes share: the devices, the tree of files, the processes themselves.

use crate::channel::fifo;
use crate::errno::Errno;
use crate::exec::Programs;
use crate::file::Tree;
use crate::file::store::{Budget, Node, Store};
use crate::file::texts::Texts;
use crate::file::waits::Waits;
use crate::futex::Futexes;
use crate::ipc::Segments;
use crate::memory::Ram;
use crate::process::{Process, Status, most_threads};
use crate::signal::{Info, Signal};
use crate::socket::Network;
use crate::socket::unix::Registry;
use crate::time::Page;
use crate::tty::Terminals;
use crate::watch::Watch;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use kernel::task::Task;
use kernel::time::Instant;
use litemap::LiteMap;

/// The largest number of a process or thread, as on Linux (kernel.pid_max).
const MOST_IDS: i32 = 1 << 22;

/// Where numbers begin again: those below are of what began with the machine.
const FIRST_AGAIN: i32 = 300;

/// What is done when the first process of a session ends.
type SessionEnd = Box<dyn Fn(&System, i32)>;

/// The machine as its programs see it.
pub struct System {
    /// Where programs get their pages from.
    pub ram: Rc<Ram>,
    /// All files that have a path.
    pub tree: Tree,
    /// The memory that files in memory may take.
    pub budget: Rc<Budget>,
    /// Holds files that have no name (memfd_create(2)).
    pub scratch: Rc<Node>,
    /// The files of `/proc`, beside those that are there anyway.
    pub proc: Rc<Texts>,
    /// The files of `/sys`.
    pub sys: Rc<Texts>,
    /// All terminals.
    pub terminals: Rc<Terminals>,
    /// All processes, by number; those that nobody has waited for as well.
    processes: RefCell<LiteMap<i32, Rc<Process>>>,
    /// The names of Unix sockets.
    pub unix: Rc<Registry>,
    /// What makes sockets of the internet, if there is a network.
    pub network: RefCell<Option<Rc<dyn Network>>>,
    /// The last number that was given to a process or thread.
    last: Cell<i32>,
    /// Whether numbers were given a second time.
    again: Cell<bool>,
    /// The number of threads.
    threads: Cell<usize>,
    /// The number of processes that have ended, and that nobody has waited for.
    ended_processes: Cell<usize>,
    /// How many threads and ended processes there may be.
    most_threads: usize,
    /// Which processes wait for locks of which.
    pub lock_waits: Waits,
    /// Who waits for words of memory.
    pub futexes: Futexes,
    /// The segments of System V's shared memory.
    pub segments: Segments,
    /// What programs see of the clocks.
    pub clocks: Page,
    /// When it began.
    pub booted: Instant,
    /// Time for which all threads ran, in ns, up to their last turn.
    pub ran: Cell<u64>,
    /// How process 1 ended.
    status: Cell<Option<Status>>,
    ended: Arc<Watch>,
    /// Brings what is typed at the console to its terminal.
    pub(crate) typed: RefCell<Option<Task<()>>>,
    /// What is done for a terminal when the first process of its session ends.
    pub session_end: RefCell<Option<SessionEnd>>,
    /// Where the files of programs are found.
    pub programs: RefCell<Option<Rc<dyn Programs>>>,
    /// The name of the machine (uname(2)).
    pub host_name: RefCell<Vec<u8>>,
    /// Its domain of NIS (setdomainname(2)).
    pub domain_name: RefCell<Vec<u8>>,
    /// The number of the last rename that was told (inotify(7)).
    moves: Cell<u32>,
    /// Unknown calls that were logged.
    unknown: RefCell<Vec<u64>>,
}

impl System {
    /// Makes one without processes.
    #[must_use]
    pub fn new() -> Rc<Self> {
        let ram = Ram::new();
        let budget = Budget::of_machine(&ram);
        let tree = Tree::new(Store::empty(&budget, 0o755), "tmpfs");
        tree.set_pipes(Rc::new(fifo::open));
        Rc::new(Self {
            tree,
            scratch: Store::empty(&budget, 0o700),
            budget,
            proc: Rc::default(),
            sys: Rc::default(),
            terminals: Rc::default(),
            ram,
            processes: RefCell::default(),
            unix: Rc::default(),
            network: RefCell::new(None),
            last: Cell::new(0),
            again: Cell::new(false),
            threads: Cell::new(0),
            ended_processes: Cell::new(0),
            most_threads: most_threads(),
            lock_waits: Waits::default(),
            futexes: Futexes::default(),
            segments: Segments::default(),
            clocks: Page::default(),
            booted: Instant::now(),
            ran: Cell::new(0),
            status: Cell::new(None),
            ended: Watch::new(),
            typed: RefCell::default(),
            session_end: RefCell::new(None),
            programs: RefCell::new(None),
            host_name: RefCell::new(b"xenith".to_vec()),
            domain_name: RefCell::new(b"(none)".to_vec()),
            moves: Cell::default(),
            unknown: RefCell::default(),
        })
    }

    /// Returns what makes sockets of the internet.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` without a network.
    pub fn network(&self) -> Result<Rc<dyn Network>, Errno> {
        self.network.borrow().clone().ok_or(Errno::EAFNOSUPPORT)
    }

    /// Returns a number for a new process or thread: 1 for the first.
    ///
    /// # Errors
    /// `EAGAIN` if there are as many threads as may be: processes that have ended count until
    /// somebody has waited for them.
    pub fn next_id(&self) -> Result<i32, Errno> {
        if self.threads.get() + self.ended_processes.get() >= self.most_threads {
            return Err(Errno::EAGAIN);
        }
        loop {
            self.last.update(|it| it + 1);
            if self.last.get() >= MOST_IDS {
                self.last.set(FIRST_AGAIN);
                self.again.set(true);
            }
            let id = self.last.get();
            if !self.again.get() || !self.uses(id) {
                return Ok(id);
            }
        }
    }

    /// Whether a process, thread, group or session has that number.
    fn uses(&self, id: i32) -> bool {
        self.processes().any(|it| {
            it.id == id || it.group() == id || it.session() == id || it.thread(id).is_some()
        })
    }

    /// Counts a thread that begins or ends.
    pub(crate) fn count_threads(&self, change: isize) {
        self.threads.update(|it| it.saturating_add_signed(change));
    }

    /// Returns the number of threads of all processes.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.threads.get()
    }

    /// Returns how many threads and ended processes a user has (`RLIMIT_NPROC`).
    #[must_use]
    pub fn threads_of(&self, user: u32) -> usize {
        let processes = self.processes.borrow();
        let own = processes.values().filter(|it| it.credentials.borrow().user.real == user);
        own.map(|it| it.signals.receivers().borrow().len().max(1)).sum()
    }

    /// Adds a process.
    pub fn add(&self, process: &Rc<Process>) {
        self.processes.borrow_mut().insert(process.id, Rc::clone(process));
    }

    /// Returns the process of that number.
    #[must_use]
    pub fn process(&self, id: i32) -> Option<Rc<Process>> {
        self.processes.borrow().get(&id).cloned()
    }

    /// Returns the process that has a thread of that number, and the thread.
    #[must_use]
    pub fn thread(&self, id: i32) -> Option<(Rc<Process>, Rc<crate::signal::Receiver>)> {
        let found = |it: Rc<Process>| it.thread(id).map(|thread| (it, thread));
        self.process(id).and_then(found).or_else(|| self.processes().find_map(found))
    }

    /// Returns all processes, by number. They may come and go meanwhile: each is looked for when it
    /// is asked for, so that this takes no memory. The end of a process has none.
    pub fn processes(&self) -> impl Iterator<Item = Rc<Process>> {
        self.those(|_| true)
    }

    /// The same of those that are `wanted`, which alone cost more than a look.
    fn those(&self, wanted: impl Fn(&Process) -> bool) -> impl Iterator<Item = Rc<Process>> {
        let mut last = 0;
        core::iter::from_fn(move || {
            let all = self.processes.borrow();
            let next = all.find_index(&last).map_or_else(|it| it, |it| it + 1);
            let mut rest = (next..).map_while(|it| all.get_indexed(it));
            let (&id, process) = rest.find(|(_, it)| wanted(it))?;
            last = id;
            Some(Rc::clone(process))
        })
    }

    /// Returns how many processes there are, with those that nobody has waited for.
    #[must_use]
    pub fn process_count(&self) -> usize {
        self.processes.borrow().len()
    }

    /// Returns the children of a process, by number; those as well that have ended and that it has
    /// not waited for.
    pub fn children(&self, parent: &Process) -> impl Iterator<Item = Rc<Process>> {
        self.those(move |it| it.is_child_of(parent))
    }

    /// Sends a signal to all processes of a group. Returns whether there are any.
    pub fn group_signal(&self, group: i32, info: Info) -> bool {
        let mut any = false;
        for member in self.those(|it| it.group() == group) {
            // Only real-time signals can be too many.
            let _ = member.send(info);
            any = true;
        }
        any
    }

    /// Whether a group has nobody who could let it go on: no member has a parent in another
    /// group of the same session.
    #[must_use]
    pub fn is_orphaned(&self, group: i32) -> bool {
        self.will_be_orphaned(group, None)
    }

    /// The same, as it will be once `heir` has the children of the other one. Who has ended no
    /// longer counts.
    fn will_be_orphaned(&self, group: i32, left: Option<(&Process, Option<&Rc<Process>>)>) -> bool {
        let parent = |it: &Process| match left {
            Some((ended, heir)) if it.is_child_of(ended) => heir.cloned(),
            _ => it.parent(),
        };
        let cares = |it: &Process| {
            let parent = parent(it).filter(|parent| parent.status().is_none());
            parent.is_some_and(|parent| parent.group() != group && parent.session() == it.session())
        };
        let mut members = self.those(|it| it.group() == group);
        !members.any(|it| it.status().is_none() && cares(&it))
    }

    /// Hangs up a group that is stopped, and that nobody could let go on any more.
    fn hang_up(&self, group: i32, left: Option<(&Process, Option<&Rc<Process>>)>) {
        let mut members = self.those(|it| it.group() == group);
        if members.any(|it| it.signals.stopped().is_some()) && self.will_be_orphaned(group, left) {
            self.group_signal(group, Info::kernel(Signal::HUP));
            self.group_signal(group, Info::kernel(Signal::CONT));
        }
    }

    /// Forgets a process that somebody has waited for, and adds the time that it ran to its
    /// parent's.
    pub(crate) fn reap(&self, process: &Process) {
        self.forget(process.id);
        if let Some(parent) = process.parent() {
            let ran = process.cpu_time() + process.children_ran.get();
            parent.children_ran.update(|it| it + ran);
            let most = process.resident.get().max(process.children_resident.get());
            parent.children_resident.update(|it| it.max(most));
        }
    }

    /// Forgets one that has ended.
    fn forget(&self, id: i32) {
        let gone = self.processes.borrow_mut().remove(&id);
        if gone.is_some() {
            self.ended_processes.update(|it| it.saturating_sub(1));
        }
    }

    /// The last thread of a process has ended: gives its children away, and tells its parent. There
    /// may be no memory for anything.
    pub(crate) fn process_ended(&self, process: &Rc<Process>, status: Status) {
        self.ended_processes.update(|it| it + 1);
        // Groups that it held: its own, if its parent is in another one of its session, and those
        // of its children, if it was that to them.
        let holds = |parent: &Process, child: &Process| {
            parent.group() != child.group() && parent.session() == child.session()
        };
        let own = process.parent().is_some_and(|it| holds(&it, process));
        let heir = core::iter::successors(process.parent(), |it| it.parent())
            .find(|it| it.controls.reaps.get() && !it.is_over())
            .or_else(|| self.process(1).filter(|it| it.id != process.id));
        // Where nobody is stopped, all are looked at once. Who is let go on here is not found again.
        let session = process.session();
        let mut last = None;
        for stopped in self.those(|it| it.session() == session && it.signals.stopped().is_some()) {
            let group = stopped.group();
            if last.replace(group) != Some(group)
                && self.children(process).any(|it| it.group() == group && holds(process, &it))
            {
                self.hang_up(group, Some((process, heir.as_ref())));
            }
        }
        for child in self.children(process) {
            let signal = u64::try_from(child.controls.parent_ended.get());
            if let Some(signal) = signal.ok().and_then(Signal::new) {
                let _ = child.send(Info::user(signal, process.id, 0));
            }
            if let Some(heir) = &heir {
                child.set_parent(heir);
                child.exit_signal.set(Signal::CHLD.number());
                if let Some(status) = child.status()
                    && child.tell_end(status)
                {
                    self.reap(&child);
                }
            }
        }
        if own {
            self.hang_up(process.group(), None);
        }
        if process.session() == process.id
            && let Some(end) = &*self.session_end.borrow()
        {
            end(self, process.id);
        }
        if process.tell_end(status) {
            self.reap(process);
        }
        if process.id == 1 {
            self.status.set(Some(status));
            self.forget(1);
            // Nobody waits for the others any more.
            for other in self.processes() {
                match other.status() {
                    Some(_) => self.forget(other.id),
                    None => other.end(Status::signal(Signal::KILL)),
                }
            }
        }
        if self.status.get().is_some() {
            self.forget(process.id);
            self.ended.raise();
        }
    }

    /// Waits until process 1 has ended, and with it all others. Returns how it has.
    pub async fn ended(&self) -> Status {
        loop {
            let changes = self.ended.changes();
            if let Some(status) = self.status.get()
                && self.threads.get() == 0
            {
                return status;
            }
            self.ended.changed_since(changes).await;
        }
    }

    /// Returns a number that the two events of a rename have in common.
    pub(crate) fn next_move(&self) -> u32 {
        self.moves.update(|it| it.wrapping_add(1).max(1));
        self.moves.get()
    }

    /// Says once in the log that a program made a call that is not there.
    pub(crate) fn unknown_call(&self, number: u64) -> Errno {
        let mut unknown = self.unknown.borrow_mut();
        if unknown.len() < 64 && !unknown.contains(&number) {
            unknown.push(number);
            let call = syscalls::Sysno::new(number as usize);
            let name = call.map_or("no call of Linux", |it| it.name());
            log::warn!("linux: call {number} ({name}) is not there: ENOSYS");
        }
        Errno::ENOSYS
    }
}
