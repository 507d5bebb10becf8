//! Tests the calls of sockets as a program makes them.

use crate::errno::Errno;
use crate::file::Caller;
use crate::signal::{Action, Info, Signal};
use crate::socket::Address;
use crate::socket::inet::tests::machines;
use crate::testing::{perform, room, thread};
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use kernel::time::Instant;
use linux_raw_sys::net::{
    AF_INET, AF_UNIX, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET,
};
use syscalls::Sysno;

/// A thread with room for arguments, on a machine with a network.
struct Program {
    thread: Rc<Thread>,
    /// Where arguments are.
    at: u64,
    /// A buffer.
    buffer: u64,
}

impl Program {
    fn new() -> Self {
        let [here, _] = machines();
        let thread = thread();
        thread.system.network.replace(Some(here));
        let at = room(&thread.memory(), 64 * 4096) as u64;
        Self { thread, at, buffer: at + 4096 }
    }

    fn call(&self, number: Sysno, args: &[u64]) -> Result<usize, Errno> {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        perform(&self.thread, number, all)
    }

    fn socket(&self, family: u32, style: u32) -> u64 {
        self.call(Sysno::socket, &[family.into(), style.into(), 0]).unwrap() as u64
    }

    fn pair(&self, style: u32) -> [u64; 2] {
        self.call(Sysno::socketpair, &[AF_UNIX.into(), style.into(), 0, self.at]).unwrap();
        self.thread.memory().get::<[u32; 2]>(self.at).unwrap().map(u64::from)
    }

    /// Makes a call that takes a descriptor and an address.
    fn with(&self, number: Sysno, fd: u64, address: &str) -> Result<usize, Errno> {
        let bytes = Address::Inet(address.parse().unwrap()).bytes();
        self.thread.memory().write(self.at as usize, &bytes).unwrap();
        self.call(number, &[fd, self.at, bytes.len() as u64])
    }

    /// A socket that listens.
    fn listener(&self, address: &str, backlog: u64) -> u64 {
        let server = self.socket(AF_INET, SOCK_STREAM);
        self.with(Sysno::bind, server, address).unwrap();
        self.call(Sysno::listen, &[server, backlog]).unwrap();
        server
    }

    fn accept(&self, server: u64) -> Result<u64, Errno> {
        self.call(Sysno::accept, &[server, 0, 0]).map(|it| it as u64)
    }

    fn put(&self, bytes: &[u8]) -> u64 {
        self.thread.memory().write(self.buffer as usize, bytes).unwrap();
        self.buffer
    }

    fn write(&self, fd: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.call(Sysno::write, &[fd, self.put(bytes), bytes.len() as u64])
    }

    fn received(&self, fd: u64, most: u64, flags: u32) -> Result<Vec<u8>, Errno> {
        let count = self.call(Sysno::recvfrom, &[fd, self.buffer, most, flags.into(), 0, 0])?;
        let mut bytes = alloc::vec![0; count];
        self.thread.memory().read(self.buffer as usize, &mut bytes).unwrap();
        Ok(bytes)
    }

    fn set(&self, fd: u64, name: u32, value: &[u8]) -> Result<usize, Errno> {
        self.thread.memory().write(self.at as usize, value).unwrap();
        let args = [fd, SOL_SOCKET.into(), name.into(), self.at, value.len() as u64];
        self.call(Sysno::setsockopt, &args)
    }

    fn set_timeout(&self, fd: u64, name: u32, us: i64) -> Result<usize, Errno> {
        self.set(fd, name, &[0_i64.to_ne_bytes(), us.to_ne_bytes()].concat())
    }
}

/// How long a call takes, of simulated time, and what it returns.
fn timed<T>(call: impl FnOnce() -> T) -> (T, u128) {
    let start = Instant::now();
    (call(), start.elapsed().as_millis())
}

#[test]
fn a_read_and_a_write_wait_as_long_as_the_socket_says() {
    let it = Program::new();
    for style in [SOCK_STREAM, SOCK_DGRAM] {
        let [one, other] = it.pair(style);
        it.set_timeout(one, SO_RCVTIMEO, 30_000).unwrap();
        it.set_timeout(one, SO_SNDTIMEO, 70_000).unwrap();
        let vector = [it.buffer, 1].map(u64::to_ne_bytes).concat();
        it.thread.memory().write(it.at as usize, &vector).unwrap();
        for (number, args) in [
            (Sysno::read, [one, it.buffer, 1]),
            (Sysno::readv, [one, it.at, 1]),
            (Sysno::recvfrom, [one, it.buffer, 1]),
        ] {
            let (result, ms) = timed(|| it.call(number, &args));
            assert!(result == Err(Errno::EAGAIN) && (30..60).contains(&ms), "{number} {ms}");
        }
        let mut sent = 0;
        let (result, ms) = timed(|| {
            loop {
                match it.write(one, &[7; 50_000]) {
                    Ok(count) => sent += count,
                    Err(errno) => break errno,
                }
            }
        });
        // The last one that wrote a part waited as long.
        assert!(result == Errno::EAGAIN && (70..160).contains(&ms), "{result:?} {ms}");
        assert!(sent > 100_000 && it.write(other, b"x") == Ok(1));
        assert_eq!(it.call(Sysno::read, &[one, it.buffer, 9]), Ok(1));
    }
    let [one, _other] = it.pair(SOCK_STREAM);
    for us in [-1, 1_000_000] {
        assert_eq!(it.set_timeout(one, SO_RCVTIMEO, us), Err(Errno::EDOM), "{us}");
    }
}

#[test]
fn a_signal_ends_a_wait_for_a_time_for_good_and_another_until_the_call_begins_again() {
    let it = Program::new();
    let [one, _other] = it.pair(SOCK_STREAM);
    let signals = &it.thread.process.signals;
    signals.add(Rc::clone(&it.thread.signals)).unwrap();
    signals.set_action(Signal::USR1, Action { handler: 200, ..Action::default() });
    signals.send(Info::kernel(Signal::USR1)).unwrap();
    for number in [Sysno::read, Sysno::recvfrom] {
        let read = || it.call(number, &[one, it.buffer, 1, 0, 0, 0]);
        it.set_timeout(one, SO_RCVTIMEO, 0).unwrap();
        assert_eq!(read(), Err(Errno::ERESTARTSYS));
        it.set_timeout(one, SO_RCVTIMEO, 30_000).unwrap();
        assert_eq!(read(), Err(Errno::EINTR));
    }
}

#[test]
fn a_connection_that_is_accepted_waits_as_long_as_its_listener() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 5);
    it.set_timeout(server, SO_RCVTIMEO, 30_000).unwrap();
    let client = it.socket(AF_INET, SOCK_STREAM);
    it.with(Sysno::connect, client, "127.0.0.1:80").unwrap();
    let served = it.accept(server).unwrap();
    let (result, ms) = timed(|| it.call(Sysno::read, &[served, it.buffer, 1]));
    assert!(result == Err(Errno::EAGAIN) && (30..60).contains(&ms), "{ms}");
}

#[test]
fn a_connection_waits_for_a_number() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 5);
    let client = it.socket(AF_INET, SOCK_STREAM);
    it.with(Sysno::connect, client, "127.0.0.1:80").unwrap();
    it.write(client, b"hello").unwrap();
    it.thread.process.files.set_limit(client as usize + 1);
    assert_eq!(it.accept(server), Err(Errno::EMFILE));
    it.thread.process.files.set_limit(100);
    let served = it.accept(server).unwrap();
    assert_eq!(it.received(served, 9, 0), Ok(b"hello".to_vec()));
}
