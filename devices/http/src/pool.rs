//! What the connections of a server share: memory, and the places that they have.

use super::body::LINE;
use super::budget::Budget;
use super::limits::{Limits, Stats, count};
use super::pace::Pace;
use super::response::ROOM;

use super::{Error, Status};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Poll, Waker};
use core::time::Duration;
use kernel::task::Task;
use kernel::time::{Instant, sleep_until};

/// Connections that keep their memory while they wait for the next request. Beyond
/// these, each gives it back meanwhile.
pub(super) const KEEP: usize = 64;

/// Bytes of a buffer before a longer head needs it all.
pub(super) const SMALL: usize = 4096;

/// A client that is slow to say what it wants, or to end, is left alone for so long.
const SLOW: Duration = Duration::from_secs(1);

/// How long a client may take to end where another needs its slot, and besides for each byte that it has
/// yet to take, up to 250 KB of them.
pub(super) const BRIEF: Duration = Duration::from_millis(250);
const BYTE: Duration = Duration::from_micros(16);
const BYTES: u32 = 250_000;

/// How long a connection may end that makes room for another one, and whose client has yet to take
/// `left` bytes: no longer than if it had taken all where the memory is needed.
pub(super) fn brief(left: usize) -> Duration {
    let left = u32::try_from(left).map_or(BYTES, |it| it.min(BYTES));
    match kernel::memory::is_scarce() {
        true => BRIEF,
        false => BRIEF + BYTE * left,
    }
}

/// What a connection needs while it is at work.
pub(super) struct Memory {
    /// What came and is not dealt with.
    pub(super) buffer: Vec<u8>,
    /// What the head of an answer is made in.
    pub(super) text: Vec<u8>,
}

impl Memory {
    fn len(&self) -> usize {
        self.buffer.len() + self.text.len()
    }

    /// Gives the buffer another size: that of the longest head and the lines between
    /// chunks behind it, or that of most.
    pub(super) fn resize(&mut self, size: usize, budget: &Budget) -> Result<(), Error> {
        let none = Error::Request(Status::UNAVAILABLE);
        budget.take(size).ok_or(none)?;
        let Some(mut other) = kernel::memory::zeroed(size) else {
            budget.put(size);
            return Err(none);
        };
        let kept = size.min(self.buffer.len());
        other[..kept].copy_from_slice(&self.buffer[..kept]);
        budget.put(self.buffer.len());
        self.buffer = other;
        Ok(())
    }
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doing {
    /// It waits for a request.
    Idle,
    /// All was said, and the client is to confirm that and to end.
    Ending,
    /// The same, and it has been told to leave.
    Leaving,
    /// It waits for the rest of a head.
    Head,
    /// It waits for what may come late: a message of a WebSocket, an event.
    Open,
    /// It serves a request, or several.
    Work,
    /// One of several requests of it waits for what may come late.
    Late,
}

/// One of the connections that may be open.
struct Seat {
    doing: Doing,
    since: Instant,
    waker: Option<Waker>,
    /// It was told to leave.
    told: bool,
    /// Another image waits for the request that is under way, or several.
    awaited: bool,
    /// Requests of several that wait for what may come late, by the numbers of their streams.
    late: Vec<u32>,
    task: Option<Task<()>>,
}

/// What a server's connections share.
pub(super) struct Pool {
    /// What the last to give its memory back leaves for the next.
    spare: Cell<Option<Memory>>,
    /// How many have theirs.
    pub(super) out: Cell<usize>,
    pub(super) budget: Budget,
    /// The patience with those who send a body, and with those who take an answer.
    pub(super) paces: (Pace, Pace),
    seats: RefCell<Vec<Option<Seat>>>,
    /// Those that nobody has.
    free: RefCell<Vec<usize>>,
    /// Connections that were told to leave and have not.
    told: Cell<usize>,
    /// Nobody stays after the request that is under way.
    pub(super) closing: Cell<bool>,
    /// Another image is about to go on with the connections: each leaves where a request may begin.
    moving: Cell<bool>,
    /// Requests that it waits for before, and who does.
    awaited: Cell<usize>,
    /// How often they were noted.
    rounds: Cell<u32>,
    settled: Cell<Option<Waker>>,
    /// Who waits for the last one to be gone.
    last: Cell<Option<Waker>>,
    pub(super) stats: Rc<Cell<Stats>>,
}

impl Pool {
    pub(super) fn new(limits: &Limits, stats: Rc<Cell<Stats>>) -> Self {
        Self {
            spare: Cell::new(None),
            out: Cell::new(0),
            budget: Budget::new(limits.memory),
            paces: (Pace::new(limits.pause, limits.rate), Pace::new(limits.response, limits.rate)),
            seats: RefCell::default(),
            free: RefCell::default(),
            told: Cell::new(0),
            closing: Cell::new(false),
            moving: Cell::new(false),
            awaited: Cell::new(0),
            rounds: Cell::new(0),
            settled: Cell::new(None),
            last: Cell::new(None),
            stats,
        }
    }

