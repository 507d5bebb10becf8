//! Tests the calls of sockets as a program makes them.

mod message;

use crate::call::Outcome;
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::{Backing, Mapped, Request};
use crate::signal::{Action, Info, Signal};
use crate::socket::inet::tests::machines;
use crate::socket::{Address, Name};
use crate::testing::{Numbered, RW, perform, room, thread};
use crate::thread::Thread;
use crate::watch::Ready;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;
use kernel::task::{block_on, join, yield_now};
use kernel::time::{Instant, sleep};
use linux_raw_sys::general::O_NONBLOCK;
use linux_raw_sys::net::{
    AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL,
    SHUT_RD, SHUT_RDWR, SHUT_WR, SO_ERROR, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO, SOCK_DGRAM,
    SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET, TCP_SYNCNT, TCP_USER_TIMEOUT,
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

    /// What it is ready for at once.
    fn ready(&self, fd: u64) -> Ready {
        let asked = fd | u64::from((Ready::IN | Ready::OUT | Ready::RDHUP).bits()) << 32;
        self.thread.memory().put(self.at, &asked).unwrap();
        self.call(Sysno::poll, &[self.at, 1, 0]).unwrap();
        Ready::from_bits_truncate((self.thread.memory().get::<u64>(self.at).unwrap() >> 48) as u32)
    }

    /// What `SO_ERROR` says.
    fn error(&self, fd: u64) -> u32 {
        let memory = self.thread.memory();
        memory.put(self.at, &4_u32).unwrap();
        let args = [fd, SOL_SOCKET.into(), SO_ERROR.into(), self.at + 8, self.at];
        self.call(Sysno::getsockopt, &args).unwrap();
        memory.get(self.at + 8).unwrap()
    }

    /// Ends a call that waits by another one, and returns what it returned.
    fn during(&self, waits: (Sysno, &[u64]), then: (Sysno, &[u64])) -> Result<usize, Errno> {
        let mut args = [0; 6];
        args[..waits.1.len()].copy_from_slice(waits.1);
        let call = crate::table::call(waits.0 as u64).unwrap();
        match (call.run)(&self.thread, args) {
            Ok(Outcome::Wait(future)) => {
                let second = async {
                    yield_now().await;
                    self.call(then.0, then.1)
                };
                block_on(join(future, second)).0
            }
            _ => panic!("{} does not wait", waits.0),
        }
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
fn a_copy_waits_as_long_as_a_read_and_a_write_would() {
    let it = Program::new();
    let [one, _other] = it.pair(SOCK_STREAM);
    it.set_timeout(one, SO_RCVTIMEO, 30_000).unwrap();
    it.set_timeout(one, SO_SNDTIMEO, 70_000).unwrap();
    it.call(Sysno::pipe, &[it.at]).unwrap();
    let [reader, writer] = it.thread.memory().get::<[u32; 2]>(it.at).unwrap().map(u64::from);
    let splice = |from, to, count| timed(|| it.call(Sysno::splice, &[from, 0, to, 0, count, 0]));
    let (result, ms) = splice(one, writer, 9);
    assert!(result == Err(Errno::EAGAIN) && (30..60).contains(&ms), "{result:?} {ms}");
    let file = it.call(Sysno::memfd_create, &[it.put(b"\0"), 0]).unwrap() as u64;
    it.call(Sysno::ftruncate, &[file, 1 << 20]).unwrap();
    let send = || timed(|| it.call(Sysno::sendfile, &[one, file, 0, 1 << 20]));
    // What was sent before counts, and then nothing is.
    let (result, ms) = send();
    assert!((100_000..=212_992).contains(&result.unwrap()), "{result:?}");
    assert!((70..100).contains(&ms), "{ms}");
    let (result, ms) = send();
    assert!(result == Err(Errno::EAGAIN) && (70..100).contains(&ms), "{result:?} {ms}");
    // How long it waited for the pipe does not count.
    let call = crate::table::call(Sysno::splice as u64).unwrap();
    let Ok(Outcome::Wait(spliced)) = (call.run)(&it.thread, [reader, 0, one, 0, 9, 0]) else {
        panic!("it waits");
    };
    let late = async {
        sleep(Duration::from_secs(1)).await;
        it.write(writer, b"late")
    };
    let ((result, written), ms) = timed(|| block_on(join(spliced, late)));
    assert_eq!((result, written), (Err(Errno::EAGAIN), Ok(4)));
    assert!((1070..1100).contains(&ms), "{ms}");
}

#[test]
fn a_connection_waits_for_a_number() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 5);
    let client = it.socket(AF_INET, SOCK_STREAM);
    it.with(Sysno::connect, client, "127.0.0.1:80").unwrap();
    it.write(client, b"hello").unwrap();
    it.thread.process.files().set_limit(client as usize + 1);
    assert_eq!(it.accept(server), Err(Errno::EMFILE));
    it.thread.process.files().set_limit(100);
    let served = it.accept(server).unwrap();
    assert_eq!(it.received(served, 9, 0), Ok(b"hello".to_vec()));
}

