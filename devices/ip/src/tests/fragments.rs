//! Datagrams that come in pieces.

use super::hostile::{frames, raw, segment, send};
use super::*;
use crate::packet::{self, Ends, Reassembly, Verdict};
use crate::tcp::segment::SYN;
use devices::net::{Checksum, Mac, Meta};
use kernel::time::{Instant, sleep, timeout};

/// A generator that always gives the same.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as usize % most
    }
}

/// A frame with a UDP datagram to port 7, which is too long for any cable.
pub(super) fn datagram(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let at = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
    let ipv4 = at(to, 0).is_ipv4();
    let header = packet::header(Mac([2, 0, 0, 0, 0, 2]), Mac([2, 0, 0, 0, 0, 1]), ipv4);
    let mut frame = std::vec![0; packet::datagram_head(ipv4) + payload.len()];
    packet::datagram(&mut frame, header, at(from, 9), at(to, 7), payload);
    packet::finish(&mut frame, false, 0);
    frame
}

/// The fragment of a frame from `start` to `end`, counted in what its packet carries.
pub(super) fn piece(frame: &[u8], id: u32, start: usize, end: usize) -> Vec<u8> {
    let head = if frame[12] == 8 { 34 } else { 54 };
    let more = usize::from(head + end < frame.len());
    let mut piece = frame[..head].to_vec();
    if head == 34 {
        piece[16..18].copy_from_slice(&((20 + end - start) as u16).to_be_bytes());
        piece[18..20].copy_from_slice(&(id as u16).to_be_bytes());
        piece[20..22].copy_from_slice(&(((more << 13) | (start / 8)) as u16).to_be_bytes());
    } else {
        piece[18..20].copy_from_slice(&((8 + end - start) as u16).to_be_bytes());
        let protocol = core::mem::replace(&mut piece[20], 44);
        piece.extend([protocol, 0]);
        piece.extend(((start | more) as u16).to_be_bytes());
        piece.extend(id.to_be_bytes());
    }
    piece.extend(&frame[head + start..head + end]);
    seal(piece)
}

/// A frame with the right checksum of an IPv4 header.
pub(super) fn seal(mut frame: Vec<u8>) -> Vec<u8> {
    if frame[12] == 8 {
        frame[24..26].fill(0);
        let words = frame[14..34].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1]));
        let sum: u32 = words.sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    }
    frame
}

/// All fragments of a frame, with so many bytes in each.
pub(super) fn pieces(frame: &[u8], id: u32, each: usize) -> Vec<Vec<u8>> {
    let all = frame.len() - if frame[12] == 8 { 34 } else { 54 };
    (0..all).step_by(each).map(|at| piece(frame, id, at, all.min(at + each))).collect()
}

/// The fragments of a frame, cut and mixed by chance, some of them twice.
fn mixed(frame: &[u8], id: u32, dice: &mut Dice) -> Vec<Vec<u8>> {
    let all = frame.len() - if frame[12] == 8 { 34 } else { 54 };
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < all {
        // As many as are kept of one.
        let least = (all / 100).next_multiple_of(8).max(8);
        let end = all.min(at + least + 8 * dice.below(168));
        pieces.push(piece(frame, id, at, end));
        at = end;
    }
    for _ in 0..dice.below(3) {
        pieces.push(pieces[dice.below(pieces.len())].clone());
    }
    for last in (1..pieces.len()).rev() {
        pieces.swap(last, dice.below(last + 1));
    }
    pieces
}

pub(super) const VERSIONS: [[&str; 2]; 2] = [["10.0.0.1", "10.0.0.2"], ["fd00::1", "fd00::2"]];

