//! Unix sockets whose names are files of the tree (unix(7), pathname sockets).

use crate::errno::Errno;
use crate::file::{Caller, New, Type, Walk};
use crate::socket::unix::{Place, Unix};
use crate::socket::{Address, Name, Socket};
use crate::stop::Stop;
use crate::thread::Thread;

/// Returns the socket as a Unix socket, if it is one.
pub(super) fn unix(socket: &dyn Socket) -> Option<&Unix> {
    socket.any().downcast_ref()
}

/// Makes a file, and gives `socket` its name.
///
/// # Errors
/// `EINVAL` if it has a name, `EADDRINUSE` if there is such a file, and those of mknod(2).
pub(super) fn bind(thread: &Thread, socket: &Unix, path: &[u8]) -> Result<(), Stop> {
    if socket.local() != Address::Unix(Name::Unnamed) {
        let there = thread.system.tree.find(thread, None, path, Walk::empty());
        return Err(if there.is_ok() { Errno::EADDRINUSE } else { Errno::EINVAL }.into());
    }
    let made = thread.system.tree.make(thread, None, path, New::Socket, 0o777);
    let place = made.map_err(|stop| match stop {
        Stop::Fail(Errno::EEXIST) => Errno::EADDRINUSE.into(),
        other => other,
    })?;
    let (device, inode) = place.node.id();
    Ok(socket.name(Name::Path(path.to_vec()), Place::Inode(device, inode))?)
}

/// Finds the socket whose name is a file, which the caller has to be able to write.
///
/// # Errors
/// `ECONNREFUSED` if that is no socket, or nobody's any more; `EACCES`; those of a walk.
pub(super) fn find(thread: &Thread, path: &[u8]) -> Result<alloc::rc::Rc<Unix>, Stop> {
    let place = thread.system.tree.find(thread, None, path, Walk::FOLLOW)?;
    if place.node.kind() != Type::Socket {
        return Err(Errno::ECONNREFUSED.into());
    }
    thread.credentials().may(&place.node.stat(), 2)?;
    let (device, inode) = place.node.id();
    Ok(Unix::find(&thread.system.unix, &Place::Inode(device, inode))?)
}

/// Connects, also to a name that is a file.
///
/// # Errors
/// As of connect(2).
pub(super) fn connect(thread: &Thread, socket: &dyn Socket, address: &Address) -> Result<(), Stop> {
    match (address, unix(socket)) {
        (Address::Unix(Name::Path(path)), Some(socket)) => {
            let other = find(thread, path)?;
            socket.connect_to(thread, &other)
        }
        _ => socket.connect(thread, address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{perform, room, thread};
    use alloc::rc::Rc;
    use linux_raw_sys::net::{AF_UNIX, SOCK_DGRAM, SOCK_STREAM};
    use syscalls::Sysno;

    struct Program {
        thread: Rc<Thread>,
        at: u64,
    }

    impl Program {
        fn socket(&self, style: u32) -> u64 {
            let args = [AF_UNIX.into(), style.into(), 0, 0, 0, 0];
            perform(&self.thread, Sysno::socket, args).unwrap() as u64
        }

        /// Makes a call that takes a descriptor and a name.
        fn call(&self, number: Sysno, fd: u64, name: &str) -> Result<usize, Errno> {
            let bytes = Address::Unix(Name::Path(name.as_bytes().to_vec())).bytes();
            self.thread.memory().write(self.at as usize, &bytes).unwrap();
            perform(&self.thread, number, [fd, self.at, bytes.len() as u64, 0, 0, 0])
        }
    }

    #[test]
    fn a_file_names_a_socket_until_it_is_removed() {
        let thread = thread();
        let at = room(&thread.memory(), 4096) as u64;
        let it = Program { thread, at };
        let (server, client) = (it.socket(SOCK_STREAM), it.socket(SOCK_STREAM));
        assert_eq!(it.call(Sysno::connect, client, "/door"), Err(Errno::ENOENT));
        assert_eq!(it.call(Sysno::bind, server, "/door"), Ok(0));
        assert_eq!(it.call(Sysno::bind, server, "/other"), Err(Errno::EINVAL));
        assert_eq!(it.call(Sysno::bind, client, "/door"), Err(Errno::EADDRINUSE));
        assert_eq!(it.call(Sysno::connect, client, "/door"), Err(Errno::ECONNREFUSED));
        perform(&it.thread, Sysno::listen, [server, 5, 0, 0, 0, 0]).unwrap();
        assert_eq!(it.call(Sysno::connect, client, "/door"), Ok(0));
        assert!(perform(&it.thread, Sysno::accept, [server, 0, 0, 0, 0, 0]).is_ok());
        // The name outlives the socket, and then leads to nobody.
        perform(&it.thread, Sysno::close, [server, 0, 0, 0, 0, 0]).unwrap();
        let late = it.socket(SOCK_STREAM);
        assert_eq!(it.call(Sysno::connect, late, "/door"), Err(Errno::ECONNREFUSED));
        let path = Address::Unix(Name::Path(b"/door".to_vec())).bytes();
        it.thread.memory().write(at as usize, &path).unwrap();
        perform(&it.thread, Sysno::unlink, [at + 2, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(it.call(Sysno::connect, late, "/door"), Err(Errno::ENOENT));
        assert_eq!(it.call(Sysno::bind, late, "/none/door"), Err(Errno::ENOENT));
    }

    #[test]
    fn datagrams_are_sent_to_a_file() {
        let thread = thread();
        let at = room(&thread.memory(), 4096) as u64;
        let it = Program { thread, at };
        let (server, client) = (it.socket(SOCK_DGRAM), it.socket(SOCK_DGRAM));
        it.call(Sysno::bind, server, "/log").unwrap();
        let name = Address::Unix(Name::Path(b"/log".to_vec())).bytes();
        let memory = it.thread.memory();
        memory.write(at as usize, &name).unwrap();
        memory.write(at as usize + 512, b"line").unwrap();
        let args = [client, at + 512, 4, 0, at, name.len() as u64];
        assert_eq!(perform(&it.thread, Sysno::sendto, args), Ok(4));
        assert_eq!(perform(&it.thread, Sysno::recvfrom, [server, at + 600, 99, 0, 0, 0]), Ok(4));
        let mut line = [0; 4];
        memory.read(at as usize + 600, &mut line).unwrap();
        assert_eq!(&line, b"line");
    }
}
