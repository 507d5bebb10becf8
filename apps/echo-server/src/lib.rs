//! Echoes what comes by TCP and UDP (RFC 862).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::rc::Rc;
use core::cell::Cell;
use core::time::Duration;
use xenith::ip::{Error, Listener, Socket, Stream, Tcp, Udp, any};
use xenith::task::{Either, Task, select, try_spawn};
use xenith::time::timeout;

/// Connections at a time; further ones are reset.
const CONNECTIONS: usize = 128;

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(120);

/// The longest datagram that is echoed whole, in bytes.
const DATAGRAM: usize = 4096;

/// Sends back what comes on one connection until the peer has nothing more to say.
async fn connection<S: Stream>(mut stream: S) -> Result<(), Error> {
    let mut piece = [0; 1024];
    loop {
        let count = timeout(IDLE, stream.read(&mut piece)).await.map_err(|_| Error::TimedOut)??;
        if count == 0 {
            return stream.close().await;
        }
        stream.write_all(&piece[..count]).await?;
    }
}

/// One of the connections that may be open.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(open: &Rc<Cell<usize>>) -> Self {
        open.update(|count| count + 1);
        Self(Rc::clone(open))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.update(|count| count - 1);
    }
}

async fn connections<L: Listener>(listener: L) -> Error
where
    L::Stream: 'static,
{
    let open = Rc::new(Cell::new(0));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(Error::Exhausted) => continue,
            Err(error) => return error,
        };
        if open.get() >= CONNECTIONS || xenith::memory::is_low() {
            stream.abort();
            continue;
        }
        let place = Place::take(&open);
        let task = try_spawn(async move {
            let _place = place;
            if let Err(error) = connection(stream).await {
                log::debug!("{peer}: {error}");
            }
        });
        // Without memory for it, the connection is closed.
        task.into_iter().for_each(Task::detach);
    }
}

async fn datagrams(socket: impl Socket) -> Error {
    let mut datagram = [0; DATAGRAM];
    loop {
        match socket.recv_from(&mut datagram).await {
            // What cannot go back is lost, as datagrams may be.
            Ok((count, from)) => drop(socket.send_to(&datagram[..count], from).await),
            Err(error) => return error,
        }
    }
}

/// Echoes on `port` until the network is down or the toolstack asks for the end. What was
/// echoed by then arrives, and each connection is closed.
///
/// # Errors
/// [`Error::InUse`], [`Error::Down`].
pub async fn start<I: Tcp + Udp>(ip: I, port: u16) -> Result<(), Error> {
    let listener = Tcp::bind(&ip, any(port)).await?;
    let socket = Udp::bind(&ip, any(port)).await?;
    xenith::println!("echo-server: listening on port {port}, TCP and UDP");
    let echo = select(connections(listener), datagrams(socket));
    match select(echo, xenith::shutdown_requested()).await {
        Either::First(Either::First(error) | Either::Second(error)) => Err(error),
        Either::Second(_) => Ok(()),
    }
}
