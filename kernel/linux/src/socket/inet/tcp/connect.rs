//! How a TCP socket is connected, and no more.

use super::{Role, TcpSocket};
use crate::errno::Errno;
use crate::socket::inet::error::errno;
use crate::socket::inet::family::or_here;
use crate::socket::inet::host::Host;
use crate::socket::inet::ports::{Answer, Door};
use crate::socket::unix::{Registry, Unix};
use crate::socket::{Address, Credentials, Socket as _, Style};
use crate::stop::Stop;
use alloc::rc::Rc;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::task::{Context, Poll};
use ip::{Stream as _, any};
use kernel::task::{Task, try_spawn};
use kernel::time::sleep;

impl<N: Host> TcpSocket<N> {
    /// Begins to connect it (connect(2)), or tells once that the connection came about that was
    /// begun.
    pub(super) fn begin(&self, address: &Address) -> Result<(), Stop> {
        if *address == Address::None {
            self.disconnect();
            return Ok(());
        }
        if self.begun.get() {
            let result = self.came_about();
            if matches!(result, Err(Stop::Wait)) {
                return Err(Errno::EALREADY.into());
            }
            self.begun.set(false);
            return result;
        }
        if !matches!(*self.role.borrow(), Role::Idle) {
            return Err(Errno::EISCONN.into());
        }
        let to = or_here(self.given(address)?);
        self.error.set(None);
        if self.ports.is_here(to.ip()) {
            return self.connect_here(to);
        }
        let from = self.bound.get().unwrap_or_else(|| any(0));
        let stream = self.net.open(from, to).map_err(errno)?;
        stream.set_options(self.options.of_stack()).map_err(errno)?;
        self.role.replace(Role::Stream(stream));
        self.connecting.set(true);
        self.connected()
    }

    /// Whether the connection that was begun came about.
    pub(super) fn came_about(&self) -> Result<(), Stop> {
        self.look();
        let polled = match &*self.role.borrow() {
            Role::Stream(stream) => stream.poll_writable(&mut Context::from_waker(&self.waker())),
            Role::Local { .. } => Poll::Ready(Ok(())),
            Role::Knocking { .. } => Poll::Pending,
            _ => return Err(self.error.take().unwrap_or(Errno::ECONNABORTED).into()),
        };
        match polled {
            Poll::Ready(Ok(())) => {
                self.connecting.set(false);
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(self.failed(error).into()),
            Poll::Pending => Err(Stop::Wait),
        }
    }

    /// Begins to connect it to a socket of this machine. As on Linux, that tells nothing yet: a
    /// program that does not wait finds out how it ended as it would with any other peer.
    fn connect_here(&self, to: SocketAddr) -> Result<(), Stop> {
        let bound = self.bound.get().unwrap_or_else(|| any(0));
        let port = if bound.port() == 0 { self.ports.choose()? } else { bound.port() };
        let ip = if bound.ip().is_unspecified() { to.ip() } else { bound.ip() };
        let from = SocketAddr::new(ip, port);
        let registry = Rc::<Registry>::default();
        let [end, other] = Unix::pair(Style::Stream, &registry, Credentials::default());
        match self.ports.connect(other, [from, to], &self.changed) {
            Ok(answer) => {
                let patience = self.patience(&answer)?;
                end.forward(&self.changed);
                let knocking =
                    Role::Knocking { end, local: from, peer: to, answer, _patience: patience };
                self.role.replace(knocking);
            }
            Err(errno) => self.error.set(Some(errno)),
        }
        self.look();
        self.begun.set(true);
        self.changed.raise();
        Err(Stop::Wait)
    }

    /// Has an answer come in time where there is none yet: that nobody let it in, as Linux finds out
    /// when it has asked often enough.
    fn patience(&self, answer: &Answer) -> Result<Option<Task<()>>, Errno> {
        if answer.get().is_some() {
            return Ok(None);
        }
        let (answer, changed) = (Rc::downgrade(answer), Arc::downgrade(&self.changed));
        let time = self.options.patience();
        let task = try_spawn(async move {
            sleep(time).await;
            if let (Some(answer), Some(changed)) = (answer.upgrade(), changed.upgrade())
                && answer.get().is_none()
            {
                answer.set(Some(Err(Errno::ETIMEDOUT)));
                changed.raise();
            }
        });
        task.map(Some).ok_or(Errno::ENOBUFS)
    }

    /// Looks whether it was let in meanwhile, where it waits for that.
    pub(super) fn look(&self) {
        let answer = match &*self.role.borrow() {
            Role::Knocking { answer, .. } => answer.get(),
            _ => return,
        };
        let Some(answer) = answer else { return };
        if let Role::Knocking { end, local, peer, .. } = self.role.replace(Role::Idle) {
            match answer {
                Ok(()) => drop(self.role.replace(Role::Local { end, local, peer })),
                Err(errno) => self.error.set(Some(errno)),
            }
        }
    }

    pub(super) fn close(&self, door: Rc<Door<N::Stream>>) {
        drop(door);
        if let Some(bound) = self.bound.get() {
            self.ports.close(bound.port());
        }
    }

    /// Listens no more, and has no peer any more (`tcp_disconnect` of Linux). Its address stays.
    pub(super) fn disconnect(&self) {
        match self.role.replace(Role::Idle) {
            Role::Listening(door) => self.close(door),
            Role::Stream(stream) => {
                stream.abort();
                self.error.set(Some(Errno::ECONNRESET));
            }
            Role::Local { end, .. } => {
                end.reset();
                self.error.set(Some(Errno::ECONNRESET));
            }
            Role::Knocking { .. } => self.error.set(Some(Errno::ECONNRESET)),
            Role::Idle => {}
        }
        self.connecting.set(false);
        self.begun.set(false);
        self.told.set(false);
        self.deaf.set(false);
        self.mute.set(false);
        self.changed.raise();
    }
}
