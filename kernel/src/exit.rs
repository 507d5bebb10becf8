//! Ends an app with a status.

use crate::machine;
use core::fmt::Display;

/// An exit status. 0 powers the domain off; any other ends it with
/// `SHUTDOWN_crash`, after a last console line that names the number, which
/// `cargo mk run` passes on as its own exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// The app did what it was asked to do.
    pub const SUCCESS: Self = Self(0);
    /// The app returned an error.
    pub const FAILURE: Self = Self(1);
    /// The arguments or the devices were not what the app needs.
    pub const USAGE: Self = Self(2);
    /// The app panicked; the number is that of a Rust process.
    pub const PANIC: Self = Self(machine::PANIC);
    /// An exception of the processor; the number is a shell's for a process
    /// that ended by SIGSEGV.
    pub const FAULT: Self = Self(machine::FAULT);
}

/// Prints what is wrong with the arguments or the devices, and returns the exit status for it.
pub fn usage(error: &dyn Display) -> Exit {
    machine::line(format_args!("error: {error} (the argument `help` lists what there is)"));
    Exit::USAGE
}

/// What `start` may return: nothing, an [`Exit`], or a `Result` of these whose
/// error is printed.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use xenith::Exit;
/// use xenith::exit::Outcome;
///
/// /// Succeeds, fails with an error, or ends with a status of the app's own.
/// async fn start(found: Result<u32, core::fmt::Error>) -> Result<Exit, core::fmt::Error> {
///     Ok(if found? > 9 { Exit(3) } else { Exit::SUCCESS })
/// }
///
/// # use xenith::task::block_on;
/// assert_eq!(block_on(start(Ok(1))).report(), Exit::SUCCESS);
/// assert_eq!(block_on(start(Ok(10))).report(), Exit(3));
/// assert_eq!(block_on(start(Err(core::fmt::Error))).report(), Exit::FAILURE);
/// ```
pub trait Outcome {
    /// Prints an error if there is one and gives the exit status.
    fn report(self) -> Exit;
}

impl Outcome for () {
    fn report(self) -> Exit {
        Exit::SUCCESS
    }
}

impl Outcome for Exit {
    fn report(self) -> Exit {
        self
    }
}

impl<T: Outcome, E: Display> Outcome for Result<T, E> {
    fn report(self) -> Exit {
        match self {
            Ok(outcome) => outcome.report(),
            Err(error) => {
                machine::line(format_args!("error: {error}"));
                Exit::FAILURE
            }
        }
    }
}
