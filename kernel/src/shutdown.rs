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

impl Request {
    /// The request that `value` is, if it is one (rule X14).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"poweroff" | b"halt" => Some(Self::Poweroff),
            b"reboot" => Some(Self::Reboot),
            _ => None,
        }
    }
}

/// Waits until the toolstack asks this machine to end; at once if it has.
pub async fn requested() -> Request {
    machine::shutdown_requested().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_words_end_the_machine_x14() {
        assert_eq!(Request::parse(b"poweroff"), Some(Request::Poweroff));
        assert_eq!(Request::parse(b"halt"), Some(Request::Poweroff));
        assert_eq!(Request::parse(b"reboot"), Some(Request::Reboot));
        for other in [&b"suspend"[..], b"", b"Poweroff", b"poweroff\0", b"poweroff ", b"\xFF"] {
            assert_eq!(Request::parse(other), None, "{other:?}");
        }
    }
}