#[test]
fn who_listens_and_is_shut_down_listens_no_more_and_may_again() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 5);
    assert_eq!(it.call(Sysno::shutdown, &[server, SHUT_WR.into()]), Ok(0));
    let client = it.socket(AF_INET, SOCK_STREAM);
    assert_eq!(it.with(Sysno::connect, client, "127.0.0.1:80"), Ok(0));
    it.accept(server).unwrap();
    let shutdown = (Sysno::shutdown, &[server, SHUT_RD.into()][..]);
    let accepted = it.during((Sysno::accept, &[server, 0, 0]), shutdown);
    assert_eq!((accepted, it.error(server)), (Err(Errno::EINVAL), 0));
    let late = it.socket(AF_INET, SOCK_STREAM);
    assert_eq!(it.with(Sysno::connect, late, "127.0.0.1:80"), Err(Errno::ECONNREFUSED));
    assert_eq!(it.call(Sysno::listen, &[server, 5]), Ok(0));
    assert_eq!(it.with(Sysno::connect, late, "127.0.0.1:80"), Ok(0));
}

#[test]
fn what_is_not_connected_can_be_shut_down_and_that_ends_a_wait() {
    let it = Program::new();
    let both: u64 = SHUT_RDWR.into();
    let ended = Ready::IN | Ready::OUT | Ready::HUP | Ready::RDHUP;
    let tcp = it.socket(AF_INET, SOCK_STREAM);
    assert_eq!(it.ready(tcp), Ready::OUT | Ready::HUP);
    assert_eq!(it.call(Sysno::shutdown, &[tcp, both]), Err(Errno::ENOTCONN));
    assert_eq!(it.ready(tcp), ended);
    // A thread that receives datagrams is told to end so.
    let udp = it.socket(AF_INET, SOCK_DGRAM);
    it.with(Sysno::bind, udp, "127.0.0.1:9").unwrap();
    let read = [udp, it.buffer, 9];
    assert_eq!(it.during((Sysno::read, &read), (Sysno::shutdown, &[udp, both])), Ok(0));
    assert_eq!(it.call(Sysno::shutdown, &[udp, both]), Err(Errno::ENOTCONN));
    assert_eq!(it.ready(udp), ended);
    for (style, received, sent) in [
        (SOCK_STREAM, Err(Errno::EINVAL), Err(Errno::ENOTCONN)),
        (SOCK_SEQPACKET, Err(Errno::ENOTCONN), Err(Errno::ENOTCONN)),
        (SOCK_DGRAM, Ok(Vec::new()), Err(Errno::EPIPE)),
    ] {
        let unix = it.socket(AF_UNIX, style);
        assert_eq!(it.call(Sysno::shutdown, &[unix, both]), Ok(0));
        assert_eq!((it.received(unix, 9, 0), it.write(unix, b"x")), (received, sent), "{style}");
        assert_eq!(it.ready(unix), ended, "{style}");
    }
}

#[test]
fn who_listens_at_a_name_and_is_shut_down_learns_of_it_by_poll() {
    let it = Program::new();
    let name = Address::Unix(Name::Abstract(b"door".to_vec())).bytes();
    let ended = Ready::IN | Ready::RDHUP;
    for (how, ready) in
        [(SHUT_WR, Ready::empty()), (SHUT_RD, ended), (SHUT_RDWR, ended | Ready::HUP)]
    {
        let server = it.socket(AF_UNIX, SOCK_STREAM);
        it.thread.memory().write(it.at as usize, &name).unwrap();
        it.call(Sysno::bind, &[server, it.at, name.len() as u64]).unwrap();
        it.call(Sysno::listen, &[server, 5]).unwrap();
        let shutdown = (Sysno::shutdown, &[server, how.into()][..]);
        if how == SHUT_WR {
            it.call(shutdown.0, shutdown.1).unwrap();
        } else {
            let asked = server | u64::from(Ready::IN.bits()) << 32;
            it.thread.memory().put(it.at, &asked).unwrap();
            assert_eq!(it.during((Sysno::poll, &[it.at, 1, u64::MAX]), shutdown), Ok(1));
        }
        assert_eq!(it.ready(server), ready, "{how}");
        it.call(Sysno::close, &[server]).unwrap();
    }
}

