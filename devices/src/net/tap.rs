//! Uses a Linux tap interface as the network interface of a process.
//!
//! The manifest's names are numbers here as well: `XENITH_NET=tap0,tap1` in the
//! environment makes `tap0` the interface `0` and `tap1` the interface `1`. `cargo mk
//! run --on linux --net tap0` sets it.
//!
//! Each frame costs a system call and has a complete checksum: Linux completes checksums for
//! a tap without offloads.

use super::{Broken, HEADER, Info, Mac, Meta, Net};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::task::{Context, Poll};
use kernel::Device;
use kernel::args::{self, Args};
use kernel::device::Class;
use kernel::machine::ioctl::open_tap;
use kernel::machine::watch::{Interest, Watched};
use kernel::metrics::{Metric, Source};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;

/// The environment variable that names taps.
pub const VARIABLE: &str = "XENITH_NET";

/// The longest frame that Linux delivers: MTU, header and a VLAN tag.
const LONGEST: usize = 65_535 + HEADER + 4;

/// Reports why a tap cannot be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The environment names no tap for this interface.
    Unnamed(&'static str),
    /// No interface has this name.
    Missing(String),
    /// Another process uses it.
    Busy(String),
    /// It belongs to another user.
    Denied(String),
    /// The interface is not a tap.
    NoTap(String),
    /// Linux refused for another reason.
    Other(String, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnamed(id) => write!(
                f,
                "no tap is named for network interface {id}: give --net TAP to `cargo mk run`, or \
                 set {VARIABLE}=TAP in the environment, with commas between several"
            ),
            Self::Missing(name) => write!(
                f,
                "there is no interface {name}: sudo ip tuntap add {name} mode tap user $USER"
            ),
            Self::Busy(name) => write!(f, "another process uses the tap {name}"),
            Self::Denied(name) => write!(
                f,
                "the tap {name} belongs to another user: sudo ip tuntap add {name} mode tap user \
                 $USER"
            ),
            Self::NoTap(name) => write!(f, "the interface {name} is not a tap"),
            Self::Other(name, error) => write!(f, "the tap {name} cannot be opened: {error}"),
        }
    }
}

impl core::error::Error for Error {}

/// Counts what an interface did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames received.
    pub received: u64,
    /// Bytes of the frames received.
    pub received_bytes: u64,
    /// Frames transmitted.
    pub transmitted: u64,
    /// Bytes of the frames transmitted.
    pub transmitted_bytes: u64,
    /// Frames dropped because the interface was down.
    pub transmitted_dropped: u64,
}

/// A buffer, and the length of the frame in it; 0 for none.
#[derive(Debug, Default)]
struct Held {
    buffer: Vec<u8>,
    length: usize,
}

/// The program's side of a tap interface. It is broken once the interface is deleted.
#[derive(Debug)]
pub struct Tap {
    file: Watched<OwnedFd>,
    mac: Mac,
    mtu: usize,
    broken: Cell<bool>,
    /// The next received frame.
    incoming: RefCell<Held>,
    /// A frame that Linux had no room for yet.
    outgoing: RefCell<Held>,
    stats: Cell<Stats>,
}

/// Returns whether the environment names a tap.
pub fn is_named() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|names| !names.is_empty())
}

/// Finds the name of tap `id` in `names`.
fn find<'a>(names: &'a str, id: &str) -> Option<&'a str> {
    let number: usize = if id.is_empty() { 0 } else { id.parse().ok()? };
    names.split(',').nth(number).filter(|name| !name.is_empty())
}

impl Tap {
    /// Opens the tap interface `name`. The address of this side is derived from that of
    /// Linux's side, so it stays the same for as long as the interface exists.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn new(name: &str) -> Result<Self, Error> {
        let tap = open_tap(name).map_err(|error| {
            let name = name.to_string();
            match Errno::from_io_error(&error) {
                Some(Errno::NODEV) => Error::Missing(name),
                Some(Errno::BUSY) => Error::Busy(name),
                Some(Errno::PERM) => Error::Denied(name),
                Some(Errno::INVAL) => Error::NoTap(name),
                _ => Error::Other(name, error),
            }
        })?;
        if !tap.up {
            log::warn!("{name} is down and carries no frames: sudo ip link set {name} up");
        }
        Ok(Self {
            file: Watched::new(tap.frames),
            mac: across(tap.mac),
            mtu: tap.mtu,
            broken: Cell::new(false),
            incoming: RefCell::default(),
            outgoing: RefCell::default(),
            stats: Cell::default(),
        })
    }

    /// Returns what the interface counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats.get()
    }

    fn count(&self, f: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        f(&mut stats);
        self.stats.set(stats);
    }

    fn check(&self) -> Result<(), Broken> {
        if self.broken.get() { Err(Broken) } else { Ok(()) }
    }

    /// Marks the interface broken.
    fn fail(&self, error: Errno) -> Broken {
        if !self.broken.replace(true) {
            log::error!("the tap is unusable from now on: {error}");
        }
        Broken
    }

    /// Passes the held frame, if any, to Linux.
    fn send(&self, held: &mut Held, context: Option<&Context<'_>>) -> Poll<Result<(), Broken>> {
        let Some(frame) = held.buffer.get(..held.length).filter(|frame| !frame.is_empty()) else {
            return Poll::Ready(Ok(()));
        };
        let written = match context {
            Some(context) => {
                self.file.poll(Interest::Write, context, |file| rustix::io::write(file, frame))
            }
            None => match rustix::io::retry_on_intr(|| rustix::io::write(&*self.file, frame)) {
                Err(Errno::AGAIN) => Poll::Pending,
                written => Poll::Ready(written),
            },
        };
        let Poll::Ready(written) = written else { return Poll::Pending };
        let length = core::mem::take(&mut held.length) as u64;
        match written {
            Ok(_) => self.count(|stats| {
                stats.transmitted += 1;
                stats.transmitted_bytes += length;
            }),
            // Linux's side is down, or has no memory for it.
            Err(Errno::IO | Errno::NOMEM | Errno::NOBUFS | Errno::INVAL) => {
                self.count(|stats| stats.transmitted_dropped += 1);
            }
            Err(error) => return Poll::Ready(Err(self.fail(error))),
        }
        Poll::Ready(Ok(()))
    }
}

