//! Conversations about neighbours and groups, with right checksums and with addresses that
//! mean something to whoever hears them: the stack's own, its groups', routers', nobody's.

#![no_main]

use kernel::task::{Task, spawn};
use kernel::time::{sleep, timeout};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use xenith::ip::{Ping, Settings, Socket, Stack, Tcp, Udp, any};
use xenith::net::cable::{End, Options, cable};
use xenith_fuzz::whose::Whose;
use xenith_fuzz::{frame, on_machine};

/// To which Ethernet address, and from which.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Link {
    Right,
    ToAll,
    ToGroup(u8),
    FromStack,
    FromGroup,
    FromOther(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Hops {
    Most,
    One,
    Some(u8),
}

#[derive(Arbitrary, Debug)]
enum Act {
    Arp {
        operation: u8,
        sender: Whose,
        target: Whose,
        mac: [u8; 6],
        known: bool,
    },
    /// A message about a neighbour, a router or a way, with options.
    Neighbor {
        kind: u8,
        code: u8,
        flags: [u8; 4],
        target: Whose,
        options: Vec<(u8, u8, u8)>,
    },
    /// Questions and reports about groups.
    Listeners {
        kind: u8,
        wait: u16,
        group: Whose,
        rest: Vec<Whose>,
        alert: bool,
    },
    Groups {
        kind: u8,
        wait: u8,
        group: Whose,
        rest: Vec<u8>,
    },
    Echo {
        kind: bool,
        ident: u16,
        extensions: Vec<u8>,
        next: Option<u8>,
    },
    /// An error about a packet between these.
    Error {
        kind: u8,
        code: u8,
        from: Whose,
        to: Whose,
        protocol: u8,
    },
    Any {
        protocol: u8,
        message: Vec<u8>,
    },
    /// The stack has something to say.
    Send {
        to: Whose,
        ipv6: bool,
        count: u8,
    },
    Ping {
        to: Whose,
        ipv6: bool,
    },
    Connect {
        to: Whose,
        ipv6: bool,
    },
    Reconnect,
    Wait(u16),
}

/// A frame, and how it comes.
#[derive(Arbitrary, Debug)]
struct Turn {
    from: Whose,
    to: Whose,
    link: Link,
    hops: Hops,
    act: Act,
}

/// A length of `bytes` that is a whole number of 8, as options have.
fn option(kind: u8, length: u8, fill: u8) -> Vec<u8> {
    let mut option = vec![fill; 8 * usize::from(length % 5).max(1)];
    (option[0], option[1]) = (kind, length);
    if kind == 1 || kind == 2 {
        option[2] &= !1;
    }
    option
}

impl Turn {
    fn v6(&self, protocol: u8, next: Option<u8>, extensions: &[u8], message: &[u8]) -> Vec<u8> {
        let hops = match self.hops {
            Hops::Most => 255,
            Hops::One => 1,
            Hops::Some(hops) => hops,
        };
        let ends = [self.from.v6(), self.to.v6()];
        frame::between_v6(ends, hops, protocol, next, extensions, message)
    }

    fn v4(&self, protocol: u8, message: &[u8]) -> Vec<u8> {
        frame::between(self.from.v4(), self.to.v4(), protocol, &[], message)
    }

    fn send(&self, net: &End, mut bytes: Vec<u8>) {
        match self.link {
            Link::Right => {}
            Link::ToAll => bytes[..6].fill(0xff),
            Link::ToGroup(last) => bytes[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, last]),
            Link::FromStack => bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]),
            Link::FromGroup => bytes[6] |= 1,
            Link::FromOther(last) => bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, last]),
        }
        frame::send(net, &bytes);
    }
}

fuzz_target!(|turns: Vec<Turn>| {
    on_machine(async {
        let (net, right) = cable(Options { capacity: 256, ..Options::default() });
        let settings = match turns.len() % 2 {
            0 => frame::settings(),
            _ => Settings { ipv6: None, ..frame::settings() },
        };
        let Ok(stack) = Stack::start(right, settings) else { return };
        let _port = Udp::bind(&stack, any(7)).await;
        let _listener = Tcp::bind(&stack, any(80)).await;
        let Ok(socket) = Udp::bind(&stack, any(9)).await else { return };
        let mut running: Vec<Task<()>> = Vec::new();
        sleep(Duration::from_millis(1)).await;
        for turn in turns.into_iter().take(64) {
            play(&turn, &net, &stack, &socket, &mut running).await;
            sleep(Duration::from_micros(100)).await;
            while let Some(bytes) = frame::take(&net) {
                check(&bytes);
            }
        }
        drop(running);
    });
});

/// What the stack sends has a sender that may be.
fn check(bytes: &[u8]) {
    assert!(bytes.len() >= 42, "{bytes:02x?}");
    assert_eq!(bytes[6..12], [2, 0, 0, 0, 0, 2], "{bytes:02x?}");
    if bytes[12..14] == [0x86, 0xdd] {
        let to = Ipv6Addr::from(*bytes[38..54].first_chunk().expect("16 bytes"));
        assert!(!to.is_unspecified() && bytes[22] != 0xff, "{bytes:02x?}");
        assert_eq!(to.is_multicast(), bytes[0] == 0x33, "{bytes:02x?}");
    }
}

