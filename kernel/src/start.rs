//! Runs an app: what [`unikernel!`](crate::unikernel) calls, from the arguments to the end.

use crate::args::{Args, Error, Help};
use crate::exit::{Exit, usage};
use crate::machine::{self, line};
use crate::task::block_on;
use crate::{common, shutdown};

/// Parses the arguments, and applies those that every app has.
///
/// # Errors
/// The exit status if they are invalid, or if the user asked for help, which is printed.
pub fn args(help: &Help) -> Result<Args, Exit> {
    let given = machine::command_line().map_err(Error::from);
    let mut args = given.and_then(Args::new).map_err(|error| usage(&error))?;
    if args.wants_help() {
        help.print(line);
        common::print(line);
        return Err(Exit::SUCCESS);
    }
    common::settle(&mut args).map_err(|error| usage(&error))?;
    Ok(args)
}

/// Checks the arguments of an app that takes none.
///
/// # Errors
/// The exit status if any are given; success if that is `help`, which is printed.
pub fn no_args(help: &Help) -> Result<Args, Exit> {
    let given = machine::raw_arguments();
    if given.is_empty() {
        machine::start_avx(true);
        return Ok(Args::default());
    }
    help.print(line);
    Err(if given == b"help" { Exit::SUCCESS } else { Exit::USAGE })
}

/// Runs the app, waits for those who [hold](shutdown::Hold) the end, and ends the machine.
pub fn run(app: impl Future<Output = Exit>) -> ! {
    let exit = block_on(app);
    shutdown::finish();
    machine::end(exit.0)
}
