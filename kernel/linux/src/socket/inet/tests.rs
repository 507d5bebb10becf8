//! Tests sockets of the internet over two IP stacks and a cable.

mod ends;

use super::Inet;
use crate::errno::Errno;
use crate::file::Caller;
use crate::memory::{Memory, Part, Ram, Sink, Source};
use crate::socket::{Address, Form, Network, Outgoing, Socket, Style};
use crate::stop::Stop;
use crate::system::System;
use crate::testing::room;
use crate::watch::Ready;
use alloc::rc::Rc;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use devices::net::cable::{End, Options, cable};
use ip::Stack;
use ip::config::{Ipv4, Settings};
use kernel::task::block_on;
use kernel::time::timeout;
use kernel::user::PAGE;
use linux_raw_sys::net::{
    AF_INET, AF_INET6, AF_NETLINK, IP_MTU, IP_MTU_DISCOVER, IP_MULTICAST_ALL, IP_MULTICAST_IF,
    IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_RECVERR, IP_TOS, IP_TTL, IPPROTO_IP, IPPROTO_IPV6,
    IPPROTO_TCP, IPV6_MULTICAST_ALL, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP,
    IPV6_UNICAST_HOPS, IPV6_V6ONLY, MSG_PEEK, MSG_TRUNC, SO_ERROR, SO_LINGER, SO_RCVBUF,
    SO_RCVLOWAT, SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SOL_SOCKET, TCP_CONGESTION,
    TCP_DEFER_ACCEPT, TCP_FASTOPEN, TCP_INFO, TCP_LINGER2, TCP_MAXSEG, TCP_NODELAY, TCP_QUICKACK,
    TCP_USER_TIMEOUT,
};

struct Nobody;

impl Caller for Nobody {
    fn memory(&self) -> Rc<Memory> {
        unreachable!("these tests have no memory of a program")
    }

    fn process(&self) -> [i32; 3] {
        [1; 3]
    }
}

pub(crate) type Net = Rc<dyn Network>;

/// Two machines that are connected: 10.0.0.1 with fd00::1, and 10.0.0.2 with fd00::2.
pub(crate) fn machines() -> [Net; 2] {
    machines_and_cable().0
}

/// The same, with an end of the cable.
fn machines_and_cable() -> ([Net; 2], End) {
    kernel::testing::simulate_time();
    let (left, right) = cable(Options::default());
    let end = left.clone();
    let stack = |net, last: u8| {
        let settings = Settings {
            ipv4: Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24),
            ipv6: Some((Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into()), 64)),
            ..Settings::default()
        };
        Stack::start(net, settings).unwrap()
    };
    let inet = |net, last| Inet::new(Rc::new(stack(net, last)), &Ram::new());
    ([inet(left, 1), inet(right, 2)], end)
}

/// What `SO_ERROR` says.
fn error(socket: &dyn Socket) -> u32 {
    let told = socket.option(SOL_SOCKET, SO_ERROR).unwrap();
    u32::from_ne_bytes(*told.first_chunk().unwrap())
}

fn stream(net: &Net, family: u32) -> Rc<dyn Socket> {
    net.socket(Form { family, style: Style::Stream, protocol: 0 }).unwrap()
}

fn at(text: &str) -> Address {
    Address::Inet(text.parse().unwrap())
}

fn listener(net: &Net, family: u32, address: &str) -> Rc<dyn Socket> {
    let socket = stream(net, family);
    socket.bind(&Nobody, &at(address)).unwrap();
    socket.listen(5).unwrap();
    socket
}

/// Waits until `attempt` can be done, as a call that blocks does.
async fn until<T>(
    socket: &dyn Socket,
    mut attempt: impl FnMut() -> Result<T, Stop>,
) -> Result<T, Errno> {
    loop {
        let changes = socket.watch().changes();
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Stop::Fail(errno)) => return Err(errno),
            Err(Stop::Load(_)) => unreachable!(),
            Err(Stop::Wait) => {
                let changed = socket.watch().changed_since(changes);
                timeout(Duration::from_secs(200), changed).await.map_err(|_| Errno::ETIME)?;
            }
        }
    }
}

async fn connect(socket: &dyn Socket, to: &str) -> Result<(), Errno> {
    match socket.connect(&Nobody, &at(to)) {
        Err(Stop::Wait) => until(socket, || socket.connected()).await,
        Err(Stop::Fail(errno)) => Err(errno),
        other => other.map_err(|_| Errno::EIO),
    }
}

async fn send(socket: &dyn Socket, bytes: &[u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        done += until(socket, || socket.send(&mut Outgoing::default(), &mut Source::kernel(rest)))
            .await?;
    }
    Ok(done)
}

async fn receive(socket: &dyn Socket, most: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    until(socket, || socket.receive(0, &mut Sink::kernel(&mut bytes, most))).await?;
    Ok(bytes)
}

