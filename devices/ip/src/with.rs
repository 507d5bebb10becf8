//! Starts services beside an IP that a manifest names.

use super::{Addresses, Error, Ping, Resolve, Tcp, Udp};
use core::marker::PhantomData;
use core::net::{IpAddr, SocketAddr};
use core::ops::Deref;
use core::time::Duration;
use kernel::Device;
use kernel::args::{self, Args, Argument};
use kernel::device::Class;
use kernel::metrics::{Metric, Source};

/// Runs beside an app on the app's network `I`, with arguments of its own; [`With`] adds it.
///
/// # Example
/// ```
/// # mod xenith { pub use devices::*; pub use kernel::*; pub mod ip { pub use xenith_ip::*; } }
/// use core::net::SocketAddr;
/// use core::time::Duration;
/// use xenith::args::{self, Args, Argument, Value};
/// use xenith::ip::{Service, Socket, Udp, any};
///
/// /// Says once a minute that this machine is there.
/// struct Heartbeat;
///
/// impl<I: Udp + Clone + 'static> Service<I> for Heartbeat {
///     const ARGUMENTS: &'static [Argument] = &[Argument {
///         name: "heartbeat",
///         kind: <Option<SocketAddr> as Value>::KIND,
///         default: <Option<SocketAddr> as Value>::ABSENT,
///         help: &["Who is told once a minute that this machine is there."],
///     }];
///
///     type Settings = Option<SocketAddr>;
///
///     fn configure(args: &mut Args) -> Result<Self::Settings, args::Error> {
///         args.take("heartbeat", None)
///     }
///
///     fn start(ip: &I, to: Self::Settings) {
///         if let Some(to) = to {
///             xenith::task::spawn(beat(ip.clone(), to)).detach();
///         }
///     }
/// }
///
/// async fn beat<I: Udp>(ip: I, to: SocketAddr) -> Result<(), xenith::ip::Error> {
///     let socket = ip.bind(any(0)).await?;
///     loop {
///         socket.send_to(b"I am here", to).await?;
///         xenith::time::sleep(Duration::from_secs(60)).await;
///     }
/// }
///
/// // What the manifest of an app names in place of `xenith::Ip`.
/// type Ip = xenith::ip::With<xenith::ip::Ip, Heartbeat>;
/// # fn is_device<D: xenith::Device>() {}
/// # is_device::<Ip>();
/// ```
pub trait Service<I> {
    /// Arguments that it adds to the app's.
    const ARGUMENTS: &'static [Argument];

    /// Values of these arguments.
    type Settings;

    /// Takes them out of `args`.
    ///
    /// # Errors
    /// If a value is invalid.
    fn configure(args: &mut Args) -> Result<Self::Settings, args::Error>;

    /// Starts it on `ip`, or does nothing if the settings say so.
    fn start(ip: &I, settings: Self::Settings);
}

/// Is the IP `I` of an app, with the service `S` beside it. It has the traits of `I`, so that an
/// app gets a service by a line of its manifest, and knows nothing of it. For several services it
/// stands in itself: `With<With<Ip, Syslog>, Ntp>`.
#[derive(Debug)]
pub struct With<I, S> {
    ip: I,
    service: PhantomData<S>,
}

impl<I: Clone, S> Clone for With<I, S> {
    fn clone(&self) -> Self {
        Self { ip: self.ip.clone(), service: PhantomData }
    }
}

impl<I, S> Deref for With<I, S> {
    type Target = I;

    fn deref(&self) -> &I {
        &self.ip
    }
}

/// The most arguments of an IP with its services: as many as a command line may have.
const MOST: usize = args::MAX_ARGUMENTS;

/// Stands where there is no argument.
const NONE: Argument = Argument { name: "", kind: "", default: None, help: &[] };

/// Puts two lists of arguments one behind the other.
const fn both(first: &[Argument], second: &[Argument]) -> [Argument; MOST] {
    let (mut all, mut at) = ([NONE; MOST], 0);
    while at < first.len() + second.len() {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}

impl<I: Device, S: Service<I>> With<I, S> {
    const ALL: &'static [Argument; MOST] = &both(I::ARGUMENTS, S::ARGUMENTS);
}

impl<I: Device, S: Service<I>> Device for With<I, S> {
    const CLASS: Class = I::CLASS;

    const NEEDS: &'static str = I::NEEDS;

    const ARGUMENTS: &'static [Argument] =
        Self::ALL.split_at(I::ARGUMENTS.len() + S::ARGUMENTS.len()).0;

    const TAKES_OVER: bool = I::TAKES_OVER;

    type Settings = (I::Settings, S::Settings);

    type Error = I::Error;

    fn configure(args: &mut Args) -> Result<Self::Settings, args::Error> {
        Ok((I::configure(args)?, S::configure(args)?))
    }

    async fn open(id: &'static str, settings: Self::Settings) -> Result<Self, Self::Error> {
        let ip = I::open(id, settings.0).await?;
        S::start(&ip, settings.1);
        Ok(Self { ip, service: PhantomData })
    }
}

impl<I: Tcp, S> Tcp for With<I, S> {
    const SECURE: bool = I::SECURE;

    type Listener = I::Listener;
    type Stream = I::Stream;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Listener, Error> {
        self.ip.bind(addr).await
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Self::Stream, Error> {
        self.ip.connect(addr).await
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<Self::Stream, Error> {
        self.ip.open(from, to)
    }

    async fn connect_to(
        &self,
        name: &str,
        addr: SocketAddr,
        secure: bool,
    ) -> Result<Self::Stream, Error> {
        self.ip.connect_to(name, addr, secure).await
    }
}

impl<I: Udp, S> Udp for With<I, S> {
    type Socket = I::Socket;

    async fn bind(&self, addr: SocketAddr) -> Result<Self::Socket, Error> {
        self.ip.bind(addr).await
    }
}

impl<I: Resolve, S> Resolve for With<I, S> {
    async fn resolve(&self, name: &str) -> Result<Addresses, Error> {
        self.ip.resolve(name).await
    }
}

impl<I: Ping, S> Ping for With<I, S> {
    async fn ping(&self, addr: IpAddr, payload: usize, limit: Duration) -> Result<Duration, Error> {
        self.ip.ping(addr, payload, limit).await
    }
}

impl<I: Source, S> Source for With<I, S> {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        self.ip.metrics(each);
    }
}