    fn take(&self, limits: &Limits) -> Option<Memory> {
        let memory = match self.spare.take() {
            Some(memory) => memory,
            None => {
                // Behind the longest head there is room for the lines between chunks.
                let size = limits.head.min(SMALL) + LINE;
                self.budget.take(size + ROOM)?;
                let made = kernel::memory::zeroed(size).and_then(|buffer| {
                    Some(Memory { buffer, text: kernel::memory::zeroed(ROOM)? })
                });
                if made.is_none() {
                    self.budget.put(size + ROOM);
                }
                made?
            }
        };
        self.out.set(self.out.get() + 1);
        Some(memory)
    }

    fn put(&self, memory: Memory) {
        self.out.set(self.out.get() - 1);
        // What a long head took is not kept.
        let old = if memory.buffer.len() <= SMALL + LINE {
            self.spare.replace(Some(memory))
        } else {
            Some(memory)
        };
        old.iter().for_each(|old| self.budget.put(old.len()));
    }

    /// A slot for a connection more; nothing when there is no memory for it.
    pub(super) fn sit(self: &Rc<Self>) -> Option<Slot> {
        let mut seats = self.seats.borrow_mut();
        let mut free = self.free.borrow_mut();
        let at = match free.pop() {
            Some(at) => at,
            None => {
                seats.try_reserve(1).ok()?;
                // So that each may be given back.
                free.try_reserve(seats.len() + 1).ok()?;
                seats.push(None);
                seats.len() - 1
            }
        };
        let since = Instant::now();
        let seat = Seat {
            doing: Doing::Idle,
            since,
            waker: None,
            told: false,
            awaited: false,
            late: Vec::new(),
            task: None,
        };
        seats[at] = Some(seat);
        count(&self.stats, |stats| {
            stats.connections += 1;
            stats.open += 1;
        });
        Some(Slot { pool: Rc::clone(self), at })
    }

    /// Connections that are open and were not told to leave.
    pub(super) fn staying(&self) -> usize {
        self.stats.get().open.saturating_sub(self.told.get())
    }

