//! A bridge between two cables, in simulated time.

extern crate std;

use super::*;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use embedded_io_async::{Read, Write};
use std::vec::Vec;
use xenith::ip::config::{Ipv4, Settings};
use xenith::ip::{Listener, Ping, Stack, Stream, Tcp, any};
use xenith::net::cable::{End, Options, cable};
use xenith::task::{block_on, join, spawn};
use xenith::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const ALL: [u8; 6] = [0xff; 6];
const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

fn frame(to: [u8; 6], from: [u8; 6], length: usize) -> Vec<u8> {
    let mut frame = [to, from].concat();
    frame.extend([0x88, 0xb5]);
    frame.resize(length, 7);
    frame
}

fn send(net: &End, frame: &[u8], checksum: Checksum) {
    let meta = Meta::new(checksum, 0);
    net.transmit(frame.len(), |to| (to.copy_from_slice(frame), meta)).unwrap();
    net.flush();
}

/// Runs a test at the far ends of two cables of such kinds with a bridge between them.
fn between<F: Future<Output = ()>>(
    kinds: (Options, Options),
    run: impl FnOnce(End, End, Rc<Cell<Stats>>) -> F,
) {
    xenith::testing::simulate_time();
    block_on(async {
        // The far ends have different addresses.
        let ((left, one), (other, right)) = (cable(kinds.0), cable(kinds.1));
        let stats = Rc::<Cell<Stats>>::default();
        let counted = stats.clone();
        let _bridge = spawn(async move { super::run(&one, &other, counted).await });
        run(left, right, stats).await;
    });
}

/// The next frame that arrives within a second.
async fn next(net: &End) -> Option<(Vec<u8>, Checksum)> {
    let ready = timeout(SECOND, poll_fn(|context| net.poll_receive(context))).await;
    ready.ok()?.unwrap();
    net.receive(|frame, meta| (frame.to_vec(), meta.checksum))
}

#[test]
fn frames_go_where_their_receiver_is() {
    between(Default::default(), |left, right, stats| async move {
        let whole = Checksum::Complete;
        send(&left, &frame(B, A, 60), whole);
        assert_eq!(next(&right).await, Some((frame(B, A, 60), whole)), "B may be anywhere");
        send(&right, &frame(A, B, 61), whole);
        assert_eq!(next(&left).await.unwrap().0.len(), 61);
        // A third machine on the left asks A, which is on the left as well.
        send(&left, &frame(A, [2; 6], 60), whole);
        assert_eq!(next(&right).await, None);
        send(&left, &frame(ALL, A, 60), whole);
        assert_eq!(next(&right).await.unwrap().0[..6], ALL);
        // A moves to the right.
        send(&right, &frame(ALL, A, 60), whole);
        assert!(next(&left).await.is_some());
        send(&left, &frame(A, [2; 6], 60), whole);
        assert!(next(&right).await.is_some());
        // Nobody hears of it for long enough.
        sleep(table::AGE).await;
        send(&right, &frame(A, B, 60), whole);
        assert!(next(&left).await.is_some());
        let expected = Stats { forwarded: 6, local: 1, moved: 1, ..Stats::default() };
        assert_eq!(stats.get(), expected);
    });
}

#[test]
fn what_no_bridge_forwards_stays() {
    let short = Options { mtu: 1000, ..Options::default() };
    between((Options::default(), short), |left, right, stats| async move {
        for (to, from) in [([1, 0x80, 0xc2, 0, 0, 0], A), (B, ALL), (B, [0; 6])] {
            send(&left, &frame(to, from, 60), Checksum::Complete);
        }
        send(&left, &frame(B, A, 1015), Checksum::Complete);
        send(&left, &frame(B, A, 1014), Checksum::Complete);
        assert_eq!(next(&right).await.unwrap().0.len(), 1014);
        assert_eq!(next(&right).await, None);
        let expected = Stats { forwarded: 1, refused: 3, oversized: 1, ..Stats::default() };
        assert_eq!(stats.get(), expected);
    });
}

/// A datagram of 4 bytes with the sum of its pseudo header in the field.
fn blank() -> Vec<u8> {
    let mut frame = frame(B, A, 14);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame.extend([0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0x66, 0xcb, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0, 9, 0, 9, 0, 12, 0x14, 0x20, b'a', b'b', b'c', b'd']);
    frame
}

