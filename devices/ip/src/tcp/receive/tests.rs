//! The receiving half beside plain models, and what peers make up.

extern crate std;

use super::super::pool::CHUNK;
use super::super::stream::tests::{Numbers, bytes};
use super::*;
use std::vec;
use std::vec::Vec;

const MSS: u32 = 1460;

/// Around the end of numbers.
const FIRST: Seq = Seq(u32::MAX - 20_000);

struct End {
    receiver: Receiver,
    pool: Rc<Pool>,
    now: Instant,
}

/// One that has announced its first window.
fn start(scale: u8, limit: usize, memory: usize) -> End {
    kernel::testing::simulate_time();
    let (pool, now) = (Rc::new(Pool::new(memory)), Instant::now());
    let mut receiver = Receiver::new(FIRST, pool.clone(), MSS, scale, limit, now);
    receiver.announced(receiver.window_of_syn().into());
    End { receiver, pool, now }
}

fn usual() -> End {
    start(7, 4 << 20, 16 << 20)
}

impl End {
    /// A segment with the right bytes for its place in the stream.
    fn segment(&mut self, start: u32, end: u32, fin: bool) -> Arrival {
        let payload = bytes(start as usize, (end - start) as usize);
        self.receiver.accept(FIRST + start, &payload, fin)
    }

    fn sack(&mut self, most: usize) -> Vec<(u32, u32)> {
        let mut out = heapless::Vec::new();
        self.receiver.sack(&mut out, most);
        out.iter().map(|it| (it.start.since(FIRST), it.end.since(FIRST))).collect()
    }

    fn next(&self) -> u32 {
        self.receiver.next().since(FIRST)
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut to = vec![0; count];
        let count = self.receiver.read(&mut to, self.now);
        to.truncate(count);
        to
    }

    fn announce(&mut self) -> u32 {
        let window = self.receiver.window_to_announce();
        self.receiver.announced(window);
        window
    }
}

fn in_order(in_order: usize) -> Arrival {
    Arrival { in_order, ..Arrival::default() }
}

#[test]
fn what_is_in_order_can_be_read_at_once() {
    let mut end = usual();
    assert!(size_of::<Receiver>() <= 272, "{}", size_of::<Receiver>());
    assert_eq!(end.segment(0, 1000, false), in_order(1000));
    assert_eq!(end.segment(1000, 1000, false), in_order(0));
    assert_eq!(end.segment(1000, 3000, false), in_order(2000));
    assert_eq!((end.next(), end.receiver.len(), end.receiver.has_sack()), (3000, 3000, false));
    let mut peeked = [0; 5];
    assert_eq!(end.receiver.peek(998, &mut peeked), 5);
    assert!(bytes(998, 5) == peeked);
    assert!(end.read(5000) == bytes(0, 3000) && end.pool.used() == 0);
    let fin = Arrival { fin: true, ..in_order(10) };
    assert_eq!(end.segment(3000, 3010, true), fin);
    assert!(end.receiver.has_ended() && !end.receiver.is_finished() && end.next() == 3011);
    assert!(end.read(100) == bytes(3000, 10) && end.receiver.is_finished());
    // Sent again, with and without its data; and what comes after the end.
    for start in [3000, 3010] {
        let again = Arrival { duplicate: true, ..Arrival::default() };
        assert_eq!(end.segment(start, 3010, true), again);
    }
    let beyond = Arrival { cut: true, ..Arrival::default() };
    assert_eq!(end.segment(3011, 3020, false), beyond);
    assert_eq!((end.next(), end.receiver.len(), end.pool.used()), (3011, 0, 0));
}

#[test]
fn a_gap_is_filled_and_what_is_behind_it_told_newest_first() {
    let mut end = usual();
    let behind = Arrival { out_of_order: true, ..Arrival::default() };
    for start in [2000, 6000, 4000] {
        assert_eq!(end.segment(start, start + 1000, false), behind);
    }
    assert_eq!((end.next(), end.receiver.len()), (0, 0));
    assert_eq!(end.sack(4), [(4000, 5000), (6000, 7000), (2000, 3000)]);
    assert_eq!(end.sack(2), [(4000, 5000), (6000, 7000)]);
    assert_eq!(end.segment(3000, 4000, false), behind);
    assert_eq!(end.sack(3), [(2000, 5000), (6000, 7000)]);
    let part = Arrival { filled: true, ..in_order(1000) };
    assert_eq!(end.segment(0, 1000, false), part);
    assert_eq!(end.segment(1000, 2000, false), Arrival { in_order: 4000, ..part });
    assert_eq!(end.sack(3), [(6000, 7000)]);
    assert_eq!(end.segment(5000, 6000, false), Arrival { in_order: 2000, ..part });
    assert!(end.sack(3).is_empty() && !end.receiver.has_islands());
    assert!(end.read(9000) == bytes(0, 7000));
}

