//! Ends in each way that an app can end.
//!
//! test(status): args how=status
//! test(status): expect exit 7
//! test(error): args how=error
//! test(error): expect exit 1
//! test(error): console-contains "error: it did not work"
//! test(success): args how=success
//! test(success): expect poweroff
//! test: no-verdict
//! test(error,success): not-in-check

#![no_std]
#![no_main]

use kernel::Exit;

kernel::unikernel! {
    /// Ends in each way that an app can end.
    name: "exit",
    memory: 1 MiB,
    args: {
        /// How to end: success, status or error.
        how: &'static str,
    },
    main: start,
}

async fn start(how: &str) -> Result<Exit, &'static str> {
    match how {
        "success" => Ok(Exit::SUCCESS),
        "status" => Ok(Exit(7)),
        _ => Err("it did not work"),
    }
}
