//! TCP with TLS on it, for whatever takes a [`Tcp`]: a server of HTTP becomes one of HTTPS.

use crate::handshakes::Handshakes;
use crate::{ClientConfig, Error, ServerConfig, Tls};
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll};
use ip::{Addresses, Listener, Resolve, Tcp, Udp};

/// Handshakes of a listener that may be under way, by default.
const HANDSHAKES: usize = 128;

/// What listeners have in common.
#[derive(Debug)]
struct Shared {
    config: RefCell<ServerConfig>,
    shaking: Handshakes,
    most: Cell<usize>,
}

/// Accepts connections by TLS, over any [`Tcp`].
///
/// A handshake is made in the task of who uses the connection, and not by `accept`.
#[derive(Debug)]
pub struct Server<T> {
    tcp: T,
    shared: Rc<Shared>,
}

impl<T: Tcp> Server<T> {
    /// Makes one over `tcp`.
    pub fn new(tcp: T, config: ServerConfig) -> Self {
        let (config, most) = (RefCell::new(config), Cell::new(HANDSHAKES));
        Self { tcp, shared: Rc::new(Shared { config, shaking: Handshakes::default(), most }) }
    }

    /// Sets how many handshakes of its listeners may be under way, 128 by default and one at least.
    /// One more makes the oldest of them fail.
    #[must_use]
    pub fn handshakes(self, most: usize) -> Self {
        self.shared.most.set(most);
        self
    }

    /// Replaces the configuration, for connections that come from now on: with a certificate that
    /// was renewed, for instance.
    pub fn replace(&self, config: ServerConfig) {
        self.shared.config.replace(config);
    }
}

impl<T: Tcp> Tcp for Server<T> {
    type Listener = Accepting<T::Listener>;
    type Stream = Tls<T::Stream>;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, ip::Error> {
        let listener = self.tcp.bind(addr).await?;
        Ok(Accepting { listener, shared: Rc::clone(&self.shared) })
    }

    async fn connect(&self, _: SocketAddr) -> Result<Self::Stream, ip::Error> {
        Err(ip::Error::Unsupported)
    }

    fn open(&self, _: SocketAddr, _: SocketAddr) -> Result<Self::Stream, ip::Error> {
        Err(ip::Error::Unsupported)
    }
}

/// Listens for a [`Server`].
#[derive(Debug)]
pub struct Accepting<L> {
    listener: L,
    shared: Rc<Shared>,
}

impl<L: Listener> Listener for Accepting<L> {
    type Stream = Tls<L::Stream>;

    async fn accept(&self) -> Result<(Self::Stream, SocketAddr), ip::Error> {
        loop {
            poll_fn(|context| self.poll_acceptable(context)).await?;
            if let Some(accepted) = self.try_accept()? {
                return Ok(accepted);
            }
        }
    }

    fn try_accept(&self) -> Result<Option<(Self::Stream, SocketAddr)>, ip::Error> {
        let Some((stream, peer)) = self.listener.try_accept()? else { return Ok(None) };
        let Shared { config, shaking, most } = &*self.shared;
        let Some(slot) = shaking.begin(most.get()) else {
            ip::Stream::abort(&stream);
            return Err(ip::Error::Exhausted);
        };
        let tls = Tls::accept_in(stream, &config.borrow(), slot);
        tls.map(|tls| Some((tls, peer))).map_err(|error| error.short())
    }

    fn poll_acceptable(&self, context: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        self.listener.poll_acceptable(context)
    }

    fn local_addr(&self) -> SocketAddr {
        self.listener.local_addr()
    }
}

/// Connects by TLS where that is asked for, and as `T` does where it is not.
#[derive(Clone, Debug)]
pub struct Client<T> {
    tcp: T,
    config: ClientConfig,
}

impl<T: Tcp> Client<T> {
    /// Makes one over `tcp`.
    pub const fn new(tcp: T, config: ClientConfig) -> Self {
        Self { tcp, config }
    }

