//! The stack as programs see it, and the task that drives it.

use super::config::{SERVERS, Settings};
use super::engine::{Engine, Stats};
use super::late::first_frame;
use super::packet::{self, Numbers};
use super::shared::Shared;
use super::stack::Handle;
use super::tcp::{TcpListener, TcpStream};
use super::udp::UdpSocket;
use super::wire::Wire;
use super::{Addresses, Error, Ping, Resolve, Tcp, Udp, dns};
use alloc::rc::{Rc, Weak};
use core::cell::{Cell, OnceCell, RefCell};
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use devices::net::{Checksum, HEADER, Meta, Net, Part};
use kernel::shutdown::{self, Hold};
use kernel::task::spawn;
use kernel::time::{Instant, Sleep, sleep_until, timeout};

/// Frames that are taken in before other tasks get their turn (rule N17).
const BUDGET: usize = 64;

/// Speaks TCP, UDP, ICMP and DNS over a network interface, by IPv4 and IPv6. Clones are
/// handles of the same stack.
///
/// It answers echo requests by itself, and resets connections to ports that nobody listens on.
/// It runs in a task of its own, which ends with the last of its handles, streams, listeners and
/// sockets.
pub struct Stack<N> {
    pub(super) shared: Rc<Shared>,
    pub(super) net: Rc<N>,
}

impl<N> Clone for Stack<N> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared), net: Rc::clone(&self.net) }
    }
}

impl<N: Net + 'static> Stack<N> {
    /// Starts a stack on `net` and waits until it has an IPv4 address, if `settings` ask for
    /// one: for ever if no DHCP server answers, which is logged again and again. It does not
    /// wait for IPv6 addresses that come from routers.
    ///
    /// # Errors
    /// [`Error::Down`], [`Error::Exhausted`], [`Error::NoEntropy`].
    pub async fn new(net: N, settings: Settings) -> Result<Self, Error> {
        let stack = Self::start(net, settings)?;
        stack.configured().await?;
        Ok(stack)
    }

    /// Starts a stack on `net` and returns at once, when it may have no IPv4 address yet: see
    /// [`configured`](Self::configured).
    ///
    /// # Errors
    /// [`Error::Exhausted`], [`Error::NoEntropy`].
    pub fn start(net: N, settings: Settings) -> Result<Self, Error> {
        let engine = RefCell::new(Engine::new(net.info(), settings, net.name())?);
        let shared = Rc::new(Shared {
            engine,
            task: RefCell::default(),
            stays: Cell::default(),
            frozen: Cell::new(false),
            late: RefCell::default(),
        });
        let net = Rc::new(net);
        let mut driver = Driver {
            shared: Rc::downgrade(&shared),
            net: Rc::clone(&net),
            generation: net.info().generation,
            timer: None,
            numbers: OnceCell::new(),
            hold: None,
        };
        let task = spawn(async move {
            poll_fn(|context| {
                shutdown::wake_when_over(context.waker());
                Poll::Ready(())
            })
            .await;
            poll_fn(|context| driver.poll(context)).await;
        });
        *shared.task.borrow_mut() = Some(task);
        Ok(Self { shared, net })
    }

    /// Waits until it has the IPv4 address that its settings ask for, if they do.
    ///
    /// # Errors
    /// [`Error::Down`].
    pub async fn configured(&self) -> Result<(), Error> {
        poll_fn(|context| {
            let mut engine = self.shared.engine();
            engine.protocols.up()?;
            if engine.is_configured() {
                return Poll::Ready(Ok(()));
            }
            engine.wait(context.waker());
            Poll::Pending
        })
        .await
    }

    /// Returns its addresses now, each with the length of its network's prefix in bits; at
    /// most 6, the link-local one of IPv6 among them.
    #[must_use]
    pub fn addresses(&self) -> heapless::Vec<(IpAddr, u8), 6> {
        self.shared.engine().protocols.addresses().collect()
    }

    /// Returns the name servers that it asks now, best first: those of its settings, or those that
    /// DHCP and routers name.
    #[must_use]
    pub fn servers(&self) -> heapless::Vec<IpAddr, SERVERS> {
        self.shared.engine().servers()
    }

    /// Returns what happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.engine().stats()
    }

    /// TCP sockets, with those that nobody holds any more.
    #[cfg(test)]
    pub(super) fn sockets(&self) -> usize {
        self.shared.engine().protocols.connections()
    }

    /// Returns the interface below.
    #[must_use]
    pub fn net(&self) -> &N {
        &self.net
    }
}