#[test]
fn a_write_that_nobody_reads_is_a_signal_to_who_writes_a_stream_alone() {
    for (style, is_told) in [(SOCK_STREAM, true), (SOCK_SEQPACKET, false), (SOCK_DGRAM, false)] {
        for number in [Sysno::write, Sysno::writev, Sysno::splice, Sysno::sendto] {
            let it = Program::new();
            let signals = &it.thread.process.signals;
            signals.add(Rc::clone(&it.thread.signals)).unwrap();
            let handled = Action { handler: 200, ..Action::default() };
            signals.set_action(Signal::PIPE, handled);
            let [one, _other] = it.pair(style);
            it.call(Sysno::shutdown, &[one, SHUT_WR.into()]).unwrap();
            it.call(Sysno::pipe, &[it.at]).unwrap();
            let memory = it.thread.memory();
            let [reader, writer] = memory.get::<[u32; 2]>(it.at).unwrap().map(u64::from);
            it.write(writer, b"x").unwrap();
            memory.put(it.at, &[it.buffer, 1]).unwrap();
            let args = match number {
                Sysno::writev => [one, it.at, 1, 0, 0, 0],
                Sysno::splice => [reader, 0, one, 0, 1, 0],
                _ => [one, it.buffer, 1, 0, 0, 0],
            };
            assert_eq!(it.call(number, &args), Err(Errno::EPIPE), "{number} {style}");
            let pending = signals.pending(&it.thread.signals);
            assert_eq!(pending.has(Signal::PIPE), is_told, "{number} {style}");
        }
    }
}

#[test]
fn a_connection_within_the_machine_begins_and_is_told_as_any_other() {
    let it = Program::new();
    let client = || it.socket(AF_INET, SOCK_STREAM | O_NONBLOCK);
    let connect = |client| it.with(Sysno::connect, client, "127.0.0.1:80");
    let refused = client();
    assert_eq!(connect(refused), Err(Errno::EINPROGRESS));
    let ready = Ready::IN | Ready::OUT | Ready::ERR | Ready::HUP | Ready::RDHUP;
    assert_eq!(it.ready(refused), ready);
    assert_eq!((it.error(refused), it.error(refused)), (Errno::ECONNREFUSED.number().into(), 0));
    assert_eq!(connect(refused), Err(Errno::ECONNABORTED), "as Linux says");
    assert_eq!(connect(refused), Err(Errno::EINPROGRESS));
    assert_eq!(connect(refused), Err(Errno::ECONNREFUSED));

    let server = it.listener("127.0.0.1:80", 5);
    let one = client();
    assert_eq!(connect(one), Err(Errno::EINPROGRESS));
    assert_eq!((it.ready(one), it.error(one)), (Ready::OUT, 0));
    assert_eq!((connect(one), connect(one)), (Ok(0), Err(Errno::EISCONN)));
    let served = it.accept(server).unwrap();
    // AF_UNSPEC: connected to nobody any more, and then to another one.
    let unspecified = |fd| {
        it.thread.memory().put(it.at, &[0_u64; 2]).unwrap();
        it.call(Sysno::connect, &[fd, it.at, 16])
    };
    assert_eq!((unspecified(one), it.error(one)), (Ok(0), Errno::ECONNRESET.number().into()));
    assert_eq!(it.received(served, 9, 0), Err(Errno::ECONNRESET));
    assert_eq!(connect(one), Err(Errno::EINPROGRESS));
    assert_eq!(it.write(one, b"again"), Ok(5));
    let served = it.accept(server).unwrap();
    assert_eq!(it.received(served, 9, 0), Ok(b"again".to_vec()));
    assert_eq!((unspecified(server), it.accept(server)), (Ok(0), Err(Errno::EINVAL)));
}