/// Derives a locally administered unicast address from that of Linux's side.
fn across(mut mac: [u8; 6]) -> Mac {
    mac[0] = mac[0] & !1 | 2;
    mac[5] ^= 0x58;
    Mac(mac)
}

impl Net for Tap {
    fn info(&self) -> Info {
        Info {
            mac: self.mac,
            mtu: self.mtu,
            link: !self.broken.get(),
            generation: 1,
            transmit_blank: false,
            transmit_large: 0,
        }
    }

    fn poll_receive(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.check()?;
        let mut incoming = self.incoming.borrow_mut();
        let Held { buffer, length } = &mut *incoming;
        if *length > 0 {
            return Poll::Ready(Ok(()));
        }
        buffer.resize(LONGEST, 0);
        loop {
            let read = |file: &OwnedFd| rustix::io::read(file, buffer.as_mut_slice());
            match self.file.poll(Interest::Read, context, read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count < HEADER => {}
                Poll::Ready(Ok(count)) => {
                    *length = count;
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail(error))),
            }
        }
    }

    fn receive<R>(&self, take: impl FnOnce(&[u8], Meta) -> R) -> Option<R> {
        let waker = core::task::Waker::noop();
        let Poll::Ready(Ok(())) = self.poll_receive(&mut Context::from_waker(waker)) else {
            return None;
        };
        // Out of its cell, so that nothing is borrowed while `take` runs.
        let held = self.incoming.take();
        self.count(|stats| {
            stats.received += 1;
            stats.received_bytes += held.length as u64;
        });
        let result = held.buffer.get(..held.length).map(|frame| take(frame, Meta::default()));
        self.incoming.replace(Held { length: 0, ..held });
        result
    }

    fn poll_transmit(&self, context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.check()?;
        self.send(&mut self.outgoing.borrow_mut(), Some(context))
    }

    fn transmit<R>(&self, length: usize, fill: impl FnOnce(&mut [u8]) -> (R, Meta)) -> Option<R> {
        if !(HEADER..=HEADER + self.mtu).contains(&length) || self.broken.get() {
            return None;
        }
        let mut outgoing = self.outgoing.borrow_mut();
        let Poll::Ready(Ok(())) = self.send(&mut outgoing, None) else { return None };
        if outgoing.buffer.len() < length {
            outgoing.buffer.resize(HEADER + self.mtu, 0);
        }
        let (result, _) = fill(outgoing.buffer.get_mut(..length)?);
        outgoing.length = length;
        // What does not go now goes before the next one.
        let _ = self.send(&mut outgoing, None);
        Some(result)
    }

    /// Linux knows of each frame at once.
    fn flush(&self) {}
}

impl Source for Tap {
    fn metrics(&self, each: &mut dyn FnMut(Metric)) {
        let stats = self.stats();
        kernel::metrics! { each;
            counter("net_received_frames", "Frames received.", stats.received),
            counter("net_received_bytes", "Bytes received.", stats.received_bytes),
            counter("net_transmitted_frames", "Frames transmitted.", stats.transmitted),
            counter("net_transmitted_bytes", "Bytes transmitted.", stats.transmitted_bytes),
            counter("net_transmitted_dropped", "Frames not transmitted.", stats.transmitted_dropped),
        }
    }
}

impl super::Offloading for Tap {
    /// It offers none.
    fn offload((): (), _: super::Offloads) {}
}

impl Device for Tap {
    const CLASS: Class = super::CLASS;

    const NEEDS: &'static str = "a tap of this machine, as in XENITH_NET=tap0,tap1";

    type Settings = ();

    type Error = Error;

    fn configure(_: &mut Args) -> Result<(), args::Error> {
        Ok(())
    }

    async fn open(id: &'static str, (): ()) -> Result<Self, Error> {
        let names = std::env::var(VARIABLE).unwrap_or_default();
        Self::new(find(&names, id).ok_or(Error::Unnamed(id))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_manifest_are_numbers() {
        assert_eq!(find("tap0,tap1", ""), Some("tap0"));
        assert_eq!(find("tap0,tap1", "1"), Some("tap1"));
        for (names, id) in [("tap0", "1"), ("", "0"), ("tap0", "xvda"), (",tap1", "0")] {
            assert_eq!(find(names, id), None, "{names} {id}");
        }
    }

    #[test]
    fn the_address_is_another_one_and_locally_administered() {
        let mac = across([0x51, 1, 2, 3, 4, 5]);
        assert_eq!(mac.to_string(), "52:01:02:03:04:5d");
        assert_eq!(across(mac.0).0[5], 5);
    }

    #[test]
    fn what_is_no_tap_is_said() {
        assert!(matches!(Tap::new("xenith-none"), Err(Error::Missing(_))));
        let error = Tap::new("lo").unwrap_err().to_string();
        assert!(error.contains("lo"), "{error}");
    }
}
