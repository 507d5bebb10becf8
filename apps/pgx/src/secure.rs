//! Asks a server to go on by TLS (section "SSL Session Encryption").

use core::fmt;
use embedded_io_async::{Read, Write};

/// SSLRequest: its length, and a version that is none.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];

/// Says why a server does not go on by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoTls<E> {
    /// The stream failed.
    Stream(E),
    /// The server closed the connection.
    Ended,
    /// The server has no TLS. It would go on in clear, which is not what was asked for.
    Refused,
    /// The server is too old to know the question, or something else is wrong: it answers by an
    /// error, which anyone on the way may have written, and which is not read.
    Old,
    /// More came with the answer, in clear, than the one byte that it is: whoever stands between the
    /// two wants it to be taken for something that came by TLS (CVE-2021-23222).
    Early,
    /// The answer is this, which is none.
    Malformed(u8),
}

impl<E: fmt::Display> fmt::Display for NoTls<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Ended => f.write_str("the server closed the connection when asked for TLS"),
            Self::Refused => f.write_str(
                "the server does not speak TLS: set ssl = on there, as nothing is sent in clear",
            ),
            Self::Old => f.write_str("the server answers by an error when asked for TLS"),
            Self::Early => {
                f.write_str("something in clear came before TLS, perhaps not by the server")
            }
            Self::Malformed(byte) => {
                write!(f, "the server answers {byte:#04x} when asked for TLS: is it PostgreSQL?")
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for NoTls<E> {}

/// Asks the server to go on by TLS. Where it agrees, nothing but the handshake may come next over
/// `stream`.
///
/// # Errors
/// [`NoTls`], after which nothing should be sent.
pub async fn request_tls<S: Read + Write>(stream: &mut S) -> Result<(), NoTls<S::Error>> {
    stream.write_all(&REQUEST).await.map_err(NoTls::Stream)?;
    stream.flush().await.map_err(NoTls::Stream)?;
    // One byte is the answer. What comes later is given to TLS, which takes nothing in clear.
    let mut answer = [0; 2];
    match (stream.read(&mut answer).await.map_err(NoTls::Stream)?, answer[0]) {
        (0, _) => Err(NoTls::Ended),
        (1, b'S') => Ok(()),
        (_, b'S') => Err(NoTls::Early),
        (_, b'N') => Err(NoTls::Refused),
        (_, b'E') => Err(NoTls::Old),
        (_, other) => Err(NoTls::Malformed(other)),
    }
}
