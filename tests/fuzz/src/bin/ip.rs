//! A peer on the cable of an IP stack: frames of any content, and connections that it
//! opens, uses and breaks with the right checksums and sequence numbers, or nearly.

#![no_main]

use embedded_io_async::{Read, Write};
use kernel::task::{Task, spawn};
use kernel::time::{sleep, timeout};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use std::time::Duration;
use xenith::ip::{Listener, Socket, Stack, Stream, Tcp, Udp, any};
use xenith::net::cable::{End, Options, cable};
use xenith_fuzz::{frame, on_machine};

/// What the peer does, and the program over the stack.
#[derive(Arbitrary, Debug)]
enum Act {
    Raw(Vec<u8>),
    Ipv4 {
        protocol: u8,
        options: Vec<u8>,
        message: Vec<u8>,
    },
    Ipv6 {
        protocol: u8,
        next: Option<u8>,
        extensions: Vec<u8>,
        message: Vec<u8>,
    },
    /// ARP, after the Ethernet header.
    Arp(Vec<u8>),
    Icmp {
        kind: u8,
        code: u8,
        rest: Vec<u8>,
    },
    /// Neighbour discovery and its like: type, code and the rest.
    IcmpV6 {
        kind: u8,
        code: u8,
        rest: Vec<u8>,
    },
    Udp {
        from: u16,
        to: Service,
        payload: Vec<u8>,
    },
    /// A segment of one of four connections; numbers count from what is expected.
    Tcp {
        connection: u8,
        flags: u8,
        sequence: i16,
        acknowledgement: i16,
        window: u16,
        options: Vec<u8>,
        payload: Vec<u8>,
    },
    /// A whole handshake, and bytes.
    Talk {
        connection: u8,
        payload: Vec<u8>,
    },
    Link(bool),
    Reconnect,
    Wait(u16),
    Connect(u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Service {
    Echo,
    Nobody,
    Any(u16),
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// What the peer knows of a connection.
#[derive(Clone, Copy, Debug)]
struct Connection {
    /// Its port and the stack's.
    ports: [u16; 2],
    /// The number that it sends next.
    next: u32,
    /// The number that it expects.
    expected: u32,
}

struct Peer {
    net: End,
    connections: [Connection; 4],
}

impl Peer {
    /// Looks at what the stack sends: ARP is answered, segments are followed.
    fn look(&mut self) {
        while let Some(bytes) = frame::take(&self.net) {
            match bytes.get(12..14) {
                Some([8, 6])
                    if bytes.len() >= 42
                        && bytes[21] == 1
                        && bytes[38..42] == frame::PEER.octets() =>
                {
                    let mut answer = bytes.clone();
                    answer[..6].copy_from_slice(&bytes[6..12]);
                    answer[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
                    answer[21] = 2;
                    answer[22..28].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
                    answer[28..32].copy_from_slice(&bytes[38..42]);
                    answer[32..38].copy_from_slice(&bytes[22..28]);
                    answer[38..42].copy_from_slice(&bytes[28..32]);
                    frame::send(&self.net, &answer);
                }
                Some([8, 0]) if bytes.len() >= 54 && bytes[23] == frame::TCP => {
                    self.follow(&bytes[34..]);
                }
                _ => {}
            }
        }
    }

    fn follow(&mut self, segment: &[u8]) {
        let word = |at: usize| u32::from_be_bytes(segment[at..at + 4].try_into().expect("4 bytes"));
        let port = |at: usize| u16::from_be_bytes([segment[at], segment[at + 1]]);
        let (from, to, flags) = (port(0), port(2), segment[13]);
        let header = usize::from(segment[12] >> 4) * 4;
        assert!((20..=segment.len()).contains(&header), "a segment with a header of {header}");
        let length =
            (segment.len() - header) as u32 + u32::from(flags & FIN) + u32::from(flags & SYN > 0);
        let Some(known) = self.connections.iter_mut().find(|it| it.ports == [to, from]) else {
            // The stack connects to us.
            if flags & (SYN | ACK) == SYN {
                self.connections[3] =
                    Connection { ports: [to, from], next: 9000, expected: word(4).wrapping_add(1) };
            }
            return;
        };
        known.expected = word(4).wrapping_add(length);
    }

    fn tcp(
        &mut self,
        connection: u8,
        flags: u8,
        by: [i16; 2],
        window: u16,
        options: &[u8],
        payload: &[u8],
    ) {
        let known = &mut self.connections[usize::from(connection % 4)];
        let payload = &payload[..payload.len().min(1300)];
        let numbers = [
            known.next.wrapping_add_signed(by[0].into()),
            known.expected.wrapping_add_signed(by[1].into()),
        ];
        let segment = frame::tcp(known.ports, numbers, flags, window, options, payload);
        if by[0] == 0 {
            let length = payload.len() as u32 + u32::from(flags & FIN) + u32::from(flags & SYN > 0);
            known.next = known.next.wrapping_add(length);
        }
        frame::send(&self.net, &frame::ipv4(frame::TCP, &[], &segment));
    }
}

fuzz_target!(|acts: Vec<Act>| {
    on_machine(async {
        let (left, right) = cable(Options { capacity: 256, ..Options::default() });
        let Ok(stack) = Stack::start(right, frame::settings()) else { return };
        let mut running = vec![spawn(serve(stack.clone())), spawn(echo(stack.clone()))];
        let connection = |last: u16| Connection {
            ports: [1000 + last, if last == 2 { 9 } else { 80 }],
            next: u32::MAX - 5,
            expected: 0,
        };
        let connections = [0, 1, 2, 3].map(connection);
        let mut peer = Peer { net: left, connections };
        sleep(Duration::from_millis(1)).await;
        for act in acts.into_iter().take(64) {
            play(&mut peer, &stack, act, &mut running).await;
            sleep(Duration::from_micros(100)).await;
            peer.look();
        }
        let stats = stack.stats();
        assert!(stats.open <= 5 && stats.half_open <= 4, "{stats:?}");
        drop(running);
    });
});

/// Sends back what comes over TCP.
async fn serve(stack: Stack<End>) {
    let Ok(listener) = Tcp::bind(&stack, any(80)).await else { return };
    let mut streams = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        streams.retain(|it: &Task<()>| !it.is_finished());
        streams.push(spawn(async move {
            let mut piece = [0; 300];
            while let Ok(count @ 1..) = stream.read(&mut piece).await {
                if stream.write_all(&piece[..count]).await.is_err() {
                    break;
                }
            }
            let _ = stream.close().await;
        }));
    }
}

/// Sends back what comes over UDP.
async fn echo(stack: Stack<End>) {
    let Ok(socket) = Udp::bind(&stack, any(7)).await else { return };
    let mut datagram = [0; 1500];
    while let Ok((count, from)) = socket.recv_from(&mut datagram).await {
        let _ = socket.send_to(&datagram[..count], from).await;
    }
}

async fn play(peer: &mut Peer, stack: &Stack<End>, act: Act, running: &mut Vec<Task<()>>) {
    let send = |frame: Vec<u8>| frame::send(&peer.net, &frame);
    match act {
        Act::Raw(bytes) => send(bytes),
        Act::Ipv4 { protocol, options, message } => send(frame::ipv4(protocol, &options, &message)),
        Act::Ipv6 { protocol, next, extensions, message } => {
            send(frame::ipv6(protocol, next, &extensions, &message));
        }
        Act::Arp(bytes) => {
            let head = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4];
            send([&head[..], &bytes].concat());
        }
        Act::Icmp { kind, code, rest } => {
            send(frame::ipv4(frame::ICMP, &[], &[&[kind, code, 0, 0][..], &rest].concat()));
        }
        Act::IcmpV6 { kind, code, rest } => {
            let message = [&[kind, code, 0, 0][..], &rest].concat();
            send(frame::ipv6(frame::ICMP_V6, None, &[], &message));
        }
        Act::Udp { from, to, payload } => {
            let to = match to {
                Service::Echo => 7,
                Service::Nobody => 9,
                Service::Any(port) => port,
            };
            send(frame::ipv4(frame::UDP, &[], &frame::udp(from, to, &payload)));
        }
        Act::Tcp { connection, flags, sequence, acknowledgement, window, options, payload } => {
            let by = [sequence, acknowledgement];
            peer.tcp(connection, flags, by, window, &options, &payload);
        }
        Act::Talk { connection, payload } => {
            for (flags, payload) in [(SYN, &[][..]), (ACK, &[]), (ACK, &payload)] {
                peer.tcp(connection, flags, [0, 0], 4096, &[], payload);
                sleep(Duration::from_millis(1)).await;
                peer.look();
            }
        }
        Act::Link(link) => peer.net.set_link(link),
        Act::Reconnect => peer.net.reconnect(),
        Act::Wait(time) => {
            // The peer looks in between, as it does not sleep.
            for _ in 0..8 {
                sleep(Duration::from_millis(time.into())).await;
                peer.look();
            }
        }
        Act::Connect(port) => {
            let stack = stack.clone();
            running.push(spawn(async move {
                let to = SocketAddr::new(frame::PEER.into(), port);
                let Ok(Ok(mut stream)) = timeout(Duration::from_secs(20), stack.connect(to)).await
                else {
                    return;
                };
                let _ = stream.write_all(&[5; 3000]).await;
                let mut all = [0; 100];
                while let Ok(1..) = stream.read(&mut all).await {}
                let _ = stream.close().await;
            }));
        }
    }
}
