//! Reads where a syslog server by TLS is.

use xenith::args::{Reason, Value};

/// Says where a syslog server by TLS is: `tls://log.example`, `tls://10.0.0.1:6514`, `tls://[fd00::1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name or address, for which it has to have a certificate.
    pub host: &'static str,
    /// Its port: 6514 unless another is given.
    pub port: u16,
}

/// The port of syslog by TLS (RFC 5425, section 4.1).
const PORT: u16 = 6514;

impl Value for Server {
    const KIND: &'static str = "server such as tls://log.example or tls://10.0.0.1:6514";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        let rest = text.strip_prefix("tls://").ok_or(Reason::NotOfKind)?;
        let (host, port) = syslog::place(rest, PORT)?;
        Ok(Self { host, port })
    }
}
