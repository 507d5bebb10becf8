//! The roof: what [`unikernel!`](crate::unikernel) calls, from the arguments to the end.

use crate::args::{Args, Error, Help};
use crate::exit::{Exit, usage};
use crate::machine::{self, line};
use crate::task::block_on;
use crate::{common, shutdown};

/// Takes the arguments of this start, and obeys those that every app has.
///
/// # Errors
/// The exit status when they make no sense, or when the user only asked for help.
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

/// Takes the arguments of an app that has none.
///
/// # Errors
/// The exit status when there are some; asking for help is well.
pub fn no_args(help: &Help) -> Result<Args, Exit> {
    let given = machine::raw_arguments();
    if given.is_empty() {
        return Ok(Args::default());
    }
    help.print(line);
    Err(if given == b"help" { Exit::SUCCESS } else { Exit::USAGE })
}

/// Runs the app, lets what it left open finish, and ends the machine.
pub fn run(app: impl Future<Output = Exit>) -> ! {
    let exit = block_on(app);
    shutdown::finish();
    machine::end(exit.0)
}
