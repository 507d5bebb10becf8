//! Makes a connection by TLS.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use pgx::{Args, Channel, NoTls, Way};
use xenith::Exit;
use xenith::ip::{self, Resolve, Tcp};
use xenith::time::timeout;
use xenith::tls::{self, ClientConfig, Tls};

/// Connections by TLS over `ip`.
pub(crate) struct Secure<I> {
    pub(crate) ip: I,
    pub(crate) config: ClientConfig,
}

/// The server's certificate, by which both know the channel.
pub(crate) struct EndPoint {
    hash: Option<Vec<u8>>,
    offered: bool,
}

impl Channel for EndPoint {
    const IS: bool = true;

    fn can_bind(&self) -> bool {
        self.hash.is_some()
    }

    fn offer(&mut self) {
        self.offered = true;
    }

    fn binding(&self) -> Option<(&'static str, &[u8])> {
        let hash = self.hash.as_deref().filter(|_| self.offered)?;
        Some(("tls-server-end-point", hash))
    }
}

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Error {
    Network(ip::Error),
    NoTls(NoTls<ip::Error>),
    Tls(tls::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(error) => error.fmt(f),
            Self::NoTls(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

impl Error {
    /// 3 where another time may be better, and 4 for who is not to be trusted.
    const fn status(&self) -> u8 {
        match self {
            Self::Network(_)
            | Self::NoTls(NoTls::Stream(_) | NoTls::Ended)
            | Self::Tls(tls::Error::Network(_) | tls::Error::TimedOut | tls::Error::Truncated) => 3,
            _ => 4,
        }
    }
}

impl<I: Tcp + Resolve> Way for Secure<I> {
    type Stream = Tls<I::Stream>;
    type Channel = EndPoint;
    type Error = Error;

    async fn connect(&self, args: &Args) -> Result<Tls<I::Stream>, Error> {
        let stream = pgx::connect(&self.ip, args.server, args.port, args.patience).await;
        let mut stream = stream.map_err(Error::Network)?;
        let asked = timeout(args.patience, pgx::request_tls(&mut stream)).await;
        let asked = asked.map_err(|_| Error::Network(ip::Error::TimedOut))?;
        asked.map_err(Error::NoTls)?;
        let stream = Tls::connect(stream, args.server, &self.config).map_err(Error::Tls)?;
        stream.handshake().await.map_err(Error::Tls)?;
        Ok(stream)
    }

    fn told(stream: Result<Self::Stream, Error>, said: &mut String) -> Result<Self::Stream, Exit> {
        let status = stream.as_ref().err().map_or(0, Error::status);
        pgx::told(stream, status, said)
    }

    fn channel(stream: &Tls<I::Stream>) -> EndPoint {
        EndPoint { hash: stream.end_point(), offered: false }
    }
}
