//! Messages about the network itself, right but for a few bytes: ICMP, IGMP, ARP, neighbour
//! discovery, MLD and DHCP, about connections and questions that there are, in fragments and
//! behind extension headers. Whatever came, the stack then answers pings and echoes what a
//! connection that was open before, and a new one, send.

#![no_main]

use embedded_io_async::{Read, Write};
use kernel::task::{Task, spawn};
use kernel::time::{sleep, timeout};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use xenith::ip::config::Ipv4;
use xenith::ip::{Listener, Ping, Settings, Stack, Tcp, Udp, any};
use xenith::net::cable::{End, Options, cable};
use xenith_fuzz::whose::Whose;
use xenith_fuzz::{frame, on_machine};

/// What a message is, before it is changed.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Arp {
        answer: bool,
    },
    Echo {
        answer: bool,
    },
    /// An error about what the stack sent last.
    Error {
        kind: u8,
        code: u8,
        word: u32,
    },
    /// A question about groups, or a report.
    Group {
        kind: u8,
        group: Whose,
    },
    Neighbor {
        answer: bool,
        flags: u8,
        option: bool,
    },
    /// A router that has a prefix, name servers and routes.
    Router {
        lifetime: u16,
        seconds: u32,
        network: u8,
    },
    Redirect,
    /// An answer to the last DHCP question.
    Dhcp {
        kind: u8,
        seconds: u32,
    },
    Udp {
        port: u16,
        length: u16,
    },
}

/// In what it comes.
#[derive(Arbitrary, Debug)]
enum Form {
    Plain,
    /// Behind these headers.
    Behind(Vec<(u8, Vec<u8>)>),
    /// In fragments that begin at these places, in this order; some overlap.
    Pieces {
        cuts: Vec<u16>,
        order: u64,
        id: u8,
        overlap: bool,
        behind: Option<(u8, Vec<u8>)>,
    },
}

#[derive(Arbitrary, Debug)]
struct Message {
    kind: Kind,
    ipv6: bool,
    from: Whose,
    to: Whose,
    target: Whose,
    /// Which bytes are others, and whether the hop limit is.
    changes: Vec<(u16, u8)>,
    cut: Option<u8>,
    hops: Option<u8>,
    form: Form,
    /// Milliseconds until the next.
    pause: u8,
}

#[derive(Arbitrary, Debug)]
struct Input {
    dhcp: bool,
    slaac: bool,
    messages: Vec<Message>,
}

/// What the stack sent last: to the other end, and as a DHCP question.
#[derive(Default)]
struct Heard {
    last: Vec<u8>,
    last_v6: Vec<u8>,
    asked: Vec<u8>,
}

/// Carries frames from one cable to another, and looks at them.
async fn carry(from: End, to: End, heard: Option<Rc<RefCell<Heard>>>) {
    use xenith::net::Net;
    loop {
        if std::future::poll_fn(|context| from.poll_receive(context)).await.is_err() {
            return;
        }
        let Some(bytes) = frame::take(&from) else { continue };
        if let Some(heard) = &heard {
            let mut heard = heard.borrow_mut();
            match bytes[12..14] {
                [8, 0] if bytes.len() > 282 && bytes[36..38] == [0, 67] => {
                    heard.asked = bytes[42..].to_vec();
                }
                [8, 0] => heard.last = bytes[14..].to_vec(),
                [0x86, 0xdd] => heard.last_v6 = bytes[14..].to_vec(),
                _ => {}
            }
        }
        frame::send(&to, &bytes);
    }
}

/// Echoes what connections send.
async fn serve(listener: impl Listener<Stream: 'static>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        spawn(async move {
            let mut piece = [0; 512];
            while let Ok(count @ 1..) = stream.read(&mut piece).await {
                if stream.write_all(&piece[..count]).await.is_err() {
                    return;
                }
            }
        })
        .detach();
    }
}

/// Sends 3 000 bytes over a connection, which are to come back.
async fn echoes(stream: &mut (impl Read + Write), what: &str) {
    let sent: Vec<u8> = (0..3000_u32).map(|it| (it ^ it >> 8) as u8).collect();
    let mut back = vec![0; sent.len()];
    let round = async {
        stream.write_all(&sent).await.expect("it is open");
        stream.read_exact(&mut back).await.expect("it comes back");
    };
    timeout(Duration::from_secs(100), round).await.unwrap_or_else(|_| panic!("{what} is mute"));
    assert!(back == sent, "{what}");
}

