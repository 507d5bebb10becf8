//! A process is a machine: the same app, the same kernel, on Linux.

pub mod console;

use crate::args;
use crate::exit::Exit;
use crate::task::block_on;
use crate::time::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdin;
use std::os::unix::ffi::OsStrExt;
use std::sync::LazyLock;

/// The moment at which the machine's clock began.
static BEGINNING: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// ns since the first reading.
pub(crate) fn monotonic() -> u64 {
    u64::try_from(BEGINNING.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The arguments of the process.
pub(crate) fn command_line() -> Result<impl Iterator<Item = &'static [u8]>, args::Error> {
    Ok(std::env::args_os().skip(1).map(|item| {
        let item: &'static std::ffi::OsStr = item.leak();
        item.as_bytes()
    }))
}

/// Waits until `deadline`, or until there is input that someone waits for.
pub(crate) fn idle(deadline: Option<Instant>) {
    let timeout = deadline.map(|deadline| {
        let rest = deadline.saturating_duration_since(Instant::now());
        Timespec { tv_sec: rest.as_secs().cast_signed(), tv_nsec: rest.subsec_nanos().into() }
    });
    let stdin = stdin();
    let mut input = [PollFd::new(&stdin, PollFlags::IN)];
    let waiting = usize::from(console::take_waiting());
    // A signal ends the wait early, which the caller is prepared for.
    let _ = poll(&mut input[..waiting], timeout.as_ref());
}

/// Runs the app and ends the process with its exit status.
pub fn start(run: impl Future<Output = Exit>) -> ! {
    let exit = block_on(run);
    super::last_line(console::Sink::Lossy, exit);
    std::process::exit(exit.0.into());
}

/// Starts the app: the process's `main`.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    ($name:literal, $run:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn main(_count: i32, _arguments: *const *const u8) -> i32 {
            $crate::machine::start($run())
        }
    };
}
