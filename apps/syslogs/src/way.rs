//! Brings messages to a server by TLS.

use crate::Server;
use alloc::rc::Rc;
use core::cell::Cell;
use core::future::poll_fn;
use core::mem::{Discriminant, discriminant};
use core::net::SocketAddr;
use core::pin::pin;
use core::time::Duration;
use embedded_io_async::Write;
use syslog::{Way, framed, has_ended, returned};
use xenith::ip::{self, Resolve, Stream, Tcp};
use xenith::log::aside;
use xenith::shutdown;
use xenith::sync::Signal;
use xenith::task::select;
use xenith::time::timeout;
use xenith::tls::{ClientConfig, Error, Tls};

/// How long a server may take to judge this machine's certificate before it is believed to have done so.
const JUDGES: Duration = Duration::from_secs(1);

/// Tells who sends that nothing more is logged.
#[derive(Default)]
pub(crate) struct End {
    told: Cell<bool>,
    signal: Signal<()>,
}

impl End {
    pub(crate) fn tell(&self) {
        self.told.set(true);
        self.signal.signal(());
    }
}

/// The way by TLS. What that logs stays aside: a line about a server that is not to be trusted, each time
/// it is tried, would take the place of the app's, and one about a connection that broke would break the
/// next.
pub(crate) struct Secure<I> {
    ip: I,
    server: Server,
    config: ClientConfig,
    /// What was told last: the same, such as a time, may be said in other words.
    told: Option<Discriminant<Error>>,
    end: Rc<End>,
}

impl<I: Tcp + Resolve> Secure<I> {
    pub(crate) const fn new(ip: I, server: Server, config: ClientConfig, end: Rc<End>) -> Self {
        Self { ip, server, config, told: None, end }
    }

    async fn connect_to(&self, to: SocketAddr) -> Result<Tls<I::Stream>, Error> {
        let stream = syslog::connect(&self.ip, to).await?;
        let stream = Tls::connect(stream, self.server.host, &self.config)?;
        stream.handshake().await?;
        let ended = async {
            while !has_ended(&stream) {
                // Why it is not is what the next look finds.
                let _ = poll_fn(|context| stream.poll_readable(context)).await;
            }
        };
        if timeout(JUDGES, ended).await.is_ok() {
            return Err(reason(&stream, ip::Error::Closed));
        }
        Ok(stream)
    }
}

/// Waits for what logs nothing that is to be sent.
async fn quietly<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| aside(|| future.as_mut().poll(context))).await
}

/// Why a connection failed, which the stream tells in more words than its calls.
fn reason(stream: &Tls<impl Stream>, error: ip::Error) -> Error {
    stream.failure().unwrap_or(Error::Network(error))
}

impl<I: Tcp + Resolve> Way for Secure<I> {
    type Link = Tls<I::Stream>;
    type Error = Error;

    fn tell(&mut self, error: &Error, first: bool) {
        let kind = discriminant(error);
        if first || self.told != Some(kind) {
            let Server { host, port } = self.server;
            xenith::println!("syslog: {host}:{port}: {error}; trying again");
            self.told = Some(kind);
        }
    }

    async fn connect(&self) -> Result<Self::Link, Error> {
        let connected = async {
            let mut last = ip::Error::NoSuchName.into();
            for addr in self.ip.resolve(self.server.host).await? {
                match self.connect_to(SocketAddr::new(addr, self.server.port)).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        quietly(connected).await
    }

    fn has_ended(&self, link: &Self::Link) -> bool {
        aside(|| has_ended(link))
    }

    async fn send(link: &mut Self::Link, message: &str) -> Result<(), Error> {
        let sent = async {
            link.write_all(framed(message).as_bytes()).await?;
            // A part of a record is nothing to the server. It need not have acknowledged it yet.
            poll_fn(|context| link.poll_flush(context)).await
        };
        let sent = quietly(sent).await;
        sent.map_err(|error| reason(link, error))
    }

    async fn close(mut link: Self::Link) {
        // Nobody is left to be told of an error.
        let _ = quietly(link.close()).await;
    }

    fn is_over(&self) -> bool {
        self.end.told.get() || shutdown::is_over()
    }

    async fn over(&self) {
        select(self.end.signal.wait(), returned()).await;
    }
}