impl Message {
    /// What it says, of which protocol.
    fn body(&self, heard: &Heard) -> (u8, Vec<u8>) {
        let icmp = if self.ipv6 { frame::ICMP_V6 } else { frame::ICMP };
        let target = self.target.v6().octets();
        match self.kind {
            Kind::Arp { .. } => (0, Vec::new()),
            Kind::Echo { answer } => {
                let kind = match (self.ipv6, answer) {
                    (true, _) => 128 + u8::from(answer),
                    (false, true) => 0,
                    (false, false) => 8,
                };
                (icmp, [&[kind, 0, 0, 0, 0, 7, 0, 1][..], &[9; 100]].concat())
            }
            Kind::Error { kind, code, word } => {
                let quoted = if self.ipv6 { &heard.last_v6 } else { &heard.last };
                let kind =
                    if self.ipv6 { kind % 6 } else { [3, 4, 5, 11, 12, 13][usize::from(kind % 6)] };
                let head = [&[kind, code % 8, 0, 0][..], &word.to_be_bytes()].concat();
                (icmp, [&head[..], &quoted[..quoted.len().min(600)]].concat())
            }
            Kind::Group { kind, group } if self.ipv6 => {
                let kind = [130, 131, 132, 143][usize::from(kind % 4)];
                let mut message = vec![kind, 0, 0, 0, 0, 100, 0, 0];
                message.extend(group.v6().octets());
                message.extend([2, 125, 0, 1]);
                message.extend(target);
                (icmp, message)
            }
            Kind::Group { kind, group } => {
                let kind = [0x11, 0x12, 0x16, 0x17, 0x22][usize::from(kind % 5)];
                let mut message = vec![kind, 100, 0, 0];
                message.extend(group.v4().octets());
                message.extend([2, 125, 0, 1]);
                message.extend(self.target.v4().octets());
                // Its checksum is made as that of ICMP.
                frame::finish(&mut message, frame::ICMP, &[]);
                (2, message)
            }
            Kind::Neighbor { answer, flags, option } => {
                let mut message = vec![135 + u8::from(answer), 0, 0, 0, flags, 0, 0, 0];
                message.extend(target);
                if option {
                    message.extend([1 + u8::from(answer), 1, 2, 0, 0, 0, 0, 1]);
                }
                (icmp, message)
            }
            Kind::Router { lifetime, seconds, network } => {
                let mut message = vec![134, 0, 0, 0, 64, 0];
                message.extend(lifetime.to_be_bytes());
                message.extend([0; 8]);
                message.extend([3, 4, 64, 0xc0]);
                message.extend([seconds.to_be_bytes(), seconds.to_be_bytes(), [0; 4]].concat());
                message.extend([0x20, 1, 0xd, 0xb8, 0, network, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
                message.extend([25, 3, 0, 0]);
                message.extend(seconds.to_be_bytes());
                message.extend(target);
                message.extend([5, 1, 0, 0, 0, 0, 5, 0]);
                message.extend([24, 2, 32, 8, 0, 0, 2, 88, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]);
                (icmp, message)
            }
            Kind::Redirect if self.ipv6 => {
                let head = [[137, 0, 0, 0, 0, 0, 0, 0].as_slice(), &target, &self.to.v6().octets()];
                let quoted = &heard.last_v6[..heard.last_v6.len().min(200) / 8 * 8];
                let length = 1 + (quoted.len() / 8) as u8;
                (icmp, [&head.concat()[..], &[4, length, 0, 0, 0, 0, 0, 0], quoted].concat())
            }
            Kind::Redirect => {
                let head = [&[5, 1, 0, 0][..], &self.target.v4().octets()].concat();
                (icmp, [&head[..], &heard.last[..heard.last.len().min(100)]].concat())
            }
            Kind::Dhcp { kind, seconds } => {
                let mut message = vec![0; 240];
                message[..4].copy_from_slice(&[2, 1, 6, 0]);
                if heard.asked.len() > 34 {
                    message[4..8].copy_from_slice(&heard.asked[4..8]);
                    message[28..34].copy_from_slice(&heard.asked[28..34]);
                }
                message[16..20].copy_from_slice(&self.target.v4().octets());
                message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
                message.extend([53, 1, [2, 5, 6][usize::from(kind % 3)], 54, 4, 10, 0, 0, 1]);
                message.extend([1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1, 51, 4]);
                message.extend(seconds.to_be_bytes());
                message.push(255);
                (frame::UDP, frame::udp(67, 68, &message))
            }
            Kind::Udp { port, length } => {
                let port = [7, 9, port][usize::from(port % 3)];
                (frame::UDP, frame::udp(9, port, &vec![5; usize::from(length) % 1300]))
            }
        }
    }

    /// The frames that it comes in.
    fn frames(&self, heard: &Heard) -> Vec<Vec<u8>> {
        let (protocol, mut body) = self.body(heard);
        if let Some(cut) = self.cut {
            body.truncate(body.len() * usize::from(cut) / 255);
        }
        let change = |bytes: &mut [u8]| {
            for &(at, value) in self.changes.iter().take(4) {
                if let Some(byte) = bytes.get_mut(usize::from(at) % 512) {
                    *byte = value;
                }
            }
        };
        if let Kind::Arp { answer } = self.kind {
            let head = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0];
            let (from, target) = (self.from.v4().octets(), self.target.v4().octets());
            let parts: [&[u8]; 6] =
                [&head, &[1 + u8::from(answer)], &[2, 0, 0, 0, 0, 1], &from, &[0; 6], &target];
            let mut frame = parts.concat();
            change(&mut frame[14..]);
            return vec![frame];
        }
        change(&mut body);
        let ipv6 = self.ipv6 && protocol != 2;
        let whole = if ipv6 {
            let hops =
                self.hops.unwrap_or(if matches!(self.kind, Kind::Group { .. }) { 1 } else { 255 });
            let ends = [self.from.v6(), self.to.v6()];
            frame::between_v6(ends, hops, protocol, None, &[], &body)
        } else {
            frame::between(self.from.v4(), self.to.v4(), protocol, &[], &body)
        };
        match &self.form {
            Form::Plain => vec![whole],
            // There are options of IPv4 in front, or none that are known.
            Form::Behind(headers) if !ipv6 => {
                let options: Vec<_> = headers.iter().flat_map(|it| it.1.clone()).collect();
                vec![frame::between(self.from.v4(), self.to.v4(), protocol, &options, &body)]
            }
            Form::Behind(headers) => vec![behind(&whole, headers.iter().take(10))],
            Form::Pieces { cuts, order, id, overlap, behind: front } => {
                let mut pieces = pieces(&whole, cuts, *id, *overlap);
                if let Some(front) = front.as_ref().filter(|_| ipv6) {
                    pieces.iter_mut().for_each(|it| *it = behind(it, core::iter::once(front)));
                }
                let (mut order, mut mixed) = (*order, Vec::new());
                while !pieces.is_empty() {
                    mixed.push(pieces.swap_remove(order as usize % pieces.len()));
                    order = order.rotate_right(5) ^ 1;
                }
                mixed
            }
        }
    }
}

/// The kinds of headers that IPv6 has, and a few others.
const KINDS: [u8; 8] = [0, 43, 44, 60, 0, 60, 51, 59];

/// An IPv6 packet with headers in front of what it carries.
fn behind<'a>(whole: &[u8], headers: impl Iterator<Item = &'a (u8, Vec<u8>)>) -> Vec<u8> {
    let headers: Vec<_> = headers.collect();
    let kinds = headers.iter().map(|it| KINDS[usize::from(it.0 % 8)]).chain([whole[20]]);
    let mut kinds = kinds.collect::<Vec<_>>().into_iter();
    let mut frame = whole[..54].to_vec();
    frame[20] = kinds.next().expect("one at least");
    for ((_, content), next) in headers.into_iter().zip(kinds) {
        let content = &content[..content.len().min(60)];
        let (start, length) = (frame.len(), (2 + content.len()).next_multiple_of(8));
        frame.extend([next, (length / 8 - 1) as u8]);
        frame.extend(content);
        frame.resize(start + length, 0);
    }
    frame.extend(&whole[54..]);
    let length = frame.len() - 54;
    frame[18..20].copy_from_slice(&(length as u16).to_be_bytes());
    frame
}