#[test]
fn what_arrives_twice_is_told_once_and_first() {
    let mut end = usual();
    end.segment(0, 3000, false);
    let again = Arrival { duplicate: true, ..Arrival::default() };
    // RFC 2883, section 4.1: below what is acknowledged.
    assert_eq!(end.segment(1000, 2000, false), again);
    assert!(end.receiver.has_sack());
    assert_eq!((end.sack(3), end.sack(3)), (vec![(1000, 2000)], vec![]));
    // A part of it, with new data behind.
    assert_eq!(end.segment(2500, 3500, false), Arrival { in_order: 500, ..again });
    end.segment(5000, 6000, false);
    assert_eq!(end.sack(4), [(2500, 3000), (5000, 6000)]);
    // Section 4.2: behind a gap. The second block is the one that has it.
    end.segment(8000, 9000, false);
    let behind = Arrival { out_of_order: true, ..again };
    assert_eq!(end.segment(5200, 5400, false), behind);
    assert_eq!(end.sack(3), [(5200, 5400), (5000, 6000), (8000, 9000)]);
    assert_eq!(end.segment(5000, 6000, false), behind);
    assert_eq!(end.sack(2), [(5000, 6000), (5000, 6000)]);
    // Of several the first.
    assert_eq!(end.segment(5900, 8100, false), behind);
    assert_eq!(end.sack(3), [(5900, 6000), (5000, 9000)]);
    // What fills a gap and is there in part.
    let filled = Arrival { filled: true, in_order: 5500, ..again };
    assert_eq!(end.segment(3500, 7000, false), filled);
    assert_eq!(end.sack(3), [(5000, 7000)]);
    assert!(end.read(10_000) == bytes(0, 9000));
}

#[test]
fn a_fin_behind_a_gap_is_kept() {
    for with_data in [true, false] {
        let mut end = usual();
        let behind = Arrival { out_of_order: true, ..Arrival::default() };
        if with_data {
            assert_eq!(end.segment(1000, 2000, true), behind);
        } else {
            assert_eq!(end.segment(2000, 2000, true), behind);
            assert_eq!(end.sack(3), [(2000, 2001)]);
            assert_eq!(end.segment(1000, 2000, false), behind);
        }
        // Its number is told of like a byte's.
        assert_eq!(end.sack(3), [(1000, 2001)]);
        assert!(!end.receiver.has_ended());
        // What is beyond it is not taken.
        let beyond = Arrival { cut: true, ..Arrival::default() };
        assert_eq!(end.segment(2001, 3000, false), beyond);
        let filled = Arrival { filled: true, fin: true, ..in_order(2000) };
        assert_eq!(end.segment(0, 1000, false), filled);
        assert_eq!((end.next(), end.sack(3)), (2001, vec![]));
        assert!(end.read(5000) == bytes(0, 2000) && end.receiver.is_finished());
        assert_eq!(end.pool.used(), 0);
    }
}

#[test]
fn a_fin_ends_what_came_from_beyond_it_before() {
    for (start, length) in [(1000, 5000), (3000, 1000), (2000, 1000)] {
        let mut end = usual();
        end.segment(start, start + length, false);
        end.segment(2000, 2000, true);
        end.segment(1000, 2000, false);
        let arrival = end.segment(0, 1000, false);
        assert!(arrival.fin && arrival.in_order == 2000, "{arrival:?}");
        assert!(end.receiver.has_ended() && !end.receiver.has_islands() && end.next() == 2001);
        assert!(end.read(9000) == bytes(0, 2000) && end.pool.used() == 0);
    }
}