#[test]
fn a_connection_within_the_machine_waits_for_room_and_is_refused_by_nobody() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 1);
    let connect = |client| it.with(Sysno::connect, client, "127.0.0.1:80");
    let clients = [0; 5].map(|_| it.socket(AF_INET, SOCK_STREAM | O_NONBLOCK));
    for client in clients {
        assert_eq!(connect(client), Err(Errno::EINPROGRESS));
    }
    // One more than the backlog has room.
    let ready = || clients.map(|client| it.ready(client));
    let (out, none) = (Ready::OUT, Ready::empty());
    assert_eq!(ready(), [out, out, none, none, none]);
    assert_eq!(connect(clients[2]), Err(Errno::EALREADY));
    assert_eq!(it.write(clients[2], b"x"), Err(Errno::EAGAIN));
    // It is let in though nobody looks, and who was closed is not.
    it.call(Sysno::close, &[clients[2]]).unwrap();
    it.accept(server).unwrap();
    it.accept(server).unwrap();
    assert_eq!([clients[3], clients[4]].map(|client| it.ready(client)), [out, out]);
    assert_eq!((it.write(clients[3], b"hello"), it.error(clients[3])), (Ok(5), 0));
    let served = it.accept(server).unwrap();
    assert_eq!(it.received(served, 9, 0), Ok(b"hello".to_vec()));
    // One that waits, another call may wait for as well.
    let [_, blocked] = [0; 2].map(|_| it.socket(AF_INET, SOCK_STREAM));
    assert_eq!(connect(blocked), Ok(0));
    let late = it.socket(AF_INET, SOCK_STREAM);
    it.set_timeout(late, SO_SNDTIMEO, 30_000).unwrap();
    let ((first, ms), again) = (timed(|| connect(late)), timed(|| connect(late)));
    assert!(first == Err(Errno::EINPROGRESS) && (30..60).contains(&ms), "{first:?} {ms}");
    assert!((30..60).contains(&again.1), "{again:?}");
    it.set_timeout(late, SO_SNDTIMEO, 0).unwrap();
    let bytes = Address::Inet("127.0.0.1:80".parse().unwrap()).bytes();
    it.thread.memory().write(it.at as usize, &bytes).unwrap();
    let args = [late, it.at, bytes.len() as u64];
    let end = (Sysno::shutdown, &[server, SHUT_RD.into()][..]);
    assert_eq!(it.during((Sysno::connect, &args), end), Err(Errno::ECONNREFUSED));
}

#[test]
fn a_connection_within_the_machine_that_nobody_lets_in_is_over_in_time() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 0);
    let connect = |client| it.with(Sysno::connect, client, "127.0.0.1:80");
    let set = |client, name: u32, value: u32| {
        it.thread.memory().put(it.at, &value).unwrap();
        let level = u64::from(IPPROTO_TCP as u32);
        it.call(Sysno::setsockopt, &[client, level, name.into(), it.at, 4])
    };
    connect(it.socket(AF_INET, SOCK_STREAM)).unwrap();
    for (name, value, seconds) in [
        (TCP_SYNCNT, 6, 127),
        (TCP_SYNCNT, 1, 3),
        (TCP_SYNCNT, 8, 367),
        (TCP_USER_TIMEOUT, 1500, 1),
    ] {
        let client = it.socket(AF_INET, SOCK_STREAM);
        set(client, name, value).unwrap();
        let (result, ms) = timed(|| connect(client));
        let took = (result, ms / 1000, it.error(client));
        assert_eq!(took, (Err(Errno::ETIMEDOUT), seconds, 0), "{name}");
    }
    for value in [0, 128] {
        let client = it.socket(AF_INET, SOCK_STREAM);
        assert_eq!(set(client, TCP_SYNCNT, value), Err(Errno::EINVAL));
    }
    // Who does not wait learns of it as of any other end, and is not let in any more.
    let [late, next] = [0; 2].map(|_| it.socket(AF_INET, SOCK_STREAM | O_NONBLOCK));
    set(late, TCP_SYNCNT, 1).unwrap();
    assert_eq!([late, next].map(connect), [Err(Errno::EINPROGRESS); 2]);
    block_on(sleep(Duration::from_secs(4)));
    it.accept(server).unwrap();
    assert!(it.ready(late).contains(Ready::ERR | Ready::HUP));
    assert_eq!(it.error(late), Errno::ETIMEDOUT.number().into());
    assert_eq!((it.ready(next), it.write(next, b"next")), (Ready::OUT, Ok(4)));
    let served = it.accept(server).unwrap();
    assert_eq!(it.received(served, 9, 0), Ok(b"next".to_vec()));
}

