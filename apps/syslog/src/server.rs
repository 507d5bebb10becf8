//! Reads where a syslog server is.

use xenith::args::{Reason, Value};

/// Says how messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// A datagram each (RFC 5426).
    Udp,
    /// One behind the other, each after its length (RFC 6587).
    Tcp,
}

/// Says where a syslog server is: `udp://10.0.0.1`, `tcp://log.example:6514`, `udp://[fd00::1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// How messages travel to it.
    pub transport: Transport,
    /// Its name or address.
    pub host: &'static str,
    /// Its port: 514 unless another is given.
    pub port: u16,
}

/// The port of UDP (RFC 5426, section 3.3), and by convention that of TCP.
const PORT: u16 = 514;

impl Value for Server {
    const KIND: &'static str = "server such as udp://10.0.0.1 or tcp://log.example:514";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        let (transport, rest) = match text.split_once("://") {
            Some(("udp", rest)) => (Transport::Udp, rest),
            Some(("tcp", rest)) => (Transport::Tcp, rest),
            _ => return Err(Reason::NotOfKind),
        };
        let (host, port) = place(rest, PORT)?;
        Ok(Self { transport, host, port })
    }
}

/// Reads the host and the port of a server; the `default` one if there is none in `text`.
///
/// # Errors
/// If it is neither.
pub fn place(text: &'static str, default: u16) -> Result<(&'static str, u16), Reason> {
    let (host, port) = match text.strip_prefix('[') {
        // Colons of an address of IPv6 are not that of the port.
        Some(text) => text.split_once(']').ok_or(Reason::NotOfKind)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => u16::parse(port)?,
        None if port.is_empty() => default,
        None => return Err(Reason::NotOfKind),
    };
    if host.is_empty() || port == 0 {
        return Err(Reason::NotOfKind);
    }
    Ok((host, port))
}