/// What the task runs.
struct Driver<N> {
    shared: Weak<Shared>,
    net: Rc<N>,
    generation: u32,
    timer: Option<(Instant, Sleep)>,
    /// Those of datagrams in fragments, once there was one.
    numbers: OnceCell<Numbers>,
    /// There are connections.
    hold: Option<Hold>,
}

/// The interface, as the engine sees it.
struct Way<'a, N> {
    net: &'a N,
    waker: &'a Waker,
    blank: bool,
    mtu: usize,
    numbers: &'a OnceCell<Numbers>,
    full: Cell<bool>,
    lost: Cell<u64>,
}

impl<N: Net> Way<'_, N> {
    /// Transmits what is too long for the interface, or for its way.
    fn in_pieces(&self, length: usize, mtu: usize, fill: &mut dyn FnMut(&mut [u8])) -> Option<()> {
        let mut frame = kernel::memory::zeroed(length)?;
        fill(&mut frame);
        packet::finish(&mut frame, false, 0);
        if self.numbers.get().is_none() {
            // Nobody else sets it meanwhile.
            let _ = self.numbers.set(Numbers::new().ok()?);
        }
        let send = |length, write: &mut dyn FnMut(&mut [u8])| {
            self.net.transmit(length, |to| (write(to), Meta::default())).is_some()
        };
        packet::split(&frame, mtu, self.numbers.get()?, send).then_some(())
    }

    fn count(&self, sent: bool) -> bool {
        self.lost.set(self.lost.get() + u64::from(!sent));
        sent
    }
}

impl<N: Net> Wire for Way<'_, N> {
    fn ready(&self) -> bool {
        let ready = self.net.poll_transmit(&mut Context::from_waker(self.waker));
        // A broken interface is noticed where it is received from.
        let ready = matches!(ready, Poll::Ready(Ok(())));
        self.full.set(!ready);
        ready
    }

    fn transmit(&self, length: usize, segment: u16, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        let sent = if segment == 0 && length > HEADER + self.mtu {
            self.in_pieces(length, self.mtu, fill)
        } else {
            self.net.transmit(length, |frame| {
                fill(frame);
                ((), packet::finish(frame, self.blank, segment))
            })
        };
        self.count(sent.is_some())
    }

    fn blank(&self) -> bool {
        self.blank
    }

    fn transmit_blank(&self, length: usize, segment: u16, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        if segment == 0 && length > HEADER + self.mtu {
            return self.transmit(length, segment, fill);
        }
        let meta = Meta::new(Checksum::Blank, segment);
        self.count(self.net.transmit(length, |frame| (fill(frame), meta)).is_some())
    }

    fn transmit_parts(&self, parts: &[Part<'_>], segment: u16) -> bool {
        self.count(self.net.transmit_parts(parts, Meta::new(Checksum::Blank, segment)))
    }

    fn cut(&self, length: usize, mtu: usize, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        self.count(self.in_pieces(length, mtu.min(self.mtu), fill).is_some())
    }
}