#[test]
fn nothing_beyond_the_window_is_taken() {
    let mut end = usual();
    let window = end.receiver.window().len();
    assert_eq!(window, 65_535);
    let cut = Arrival { cut: true, ..Arrival::default() };
    assert_eq!(end.segment(window, window + 10, false), cut);
    assert_eq!(end.segment(window + 1, window + 1, true), cut);
    assert_eq!(end.segment(1 << 30, (1 << 30) + 10, true), cut);
    assert!(!end.receiver.has_sack() && end.pool.used() == 0);
    let arrival = end.segment(window - 5, window + 5, true);
    assert_eq!(arrival, Arrival { out_of_order: true, ..cut });
    assert_eq!(end.sack(3), [(window - 5, window)]);
    let arrival = end.segment(0, window + 10, true);
    assert!(arrival.cut && arrival.in_order == window as usize && !arrival.fin);
    // A probe of the closed window.
    assert_eq!(end.announce(), 0);
    assert_eq!(end.segment(window, window + 1, false), cut);
    // A FIN takes no memory.
    assert_eq!(end.segment(window, window, true), Arrival { fin: true, ..in_order(0) });
    assert!(end.read(100_000) == bytes(0, window as usize) && end.receiver.is_finished());
}

#[test]
fn the_right_edge_moves_by_a_segment_or_half_the_buffer_and_never_back() {
    for limit in [4 << 20, 8192, 2920] {
        let mut end = start(0, limit, 16 << 20);
        let size = limit.min(65_535) as u32;
        let least = MSS.min(size / 2);
        assert_eq!(end.announce(), size);
        end.segment(0, size, false);
        assert_eq!(end.announce(), 0);
        assert!(!end.receiver.is_update_due());
        let mut read = 0;
        while read < least {
            assert_eq!(end.announce(), 0, "{read} of {limit}");
            assert!(!end.receiver.is_update_due());
            end.read(1);
            read += 1;
        }
        assert!(end.receiver.is_update_due());
        assert_eq!(end.announce(), least);
        assert!(!end.receiver.is_update_due());
        // A smaller share takes nothing back.
        end.receiver.set_share(0);
        end.read(1 << 20);
        assert!(end.announce() >= least);
        let right = end.receiver.window().end;
        end.segment(size, size + least, false);
        end.announce();
        assert_eq!(end.receiver.window().end, right);
    }
}

#[test]
fn what_scaling_cuts_off_is_accepted_and_never_adds_up() {
    let mut end = usual();
    let right = end.receiver.window().end;
    // A byte at a time, of which none is read.
    for at in 0..65_535 {
        assert_eq!(end.segment(at, at + 1, false), in_order(1));
        assert_eq!(end.announce(), (65_534 - at) / 128 * 128);
        assert_eq!(end.receiver.window().end, right);
    }
    assert!(end.segment(65_535, 65_536, false).cut);
}

#[test]
fn a_window_never_stays_closed_when_all_was_read() {
    for scale in 0..=14 {
        for share in [0, 1, 3000, 20_000, 100_000] {
            for memory in [1 << 17, CHUNK] {
                let mut end = start(scale, share, memory);
                end.receiver.set_share(share);
                let (mut at, mut seen) = (0, end.receiver.window().len());
                for _ in 0..4 {
                    // All that the peer saw, or memory had room for.
                    let arrival = end.segment(at, at + seen, false);
                    at = end.next();
                    seen = if arrival.cut { end.announce() } else { 0 };
                    end.read(1 << 20);
                    if end.receiver.is_update_due() {
                        seen = end.announce();
                    }
                    assert!(seen > 0, "{scale} {share} {memory}");
                }
            }
        }
    }
}

#[test]
fn memory_that_is_scarce_narrows_windows_and_none_is_no_harm_t3() {
    let mut end = start(7, 4 << 20, 64 * CHUNK);
    let (mut others, pool) = (Vec::new(), end.pool.clone());
    while !pool.is_scarce() {
        others.push(pool.take().unwrap());
    }
    let right = end.receiver.window().end;
    end.segment(0, 60_000, false);
    end.read(60_000);
    // It is at most ten segments wide now, and not narrower than before.
    assert_eq!(end.announce(), 14_600 >> 7 << 7);
    assert!(right.is_before(end.receiver.window().end));
    // What is out of order finds no memory, what is in order does.
    let behind = end.segment(62_000, 63_000, false);
    assert!(behind.cut && behind.out_of_order && !end.receiver.has_islands());
    assert_eq!(end.segment(60_000, 62_000, false), in_order(2000));
    others.extend(core::iter::from_fn(|| pool.take()));
    let room = CHUNK - 2000;
    assert_eq!(end.segment(62_000, 70_000, true), Arrival { cut: true, ..in_order(room) });
    assert!(end.read(70_000) == bytes(60_000, 2000 + room));
    // The chunk that was read is there again.
    let next = 62_000 + room as u32;
    let all = Arrival { fin: true, ..in_order(CHUNK) };
    assert_eq!(end.segment(next, next + CHUNK as u32, true), all);
    others.into_iter().for_each(|chunk| pool.give(chunk));
}