    /// Makes it connect by TLS alone, whatever the address to the host of this `name`, which it
    /// has to prove.
    pub fn named(self, name: &str) -> Named<T> {
        Named { client: self, name: name.into() }
    }

    /// Connects to `addr`, and proves that the host there is the one of that `name`.
    ///
    /// # Errors
    /// Those of [`Tls::handshake`], and of [`Tcp::connect`].
    pub async fn secure(&self, name: &str, addr: SocketAddr) -> Result<Tls<T::Stream>, Error> {
        let tls = Tls::connect(self.tcp.connect(addr).await?, name, &self.config)?;
        tls.handshake().await?;
        Ok(tls)
    }
}

impl<T: Tcp> Tcp for Client<T> {
    type Listener = Plain<T::Listener>;
    type Stream = Tls<T::Stream>;

    const SECURE: bool = true;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, ip::Error> {
        self.tcp.bind(addr).await.map(Plain)
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Self::Stream, ip::Error> {
        self.tcp.connect(addr).await.map(Tls::plain)
    }

    async fn connect_to(
        &self,
        name: &str,
        addr: SocketAddr,
        secure: bool,
    ) -> Result<Self::Stream, ip::Error> {
        if secure {
            self.secure(name, addr).await.map_err(|error| error.short())
        } else {
            self.connect(addr).await
        }
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Self::Stream, ip::Error> {
        self.tcp.open(from, to).map(Tls::plain)
    }
}

impl<T: Resolve> Resolve for Client<T> {
    async fn resolve(&self, name: &str) -> Result<Addresses, ip::Error> {
        self.tcp.resolve(name).await
    }
}

/// Connects by TLS alone, to the host of one name: for what knows neither TLS nor names.
/// [`Client::named`] makes one.
#[derive(Clone, Debug)]
pub struct Named<T> {
    client: Client<T>,
    name: Rc<str>,
}

impl<T: Tcp> Tcp for Named<T> {
    type Listener = Plain<T::Listener>;
    type Stream = Tls<T::Stream>;

    const SECURE: bool = true;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, ip::Error> {
        Tcp::bind(&self.client, addr).await
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Self::Stream, ip::Error> {
        self.client.secure(&self.name, addr).await.map_err(|error| error.short())
    }

    async fn connect_to(
        &self,
        name: &str,
        addr: SocketAddr,
        secure: bool,
    ) -> Result<Self::Stream, ip::Error> {
        self.client.connect_to(name, addr, secure).await
    }

    fn open(&self, _: SocketAddr, _: SocketAddr) -> Result<Self::Stream, ip::Error> {
        Err(ip::Error::Unsupported)
    }
}

impl<T: Udp> Udp for Named<T> {
    type Socket = T::Socket;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Socket, ip::Error> {
        self.client.tcp.bind(addr).await
    }
}

impl<T: Resolve> Resolve for Named<T> {
    async fn resolve(&self, name: &str) -> Result<Addresses, ip::Error> {
        self.client.tcp.resolve(name).await
    }
}

/// Accepts connections that are not encrypted, for a [`Client`].
#[derive(Debug)]
pub struct Plain<L>(L);

impl<L: Listener> Listener for Plain<L> {
    type Stream = Tls<L::Stream>;

    async fn accept(&self) -> Result<(Self::Stream, SocketAddr), ip::Error> {
        self.0.accept().await.map(|(stream, peer)| (Tls::plain(stream), peer))
    }

    fn try_accept(&self) -> Result<Option<(Self::Stream, SocketAddr)>, ip::Error> {
        Ok(self.0.try_accept()?.map(|(stream, peer)| (Tls::plain(stream), peer)))
    }

    fn poll_acceptable(&self, context: &mut Context<'_>) -> Poll<Result<(), ip::Error>> {
        self.0.poll_acceptable(context)
    }

    fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }
}