#[test]
fn a_connection_carries_bytes_both_ways_and_ends() {
    let [here, there] = machines();
    block_on(async {
        let (server, client) = (listener(&there, AF_INET, "0.0.0.0:80"), stream(&here, AF_INET));
        connect(&*client, "10.0.0.2:80").await.unwrap();
        let (server, peer) = until(&*server, || server.accept()).await.unwrap();
        assert_eq!((client.local(), client.peer()), (peer, Ok(at("10.0.0.2:80"))));
        let long: Vec<u8> = (0..100_000_u32).map(|it| it as u8).collect();
        let (sent, got) = kernel::task::join(send(&*client, &long), async {
            let mut got = Vec::new();
            while got.len() < long.len() {
                got.extend(receive(&*server, 10_000).await.unwrap());
            }
            got
        })
        .await;
        assert!(sent == Ok(long.len()) && got == long);
        client.shutdown(false, true).unwrap();
        assert_eq!(receive(&*server, 9).await.unwrap(), b"");
        assert!(server.ready().contains(Ready::IN | Ready::RDHUP));
        send(&*server, b"answer").await.unwrap();
        assert_eq!(receive(&*client, 9).await.unwrap(), b"answer");
        assert_eq!(send(&*client, b"x").await, Err(Errno::EPIPE));
    });
}

#[test]
fn what_a_buffer_has_no_memory_for_is_neither_lost_nor_read_twice() {
    let [here, there] = machines();
    let system = System::new();
    let memory = Memory::new(&system.ram).unwrap();
    // The page behind this one is not there.
    let end = room(&memory, PAGE) + PAGE;
    block_on(async {
        let (server, client) = (listener(&there, AF_INET, "0.0.0.0:80"), stream(&here, AF_INET));
        connect(&*client, "10.0.0.2:80").await.unwrap();
        let (server, _) = until(&*server, || server.accept()).await.unwrap();
        let receive_in = async |parts: &[Part]| {
            let receive = || server.receive(0, &mut Sink::new(&memory, parts));
            until(&*server, receive).await.map(|it| it.length)
        };
        let missing = Part { at: end, length: 100 };
        for (parts, first) in [
            // All has room before the end of the page, of a buffer that goes on behind it.
            (&[Part { at: end - 200, length: 4096 }][..], Ok(10)),
            (&[Part { at: end - 4, length: 4 }, missing], Ok(4)),
            (&[missing], Err(Errno::EFAULT)),
        ] {
            send(&*client, b"0123456789").await.unwrap();
            assert_eq!(receive_in(parts).await, first, "{parts:?}");
            send(&*client, b"end").await.unwrap();
            kernel::time::sleep(Duration::from_secs(1)).await;
            let rest = &b"0123456789end"[first.unwrap_or(0)..];
            assert_eq!(receive(&*server, 100).await.unwrap(), rest, "{parts:?}");
        }
        // What is discarded is counted as what is read.
        send(&*client, b"0123456789").await.unwrap();
        kernel::time::sleep(Duration::from_secs(1)).await;
        for (length, discarded) in [(4, 4), (100, 6)] {
            let parts = [Part { at: end, length }];
            let discard = || server.receive(MSG_TRUNC, &mut Sink::new(&memory, &parts));
            assert_eq!(until(&*server, discard).await.map(|it| it.length), Ok(discarded));
        }
    });
}

#[test]
fn nobody_there_is_refused_and_told_by_so_error() {
    let [here, _there] = machines();
    block_on(async {
        let client = stream(&here, AF_INET);
        assert_eq!(connect(&*client, "10.0.0.2:81").await, Err(Errno::ECONNREFUSED));
        // Without waiting.
        let client = stream(&here, AF_INET);
        assert!(matches!(client.connect(&Nobody, &at("10.0.0.2:81")), Err(Stop::Wait)));
        let again = client.connect(&Nobody, &at("10.0.0.2:81"));
        assert!(matches!(again, Err(Stop::Fail(Errno::EALREADY))));
        while client.ready().is_empty() {
            let changes = client.watch().changes();
            client.watch().changed_since(changes).await;
        }
        let told = client.option(SOL_SOCKET, SO_ERROR).unwrap();
        assert_eq!(told, u32::from(Errno::ECONNREFUSED.number()).to_ne_bytes());
        let other = stream(&here, AF_INET6);
        assert_eq!(connect(&*other, "10.0.0.2:81").await, Err(Errno::EAFNOSUPPORT));
    });
}