#[test]
fn a_connection_to_a_unix_socket_waits_for_room() {
    let it = Program::new();
    for style in [SOCK_STREAM, SOCK_SEQPACKET] {
        let server = it.socket(AF_UNIX, style);
        let name = Address::Unix(Name::Abstract(alloc::vec![style as u8])).bytes();
        let at = it.at + 1024;
        it.thread.memory().write(at as usize, &name).unwrap();
        let named = |fd| [fd, at, name.len() as u64];
        it.call(Sysno::bind, &named(server)).unwrap();
        it.call(Sysno::listen, &[server, 0]).unwrap();
        let client = |flags| it.socket(AF_UNIX, style | flags);
        let connect = |fd| it.call(Sysno::connect, &named(fd));
        assert_eq!(connect(client(0)), Ok(0));
        // Who does not wait has begun nothing (unix(7)).
        let late = client(O_NONBLOCK);
        assert_eq!(connect(late), Err(Errno::EAGAIN));
        assert_eq!(it.ready(late), Ready::OUT | Ready::HUP);
        let short = client(0);
        it.set_timeout(short, SO_SNDTIMEO, 30_000).unwrap();
        let (result, ms) = timed(|| connect(short));
        assert!(result == Err(Errno::EAGAIN) && (30..60).contains(&ms), "{result:?} {ms}");
        for then in [(Sysno::accept, &[server, 0, 0][..]), (Sysno::listen, &[server, 1])] {
            assert_eq!(it.during((Sysno::connect, &named(client(0))), then), Ok(0));
        }
        let close = (Sysno::close, &[server][..]);
        let refused = it.during((Sysno::connect, &named(client(0))), close);
        assert_eq!(refused, Err(Errno::ECONNREFUSED));
    }
}

#[test]
fn what_is_looked_at_is_not_told_twice_and_all_of_it_is_waited_for_by_tcp() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 5);
    let client = it.socket(AF_INET, SOCK_STREAM);
    it.with(Sysno::connect, client, "127.0.0.1:80").unwrap();
    for ([one, other], waits) in
        [(it.pair(SOCK_STREAM), false), ([client, it.accept(server).unwrap()], true)]
    {
        it.write(one, b"aaaa").unwrap();
        assert_eq!(it.received(other, 2, MSG_PEEK | MSG_WAITALL), Ok(b"aa".to_vec()));
        let long = it.received(other, 6, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT);
        assert_eq!(long, Ok(b"aaaa".to_vec()));
        let flags = u64::from(MSG_PEEK | MSG_WAITALL);
        if waits {
            let write = (Sysno::write, &[one, it.put(b"bb"), 2][..]);
            let look = (Sysno::recvfrom, &[other, it.buffer + 4096, 6, flags, 0, 0][..]);
            assert_eq!(it.during(look, write), Ok(6));
        } else {
            // As on Linux, a Unix socket shows what there is.
            assert_eq!(it.received(other, 6, MSG_PEEK | MSG_WAITALL), Ok(b"aaaa".to_vec()));
            it.write(one, b"bb").unwrap();
        }
        assert_eq!(it.received(other, 9, 0), Ok(b"aaaabb".to_vec()));
    }
}

impl Program {
    /// Sends bytes, and with them a descriptor.
    fn pass(&self, socket: u64, bytes: &[u8], fd: u64) {
        let memory = self.thread.memory();
        let control = [20, 1 << 32 | u64::from(SOL_SOCKET), fd];
        memory.put(self.at + 128, &control).unwrap();
        memory.put(self.at + 64, &[self.put(bytes), bytes.len() as u64]).unwrap();
        memory.put(self.at, &[0, 0, self.at + 64, 1, self.at + 128, 24, 0]).unwrap();
        assert_eq!(self.call(Sysno::sendmsg, &[socket, self.at, 0]), Ok(bytes.len()));
    }

    /// Receives bytes. Returns how many, and how many bytes of control messages.
    fn take(&self, socket: u64, most: u64, flags: u32) -> (Result<usize, Errno>, u64) {
        let memory = self.thread.memory();
        memory.put(self.at + 64, &[self.buffer, most]).unwrap();
        memory.put(self.at, &[0, 0, self.at + 64, 1, self.at + 128, 256, 0]).unwrap();
        let count = self.call(Sysno::recvmsg, &[socket, self.at, flags.into()]);
        (count, memory.get(self.at + 40).unwrap())
    }

