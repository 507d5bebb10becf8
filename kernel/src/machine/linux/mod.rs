//! A process is a machine: the same app, the same kernel, on Linux.
//!
//! Tasks, timers and the clock belong to the thread, so that tests run side by
//! side; a program has one thread that counts.

pub mod console;
pub mod ioctl;
mod local;
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

/// The moment at which the machine's clock began.
static BEGINNING: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// Whether randomness is simulated.
static KNOWN_SEED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static SIMULATED: Cell<Option<u64>> = const { Cell::new(None) };
    static MEMORY: Cell<usize> = const { Cell::new(0) };
}

/// Lets this thread's clock stand still while tasks run, and jump to the next timer.
pub(crate) fn simulate_time() {
    SIMULATED.set(Some(1));
}

/// Lets this thread's machine have `total` bytes of memory.
pub(crate) fn simulate_memory(total: usize) {
    MEMORY.set(total);
}

/// Lets this process's random numbers be the same ones each time.
pub(crate) fn simulate_randomness() {
    KNOWN_SEED.store(true, Ordering::Relaxed);
}

/// ns since the first reading.
pub(crate) fn monotonic() -> u64 {
    SIMULATED
        .get()
        .unwrap_or_else(|| u64::try_from(BEGINNING.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// The time since 1970.
pub(crate) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The first argument of the process, or nothing.
pub(crate) fn raw_arguments() -> &'static [u8] {
    static FIRST: LazyLock<OsString> =
        LazyLock::new(|| std::env::args_os().nth(1).unwrap_or_default());
    FIRST.as_bytes()
}

/// The arguments of the process.
pub(crate) fn command_line() -> Result<impl Iterator<Item = &'static [u8]>, Unreadable> {
    Ok(std::env::args_os().skip(1).map(|item| {
        let item: &'static std::ffi::OsStr = item.leak();
        item.as_bytes()
    }))
}

/// A number that is hard to predict by a few bits.
pub(crate) fn jitter() -> u64 {
    monotonic()
}

/// Four numbers of Linux's generator.
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

/// A process that hangs is its user's to end.
pub(crate) fn start_watchdog(_seconds: u32) {}

/// On Linux the heap is the system's.
pub(crate) fn memory_stats() -> Stats {
    Stats { total: MEMORY.get(), ..Stats::default() }
}

/// As much as there is.
pub(crate) fn memory_left() -> (usize, usize) {
    (MEMORY.get(), MEMORY.get())
}

/// Tells `each` about every mapping of the process, as /proc has it.
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

/// Looks for news without waiting.
pub(crate) fn look() {
    if SIMULATED.get().is_some() {
        return;
    }
    watch::look(Some(&watch::NOW));
}

/// Waits until the clock shows `deadline`, or until something that someone waits for is ready.
///
/// # Panics
/// In simulated time, when nobody waits for a moment either: it would be for ever.
pub(crate) fn idle(deadline: Option<u64>) {
    if SIMULATED.get().is_some() {
        let next = deadline.expect("every task waits, and none of them for a timer");
        SIMULATED.set(Some(next));
        return;
    }
    let timeout = deadline.map(|deadline| {
        let rest = Duration::from_nanos(deadline.saturating_sub(monotonic()));
        Timespec { tv_sec: rest.as_secs().cast_signed(), tv_nsec: rest.subsec_nanos().into() }
    });
    watch::look(timeout.as_ref());
}

static MANIFEST: OnceLock<&'static [u8]> = OnceLock::new();

/// The text of the program's manifest.
pub(crate) fn manifest() -> &'static [u8] {
    MANIFEST.get().copied().unwrap_or_default()
}

/// Ends the process with this exit status.
pub(crate) fn end(status: u8) -> ! {
    last_line(console::Sink::Lossy, status);
    std::process::exit(status.into())
}

/// Starts the app, whose manifest is `manifest`.
#[doc(hidden)]
pub fn enter(manifest: &'static [u8], app: fn() -> !) -> ! {
    MANIFEST.get_or_init(|| manifest);
    app()
}

/// Starts the app: the process's `main`.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    ($note:path, $start:path) => {
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
