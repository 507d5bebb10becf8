//! Says why the log is not sent.

use core::fmt;
use fetchs::trust;

/// Says why the log is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// What is to be trusted cannot be used.
    Trust(trust::Error),
    /// Somebody reads the log already, as `syslog` does for a network that is named with it.
    Taken,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trust(error) => error.fmt(f),
            Self::Taken => f.write_str("somebody else reads the log, which has one reader"),
        }
    }
}

impl core::error::Error for Error {}

impl From<trust::Error> for Error {
    fn from(error: trust::Error) -> Self {
        Self::Trust(error)
    }
}