#[test]
fn what_came_before_the_end_of_reading_is_read_and_a_shutdown_ends_a_connect() {
    let [here, there] = machines();
    block_on(async {
        let (server, client) = (listener(&there, AF_INET, "0.0.0.0:80"), stream(&here, AF_INET));
        connect(&*client, "10.0.0.2:80").await.unwrap();
        let (served, _) = until(&*server, || server.accept()).await.unwrap();
        send(&*client, b"hello").await.unwrap();
        kernel::time::sleep(Duration::from_secs(1)).await;
        served.shutdown(true, false).unwrap();
        assert_eq!(receive(&*served, 9).await.unwrap(), b"hello");
        assert_eq!(receive(&*served, 9).await.unwrap(), b"");
        let client = stream(&here, AF_INET);
        assert!(matches!(client.connect(&Nobody, &at("10.0.0.9:80")), Err(Stop::Wait)));
        client.shutdown(false, true).unwrap();
        assert_eq!(until(&*client, || client.connected()).await, Err(Errno::ECONNRESET));
        assert_eq!(connect(&*client, "10.0.0.2:80").await, Ok(()));
        assert_eq!(send(&*client, b"x").await, Ok(1));
        // The next one begins anew, though nobody has learned how that one ended.
        let client = stream(&here, AF_INET);
        assert!(matches!(client.connect(&Nobody, &at("10.0.0.9:80")), Err(Stop::Wait)));
        client.shutdown(false, true).unwrap();
        assert_eq!(connect(&*client, "10.0.0.2:80").await, Ok(()));
    });
}

#[test]
fn all_that_came_can_be_looked_at() {
    let [here, there] = machines();
    block_on(async {
        let (server, client) = (listener(&there, AF_INET, "0.0.0.0:80"), stream(&here, AF_INET));
        connect(&*client, "10.0.0.2:80").await.unwrap();
        let (served, _) = until(&*server, || server.accept()).await.unwrap();
        let long: Vec<u8> = (0..10_000_u32).map(|it| it as u8).collect();
        send(&*client, &long).await.unwrap();
        kernel::time::sleep(Duration::from_secs(1)).await;
        for (most, came) in [(3, 3), (5000, 5000), (20_000, 10_000)] {
            let mut bytes = Vec::new();
            served.receive(MSG_PEEK, &mut Sink::kernel(&mut bytes, most)).unwrap();
            assert!(bytes == long[..came], "{} of {came}", bytes.len());
        }
        assert!(receive(&*served, 20_000).await.unwrap() == long);
    });
}

#[test]
fn versions_may_share_a_port_and_one_socket_may_have_both() {
    let [here, there] = machines();
    block_on(async {
        let v4 = listener(&there, AF_INET, "0.0.0.0:80");
        let v6 = stream(&there, AF_INET6);
        let taken = v6.bind(&Nobody, &at("[::]:80"));
        assert!(matches!(taken, Err(Stop::Fail(Errno::EADDRINUSE))), "it would take IPv4 too");
        v6.set_option(IPPROTO_IPV6 as u32, IPV6_V6ONLY, &1_u32.to_ne_bytes()).unwrap();
        v6.bind(&Nobody, &at("[::]:80")).unwrap();
        v6.listen(5).unwrap();
        let both = listener(&there, AF_INET6, "[::]:81");
        for (family, to, server, peer) in [
            (AF_INET, "10.0.0.2:80", &v4, "10.0.0.1"),
            (AF_INET6, "[fd00::2]:80", &v6, "fd00::1"),
            (AF_INET, "10.0.0.2:81", &both, "::ffff:10.0.0.1"),
            (AF_INET6, "[fd00::2]:81", &both, "fd00::1"),
            (AF_INET6, "[::ffff:10.0.0.2]:81", &both, "::ffff:10.0.0.1"),
        ] {
            let client = stream(&here, family);
            connect(&*client, to).await.unwrap();
            let (_, from) = until(&**server, || server.accept()).await.unwrap();
            assert_eq!(from.inet().unwrap().ip().to_string(), peer, "{to}");
        }
    });
}

#[test]
fn what_stays_within_the_machine_needs_no_network() {
    let [here, _there] = machines();
    block_on(async {
        for (family, bound, to) in [
            (AF_INET, "127.0.0.1:90", "127.0.0.1:90"),
            (AF_INET6, "[::]:91", "[::1]:91"),
            (AF_INET, "0.0.0.0:92", "10.0.0.1:92"),
            (AF_INET, "0.0.0.0:93", "0.0.0.0:93"),
        ] {
            let (server, client) = (listener(&here, family, bound), stream(&here, family));
            connect(&*client, to).await.unwrap();
            let (served, peer) = until(&*server, || server.accept()).await.unwrap();
            assert_eq!(peer, client.local(), "{to}");
            let changes = served.watch().changes();
            send(&*client, b"hello").await.unwrap();
            assert!(served.watch().changes() > changes && served.ready().contains(Ready::IN));
            assert_eq!(receive(&*served, 9).await.unwrap(), b"hello");
            drop(client);
            assert_eq!(receive(&*served, 9).await.unwrap(), b"");
        }
        let client = stream(&here, AF_INET);
        assert_eq!(connect(&*client, "127.0.0.1:90").await, Err(Errno::ECONNREFUSED), "closed");
        let bound = client.bind(&Nobody, &at("10.0.0.9:1"));
        assert!(matches!(bound, Err(Stop::Fail(Errno::EADDRNOTAVAIL))));
    });
}