#[test]
fn what_is_behind_a_gap_gives_its_memory_to_what_comes_next_t3() {
    let mut end = start(7, 4 << 20, 8 * CHUNK);
    assert!(end.segment(20_000, 60_000, true).cut);
    assert!(end.receiver.has_islands());
    let arrival = end.segment(0, 20_000, false);
    assert_eq!(arrival.in_order, 20_000);
    assert!(!end.receiver.has_islands() && end.read(40_000) == bytes(0, 20_000));
    assert_eq!(end.pool.used(), 0);
}

#[test]
fn segments_of_a_byte_do_not_take_a_chunk_each_t3() {
    let mut end = usual();
    for at in (1..60_000).step_by(2) {
        end.segment(at, at + 1, false);
    }
    assert_eq!(end.receiver.islands.len(), 65_535 / 512 + 16);
    assert_eq!(end.pool.used(), CHUNK);
    assert!(end.segment(3001, 3002, false).cut);
    assert_eq!(end.segment(0, 1, false).in_order, 2);
}

#[test]
fn the_window_grows_with_what_is_read_in_a_round_trip_to_its_share() {
    let mut end = usual();
    end.receiver.note_rtt(Duration::from_millis(50));
    end.receiver.set_share(1 << 20);
    let mut at = 0;
    for _ in 0..12 {
        // A sender that fills each window that it sees, in one round trip.
        let window = end.receiver.window().len();
        for _ in 0..10 {
            let until = at + window / 10;
            end.now = end.now.saturating_add(Duration::from_millis(5));
            assert!(!end.segment(at, until, false).cut);
            at = until;
            end.read(1 << 20);
            end.announce();
        }
    }
    assert_eq!(end.announce(), 1 << 20);
    end.receiver.set_share(1 << 18);
    let right = end.receiver.window().end;
    end.segment(at, at + 100_000, false);
    end.read(1 << 20);
    end.announce();
    assert_eq!(end.receiver.window().end, right);
    end.receiver.set_share(1 << 22);
    assert!(end.announce() > 1 << 20);
}

#[test]
fn the_usual_way_does_not_ask_the_allocator() {
    let mut end = usual();
    let segment = bytes(0, 1460);
    let mut to = [0; 4096];
    let mut round = |end: &mut End| {
        let start = end.receiver.next();
        assert_eq!(end.receiver.accept(start, &segment, false), in_order(1460));
        assert_eq!(end.receiver.read(&mut to, end.now), 1460);
        end.announce();
    };
    round(&mut end);
    let info = allocation_counter::measure(|| (0..100).for_each(|_| round(&mut end)));
    assert_eq!(info.count_total, 0);
}