    /// How many descriptors there are.
    fn count(&self) -> usize {
        (0..100).filter(|&fd| self.thread.process.files().get(fd).is_ok()).count()
    }
}

#[test]
fn descriptors_come_once_a_call_and_end_what_is_received_at_once() {
    let it = Program::new();
    let [one, other] = it.pair(SOCK_STREAM);
    it.pass(one, b"a", one);
    let before = it.count();
    // Each look brings them anew, and waits for nothing behind them.
    for flags in [MSG_PEEK, MSG_PEEK | MSG_WAITALL, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT] {
        let count = it.count();
        assert_eq!(it.take(other, 9, flags), (Ok(1), 24));
        assert_eq!(it.count(), count + 1);
    }
    it.write(one, b"bbb").unwrap();
    assert_eq!(it.take(other, 4, MSG_WAITALL), (Ok(1), 24));
    assert_eq!(it.count(), before + 4);
    it.pass(one, b"c", one);
    it.pass(one, b"d", one);
    assert_eq!(it.take(other, 5, MSG_WAITALL), (Ok(4), 24));
    assert_eq!(it.take(other, 1, MSG_WAITALL), (Ok(1), 24));
    assert_eq!(it.count(), before + 6);
}

#[test]
fn who_does_not_wait_receives_what_there_is_of_all() {
    let it = Program::new();
    let [one, other] = it.pair(SOCK_STREAM);
    it.call(Sysno::fcntl, &[other, 4, O_NONBLOCK.into()]).unwrap();
    it.write(one, b"ab").unwrap();
    assert_eq!(it.received(other, 9, MSG_WAITALL), Ok(b"ab".to_vec()));
    assert_eq!(it.received(other, 9, MSG_WAITALL), Err(Errno::EAGAIN));
}

#[test]
fn a_call_waits_for_as_much_as_the_socket_says_and_poll_does_for_tcp() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 5);
    let client = it.socket(AF_INET, SOCK_STREAM);
    it.with(Sysno::connect, client, "127.0.0.1:80").unwrap();
    for ([one, other], polls) in
        [(it.pair(SOCK_STREAM), false), ([client, it.accept(server).unwrap()], true)]
    {
        it.set(other, SO_RCVLOWAT, &3_u32.to_ne_bytes()).unwrap();
        it.write(one, b"ab").unwrap();
        assert_eq!(it.ready(other).contains(Ready::IN), !polls);
        assert_eq!(it.received(other, 9, MSG_DONTWAIT), Ok(b"ab".to_vec()));
        for (number, most, expected) in
            [(Sysno::recvfrom, 9, 4), (Sysno::read, 9, 4), (Sysno::readv, 9, 4)]
        {
            it.write(one, b"ab").unwrap();
            let vector = [it.buffer + 4096, most];
            it.thread.memory().put(it.at + 512, &vector).unwrap();
            let args = match number {
                Sysno::readv => [other, it.at + 512, 1, 0, 0, 0],
                _ => [other, it.buffer + 4096, most, 0, 0, 0],
            };
            let write = (Sysno::write, &[one, it.put(b"cd"), 2][..]);
            assert_eq!(it.during((number, &args), write), Ok(expected), "{number}");
        }
        // splice(2) takes what there is.
        it.write(one, b"ab").unwrap();
        it.call(Sysno::pipe, &[it.at]).unwrap();
        let [out, into] = it.thread.memory().get::<[u32; 2]>(it.at).unwrap().map(u64::from);
        assert_eq!(it.call(Sysno::splice, &[other, 0, into, 0, 9, 0]), Ok(2));
        assert_eq!(it.call(Sysno::read, &[out, it.buffer, 9]), Ok(2));
        it.write(one, b"abc").unwrap();
        assert!(it.ready(other).contains(Ready::IN));
        assert_eq!(it.received(other, 2, 0), Ok(b"ab".to_vec()), "there is no room for more");
        // What came before the time was over is received.
        it.set_timeout(other, SO_RCVTIMEO, 30_000).unwrap();
        let (read, ms) = timed(|| it.call(Sysno::read, &[other, it.buffer, 9]));
        assert!(read == Ok(1) && (30..60).contains(&ms), "{read:?} {ms}");
        // The end is waited for no longer.
        it.write(one, b"a").unwrap();
        it.call(Sysno::shutdown, &[one, SHUT_WR.into()]).unwrap();
        assert!(it.ready(other).contains(Ready::IN));
        let (read, ms) = timed(|| it.call(Sysno::read, &[other, it.buffer, 9]));
        assert!(read == Ok(1) && ms < 10, "{read:?} {ms}");
    }
}