#[test]
fn the_end_of_a_peer_within_the_machine_is_no_reset_before_something_is_sent() {
    let [here, _there] = machines();
    block_on(async {
        let server = listener(&here, AF_INET, "127.0.0.1:90");
        let join = async || {
            let client = stream(&here, AF_INET);
            connect(&*client, "127.0.0.1:90").await.unwrap();
            (client, until(&*server, || server.accept()).await.unwrap().0)
        };
        let (client, served) = join().await;
        drop(served);
        assert!(client.ready().contains(Ready::IN | Ready::OUT | Ready::RDHUP));
        assert!(!client.ready().contains(Ready::HUP));
        assert_eq!(receive(&*client, 9).await.unwrap(), b"");
        assert_eq!(send(&*client, b"lost").await, Ok(4));
        assert!(client.ready().contains(Ready::HUP));
        assert_eq!(send(&*client, b"x").await, Err(Errno::EPIPE));
        assert_eq!(receive(&*client, 9).await.unwrap(), b"");
        // A reset is told once, after what came before it.
        let (client, served) = join().await;
        send(&*served, b"last").await.unwrap();
        let no_time = [1_u32.to_ne_bytes(), [0; 4]].concat();
        served.set_option(SOL_SOCKET, SO_LINGER, &no_time).unwrap();
        drop(served);
        assert!(client.ready().contains(Ready::IN | Ready::HUP | Ready::ERR));
        assert_eq!(receive(&*client, 9).await.unwrap(), b"last");
        assert_eq!(receive(&*client, 9).await, Err(Errno::ECONNRESET));
        assert_eq!(receive(&*client, 9).await.unwrap(), b"");
        assert_eq!(send(&*client, b"x").await, Err(Errno::EPIPE));
        let (client, served) = join().await;
        send(&*client, b"unread").await.unwrap();
        drop(served);
        assert_eq!(send(&*client, b"x").await, Err(Errno::ECONNRESET));
        assert_eq!(send(&*client, b"x").await, Err(Errno::EPIPE));
        // Who wants to read no more may still be written to.
        let (client, served) = join().await;
        served.shutdown(true, false).unwrap();
        assert!(served.ready().contains(Ready::IN | Ready::RDHUP));
        assert_eq!(receive(&*served, 9).await.unwrap(), b"");
        assert_eq!(send(&*client, b"more").await, Ok(4));
    });
}

#[test]
fn who_shares_a_port_takes_turns() {
    let [here, there] = machines();
    block_on(async {
        let share = || {
            let socket = stream(&there, AF_INET);
            socket.set_option(SOL_SOCKET, SO_REUSEPORT, &1_u32.to_ne_bytes()).unwrap();
            socket.bind(&Nobody, &at("0.0.0.0:80")).unwrap();
            socket.listen(5).unwrap();
            socket
        };
        let servers = [share(), share()];
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = stream(&here, AF_INET);
            connect(&*client, "10.0.0.2:80").await.unwrap();
            clients.push(client);
        }
        for server in &servers {
            for _ in 0..2 {
                until(&**server, || server.accept()).await.unwrap();
            }
        }
    });
}

