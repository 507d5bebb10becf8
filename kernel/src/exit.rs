//! Defines the statuses with which an app ends.

use crate::machine;
use core::fmt::Display;

/// Gives the exit status of an app. With 0 the domain powers off. With any other, it prints
/// `xenith: exit status` and the number as the last line on the console, and ends with the reason
/// `SHUTDOWN_crash`; `cargo mk run` exits with the same status. A Linux process exits with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// The app succeeded.
    pub const SUCCESS: Self = Self(0);
    /// The app returned an error, which was printed.
    pub const FAILURE: Self = Self(1);
    /// The arguments are invalid, or a device cannot be opened.
    pub const USAGE: Self = Self(2);
    /// The app panicked (101, as for a Rust process).
    pub const PANIC: Self = Self(machine::PANIC);
    /// The processor raised an exception (139, as a shell reports SIGSEGV).
    pub const FAULT: Self = Self(machine::FAULT);
}

/// Prints an error about arguments or devices, and returns [`Exit::USAGE`].
pub fn usage(error: &dyn Display) -> Exit {
    machine::line(format_args!("error: {error} (the argument `help` lists what there is)"));
    Exit::USAGE
}

/// Converts what an app's `start` returns to an exit status: nothing, an [`Exit`], or a `Result`
/// of these.
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
    /// Prints the error, if there is one, and returns the exit status.
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
