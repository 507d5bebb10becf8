//! Keeps lines of the log for a service that takes them elsewhere.

use super::known;
use crate::machine;
use crate::sync::Wakers;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::string::String;
use core::fmt::{self, Write};
use core::future::poll_fn;
use core::task::Poll;
use log::{Level, Record};
use spin::{Mutex, Once};

/// The most bytes of a line's text; what is longer is cut, at a whole character.
pub const LONGEST: usize = 1000;

/// Bytes that an entry of the queue takes besides its texts.
const ENTRY: usize = size_of::<Line>();

/// Is a line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// When it was logged.
    pub at: Instant,
    /// Its level.
    pub level: Level,
    /// The module that logged it, by the name under which apps import it.
    pub module: &'static str,
    /// What it says, of at most [`LONGEST`] bytes, with control characters as they are.
    pub text: String,
}

impl Line {
    /// Makes a line of now, for a reader that has something to say itself.
    #[must_use]
    pub fn new(level: Level, module: &'static str, text: String) -> Self {
        Self { at: Instant::now(), level, module, text }
    }
}

/// The lines that wait to be taken.
#[derive(Debug)]
struct Queue {
    lines: VecDeque<Line>,
    /// Bytes that they take, and may take.
    bytes: usize,
    limit: usize,
    /// Lines that were lost since that was last told.
    lost: u64,
    waiting: Wakers,
}

machine::local! {
    /// This machine's lines, if somebody takes them.
    static QUEUE: Mutex<Option<Queue>> = Mutex::new(None);
}