#[test]
fn options_are_told_as_they_were_set() {
    let [here, _there] = machines();
    let socket = stream(&here, AF_INET);
    let tcp = IPPROTO_TCP as u32;
    assert_eq!(socket.option(tcp, TCP_NODELAY).unwrap(), [0; 4]);
    socket.set_option(tcp, TCP_NODELAY, &1_u32.to_ne_bytes()).unwrap();
    assert_eq!(socket.option(tcp, TCP_NODELAY).unwrap(), [1, 0, 0, 0]);
    assert_eq!(socket.set_option(tcp, TCP_NODELAY, &[1, 0]), Err(Errno::EINVAL));
    assert_eq!(socket.set_option(tcp, 9999, &[0; 4]), Err(Errno::ENOPROTOOPT));
    assert_eq!(socket.option(77, 1), Err(Errno::EOPNOTSUPP));
    // Of other protocols there are none.
    let datagrams =
        here.socket(Form { family: AF_INET, style: Style::Datagram, protocol: 0 }).unwrap();
    assert_eq!(datagrams.option(tcp, TCP_NODELAY), Err(Errno::EOPNOTSUPP));
    assert_eq!(datagrams.set_option(tcp, TCP_NODELAY, &[0; 4]), Err(Errno::ENOPROTOOPT));
    assert_eq!(socket.option(IPPROTO_IPV6 as u32, IPV6_V6ONLY), Err(Errno::EOPNOTSUPP));
    let ip = IPPROTO_IP as u32;
    assert_eq!(socket.option(ip, IP_MTU), Err(Errno::ENOTCONN));
    let sixth = stream(&here, AF_INET6);
    assert_eq!(sixth.option(77, 1), Err(Errno::ENOPROTOOPT));
    assert_eq!(sixth.option(ip, IP_MULTICAST_ALL).unwrap(), [0; 4]);
    let told = |level, name, value: u32| {
        socket.set_option(level, name, &value.to_ne_bytes())?;
        let told = socket.option(level, name)?;
        Ok(u32::from_ne_bytes(*told.first_chunk().unwrap()))
    };
    // What is told is not always what was set.
    for (level, name, value, expected) in [
        (ip, IP_TOS, u32::MAX, Ok(0xfc)),
        (ip, IP_TOS, 0x1ff, Ok(0xfc)),
        (tcp, TCP_MAXSEG, 0, Ok(536)),
        (tcp, TCP_MAXSEG, 100, Ok(100)),
        (tcp, TCP_MAXSEG, 87, Err(Errno::EINVAL)),
        (tcp, TCP_DEFER_ACCEPT, 2, Ok(3)),
        (tcp, TCP_DEFER_ACCEPT, 70_000, Ok(29_887)),
        (tcp, TCP_DEFER_ACCEPT, u32::MAX, Ok(0)),
        (tcp, TCP_FASTOPEN, 70_000, Ok(4096)),
        (tcp, TCP_USER_TIMEOUT, u32::MAX, Err(Errno::EINVAL)),
        (tcp, TCP_QUICKACK, 7, Ok(1)),
        (tcp, TCP_LINGER2, 1, Err(Errno::ENOPROTOOPT)),
    ] {
        assert_eq!(told(level, name, value), expected, "{level} {name} {value}");
    }
    let name = socket.option(tcp, TCP_CONGESTION).unwrap();
    assert_eq!(socket.set_option(tcp, TCP_CONGESTION, &name), Ok(()));
    assert_eq!(socket.set_option(tcp, TCP_CONGESTION, b"none"), Err(Errno::ENOENT));
    for name in ["reno", "cubic"] {
        assert_eq!(socket.set_option(tcp, TCP_CONGESTION, name.as_bytes()), Ok(()));
        let told = socket.option(tcp, TCP_CONGESTION).unwrap();
        assert_eq!(told, alloc::format!("{name:\0<16}").as_bytes());
    }
}

#[test]
fn a_connection_tells_of_the_segments_that_it_sends() {
    let [here, there] = machines();
    let tcp = IPPROTO_TCP as u32;
    let segment = |socket: &dyn Socket| socket.option(tcp, TCP_MAXSEG).unwrap();
    block_on(async {
        let _server = listener(&there, AF_INET, "0.0.0.0:80");
        let _near = listener(&here, AF_INET, "0.0.0.0:80");
        for (to, expected) in [("10.0.0.2:80", 1460_u32), ("127.0.0.1:80", 32_768)] {
            let client = stream(&here, AF_INET);
            assert_eq!(segment(&*client), 536_u32.to_ne_bytes());
            connect(&*client, to).await.unwrap();
            assert_eq!(segment(&*client), expected.to_ne_bytes(), "{to}");
            assert_eq!(segment(&*client), client.option(tcp, TCP_INFO).unwrap()[16..20], "{to}");
            client.set_option(tcp, TCP_MAXSEG, &1000_u32.to_ne_bytes()).unwrap();
            assert_eq!(segment(&*client), expected.to_ne_bytes(), "{to}");
        }
    });
}

#[test]
fn every_option_without_effect_is_remembered_beside_all_others() {
    let [here, _there] = machines();
    let socket = stream(&here, AF_INET6);
    let levels = [SOL_SOCKET, IPPROTO_IP as u32, IPPROTO_IPV6 as u32, IPPROTO_TCP as u32];
    let names = levels.into_iter().flat_map(|level| (1..100).map(move |name| (level, name)));
    let set: Vec<_> = names
        .filter(|&(level, name)| socket.set_option(level, name, &5_u32.to_ne_bytes()).is_ok())
        .filter(|&(level, name)| socket.option(level, name).unwrap() == 5_u32.to_ne_bytes())
        .collect();
    assert!(set.len() > 12, "{set:?}");
    set.iter().for_each(|&(level, name)| {
        socket.set_option(level, name, &4_u32.to_ne_bytes()).unwrap();
        assert_eq!(socket.option(level, name).unwrap(), 4_u32.to_ne_bytes(), "{level} {name}");
    });
}

fn datagrams(net: &Net, family: u32) -> Rc<dyn Socket> {
    net.socket(Form { family, style: Style::Datagram, protocol: 0 }).unwrap()
}

async fn send_to(socket: &dyn Socket, bytes: &[u8], to: &str) -> Result<usize, Errno> {
    let to = at(to);
    until(socket, || {
        let mut message = Outgoing { to: Some(&to), ..Outgoing::default() };
        socket.send(&mut message, &mut Source::kernel(bytes))
    })
    .await
}