#[test]
fn a_blank_checksum_stays_blank_or_is_filled_in() {
    let takes = Options { transmit_blank: true, ..Options::default() };
    between((takes, takes), |left, right, _| async move {
        send(&left, &blank(), Checksum::Blank);
        assert_eq!(next(&right).await, Some((blank(), Checksum::Blank)));
    });
    between((takes, Options::default()), |left, right, stats| async move {
        send(&left, &blank(), Checksum::Blank);
        let (got, checksum) = next(&right).await.unwrap();
        assert_eq!(checksum, Checksum::Complete);
        let expected = !(0x1420_u32 + 9 + 9 + 12 + 0x6162 + 0x6364) as u16;
        assert_eq!(got[40..42], expected.to_be_bytes());
        assert_eq!((&got[..40], &got[42..]), (&blank()[..40], &blank()[42..]));
        // Behind a VLAN tag nobody looks for it.
        let mut tagged = blank();
        tagged.splice(12..12, [0x81, 0, 0, 5]);
        send(&left, &tagged, Checksum::Blank);
        assert_eq!(next(&right).await, None);
        assert_eq!((stats.get().forwarded, stats.get().blank), (1, 1));
    });
}

#[test]
fn a_side_without_room_loses_frames_and_holds_up_nobody() {
    let narrow = Options { capacity: 8, ..Options::default() };
    between((Options::default(), narrow), |left, right, stats| async move {
        // Nobody takes what arrives on the right.
        for _ in 0..50 {
            send(&left, &frame(B, A, 60), Checksum::Complete);
        }
        sleep(SECOND).await;
        assert_eq!((stats.get().forwarded, stats.get().crowded), (8, 42));
        send(&right, &frame(A, B, 60), Checksum::Complete);
        assert!(next(&left).await.is_some());
        // As soon as there is room, all is well.
        while next(&right).await.is_some() {}
        send(&left, &frame(B, A, 77), Checksum::Complete);
        assert_eq!(next(&right).await.unwrap().0.len(), 77);
    });
}

#[test]
fn a_frame_that_circles_leaves_others_their_turn_n17() {
    xenith::testing::simulate_time();
    block_on(async {
        // Both interfaces are on one wire: what goes out of one comes in at the other.
        let (one, other) = cable(Options::default());
        for number in 0..32 {
            send(&one, &frame(ALL, [2, 0, 0, 0, 1, number], 60), Checksum::Complete);
        }
        let stats = Rc::<Cell<Stats>>::default();
        let bridge = run(&one, &other, stats.clone());
        let others = async {
            for _ in 0..1000 {
                yield_now().await;
            }
        };
        assert!(matches!(select(bridge, others).await, Either::Second(())));
        assert!(stats.get().forwarded > 10_000, "it circles: {}", stats.get());
    });
}

#[test]
fn two_stacks_do_not_notice_it() {
    let takes = Options { transmit_blank: true, ..Options::default() };
    between((takes, Options::default()), |left, right, stats| async move {
        let stack = |net, last| {
            let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
            Stack::start(net, Settings { ipv4, ..Settings::default() }).unwrap()
        };
        let (a, b) = (stack(left, 1), stack(right, 2));
        let there = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
        a.ping(there, 1000, SECOND).await.unwrap();
        let listener = b.bind(any(9)).await.unwrap();
        let content: Vec<u8> =
            (0..1_000_000_u32).map(|it| (it ^ it >> 8 ^ it >> 16) as u8).collect();
        let sender = async {
            let mut stream = a.connect(SocketAddr::new(there, 9)).await.unwrap();
            stream.write_all(&content).await.unwrap();
            stream.close().await.unwrap();
        };
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut all, mut piece) = (Vec::new(), [0; 4096]);
            loop {
                match stream.read(&mut piece).await.unwrap() {
                    0 => break,
                    count => all.extend_from_slice(&piece[..count]),
                }
            }
            stream.close().await.unwrap();
            all
        };
        let ((), all) = join(sender, receiver).await;
        assert!(all == content);
        let stats = stats.get();
        assert_eq!((stats.crowded, stats.blank, stats.oversized), (0, 0, 0));
    });
}

#[test]
fn a_broken_interface_ends_it() {
    xenith::testing::simulate_time();
    block_on(async {
        let ((_left, one), (right, other)) = (cable(Options::default()), cable(Options::default()));
        let bridge = run(&one, &other, Rc::default());
        let (result, ()) = join(bridge, async { right.sever() }).await;
        assert_eq!(result, Err(Error::Broken));
    });
}
