//! Runs a Linux program from a disk: an unmodified binary, in user mode.
//!
//! All of that is the crate `xenith-linux`; here it is given a network, and a disk with the root
//! of the tree of files.

#![no_std]
#![forbid(unsafe_code)]

use xenith::Exit;
use xenith::block::Block;
use xenith::linux::socket::inet::Device;
use xenith::linux::start::{self, Error, Options};

/// Runs the command line `run` with the tree of files on `root`, and ends as the program does.
/// `env` are variables, `cwd` is where it begins, `user` as whom, `strace` where its calls are
/// printed, `terminal` how large the user's terminal is.
///
/// # Errors
/// See [`Error`].
#[expect(clippy::too_many_arguments, reason = "one for each device and argument of the manifest")]
pub async fn start<I: Device, B: Block + 'static>(
    ip: I,
    root: B,
    run: &str,
    env: &str,
    cwd: &str,
    user: &str,
    strace: &str,
    terminal: &str,
) -> Result<Exit, Error> {
    start::start(ip, root, Options { run, env, cwd, user, strace, terminal }).await
}