async fn receive_from(socket: &dyn Socket, most: usize) -> Result<(Vec<u8>, Address), Errno> {
    let mut bytes = Vec::new();
    let came = until(socket, || socket.receive(0, &mut Sink::kernel(&mut bytes, most))).await?;
    Ok((bytes, came.from.unwrap()))
}

#[test]
fn options_are_before_and_after_as_on_linux() {
    let [here, _there] = machines();
    let [socket, ip, ipv6] = [SOL_SOCKET, IPPROTO_IP as u32, IPPROTO_IPV6 as u32];
    let invalid = Err(Errno::EINVAL);
    for (level, name, default, all) in [
        (socket, SO_REUSEADDR, 0, &[(5, Ok(1)), (0, Ok(0))][..]),
        (socket, SO_RCVLOWAT, 1, &[(0, Ok(1)), (9, Ok(9))]),
        (socket, SO_SNDBUF, 212_992, &[(0, Ok(4608)), (5000, Ok(10_000)), (-1, Ok(425_984))]),
        (socket, SO_RCVBUF, 212_992, &[(0, Ok(2304)), (5000, Ok(10_000)), (-1, Ok(425_984))]),
        (ip, IP_TOS, 0, &[(300, Ok(44))]),
        (ip, IP_TTL, 64, &[(5, Ok(5)), (0, invalid), (256, invalid), (-1, Ok(64))]),
        (ip, IP_RECVERR, 0, &[(5, Ok(1))]),
        (ip, IP_MTU_DISCOVER, 1, &[(2, Ok(2)), (6, invalid)]),
        (ip, IP_MULTICAST_TTL, 1, &[(5, Ok(5)), (256, invalid), (-1, Ok(1))]),
        (ip, IP_MULTICAST_LOOP, 1, &[(0, Ok(0)), (5, Ok(1))]),
        (ip, IP_MULTICAST_ALL, 0, &[(1, Ok(1)), (0, Ok(0)), (5, invalid)]),
        (ip, IP_MULTICAST_IF, 0, &[(0x0100_007F, Ok(0x0100_007F)), (5, Err(Errno::EADDRNOTAVAIL))]),
        (ipv6, IPV6_UNICAST_HOPS, 64, &[(5, Ok(5)), (256, invalid), (-1, Ok(64))]),
        (ipv6, IPV6_MULTICAST_HOPS, 1, &[(5, Ok(5)), (256, invalid), (-1, Ok(1))]),
        (ipv6, IPV6_MULTICAST_LOOP, 1, &[(0, Ok(0)), (5, invalid)]),
        (ipv6, IPV6_MULTICAST_ALL, 1, &[(0, Ok(0)), (5, Ok(1))]),
        (ipv6, IPV6_MULTICAST_IF, 0, &[(2, Ok(2)), (9, Err(Errno::ENODEV))]),
    ] {
        let socket = datagrams(&here, AF_INET6);
        let told = || socket.option(level, name).unwrap();
        assert_eq!(told(), u32::to_ne_bytes(default), "{level} {name}");
        for &(set, expected) in all {
            let set = socket.set_option(level, name, &i32::to_ne_bytes(set));
            let told = set.map(|()| u32::from_ne_bytes(*told().first_chunk().unwrap()));
            assert_eq!(told, expected, "{level} {name}");
        }
    }
}

/// The options that tell of buffers: `SO_RCVBUF`, `SO_SNDBUF`, `SO_RCVLOWAT`.
fn buffers(socket: &dyn Socket) -> [u32; 3] {
    [SO_RCVBUF, SO_SNDBUF, SO_RCVLOWAT].map(|name| {
        u32::from_ne_bytes(*socket.option(SOL_SOCKET, name).unwrap().first_chunk().unwrap())
    })
}

#[test]
fn buffers_of_tcp_are_told_as_linux_tells_them_before_and_after_a_connection() {
    let [here, there] = machines();
    block_on(async {
        let set = |socket: &dyn Socket, name, value: u32| {
            socket.set_option(SOL_SOCKET, name, &value.to_ne_bytes()).unwrap();
        };
        for (net, to, sent) in [(&there, "10.0.0.2:80", 87_040), (&here, "127.0.0.1:80", 2_626_560)]
        {
            let (server, client) = (listener(net, AF_INET, "0.0.0.0:80"), stream(&here, AF_INET));
            assert_eq!(buffers(&*client), [131_072, 16_384, 1]);
            set(&*server, SO_RCVLOWAT, 7);
            connect(&*client, to).await.unwrap();
            let (served, _) = until(&*server, || server.accept()).await.unwrap();
            assert_eq!(buffers(&*client), [131_072, sent, 1]);
            assert_eq!(buffers(&*served), [131_072, sent, 7], "as its listener's");
            // What a program has set stays.
            set(&*client, SO_SNDBUF, 5_000);
            set(&*client, SO_RCVLOWAT, u32::MAX);
            assert_eq!(buffers(&*client), [6 << 20, 10_000, 3 << 20]);
            set(&*client, SO_RCVBUF, 20_000);
            assert_eq!(buffers(&*client), [40_000, 10_000, 3 << 20]);
            set(&*client, SO_RCVLOWAT, 30_000);
            assert_eq!(buffers(&*client), [40_000, 10_000, 20_000]);
        }
    });
}

