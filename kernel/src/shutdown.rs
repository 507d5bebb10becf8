//! What the toolstack asks of a running domain: to power off or to reboot
//! (`xl shutdown`, `xl reboot`); on Linux, SIGTERM and SIGINT.
//!
//! A domain with devices follows by itself, and so does a process. An app that has something to finish
//! first waits for [`requested`] beside its work: then it has [`GRACE`] to return.

use crate::machine;
use core::time::Duration;

/// How long an app that waits for [`requested`] may take to return.
pub const GRACE: Duration = Duration::from_secs(10);

/// What the toolstack asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To power off, or to halt, which is the same here.
    Poweroff,
    /// To end in order to be started anew.
    Reboot,
}

/// Waits until the toolstack asks this machine to end; at once if it has.
pub async fn requested() -> Request {
    machine::shutdown_requested().await
}