    fn tell(&self, seat: &mut Seat) {
        if !seat.told {
            seat.told = true;
            self.told.set(self.told.get() + 1);
            seat.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Tells one connection to leave, so that another may come: the one that has been idle
    /// for longest, else one that ends slowly or has not come to the point. Whether there
    /// was one.
    pub(super) fn make_room(&self) -> bool {
        let now = Instant::now();
        let mut seats = self.seats.borrow_mut();
        let worst = seats.iter_mut().flatten().filter(|seat| match seat.doing {
            Doing::Idle => !seat.told,
            Doing::Ending | Doing::Head => {
                !seat.told && now.saturating_duration_since(seat.since) >= SLOW
            }
            Doing::Leaving | Doing::Open | Doing::Work | Doing::Late => false,
        });
        let Some(worst) = worst.min_by_key(|seat| (seat.doing, seat.since)) else { return false };
        self.tell(worst);
        true
    }

    /// Tells those to leave that have no request under way, and the others that theirs is
    /// the last.
    pub(super) fn close(&self) {
        self.closing.set(true);
        for seat in self.seats.borrow_mut().iter_mut().flatten() {
            match seat.doing {
                Doing::Idle | Doing::Open => self.tell(seat),
                // What serves several requests has them end.
                _ => seat.waker.take().into_iter().for_each(Waker::wake),
            }
        }
    }

    /// Says whether connections are left to another image where a request may begin.
    pub(super) fn set_moving(&self, moving: bool) {
        self.moving.set(moving);
        for seat in self.seats.borrow_mut().iter_mut().flatten() {
            seat.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Notes which requests are under way, for [`settled`](Self::settled).
    pub(super) fn await_requests(&self) {
        let mut count = 0;
        for seat in self.seats.borrow_mut().iter_mut().flatten() {
            seat.awaited = seat.doing == Doing::Work;
            count += usize::from(seat.awaited);
            // What serves several requests notes which they are.
            seat.waker.take().into_iter().for_each(Waker::wake);
        }
        self.rounds.set(self.rounds.get().wrapping_add(1));
        self.awaited.set(count);
    }

    /// Waits until the requests that were noted have been served.
    pub(super) async fn settled(&self) {
        poll_fn(|context| {
            if self.awaited.get() == 0 {
                return Poll::Ready(());
            }
            self.settled.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// The seat's request has been served.
    fn served(&self, seat: &mut Seat) {
        if core::mem::take(&mut seat.awaited) {
            let left = self.awaited.get().saturating_sub(1);
            self.awaited.set(left);
            if left == 0 {
                self.settled.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Whether connections are left to another image.
    pub(super) fn is_moving(&self) -> bool {
        self.moving.get()
    }

    /// Gives back the memory that is kept for the next one.
    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.spare.take().iter().for_each(|spare| self.budget.put(spare.len()));
    }

    /// Waits until all are gone.
    pub(super) async fn empty(&self) {
        poll_fn(|context| {
            if self.seats.borrow().iter().all(Option::is_none) {
                return Poll::Ready(());
            }
            self.last.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Ends those that are there, which resets their connections.
    pub(super) fn end(&self) {
        let count = self.seats.borrow().len();
        for at in 0..count {
            let mut seats = self.seats.borrow_mut();
            let task = seats.get_mut(at).and_then(Option::as_mut).and_then(|it| it.task.take());
            // Dropped without the borrow.
            drop(seats);
            drop(task);
        }
    }
}

/// The slot of a connection, until it is dropped.
pub(super) struct Slot {
    pub(super) pool: Rc<Pool>,
    at: usize,
}

impl Slot {
    /// What runs the connection.
    pub(super) fn run_by(pool: &Pool, at: usize, task: Task<()>) {
        match pool.seats.borrow_mut().get_mut(at) {
            Some(Some(seat)) => seat.task = Some(task),
            _ => task.detach(),
        }
    }

    /// Its number.
    pub(super) const fn number(&self) -> usize {
        self.at
    }

    fn with<R>(&self, f: impl FnOnce(&mut Seat) -> R) -> Option<R> {
        self.pool.seats.borrow_mut().get_mut(self.at)?.as_mut().map(f)
    }

    /// Whether it was told to leave, or all were.
    pub(super) fn leaves(&self) -> bool {
        self.pool.closing.get() || self.with(|seat| seat.told).unwrap_or(true)
    }

    /// Whether it was told to leave as another one needs its place.
    pub(super) fn makes_room(&self) -> bool {
        self.leaves() && !self.pool.closing.get()
    }

    /// By which note the requests of the connection are awaited that were under way then, if they
    /// are: another number for another one.
    pub(super) fn awaited(&self) -> Option<u32> {
        self.with(|seat| seat.awaited)?.then(|| self.pool.rounds.get())
    }

    /// They have been served.
    pub(super) fn settle(&self) {
        self.with(|seat| self.pool.served(seat));
    }

    /// Whether one of several requests waits for what may come late.
    pub(super) fn is_late(&self, stream: u32) -> bool {
        self.with(|seat| seat.late.contains(&stream)).unwrap_or(false)
    }

    /// Waits for what may come late, for the request of a stream where there are several, and 0
    /// where there is one.
    pub(super) async fn wait_late<F: Future>(
        &self,
        stream: u32,
        limit: Duration,
        step: Pin<&mut F>,
    ) -> Option<F::Output> {
        if stream == 0 {
            return self.wait(Doing::Open, limit, step).await;
        }
        let _late = Late::new(self, stream);
        self.wait(Doing::Late, limit, step).await
    }

    /// Waits for so long, unless it is told to leave before there is anything. The step is
    /// lent, as moving it would be work with each request.
    pub(super) async fn wait<F: Future>(
        &self,
        doing: Doing,
        limit: Duration,
        mut step: Pin<&mut F>,
    ) -> Option<F::Output> {
        let mut end = None;
        let done = poll_fn(|context| {
            if let Poll::Ready(done) = step.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let now = end.is_none().then(Instant::now);
            let told = self.with(|seat| {
                if let Some(now) = now
                    && doing != Doing::Late
                {
                    (seat.doing, seat.since) = (doing, now);
                    self.served(seat, doing);
                }
                if !seat.waker.as_ref().is_some_and(|it| it.will_wake(context.waker())) {
                    seat.waker = Some(context.waker().clone());
                }
                seat.told
            });
            let leaves = matches!(doing, Doing::Idle | Doing::Open | Doing::Late);
            let closing = leaves && self.pool.closing.get();
            let told = told.is_none_or(|told| told && doing != Doing::Leaving);
            if told || closing || self.pool.is_moving() {
                return Poll::Ready(None);
            }
            let begun = now.unwrap_or_else(Instant::now);
            let end = end.get_or_insert_with(|| sleep_until(begun.saturating_add(limit)));
            Pin::new(end).poll(context).map(|()| None)
        })
        .await;
        if doing != Doing::Late {
            self.with(|seat| {
                seat.doing = Doing::Work;
                self.served(seat, doing);
            });
        }
        done
    }

    /// What waits for anything but several requests, of which it knows itself, has served its one.
    fn served(&self, seat: &mut Seat, doing: Doing) {
        if doing != Doing::Work {
            self.pool.served(seat);
        }
    }
}

/// One of several requests that waits for what may come late, until it is dropped.
struct Late<'a> {
    slot: &'a Slot,
    stream: u32,
}

impl<'a> Late<'a> {
    fn new(slot: &'a Slot, stream: u32) -> Self {
        // Without memory for the note, it is awaited like the others.
        slot.with(|seat| seat.late.try_reserve(1).map(|()| seat.late.push(stream)));
        Self { slot, stream }
    }
}

impl Drop for Late<'_> {
    fn drop(&mut self) {
        self.slot.with(|seat| seat.late.retain(|&it| it != self.stream));
    }
}

impl core::fmt::Debug for Slot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Slot({})", self.at)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let seat = self.pool.seats.borrow_mut().get_mut(self.at).and_then(Option::take);
        if let Some(mut seat) = seat {
            self.pool.served(&mut seat);
            self.pool.free.borrow_mut().push(self.at);
            if seat.told {
                self.pool.told.set(self.pool.told.get() - 1);
            }
            // It is this one that runs, and is about to end.
            seat.task.into_iter().for_each(Task::detach);
        }
        count(&self.pool.stats, |stats| stats.open -= 1);
        self.pool.last.take().into_iter().for_each(Waker::wake);
    }
}

/// The memory of a connection, when it has one.
pub(super) struct Held<'a> {
    pub(super) pool: &'a Pool,
    pub(super) memory: Option<Memory>,
}

impl Held<'_> {
    /// Its buffer.
    pub(super) fn take(&mut self, limits: &Limits) -> Result<&mut [u8], Error> {
        if self.memory.is_none() {
            self.memory = self.pool.take(limits);
        }
        let memory = self.memory.as_mut().ok_or(Error::Request(Status::UNAVAILABLE))?;
        Ok(&mut memory.buffer)
    }

    pub(super) fn put(&mut self) {
        self.memory.take().into_iter().for_each(|memory| self.pool.put(memory));
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.put();
    }
}