#[test]
fn a_stream_over_the_network_is_ready_once_as_much_came_as_was_asked_for() {
    let [here, there] = machines();
    block_on(async {
        let (server, client) = (listener(&there, AF_INET, "0.0.0.0:80"), stream(&here, AF_INET));
        connect(&*client, "10.0.0.2:80").await.unwrap();
        let (served, _) = until(&*server, || server.accept()).await.unwrap();
        let least = |least: u32| {
            served.set_option(SOL_SOCKET, SO_RCVLOWAT, &least.to_ne_bytes()).unwrap();
        };
        let pause = || kernel::time::sleep(Duration::from_secs(1));
        let is_in = || served.ready().contains(Ready::IN);
        least(3);
        send(&*client, b"ab").await.unwrap();
        pause().await;
        assert!(!is_in());
        let changes = served.watch().changes();
        send(&*client, b"c").await.unwrap();
        pause().await;
        assert!(served.watch().changes() > changes && is_in());
        least(4);
        assert!(!is_in());
        // More than a window may have room for is not waited for.
        least(1 << 20);
        send(&*client, &[7; 5000]).await.unwrap();
        pause().await;
        assert!(is_in());
        assert_eq!(receive(&*served, 5002).await.unwrap().len(), 5002);
        assert!(!is_in());
        client.shutdown(false, true).unwrap();
        pause().await;
        assert!(is_in(), "the end");
    });
}

#[test]
fn datagrams_go_over_the_network_and_within_the_machine() {
    let [here, there] = machines();
    block_on(async {
        let server = datagrams(&there, AF_INET6);
        server.bind(&Nobody, &at("[::]:53")).unwrap();
        for (net, family, to, peer) in [
            (&here, AF_INET, "10.0.0.2:53", "::ffff:10.0.0.1"),
            (&here, AF_INET6, "[fd00::2]:53", "fd00::1"),
            (&there, AF_INET, "127.0.0.1:53", "::ffff:127.0.0.1"),
            (&there, AF_INET6, "[::1]:53", "::1"),
        ] {
            let client = datagrams(net, family);
            send_to(&*client, b"question", to).await.unwrap();
            let (bytes, from) = receive_from(&*server, 99).await.unwrap();
            assert_eq!(
                (&bytes[..], from.inet().unwrap().ip().to_string()),
                (&b"question"[..], peer.to_string())
            );
            let mut message = Outgoing { to: Some(&from), ..Outgoing::default() };
            server.send(&mut message, &mut Source::kernel(b"answer")).unwrap();
            assert_eq!(receive_from(&*client, 3).await.unwrap().0, b"ans", "{to}");
        }
        assert_eq!(send_to(&*server, &[0; 65_508], "[fd00::1]:9").await, Err(Errno::EMSGSIZE));
        assert_eq!(send_to(&*server, b"x", "10.0.0.255:9").await, Err(Errno::EAFNOSUPPORT));
    });
}

#[test]
fn who_is_connected_hears_one_and_learns_that_nobody_is_there() {
    let [here, there] = machines();
    block_on(async {
        let client = datagrams(&here, AF_INET);
        client.connect(&Nobody, &at("10.0.0.2:99")).unwrap();
        let own = client.local().inet().unwrap();
        assert_eq!(own.ip().to_string(), "10.0.0.1");
        send(&*client, b"anybody?").await.unwrap();
        assert_eq!(receive_from(&*client, 9).await.err(), Some(Errno::ECONNREFUSED));
        // Others are not heard.
        let stranger = datagrams(&there, AF_INET);
        send_to(&*stranger, b"spam", &own.to_string()).await.unwrap();
        let friend = datagrams(&there, AF_INET);
        friend.bind(&Nobody, &at("0.0.0.0:99")).unwrap();
        send_to(&*friend, b"hello", &own.to_string()).await.unwrap();
        assert_eq!(receive_from(&*client, 9).await.unwrap().0, b"hello");
        client.connect(&Nobody, &Address::None).unwrap();
        assert_eq!(client.peer(), Err(Errno::ENOTCONN));
        let nobody = client.send(&mut Outgoing::default(), &mut Source::kernel(b"x"));
        assert!(matches!(nobody, Err(Stop::Fail(Errno::EDESTADDRREQ))));
        let lonely = datagrams(&here, AF_INET);
        lonely.connect(&Nobody, &at("127.0.0.1:1")).unwrap();
        send(&*lonely, b"x").await.unwrap();
        assert_eq!(send(&*lonely, b"x").await, Err(Errno::ECONNREFUSED));
    });
}