#[test]
fn who_waits_for_more_than_there_is_room_for_is_told_when_there_is_no_more_room() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 5);
    let client = it.socket(AF_INET, SOCK_STREAM | O_NONBLOCK);
    it.with(Sysno::connect, client, "127.0.0.1:80").unwrap_err();
    let served = it.accept(server).unwrap();
    it.set(served, SO_RCVLOWAT, &1_000_000_u32.to_ne_bytes()).unwrap();
    it.write(client, &[7; 10_000]).unwrap();
    assert!(!it.ready(served).contains(Ready::IN));
    while it.ready(client).contains(Ready::OUT) {
        it.write(client, &[7; 10_000]).unwrap();
    }
    assert!(it.ready(served).contains(Ready::IN));
    let look = [served, 0, 1_000_000, u64::from(MSG_PEEK | MSG_TRUNC), 0, 0];
    assert!(it.call(Sysno::recvfrom, &look).is_ok_and(|it| it > 100_000));
}

#[test]
fn a_reset_behind_less_than_was_waited_for_is_told_next() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 5);
    for (number, flags) in [(Sysno::read, 0), (Sysno::recvfrom, 0), (Sysno::recvfrom, MSG_WAITALL)]
    {
        let client = it.socket(AF_INET, SOCK_STREAM);
        it.with(Sysno::connect, client, "127.0.0.1:80").unwrap();
        let served = it.accept(server).unwrap();
        it.set(served, SO_RCVLOWAT, &3_u32.to_ne_bytes()).unwrap();
        it.write(client, b"ab").unwrap();
        // What it has not read makes it a reset.
        it.write(served, b"unread").unwrap();
        it.call(Sysno::close, &[client]).unwrap();
        let read = || it.call(number, &[served, it.buffer, 9, flags.into(), 0, 0]);
        assert_eq!((read(), read()), (Ok(2), Err(Errno::ECONNRESET)), "{number} {flags}");
        assert_eq!(read(), Ok(0));
    }
}

#[test]
fn a_read_waits_for_as_much_as_when_it_began() {
    let it = Program::new();
    let [one, other] = it.pair(SOCK_STREAM);
    let read = crate::table::call(Sysno::read as u64).unwrap();
    let Ok(Outcome::Wait(waits)) = (read.run)(&it.thread, [other, it.buffer + 4096, 9, 0, 0, 0])
    else {
        panic!("it does not wait");
    };
    let then = async {
        yield_now().await;
        it.set(other, SO_RCVLOWAT, &2_u32.to_ne_bytes()).unwrap();
        it.write(one, b"a")
    };
    assert_eq!(block_on(join(waits, then)), (Ok(1), Ok(1)));
}

#[test]
fn what_is_discarded_needs_no_buffer() {
    let it = Program::new();
    let server = it.listener("127.0.0.1:80", 5);
    let client = it.socket(AF_INET, SOCK_STREAM);
    it.with(Sysno::connect, client, "127.0.0.1:80").unwrap();
    let served = it.accept(server).unwrap();
    it.write(client, &[7; 10_000]).unwrap();
    it.write(client, b"rest").unwrap();
    let discard = |count, flags: u32| {
        it.call(Sysno::recvfrom, &[served, 0, count, u64::from(flags | MSG_TRUNC), 0, 0])
    };
    assert_eq!((discard(20_000, MSG_PEEK), discard(10_000, 0)), (Ok(10_004), Ok(10_000)));
    assert_eq!(it.received(served, 9, 0), Ok(b"rest".to_vec()));
    assert_eq!(discard(9, MSG_DONTWAIT), Err(Errno::EAGAIN));
}

#[test]
fn a_read_of_nothing_takes_no_datagram_and_waits_for_none() {
    let it = Program::new();
    for [one, other] in [it.pair(SOCK_DGRAM), it.pair(SOCK_SEQPACKET)] {
        let read = |count| it.call(Sysno::read, &[other, it.buffer, count]);
        assert_eq!(read(0), Ok(0));
        it.write(one, b"whole").unwrap();
        assert_eq!((read(0), read(9)), (Ok(0), Ok(5)));
    }
}