/// The fragments of a frame.
fn pieces(whole: &[u8], cuts: &[u16], id: u8, overlap: bool) -> Vec<Vec<u8>> {
    let ipv4 = whole[12] == 8;
    let head = if ipv4 { 34 } else { 54 };
    let carried = &whole[head..];
    let mut places: Vec<_> =
        cuts.iter().take(20).map(|it| usize::from(*it) % 1500 / 8 * 8).collect();
    places.extend([0, carried.len()]);
    places.retain(|it| *it <= carried.len());
    places.sort_unstable();
    places.dedup();
    let fragment = |start: usize, end: usize| {
        let more = u16::from(end < carried.len());
        let mut frame = whole[..head].to_vec();
        if ipv4 {
            frame[16..18].copy_from_slice(&((20 + end - start) as u16).to_be_bytes());
            frame[19] = id;
            frame[20..22].copy_from_slice(&(more << 13 | (start / 8) as u16).to_be_bytes());
            frame::seal(&mut frame[14..]);
        } else {
            frame[18..20].copy_from_slice(&((8 + end - start) as u16).to_be_bytes());
            let protocol = core::mem::replace(&mut frame[20], 44);
            frame.extend([protocol, 0]);
            frame.extend((start as u16 | more).to_be_bytes());
            frame.extend([0, 0, 0, id]);
        }
        frame.extend(&carried[start..end]);
        frame
    };
    places
        .windows(2)
        .map(|it| {
            let more = if overlap && it[1] + 8 < carried.len() { 8 } else { 0 };
            fragment(it[0], it[1] + more)
        })
        .collect()
}