#[test]
fn interfaces_and_addresses_are_told_by_netlink() {
    let [here, _there] = machines();
    let form = Form { family: AF_NETLINK, style: Style::Raw, protocol: 0 };
    let socket = here.socket(form).unwrap();
    socket.bind(&Nobody, &Address::Netlink(0, 0)).unwrap();
    let ask = |kind: u16| {
        let mut request = 20_u32.to_ne_bytes().to_vec();
        request.extend(kind.to_ne_bytes());
        request.extend(0x301_u16.to_ne_bytes());
        request.extend([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        socket.send(&mut Outgoing::default(), &mut Source::kernel(&request)).unwrap();
        let mut answer = Vec::new();
        socket.receive(0, &mut Sink::kernel(&mut answer, 10_000)).unwrap();
        answer
    };
    let links = ask(18);
    assert!(links.windows(3).any(|it| it == b"lo\0") && links.windows(5).any(|it| it == b"eth0\0"));
    let addresses = ask(22);
    assert!(addresses.windows(4).any(|it| it == [10, 0, 0, 1]));
    assert!(addresses.windows(4).any(|it| it == [10, 0, 0, 255]), "the broadcast address");
    // Each message has the number of its request, and the last one says that it is the last.
    assert_eq!((addresses[8], &addresses[addresses.len() - 16..][..2]), (7, &[3, 0][..]));
    let short = socket.send(&mut Outgoing::default(), &mut Source::kernel(&[1; 9]));
    assert!(matches!(short, Err(Stop::Fail(Errno::EINVAL))));
}

#[test]
fn pings_are_answered_from_far_and_near_and_by_nobody() {
    let [net, _far] = machines();
    let icmp = |style| net.socket(Form { family: AF_INET, style, protocol: 1 }).unwrap();
    let request = [8, 0, 0, 0, 0x12, 0x34, 0, 7, b'd', b'a', b't', b'a'];
    block_on(async {
        for (style, header) in [(Style::Datagram, 0), (Style::Raw, 20)] {
            let socket = icmp(style);
            for (to, sender) in [("10.0.0.2:0", [10, 0, 0, 2]), ("127.0.0.1:0", [127, 0, 0, 1])] {
                let to = Some(&at(to));
                let mut message = Outgoing { to, ..Outgoing::default() };
                let sent = socket.send(&mut message, &mut Source::kernel(&request));
                assert_eq!(sent.unwrap(), request.len());
                let reply = receive(&*socket, 100).await.unwrap();
                assert_eq!(reply.len(), header + request.len());
                let (ip, icmp) = reply.split_at(header);
                assert!(ip.is_empty() || (ip[9], &ip[12..16]) == (1, &sender[..]));
                // Its own bytes, as a reply; a ping socket has its own number.
                assert_eq!((icmp[0], &icmp[6..]), (0, &request[6..]));
                assert_eq!(icmp[4..6] == request[4..6], style == Style::Raw);
                let words = icmp.chunks(2).map(|it| u32::from(u16::from_be_bytes([it[0], it[1]])));
                let sum: u32 = words.sum();
                assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF);
            }
            let (to, mut reply) = (Some(&at("10.0.0.9:0")), Outgoing::default());
            let mut message = Outgoing { to, ..Outgoing::default() };
            socket.send(&mut message, &mut Source::kernel(&request)).unwrap();
            assert!(receive(&*socket, 100).await.is_err(), "nobody is there");
            let none = socket.send(&mut reply, &mut Source::kernel(&request));
            assert!(matches!(none, Err(Stop::Fail(Errno::EDESTADDRREQ))));
        }
    });
}

#[test]
fn echoes_have_a_budget_and_are_nothing_else() {
    let [net, _far] = machines();
    let form = Form { family: AF_INET, style: Style::Datagram, protocol: 1 };
    let socket = net.socket(form).unwrap();
    socket.connect(&Nobody, &at("127.0.0.1:0")).unwrap();
    let send = |bytes: &[u8]| socket.send(&mut Outgoing::default(), &mut Source::kernel(bytes));
    for wrong in [&[][..], &[8, 0, 0, 0, 0, 0, 0], &[0; 8], &[8, 1, 0, 0, 0, 0, 0, 0]] {
        assert!(matches!(send(wrong), Err(Stop::Fail(Errno::EINVAL))), "{wrong:?}");
    }
    let mut request = alloc::vec![0; 60_000];
    request[0] = 8;
    let sent = (0..10).take_while(|_| send(&request).is_ok()).count();
    assert_eq!(sent, 4, "256 KiB of them");
    assert!(matches!(send(&request), Err(Stop::Fail(Errno::ENOBUFS))));
    block_on(receive(&*socket, 100)).unwrap();
    assert!(send(&request).is_ok(), "what was received does not count");
}