#[test]
fn a_datagram_to_no_address_stays_here() {
    let it = Program::new();
    for (family, bound, to) in
        [(AF_INET, "127.0.0.1:9", "0.0.0.0:9"), (AF_INET6, "[::1]:9", "[::]:9")]
    {
        let [one, other] = [0; 2].map(|_| it.socket(family, SOCK_DGRAM));
        it.with(Sysno::bind, other, bound).unwrap();
        let bytes = Address::Inet(to.parse().unwrap()).bytes();
        it.thread.memory().write(it.at as usize, &bytes).unwrap();
        let args = [one, it.put(b"here"), 4, 0, it.at, bytes.len() as u64];
        assert_eq!(it.call(Sysno::sendto, &args), Ok(4));
        assert_eq!(it.received(other, 9, MSG_DONTWAIT), Ok(b"here".to_vec()), "{to}");
    }
}

#[test]
fn who_waits_to_send_to_a_name_learns_that_its_socket_was_closed() {
    let it = Program::new();
    let [one, other] = [0; 2].map(|_| it.socket(AF_UNIX, SOCK_DGRAM));
    let name = Address::Unix(Name::Path(b"/log".to_vec())).bytes();
    it.thread.memory().write(it.at as usize, &name).unwrap();
    it.call(Sysno::bind, &[other, it.at, name.len() as u64]).unwrap();
    let args = |flags: u32| [one, it.buffer, 50_000, flags.into(), it.at, name.len() as u64];
    while it.call(Sysno::sendto, &args(MSG_DONTWAIT)).is_ok() {}
    let sent = it.during((Sysno::sendto, &args(0)), (Sysno::close, &[other]));
    assert_eq!(sent, Err(Errno::ECONNREFUSED));
}

#[test]
fn what_came_is_not_lost_to_an_address_whose_page_is_on_a_disk() {
    let it = Program::new();
    let page = || {
        let file = Mapped::new(Numbered::new(4096, 0), b"", 1, 1, false).unwrap();
        let backing = Backing::File { file, offset: 0, shared: false };
        it.thread.memory().map(&Request { backing, ..Request::anonymous(4096, RW) }).unwrap() as u64
    };
    let room = it.at;
    it.thread.memory().put(room, &128_u32).unwrap();
    let [one, other] = [0; 2].map(|_| it.socket(AF_INET, SOCK_DGRAM));
    it.with(Sysno::bind, other, "127.0.0.1:9").unwrap();
    it.with(Sysno::connect, one, "127.0.0.1:9").unwrap();
    it.write(one, b"letter").unwrap();
    it.thread.memory().put(room, &128_u32).unwrap();
    let args = [other, it.buffer, 9, MSG_DONTWAIT.into(), page(), room];
    assert_eq!(it.call(Sysno::recvfrom, &args), Ok(6));
    assert_eq!(it.thread.memory().get::<u32>(room).unwrap(), 16);
    let server = it.listener("127.0.0.1:80", 5);
    let client = it.socket(AF_INET, SOCK_STREAM | O_NONBLOCK);
    it.with(Sysno::connect, client, "127.0.0.1:80").unwrap_err();
    it.thread.memory().put(room, &128_u32).unwrap();
    it.call(Sysno::fcntl, &[server, 4, O_NONBLOCK.into()]).unwrap();
    assert!(it.call(Sysno::accept, &[server, page(), room]).is_ok());
}

#[test]
fn every_address_of_a_port_is_also_each_of_them() {
    let it = Program::new();
    for [first, second] in [["127.0.0.1:99", "0.0.0.0:99"], ["0.0.0.0:98", "127.0.0.1:98"]] {
        let [one, other] = [0; 2].map(|_| it.socket(AF_INET, SOCK_DGRAM));
        assert_eq!(it.with(Sysno::bind, one, first), Ok(0));
        assert_eq!(it.with(Sysno::bind, other, second), Err(Errno::EADDRINUSE));
        it.call(Sysno::close, &[one]).unwrap();
        assert_eq!(it.with(Sysno::bind, other, second), Ok(0));
    }
}

#[test]
fn a_port_is_free_as_soon_as_its_socket_is_closed() {
    let it = Program::new();
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        for _ in 0..3 {
            let socket = it.socket(AF_INET, kind);
            assert_eq!(it.with(Sysno::bind, socket, "0.0.0.0:99"), Ok(0));
            if kind == SOCK_STREAM {
                assert_eq!(it.call(Sysno::listen, &[socket, 5]), Ok(0));
            }
            it.call(Sysno::close, &[socket]).unwrap();
        }
    }
}