async fn play(
    turn: &Turn,
    net: &End,
    stack: &Stack<End>,
    socket: &impl Socket,
    running: &mut Vec<Task<()>>,
) {
    let choose = |to: Whose, ipv6: bool| match ipv6 {
        true => IpAddr::V6(to.v6()),
        false => IpAddr::V4(to.v4()),
    };
    match &turn.act {
        Act::Arp { operation, sender, target, mac, known } => {
            let mac = if *known { [2, 0, 0, 0, 0, 1] } else { *mac };
            let head = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0];
            let (sender, target) = (sender.v4().octets(), target.v4().octets());
            let parts: [&[u8]; 6] = [&head, &[*operation], &mac, &sender, &[0; 6], &target];
            turn.send(net, parts.concat());
        }
        Act::Neighbor { kind, code, flags, target, options } => {
            let mut message = vec![133 + kind % 5, code % 2, 0, 0];
            message.extend(flags);
            match kind % 5 {
                0 => {}
                1 => message.extend([0; 8]),
                4 => message.extend([target.v6().octets(), turn.to.v6().octets()].concat()),
                _ => message.extend(target.v6().octets()),
            }
            for &(kind, length, fill) in options.iter().take(8) {
                message.extend(option(kind, length, fill));
            }
            turn.send(net, turn.v6(frame::ICMP_V6, None, &[], &message));
        }
        Act::Listeners { kind, wait, group, rest, alert } => {
            let mut message = vec![[130, 131, 132, 143][usize::from(kind % 4)], 0, 0, 0];
            message.extend(wait.to_be_bytes());
            message.extend((rest.len() as u16).to_be_bytes());
            message.extend(group.v6().octets());
            message.extend([2, 125]);
            message.extend((rest.len() as u16).to_be_bytes());
            message.extend(rest.iter().take(16).flat_map(|it| it.v6().octets()));
            let router_alert = [frame::ICMP_V6, 0, 5, 2, 0, 0, 1, 0];
            turn.send(net, turn.v6(frame::ICMP_V6, alert.then_some(0), &router_alert, &message));
        }
        Act::Groups { kind, wait, group, rest } => {
            let mut message = vec![[0x11, 0x12, 0x16, 0x17, 0x22][usize::from(kind % 5)], *wait];
            message.extend([0, 0]);
            message.extend(group.v4().octets());
            message.extend(rest);
            let mut sum: u32 = message
                .chunks(2)
                .map(|it| u32::from(it[0]) << 8 | it.get(1).map_or(0, |&it| it.into()))
                .sum();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            message[2..4].copy_from_slice(&(!sum as u16).to_be_bytes());
            turn.send(net, turn.v4(2, &message));
        }
        Act::Echo { kind, ident, extensions, next } => {
            let [high, low] = ident.to_be_bytes();
            let kind = if *kind { 128 } else { 129 };
            let message = [kind, 0, 0, 0, high, low, 0, 1, 9];
            turn.send(net, turn.v6(frame::ICMP_V6, *next, extensions, &message));
            let message = [(kind - 128) ^ 8 & (kind << 3), 0, 0, 0, high, low, 0, 1, 9];
            turn.send(net, turn.v4(frame::ICMP, &message));
        }
        Act::Error { kind, code, from, to, protocol } => {
            let about = frame::between(from.v4(), to.v4(), *protocol, &[], &[0; 8]);
            let head = [*kind, *code, 0, 0, 0, 0, 5, 0];
            turn.send(net, turn.v4(frame::ICMP, &[&head, &about[14..]].concat()));
            let ends = [from.v6(), to.v6()];
            let about = frame::between_v6(ends, 64, *protocol, None, &[], &[0; 8]);
            turn.send(net, turn.v6(frame::ICMP_V6, None, &[], &[&head, &about[14..]].concat()));
        }
        Act::Any { protocol, message } => {
            turn.send(net, turn.v4(*protocol, message));
            turn.send(net, turn.v6(*protocol, None, &[], message));
        }
        Act::Send { to, ipv6, count } => {
            for _ in 0..count % 32 {
                let to = SocketAddr::new(choose(*to, *ipv6), 9);
                let _ = timeout(Duration::from_millis(1), socket.send_to(b"hello", to)).await;
            }
        }
        Act::Ping { to, ipv6 } => {
            let (stack, to) = (stack.clone(), choose(*to, *ipv6));
            running.push(spawn(async move {
                let _ = stack.ping(to, 8, Duration::from_secs(2)).await;
            }));
        }
        Act::Connect { to, ipv6 } => {
            let (stack, to) = (stack.clone(), SocketAddr::new(choose(*to, *ipv6), 9));
            running.push(spawn(async move {
                let _ = timeout(Duration::from_secs(9), stack.connect(to)).await;
            }));
        }
        Act::Reconnect => net.reconnect(),
        Act::Wait(time) => sleep(Duration::from_millis((*time).into())).await,
    }
}
