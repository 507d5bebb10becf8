//! The machine that is a Linux process.
//!
//! Tasks, timers and the clock belong to the thread, so that tests run in parallel; an app runs in
//! the main thread.

pub mod console;
pub mod ioctl;
mod local;
pub(crate) mod user;
pub mod watch;

use super::{Mapping, Stats, last_line};
use crate::command_line::Unreadable;
pub(crate) use local::local;
use rustix::event::Timespec;
use std::cell::Cell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
pub(crate) use user::play;

/// The start of the machine's clock.
static BEGINNING: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// Whether random numbers are simulated.
static KNOWN_SEED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static SIMULATED: Cell<Option<u64>> = const { Cell::new(None) };
    static MEMORY: Cell<usize> = const { Cell::new(0) };
    static USED: Cell<usize> = const { Cell::new(0) };
}

/// Makes this thread's clock stand still while tasks run, and jump to the next timer.
pub(crate) fn simulate_time() {
    SIMULATED.set(Some(1));
}

/// Makes this thread's machine report `total` bytes of memory.
pub(crate) fn simulate_memory(total: usize) {
    MEMORY.set(total);
}

/// Makes this thread's machine report that `used` bytes of its memory are used.
pub(crate) fn simulate_memory_use(used: usize) {
    USED.set(used);
}

/// Makes this process's random numbers the same in each run.
pub(crate) fn simulate_randomness() {
    KNOWN_SEED.store(true, Ordering::Relaxed);
}

/// Returns the ns since the first call.
pub(crate) fn monotonic() -> u64 {
    SIMULATED
        .get()
        .unwrap_or_else(|| u64::try_from(BEGINNING.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// Returns the time since 1970.
pub(crate) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Returns the first argument of the process, or an empty string.
pub(crate) fn raw_arguments() -> &'static [u8] {
    static FIRST: LazyLock<OsString> =
        LazyLock::new(|| std::env::args_os().nth(1).unwrap_or_default());
    FIRST.as_bytes()
}

/// Returns the arguments of the process.
pub(crate) fn command_line() -> Result<impl Iterator<Item = &'static [u8]>, Unreadable> {
    Ok(std::env::args_os().skip(1).map(|item| {
        let item: &'static std::ffi::OsStr = item.leak();
        item.as_bytes()
    }))
}

/// Returns a number of which a few bits are hard to predict.
pub(crate) fn jitter() -> u64 {
    monotonic()
}

/// Returns four numbers of getrandom(2).
pub(crate) fn hardware_seed() -> Option<[u64; 4]> {
    if KNOWN_SEED.load(Ordering::Relaxed) {
        return Some([1, 2, 3, 4]);
    }
    let mut bytes = [0; 32];
    let count = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
    let (words, _) = bytes.as_chunks::<8>();
    let word = |at: usize| words.get(at).copied().map(u64::from_ne_bytes);
    (count == 32).then_some([word(0)?, word(1)?, word(2)?, word(3)?])
}

/// Does nothing: the user of a process can end it.
pub(crate) fn start_watchdog(_seconds: u32) {}

/// Does nothing: Linux has enabled it.
pub(crate) fn start_avx(_wanted: bool) {}

/// Returns the simulated size and use of memory and else zeros: the heap is the system's.
pub(crate) fn memory_stats() -> Stats {
    Stats { total: MEMORY.get(), mapped: USED.get(), ..Stats::default() }
}

/// Returns the simulated size of memory, and what is free of it.
pub(crate) fn memory_left() -> (usize, usize) {
    (MEMORY.get(), MEMORY.get().saturating_sub(USED.get()))
}

/// Returns whether all of a simulated memory is used.
pub(crate) fn is_spent() -> bool {
    let (total, left) = memory_left();
    total > 0 && left == 0
}

/// Calls `each` for every mapping of the process (/proc/self/maps).
pub(crate) fn mappings(each: &mut dyn FnMut(Mapping)) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines() {
        let address = |hex| usize::from_str_radix(hex, 16).ok();
        let mut fields = line.split(' ');
        let range = fields.next().and_then(|range| range.split_once('-'));
        let flags = fields.next().unwrap_or_default();
        if let Some((Some(start), Some(end))) = range.map(|(a, b)| (address(a), address(b))) {
            each(Mapping { start, end, write: flags.contains('w'), execute: flags.contains('x') });
        }
    }
}

/// Wakes the tasks whose descriptors are ready, without waiting.
pub(crate) fn poll_events() {
    if SIMULATED.get().is_some() {
        return;
    }
    watch::poll_all(Some(&watch::NOW));
}

/// Waits until a descriptor is ready or until `deadline`, in ns, and wakes the tasks that wait for
/// it.
///
/// # Panics
/// In simulated time, if there is no deadline: the wait would never end.
pub(crate) fn idle(deadline: Option<u64>) {
    if SIMULATED.get().is_some() {
        let next =
            deadline.expect("in simulated time every task waits, and none of them for a timer");
        SIMULATED.set(Some(next));
        return;
    }
    let timeout = deadline.map(|deadline| {
        let rest = Duration::from_nanos(deadline.saturating_sub(monotonic()));
        Timespec { tv_sec: rest.as_secs().cast_signed(), tv_nsec: rest.subsec_nanos().into() }
    });
    watch::poll_all(timeout.as_ref());
}

static MANIFEST: OnceLock<&'static [u8]> = OnceLock::new();

/// Returns the text of the program's manifest.
pub(crate) fn manifest() -> &'static [u8] {
    MANIFEST.get().copied().unwrap_or_default()
}

/// Ends the process with this exit status.
pub(crate) fn end(status: u8) -> ! {
    last_line(console::Sink::Lossy, status);
    std::process::exit(status.into())
}

/// Sets the manifest, and starts the app.
#[doc(hidden)]
pub fn enter(manifest: &'static [u8], app: fn() -> !) -> ! {
    MANIFEST.get_or_init(|| manifest);
    app()
}

/// Defines the process's `main`, which starts the app.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    ($note:path, $start:path $(, $stack:expr)?) => {
        // Its stack is what Linux gives a process, and its size is checked all the same.
        $(const _: usize = $stack;)?

        #[unsafe(no_mangle)]
        extern "C" fn main(_count: i32, _arguments: *const *const u8) -> i32 {
            // `cargo test` builds and runs each binary as one with tests, and an app has
            // those in its library.
            if cfg!(test) {
                return 0;
            }
            $crate::machine::enter($note.text(), $start)
        }
    };
}