/// Puts a line into the queue. A pointer, so that only images with a reader contain the code.
pub(super) static KEEP: Once<fn(&Record<'_>)> = Once::new();

/// Takes the lines of the log, besides the console: one reader on a machine. Lines of the network's
/// own of the levels `debug` and `trace` are not among them, as sending one would cause the next.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use xenith::log::Lines;
/// use xenith::task::block_on;
///
/// # struct Nowhere;
/// # impl log::Log for Nowhere {
/// #     fn enabled(&self, _: &log::Metadata<'_>) -> bool { true }
/// #     fn log(&self, _: &log::Record<'_>) {}
/// #     fn flush(&self) {}
/// # }
/// // At most 16 KiB of lines wait for it, and what is lost is counted.
/// let mut lines = Lines::new(16 << 10).unwrap();
/// assert!(Lines::new(16 << 10).is_none());
/// assert!(lines.try_next().is_none());
/// assert_eq!(lines.take_lost(), 0);
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the collection"]
pub struct Lines(());

impl Lines {
    /// Keeps what is logged from now on, up to `limit` bytes of it. `None` if there is a reader
    /// already.
    pub fn new(limit: usize) -> Option<Self> {
        let mut queue = QUEUE.get().lock();
        if queue.is_some() {
            return None;
        }
        let (lines, waiting) = (VecDeque::new(), Wakers::new());
        *queue = Some(Queue { lines, bytes: 0, limit, lost: 0, waiting });
        KEEP.call_once(|| keep);
        Some(Self(()))
    }

    /// Takes the oldest line that waits. Dropping the future loses none.
    pub async fn next(&mut self) -> Line {
        poll_fn(|context| {
            if let Some(line) = self.try_next() {
                return Poll::Ready(line);
            }
            if let Some(queue) = &mut *QUEUE.get().lock() {
                queue.waiting.add(context.waker());
            }
            Poll::Pending
        })
        .await
    }

    /// Takes the oldest line that waits, if there is one.
    pub fn try_next(&mut self) -> Option<Line> {
        let mut queue = QUEUE.get().lock();
        let queue = queue.as_mut()?;
        let line = queue.lines.pop_front()?;
        queue.bytes -= ENTRY + line.text.capacity();
        Some(line)
    }

    /// Returns how many lines were lost for want of room since the last call.
    pub fn take_lost(&mut self) -> u64 {
        QUEUE.get().lock().as_mut().map_or(0, |queue| core::mem::take(&mut queue.lost))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let queue = QUEUE.get().lock().take();
        // Without the lock, as dropping a waker may drop a task.
        drop(queue);
    }
}

/// Does `work`, whose own lines are on the console alone: for what sends those that [`Lines`] takes, as a
/// line about that would wait for the next. It takes no lines itself.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use core::future::poll_fn;
/// use core::pin::pin;
/// use xenith::log::aside;
///
/// /// Waits for `connected`, and sends nothing of what is logged about that.
/// async fn quietly<F: Future>(connected: F) -> F::Output {
///     let mut connected = pin!(connected);
///     poll_fn(|context| aside(|| connected.as_mut().poll(context))).await
/// }
/// assert_eq!(xenith::task::block_on(quietly(async { 7 })), 7);
/// ```
pub fn aside<T>(work: impl FnOnce() -> T) -> T {
    let before = QUEUE.get().lock().as_ref().map(|queue| (queue.lines.len(), queue.lost));
    let done = work();
    if let (Some(before), Some(queue)) = (before, &mut *QUEUE.get().lock()) {
        queue.take_back(before);
    }
    done
}

/// Whether sending a line of this kind would cause the next one.
fn feeds_itself(record: &Record<'_>) -> bool {
    let target = record.target();
    record.level() > Level::Info
        && ["xenith_ip", "xenith_devices::net", "xenith_xen"]
            .iter()
            .any(|it| target.starts_with(it))
}

/// Text that is cut where it becomes too long or memory is short.
struct Cut(String);

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST.saturating_sub(self.0.len());
        let fits = text.floor_char_boundary(room);
        let text = text.get(..fits).unwrap_or_default();
        self.0.try_reserve(text.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(text);
        // The rest is not asked for when there is no room for it.
        if fits < room { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Puts a line into this machine's queue, if somebody takes from it.
fn keep(record: &Record<'_>) {
    if feeds_itself(record) || QUEUE.get().lock().is_none() {
        return;
    }
    // Without the lock, as what is formatted may log.
    let mut text = Cut(String::new());
    // An error is the end of the room.
    let _ = text.write_fmt(*record.args());
    let module = record.module_path_static().map_or("", known);
    let line = Line::new(record.level(), module, text.0);
    let waiting = QUEUE.get().lock().as_mut().and_then(|queue| queue.push(line));
    // Without the lock, as a waker may drop a task, which may log.
    waiting.into_iter().for_each(|mut waiting| waiting.wake());
}

impl Queue {
    /// Adds a line, and returns who waits for one.
    fn push(&mut self, line: Line) -> Option<Wakers> {
        let bytes = ENTRY + line.text.capacity();
        // The oldest are kept: they tell what began it.
        if self.bytes + bytes > self.limit || self.lines.try_reserve(1).is_err() {
            self.lost = self.lost.saturating_add(1);
            return None;
        }
        self.bytes += bytes;
        self.lines.push_back(line);
        Some(core::mem::replace(&mut self.waiting, Wakers::new()))
    }

    /// Takes out what came since there were so many lines, and so many lost.
    fn take_back(&mut self, (count, lost): (usize, u64)) {
        while self.lines.len() > count
            && let Some(line) = self.lines.pop_back()
        {
            self.bytes -= ENTRY + line.text.capacity();
        }
        self.lost = lost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{block_on, spawn};
    use log::RecordBuilder;

    fn log(level: Level, target: &'static str, text: &str) {
        let args = format_args!("{text}");
        let mut record = RecordBuilder::new();
        let record = record.level(level).target(target).module_path_static(Some(target));
        keep(&record.args(args).build());
    }

    #[test]
    fn a_reader_gets_lines_in_order_and_knows_what_it_lost() {
        crate::testing::simulate_time();
        log(Level::Info, "app", "nobody reads it");
        let mut lines = Lines::new(3 * (ENTRY + 8)).unwrap();
        for text in ["a", "b", "c", "d"] {
            log(Level::Warn, "xenith_http::server", text);
        }
        let next = lines.try_next().unwrap();
        assert_eq!((next.level, next.module, &*next.text), (Level::Warn, "http::server", "a"));
        assert_eq!((lines.take_lost(), lines.take_lost()), (1, 0));
        log(Level::Error, "app", "e");
        let rest: Vec<_> = core::iter::from_fn(|| lines.try_next()).map(|it| it.text).collect();
        assert_eq!(rest, ["b", "c", "e"]);
        drop(lines);
        log(Level::Info, "app", "nobody again");
        assert!(Lines::new(1000).unwrap().try_next().is_none());
    }

    #[test]
    fn what_is_logged_aside_takes_no_room_and_is_not_lost() {
        let room = 3 * (ENTRY + 8);
        let mut lines = Lines::new(room).unwrap();
        log(Level::Info, "app", "before");
        let error = || log(Level::Error, "xenith_tls::stream", "expired");
        assert_eq!(aside(|| (0..9).map(|_| error()).count()), 9);
        log(Level::Info, "app", "between");
        aside(error);
        log(Level::Info, "app", "after");
        let texts: Vec<_> = core::iter::from_fn(|| lines.try_next()).map(|it| it.text).collect();
        assert_eq!(
            (texts, lines.take_lost()),
            (["before", "between", "after"].map(Into::into).to_vec(), 0)
        );
        assert_eq!(QUEUE.get().lock().as_ref().map(|queue| queue.bytes), Some(0));
    }

    #[test]
    fn who_waits_is_woken() {
        let mut lines = Lines::new(4000).unwrap();
        let text = block_on(async {
            spawn(async { log(Level::Info, "app", "late") }).detach();
            lines.next().await.text
        });
        assert_eq!(text, "late");
    }

    #[test]
    fn lines_about_sending_lines_are_left_out() {
        let mut lines = Lines::new(4000).unwrap();
        log(Level::Debug, "xenith_ip::tcp::input", "a segment");
        log(Level::Trace, "xenith_devices::net::netfront", "a frame");
        assert!(lines.try_next().is_none());
        log(Level::Info, "xenith_ip::announce", "an address");
        log(Level::Debug, "app", "own");
        assert_eq!(lines.try_next().unwrap().module, "ip::announce");
        assert_eq!(lines.try_next().unwrap().text, "own");
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let mut lines = Lines::new(1 << 20).unwrap();
        for text in ["x".repeat(1 << 20), "é".repeat(700), format!("x{}", "é".repeat(700))] {
            log(Level::Info, "app", &text);
            let line = lines.try_next().unwrap();
            assert!(
                text.starts_with(&line.text) && line.text.len() > LONGEST - 2,
                "{}",
                text.len()
            );
        }
    }
}