impl<N: Net> Driver<N> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(shared) = self.shared.upgrade() else { return Poll::Ready(()) };
        // Not as who stirs it: the engine knows what frames do.
        let mut engine = shared.engine.borrow_mut();
        engine.protocols.drive(context.waker());
        if shared.frozen.get() {
            return Poll::Pending;
        }
        engine.turn(shutdown::is_over());
        let info = self.net.info();
        let way = Way {
            net: &*self.net,
            waker: context.waker(),
            blank: info.transmit_blank,
            mtu: info.mtu,
            numbers: &self.numbers,
            full: Cell::new(false),
            lost: Cell::new(0),
        };
        if info.generation != self.generation {
            self.generation = info.generation;
            engine.reconnected(info);
        }
        for frames in [shared.late.take(), engine.early()] {
            let mut rest = frames.as_slice();
            while let Some((frame, meta, behind)) = first_frame(rest) {
                engine.receive(frame, meta, &way);
                rest = behind;
            }
        }
        let mut busy = true;
        for _ in 0..BUDGET {
            match self.net.poll_receive(context) {
                Poll::Ready(Ok(())) => {
                    self.net.receive_apart(|frame, meta| engine.take_in(frame, meta, &way));
                }
                Poll::Ready(Err(_)) => {
                    log::error!("{}: the network interface is broken", self.net.name());
                    engine.fail();
                    shared.stays.set(None);
                    return Poll::Ready(());
                }
                Poll::Pending => {
                    busy = false;
                    break;
                }
            }
        }
        let next = engine.transmit(&way);
        self.net.flush();
        engine.lost(way.lost.get());
        if engine.is_busy() != self.hold.is_some() {
            self.hold = if self.hold.is_none() { Some(Hold::new()) } else { None };
        }
        if !engine.is_leaving() {
            shared.stays.set(None);
        }
        // Room on the way out wakes this task, whatever is due.
        let next = next.filter(|_| !way.full.get());
        if busy || next.is_some_and(|next| next <= Instant::now()) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.sleep(next, context);
        Poll::Pending
    }

    /// Sees to being woken at `next`, or earlier: the deadline of most sockets moves on
    /// with every packet, and the timer need not.
    fn sleep(&mut self, next: Option<Instant>, context: &mut Context<'_>) {
        self.timer.take_if(|(at, _)| *at <= Instant::now());
        let Some(next) = next else { return };
        if self.timer.as_ref().is_none_or(|(at, _)| next < *at) {
            let (_, timer) = self.timer.insert((next, sleep_until(next)));
            if Pin::new(timer).poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
    }
}

impl<N: Net + 'static> Tcp for Stack<N> {
    type Listener = TcpListener;
    type Stream = TcpStream;

    async fn bind(&self, addr: SocketAddr) -> Result<TcpListener, Error> {
        TcpListener::new(Rc::clone(&self.shared), addr)
    }

    async fn connect(&self, addr: SocketAddr) -> Result<TcpStream, Error> {
        TcpStream::connect(Rc::clone(&self.shared), addr).await
    }

    fn open(&self, from: SocketAddr, to: SocketAddr) -> Result<TcpStream, Error> {
        TcpStream::open(Rc::clone(&self.shared), from, to)
    }
}

impl<N: Net + 'static> Udp for Stack<N> {
    type Socket = UdpSocket;

    async fn bind(&self, addr: SocketAddr) -> Result<UdpSocket, Error> {
        UdpSocket::new(Rc::clone(&self.shared), addr)
    }
}

/// Gives the socket of an echo request back.
struct Pinging<'a>(&'a Shared, Handle);

impl Drop for Pinging<'_> {
    fn drop(&mut self) {
        let Self(shared, handle) = self;
        shared.engine().protocols.remove(*handle);
    }
}

impl<N: Net + 'static> Ping for Stack<N> {
    async fn ping(&self, addr: IpAddr, payload: usize, limit: Duration) -> Result<Duration, Error> {
        let begun = Instant::now();
        let addr = addr.to_canonical();
        let handle = self.shared.engine().protocols.ping(addr, payload)?;
        let _guard = Pinging(&self.shared, handle);
        let pong =
            poll_fn(|context| self.shared.engine().protocols.poll_pong(handle, context.waker()));
        timeout(limit, pong).await.unwrap_or(Err(Error::TimedOut))?;
        Ok(begun.elapsed())
    }
}

impl<N: Net + 'static> Resolve for Stack<N> {
    async fn resolve(&self, name: &str) -> Result<Addresses, Error> {
        dns::resolve(&self.shared, name).await
    }
}