/// Gives a fragment to a reassembly.
fn add(all: &mut Reassembly, frame: &[u8], now: Instant) -> Option<Vec<u8>> {
    match packet::judge(frame, Meta::default()) {
        Verdict::Fragment(ends, piece) => all.add(frame, ends, &piece, now),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whatever_way_a_datagram_is_cut_it_comes_out_whole() {
    kernel::testing::simulate_time();
    let (mut dice, mut all) = (Dice(1), Reassembly::new(128 << 10));
    for round in 0..600 {
        let [from, to] = VERSIONS[round % 2];
        let most = [100, 3000, 30_000, 65_507][dice.below(4)];
        // The longest of each version, and others.
        let length = if dice.below(8) == 0 { most } else { 20 + dice.below(most - 20) };
        let whole = datagram(from, to, &pattern(length));
        let pieces = mixed(&whole, round as u32, &mut dice);
        let now = Instant::now();
        let mut done = None;
        // It may be whole before what came twice has come.
        for piece in &pieces {
            if done.is_some() {
                break;
            }
            done = match packet::judge(piece, Meta::default()) {
                Verdict::Fragment(ends, piece_of) => all.add(piece, ends, &piece_of, now),
                // It was not cut.
                _ => Some(piece.clone()),
            };
        }
        let done = done.expect("all came");
        if pieces.iter().any(|it| it.len() < done.len()) {
            let mut whole = seal(whole);
            if round % 2 == 0 {
                // Its number stays, and that it must not be cut does not.
                whole[18..20].copy_from_slice(&(round as u16).to_be_bytes());
                whole[20..22].fill(0);
                whole = seal(whole);
            }
            assert!(done == whole, "{round}");
        }
    }
    assert!(all.done > 400, "{}", all.done);
}

#[test]
fn fragments_reach_sockets_and_connections() {
    kernel::testing::simulate_time();
    block_on(async {
        let (net, right) =
            cable(Options { transmit_blank: true, capacity: 200, ..Options::default() });
        let b = stack(right, 2);
        net.set_link(true);
        let socket = Udp::bind(&b, any(7)).await.unwrap();
        let _listener = Tcp::bind(&b, any(80)).await.unwrap();
        let mut dice = Dice(2);
        for round in 0..60 {
            let [from, to] = VERSIONS[round % 2];
            let payload = pattern(2000 + dice.below(6000));
            for piece in mixed(&datagram(from, to, &payload), round as u32, &mut dice) {
                // What is said of the checksum of a part is not believed.
                let claim = [Checksum::Complete, Checksum::Blank][dice.below(2)];
                send(&net, &piece, Meta::new(claim, 0));
            }
            let mut got = std::vec![0; 9000];
            let (length, peer) =
                timeout(SECOND, socket.recv_from(&mut got)).await.expect(from).unwrap();
            assert!(got[..length] == payload, "{round}");
            assert_eq!(peer, SocketAddr::new(from.parse().unwrap(), 9));
        }
        assert_eq!((b.stats().reassembled, b.stats().useless), (60, 0));
        // One byte was changed on the way.
        for [from, to] in VERSIONS {
            let mut whole = datagram(from, to, &pattern(3000));
            let last = whole.len() - 4;
            whole[last] ^= 1;
            for piece in pieces(&whole, 77, 1448) {
                send(&net, &piece, Meta::new(Checksum::Blank, 0));
            }
        }
        assert!(timeout(SECOND, socket.recv_from(&mut [0; 9])).await.is_err());
        assert_eq!(b.stats().corrupt, 2);
        frames(&net);
        for piece in pieces(&segment([10, 0, 0, 1], 1000, SYN, 7, 0), 5, 8).into_iter().rev() {
            send(&net, &piece, Meta::default());
        }
        sleep(SECOND / 100).await;
        let answers = frames(&net);
        assert!(answers.iter().any(|it| it[23] == 6 && it[47] == 0x12), "{answers:02x?}");
    });
}

#[test]
fn fragments_that_overlap_end_their_datagram_t1_t3() {
    kernel::testing::simulate_time();
    for [from, to] in VERSIONS {
        let whole = datagram(from, to, &pattern(3992));
        let other = datagram(from, to, &pattern(4992));
        let cut = |start, end| piece(&whole, 1, start, end);
        let cases = [
            ("by a unit", [cut(0, 1600), cut(1592, 3200)]),
            ("at its beginning", [cut(800, 1600), cut(0, 808)]),
            ("within", [cut(0, 1600), cut(80, 160)]),
            ("around", [cut(80, 160), cut(0, 1600)]),
            ("the same with another end", [cut(80, 160), cut(80, 240)]),
            ("the same with other bytes", [cut(80, 160), piece(&other, 1, 88, 168)]),
            ("beyond the end", [cut(3200, 4000), piece(&other, 1, 4000, 4008)]),
            ("two ends", [cut(3200, 4000), piece(&other, 1, 4096, 5000)]),
            ("an end in the middle", [piece(&other, 1, 4096, 4104), cut(3200, 4000)]),
            ("the end and more", [cut(3200, 4000), piece(&other, 1, 3200, 4000)]),
        ];
        for (what, [one, mut two]) in cases {
            if what.ends_with("bytes") {
                // The same place in the datagram, and not the same there.
                let unit = if two[12] == 8 { 21 } else { 57 };
                two[unit] = one[unit];
                two = seal(two);
            }
            let now = Instant::now();
            let mut all = Reassembly::new(64 << 10);
            assert_eq!(add(&mut all, &one, now), None);
            assert_eq!((add(&mut all, &two, now), all.failed), (None, 1), "{what}");
            // What still comes of it is dropped, in any order.
            for piece in pieces(&whole, 1, 800) {
                assert_eq!(add(&mut all, &piece, now), None, "{what}");
            }
            assert_eq!((all.done, all.failed), (0, 1), "{what}");
            // Another datagram is another.
            let mut pieces = pieces(&whole, 2, 800).into_iter();
            assert!(pieces.any(|it| add(&mut all, &it, now).is_some()), "{what}");
            // And its number is free after a while.
            let late = all.next().unwrap();
            let mut pieces = self::pieces(&whole, 1, 800).into_iter();
            assert!(pieces.any(|it| add(&mut all, &it, late).is_some()), "{what}");
            assert_eq!((all.done, all.failed, all.next()), (2, 1, None), "{what}");
        }
        // The same one twice is none.
        let mut all = Reassembly::new(64 << 10);
        let twice = pieces(&whole, 1, 800).into_iter().flat_map(|it| [it.clone(), it]);
        let done = twice.filter(|it| add(&mut all, it, Instant::now()).is_some()).count();
        assert_eq!((done, all.failed), (1, 0));
    }
}

#[test]
fn no_fragment_makes_a_datagram_longer_than_one_may_be_t1() {
    kernel::testing::simulate_time();
    for [from, to] in VERSIONS {
        let whole = datagram(from, to, &pattern(800));
        let at = |offset: usize, length: usize| {
            let mut frame = piece(&whole, 1, 0, length);
            if frame[12] == 8 {
                frame[20..22].copy_from_slice(&((offset / 8) as u16).to_be_bytes());
            } else {
                frame[56..58].copy_from_slice(&(offset as u16).to_be_bytes());
            }
            packet::judge(&seal(frame), Meta::default())
        };
        let ipv4 = from.contains('.');
        let fits = |it| matches!(it, Verdict::Fragment(..));
        let most = if ipv4 { 65_515 } else { 65_535 };
        assert!(fits(at(65_504, most - 65_504)) && fits(at(64_800, 704)));
        assert!(!fits(at(65_504, most - 65_503)));
        assert!(!fits(at(65_528, 8)) && !fits(at(65_528, 800)));
        // The sender is told of it where that is usual.
        assert_eq!(matches!(at(65_528, 800), Verdict::Problem(..)), !ipv4);
    }
    // Those that are not the last have whole units, and none is empty.
    for [from, to] in VERSIONS {
        let whole = datagram(from, to, &pattern(800));
        for (start, end) in [(0, 8 + 1), (8, 15), (16, 16)] {
            let verdict = packet::judge(&piece(&whole, 1, start, end), Meta::default());
            assert!(!matches!(verdict, Verdict::Fragment(..)), "{from} {start} {end}");
        }
    }
}

#[test]
fn nobody_occupies_what_others_need_t2_t3() {
    kernel::testing::simulate_time();
    let now = Instant::now();
    for [_, to] in VERSIONS {
        let from = |n: usize| {
            if to.contains('.') { std::format!("10.0.1.{n}") } else { std::format!("fd00::{n}") }
        };
        let mut all = Reassembly::new(32 << 10);
        // One has two thirds of a datagram here while another floods, with many and with long ones.
        let whole = datagram(&from(1), to, &pattern(4200));
        let honest = pieces(&whole, 1, 1400);
        assert!(honest[..2].iter().all(|it| add(&mut all, it, now).is_none()));
        let flood = datagram(&from(2), to, &pattern(20_000));
        let flood: Vec<_> = [(0, 8), (8, 16), (1400, 2800)]
            .into_iter()
            .map(|(start, end)| piece(&flood, 0, start, end))
            .collect();
        for id in 0..10_000_u16 {
            let mut piece = flood[usize::from(id) % 3].clone();
            let at = if piece[12] == 8 { 18 } else { 60 };
            piece[at..at + 2].copy_from_slice(&(id + 2).to_be_bytes());
            assert_eq!(add(&mut all, &seal(piece), now), None);
            assert!(all.cost() <= 32 << 10, "{}", all.cost());
        }
        let mut rest = honest[2..].iter();
        assert!(rest.any(|it| add(&mut all, it, now).is_some()), "{to}");
        // From many, the oldest goes.
        for n in 1..=100 {
            let whole = datagram(&from(n), to, &pattern(3000));
            assert_eq!(add(&mut all, &piece(&whole, 9, 0, 1400), now), None);
        }
        let done = |all: &mut Reassembly, n: usize| {
            let rest = pieces(&datagram(&from(n), to, &pattern(3000)), 9, 1400);
            rest[1..].iter().any(|it| add(all, it, now).is_some())
        };
        assert!(done(&mut all, 100) && done(&mut all, 95));
        assert!(!done(&mut all, 1) && !done(&mut all, 80));
        // One that is longer than all that there is room for takes no more than that.
        let long = pieces(&datagram(&from(3), to, &pattern(60_000)), 3, 1400);
        assert!(long.iter().all(|it| add(&mut all, it, now).is_none()));
        // Nor does one in pieces without end.
        let many = pieces(&datagram(&from(4), to, &pattern(8000)), 4, 8);
        assert!(many.iter().all(|it| add(&mut all, it, now).is_none()));
    }
}

#[test]
fn what_fragments_hold_is_given_back_t3() {
    raw(async |net, b| {
        sleep(SECOND * 20).await;
        for (version, seconds) in [(0, 15), (1, 60)] {
            let [from, to] = VERSIONS[version];
            let failed = b.stats().unassembled;
            let whole = datagram(from, to, &pattern(3000));
            send(&net, &piece(&whole, 1, 0, 1400), Meta::default());
            sleep(SECOND * seconds - SECOND / 10).await;
            assert_eq!(b.stats().unassembled, failed);
            sleep(SECOND / 5).await;
            assert_eq!(b.stats().unassembled, failed + 1, "{seconds}");
        }
        // For others, and of those who may not be answered.
        for [from, to] in [
            ["10.0.0.1", "10.0.0.3"],
            ["10.0.0.2", "10.0.0.2"],
            ["10.0.0.255", "10.0.0.2"],
            ["0.0.0.0", "10.0.0.2"],
            ["fd00::1", "fd00::3"],
            ["fd00::2", "fd00::2"],
            ["::", "fd00::2"],
            ["ff02::1", "fd00::2"],
        ] {
            let useless = b.stats().useless;
            send(&net, &piece(&datagram(from, to, &pattern(3000)), 1, 0, 1400), Meta::default());
            sleep(SECOND / 100).await;
            assert_eq!(b.stats().useless, useless + 1, "{from} {to}");
        }
    });
}

#[test]
fn marks_of_congestion_are_kept_or_drop_the_datagram() {
    kernel::testing::simulate_time();
    // What three fragments carry, and what the datagram has.
    let (not, one, zero, marked) = (0, 1, 2, 3);
    for (marks, becomes) in [
        ([not, not, not], Some(not)),
        ([zero, zero, zero], Some(zero)),
        ([one, one, one], Some(one)),
        ([zero, zero, marked], Some(marked)),
        ([marked, zero, one], Some(marked)),
        ([marked, marked, marked], Some(marked)),
        ([not, marked, not], None),
        ([marked, zero, not], None),
    ] {
        for [from, to] in VERSIONS {
            let mut all = Reassembly::new(64 << 10);
            let mut done = None;
            for (mut piece, mark) in
                pieces(&datagram(from, to, &pattern(3000)), 1, 1400).into_iter().zip(marks)
            {
                piece[15] |= if to.contains('.') { mark } else { mark << 4 };
                done = add(&mut all, &seal(piece), Instant::now());
            }
            let got = done.map(|it| if to.contains('.') { it[15] & 3 } else { it[15] >> 4 & 3 });
            assert_eq!(got, becomes, "{marks:?} {to}");
            assert_eq!((all.done + all.failed, all.next()), (1, None));
        }
    }
}

#[test]
fn numbers_of_others_are_other_datagrams() {
    kernel::testing::simulate_time();
    let (now, mut all) = (Instant::now(), Reassembly::new(128 << 10));
    let ends = |from: &str, to: &str| Ends { from: from.parse().unwrap(), to: to.parse().unwrap() };
    let mut kinds = Vec::new();
    for (from, to, protocol, id) in [
        ("10.0.0.1", "10.0.0.2", 17, 1),
        ("10.0.0.1", "10.0.0.2", 17, 2),
        ("10.0.0.1", "10.0.0.2", 1, 1),
        ("10.0.0.1", "10.0.0.255", 17, 1),
        ("10.0.0.3", "10.0.0.2", 17, 1),
        ("fd00::1", "fd00::2", 17, 1),
        ("fd00::1", "fd00::2", 17, 65_537),
        ("fd00::3", "fd00::2", 17, 1),
    ] {
        let mut whole = datagram(from, to, &pattern(3000));
        if whole[12] == 8 {
            whole[23] = protocol;
        }
        kinds.push((ends(from, to), pieces(&whole, id, 1400)));
    }
    // All of them at once, piece by piece.
    for at in 0..3 {
        for (ends, pieces) in &kinds {
            let Verdict::Fragment(of, piece) = packet::judge(&pieces[at], Meta::default()) else {
                panic!("a fragment")
            };
            assert_eq!((of, all.add(&pieces[at], of, &piece, now).is_some()), (*ends, at == 2));
        }
    }
}