fuzz_target!(|input: Input| {
    on_machine(async {
        let options = Options { capacity: 256, ..Options::default() };
        // The client has the Ethernet address that messages come from.
        let ((left, right), (far, near)) = (cable(options), cable(options));
        let settings = Settings {
            ipv4: if input.dhcp { Ipv4::Dhcp } else { frame::settings().ipv4 },
            ipv6: frame::settings().ipv6.filter(|_| input.dhcp || !input.slaac),
            ..frame::settings()
        };
        let ipv6 = settings.ipv6.is_some();
        let Ok(stack) = Stack::start(right, settings) else { return };
        let peer = Settings {
            ipv4: Ipv4::Static(frame::PEER, 24),
            ipv6: Some((frame::PEER_V6, 64)),
            ..frame::settings()
        };
        let Ok(client) = Stack::start(far, peer) else { return };
        let heard = Rc::new(RefCell::new(Heard::default()));
        let mut tasks: Vec<Task<()>> = vec![
            spawn(carry(near.clone(), left.clone(), None)),
            spawn(carry(left.clone(), near, Some(heard.clone()))),
        ];
        let Ok(listener) = Tcp::bind(&stack, any(80)).await else { return };
        tasks.push(spawn(serve(listener)));
        let _port = Udp::bind(&stack, any(7)).await;
        sleep(Duration::from_secs(10)).await;
        let own: IpAddr = if ipv6 { frame::STACK_V6.into() } else { frame::STACK.into() };
        let connect = async || {
            let connecting = client.connect(SocketAddr::new(own, 80));
            let stream = timeout(Duration::from_secs(100), connecting).await;
            stream.expect("it is not mute").expect("it listens")
        };
        let mut open = connect().await;
        echoes(&mut open, "a connection").await;
        for message in input.messages.iter().take(32) {
            let frames = message.frames(&heard.borrow());
            for bytes in frames.iter().filter(|it| it.len() <= 1514) {
                frame::send(&left, bytes);
            }
            sleep(Duration::from_millis(message.pause.into())).await;
        }
        // Whoever was said to have another address is asked again, and errors are told again.
        sleep(Duration::from_secs(20)).await;
        echoes(&mut open, "the connection from before").await;
        assert!(
            client.ping(own, 100, Duration::from_secs(10)).await.is_ok(),
            "no ping is answered"
        );
        let mut new = connect().await;
        echoes(&mut new, "a new connection").await;
        drop((open, new, tasks));
        sleep(Duration::from_secs(30)).await;
    });
});
