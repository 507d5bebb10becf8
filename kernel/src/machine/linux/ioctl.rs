//! Makes system calls that have no safe function: opening a tap interface (netdevice(7),
//! linux/if_tun.h), and counting the unacknowledged bytes of a socket (tcp(7)).
//!
//! They are here because the crates above contain no `unsafe`.

use core::ffi::c_int;
use rustix::ioctl::{Getter, Opcode, Updater, ioctl};
use rustix::net::{AddressFamily, SocketType, socket};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const TUNSETIFF: Opcode = 0x4004_54ca;
const SIOCGIFFLAGS: Opcode = 0x8913;
const SIOCGIFMTU: Opcode = 0x8921;
const SIOCGIFHWADDR: Opcode = 0x8927;
const SIOCOUTQ: Opcode = 0x5411;

const IFF_UP: u8 = 1;
const IFF_TAP: u16 = 2;
const IFF_NO_PI: u16 = 0x1000;

/// `struct ifreq` of linux/if.h: a name, and a union of which each request uses its own member.
#[repr(C, align(8))]
struct Request {
    name: [u8; 16],
    value: [u8; 24],
}

/// Owns one side of a tap interface. Each read or write is one frame, and does not block.
#[derive(Debug)]
pub struct Tap {
    /// The descriptor that frames are read from and written to.
    pub frames: OwnedFd,
    /// MAC address of Linux's side.
    pub mac: [u8; 6],
    /// Most bytes of payload of a frame.
    pub mtu: usize,
    /// Whether Linux's side is up.
    pub up: bool,
}

/// Opens the tap interface `name`, which must exist.
///
/// # Errors
/// ENODEV when it does not exist, EBUSY when another process has it, EPERM when it is
/// another user's, EINVAL when it is no tap; those of opening `/dev/net/tun`.
pub fn open_tap(name: &str) -> io::Result<Tap> {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // Before TUNSETIFF, which would create an interface that does not exist.
    let [a, b, c, d, ..] = request::<SIOCGIFMTU>(any.as_fd(), name, [0; 24])?;
    let mtu = u32::from_ne_bytes([a, b, c, d]) as usize;
    let [flags, ..] = request::<SIOCGIFFLAGS>(any.as_fd(), name, [0; 24])?;
    // After the two bytes of `sa_family`.
    let [_, _, a, b, c, d, e, f, ..] = request::<SIOCGIFHWADDR>(any.as_fd(), name, [0; 24])?;
    let frames = OwnedFd::from(File::options().read(true).write(true).open("/dev/net/tun")?);
    let mut kind = [0; 24];
    kind[..2].copy_from_slice(&(IFF_TAP | IFF_NO_PI).to_ne_bytes());
    request::<TUNSETIFF>(frames.as_fd(), name, kind)?;
    rustix::io::ioctl_fionbio(&frames, true)?;
    Ok(Tap { frames, mac: [a, b, c, d, e, f], mtu, up: flags & IFF_UP != 0 })
}

/// Makes one of the requests that take a [`Request`].
fn request<const OPCODE: Opcode>(
    to: BorrowedFd<'_>,
    name: &str,
    value: [u8; 24],
) -> io::Result<[u8; 24]> {
    let mut request = Request { name: [0; 16], value };
    // The last byte remains 0.
    let start = request.name[..15].get_mut(..name.len());
    start.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
    // SAFETY: every `OPCODE` of this module but SIOCOUTQ takes a `struct ifreq`, which
    // `Request` is in size, alignment and layout; any bytes are a value of it.
    let update = unsafe { Updater::<OPCODE, Request>::new(&mut request) };
    // SAFETY: these requests read and write that structure, to which they have the
    // only reference, and no other memory.
    unsafe { ioctl(to, update) }?;
    Ok(request.value)
}

/// Returns the number of bytes written to a connected TCP socket that its peer has not
/// acknowledged. A FIN counts as one.
///
/// # Errors
/// Those of the system call, if it is not such a socket.
pub fn unacknowledged(socket: impl AsFd) -> io::Result<usize> {
    // SAFETY: SIOCOUTQ gives an `int`.
    let getter = unsafe { Getter::<SIOCOUTQ, c_int>::new() };
    // SAFETY: it writes that `int` and no other memory.
    let count = unsafe { ioctl(socket, getter) }?;
    Ok(usize::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_not_is_not_made() {
        let error = open_tap("xenith-none").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NODEV.raw_os_error()));
        assert!(!std::path::Path::new("/sys/class/net/xenith-none").exists());
        assert_eq!(open_tap("a-name-of-16-bytes").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(size_of::<Request>(), 40);
    }
}