/// Sends a stream of bytes in segments of any kind, in any order, and reads it, beside a plain
/// map of which numbers arrived.
#[test]
fn it_is_as_a_map_of_numbers_is() {
    for seed in 0..25 {
        let mut numbers = Numbers(seed);
        let total = numbers.below(60_000) + 1;
        let mut end = start(numbers.below(8) as u8, 1 << 20, 1 << 20);
        let mut map = vec![false; total + 1];
        let (mut next, mut read) = (0, 0);
        let mut steps = 0;
        while read < total || !end.receiver.is_finished() {
            steps += 1;
            assert!(steps < 100_000, "seed {seed}");
            let right = end.receiver.window().end.since(FIRST) as usize;
            let any = [next, read, numbers.below(total + 1)][numbers.below(3)];
            let begin = any.saturating_sub(numbers.below(2000)).min(total);
            let until = (begin + numbers.below(3000)).min(total);
            let fin = until == total && numbers.below(3) > 0;
            let arrival = end.segment(begin as u32, until as u32, fin);
            // What the model says.
            let limit = until.min(right);
            let last = limit + usize::from(fin && until <= right);
            let was = next;
            // A FIN that was reached is acknowledged, and no more is said of it.
            let old = (begin..last).find(|&at| map[at]).filter(|&at| at < total || was < total);
            let gap = map[next..].iter().any(|it| *it);
            let nothing = begin.max(next) >= last;
            if begin <= next || !nothing {
                (begin..last).for_each(|at| map[at] = true);
            }
            next += map[next..].iter().take_while(|it| **it).count();
            let ended = next == total + 1;
            let at = std::format!("seed {seed}: {begin}..{until} {fin} {arrival:?}");
            assert_eq!(end.next() as usize, next, "{at}");
            assert_eq!(arrival.in_order, next.min(total) - was.min(total), "{at}");
            assert_eq!(arrival.fin, ended && was != next, "{at}");
            assert_eq!(arrival.cut, until > right, "{at}");
            assert_eq!(arrival.filled, gap && was != next, "{at}");
            assert_eq!(arrival.out_of_order, begin > was && !nothing, "{at}");
            if let Some(old) = old {
                assert!(arrival.duplicate, "{at}");
                let told = end.sack(3);
                assert_eq!(told[0].0 as usize, old, "{at}");
                assert!(told[0].1 as usize <= last, "{at}");
                assert!((told[0].0..told[0].1).all(|at| map[at as usize]));
            }
            let most = 3 + numbers.below(2);
            let told = end.sack(most);
            let islands = (next.max(1)..=total).filter(|&at| map[at] && !map[at - 1]).count();
            assert_eq!(told.len(), islands.min(most), "{at}");
            for &(from, to) in &told {
                let (from, to) = (from as usize, to as usize);
                assert!(from > next && map[from..to].iter().all(|it| *it), "{at}");
                assert!(!map[from - 1] && map.get(to) != Some(&true), "{at}");
            }
            if arrival.out_of_order {
                let (from, to) = told[0];
                assert!(from as usize <= begin && last <= to as usize, "{at}");
            }
            if numbers.below(3) == 0 {
                let piece = end.read(numbers.below(5000));
                assert!(piece == bytes(read, piece.len()), "{at}");
                read += piece.len();
            }
            if numbers.below(2) == 0 {
                let right = end.receiver.window().end;
                end.announce();
                assert!(!end.receiver.window().end.is_before(right), "{at}");
            }
        }
        assert_eq!((end.pool.used(), end.receiver.has_islands()), (0, false));
    }
}

/// Whatever numbers a peer makes up.
#[test]
fn no_segment_breaks_it_t3() {
    for seed in 0..100 {
        let mut numbers = Numbers(seed);
        let mut end = start(numbers.below(16) as u8, 1 << numbers.below(24), 48 * CHUNK);
        let payload = bytes(0, 70_000);
        for _ in 0..300 {
            let window = end.receiver.window();
            let near =
                [window.start, window.end, end.receiver.fin.unwrap_or(FIRST)][numbers.below(3)];
            let start = match numbers.below(12) {
                0 => Seq(numbers.below(1 << 32) as u32),
                1 => near + (1 << 31),
                2 => near,
                _ => near + numbers.below(5000) as u32 - numbers.below(5000) as u32,
            };
            let most = [2, 100, 5000, 70_000][numbers.below(4)];
            let count = numbers.below(most);
            let (next, len) = (end.receiver.next(), end.receiver.len());
            let fin = numbers.below(30) == 0;
            let arrival = end.receiver.accept(start, &payload[..count], fin);
            assert_eq!(end.receiver.len(), len + arrival.in_order);
            let more = arrival.in_order as u32 + u32::from(arrival.fin);
            assert_eq!(end.receiver.next(), next + more);
            assert!(!end.receiver.next().is_after(window.end + 1));
            assert!(end.pool.used() <= end.pool.limit() && end.receiver.islands.len() <= 1024);
            assert!(!end.receiver.has_ended() || !end.receiver.has_islands());
            let mut out = heapless::Vec::new();
            end.receiver.sack(&mut out, numbers.below(5));
            assert!(out.iter().all(|it| !it.is_empty()));
            if numbers.below(4) == 0 {
                end.receiver.set_share(numbers.below(1 << 20));
                end.now = end.now.saturating_add(Duration::from_micros(numbers.below(9000) as u64));
                end.receiver.note_rtt(Duration::from_micros(numbers.below(9000) as u64));
                end.read(numbers.below(50_000));
            }
            assert!(end.announce() <= 0xffff << 14);
            assert!(end.receiver.window().len() as usize <= 1 << 25);
        }
        let pool = end.pool.clone();
        drop(end);
        assert_eq!(pool.used(), 0);
    }
}
