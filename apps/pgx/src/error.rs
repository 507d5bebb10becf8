//! Says what goes wrong between a client and PostgreSQL.

use alloc::string::String;
use core::fmt;
use xenith::text::Escaped;

/// Says why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The stream failed.
    Stream(E),
    /// The server closed the connection.
    Ended,
    /// The server reports an error. A question may follow, unless it closes the connection.
    Server(Report),
    /// A message does not make sense: this one.
    Malformed(&'static str),
    /// A message is longer than the connection's limit.
    TooLong(u32),
    /// There is no memory for a message.
    Memory,
    /// The server wants a way to log in that is not offered here: a password in clear, or MD5.
    Login(u32),
    /// The server did not prove that it knows the password, as it did not ask for it, or does not.
    Impostor,
    /// There is no source of randomness.
    NoEntropy,
    /// A name, question or value has a zero byte in it, or is longer than 2 GiB, or there are more
    /// than 65 535 values.
    Unsendable,
    /// The password is not of ASCII alone, which would need SASLprep (RFC 4013).
    NotAscii,
    /// An answer was not read to its end, so no question may follow: connect again.
    Broken,
}

/// Is an error or a notice of the server (section "Error and Notice Message Fields").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// `ERROR`, `FATAL`, `PANIC`, `WARNING`, `NOTICE` and the like, never translated.
    pub severity: String,
    /// The SQLSTATE, such as `42P01`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// More about it, if there is more.
    pub detail: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, code, message, detail } = self;
        write!(f, "{severity} {code}: {}", Escaped(message.as_bytes()))?;
        if !detail.is_empty() {
            write!(f, " ({})", Escaped(detail.as_bytes()))?;
        }
        Ok(())
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Ended => f.write_str("the server closed the connection"),
            Self::Server(report) => report.fmt(f),
            Self::Malformed(what) => write!(f, "the server sent a malformed {what}"),
            Self::TooLong(bytes) => {
                write!(f, "a message of the server has {bytes} bytes, which is beyond the limit")
            }
            Self::Memory => f.write_str("there is no memory for a message of the server"),
            Self::Login(5) => {
                f.write_str("the server wants MD5: set password_encryption = scram-sha-256")
            }
            Self::Login(3) => f.write_str("the server wants the password in clear"),
            Self::Login(10) => f.write_str("the server wants a password, by SCRAM-SHA-256 or else"),
            Self::Login(kind) => write!(f, "the server wants a login of kind {kind}"),
            Self::Impostor => f.write_str("the server did not prove that it knows the password"),
            Self::NoEntropy => f.write_str("there is no source of randomness: see seed="),
            Self::Unsendable => f.write_str("that cannot be sent to a server"),
            Self::NotAscii => f.write_str("the password has characters beyond ASCII"),
            Self::Broken => f.write_str("an earlier answer was not read: connect again"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for Error<E> {}
