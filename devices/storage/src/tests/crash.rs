//! The store, when the plug is pulled: every moment of a workload, and what a disk may
//! have done by then of the writes that it was not asked to flush.

use super::disk::Event;
use super::keys::{LEAST, Model, all, blank, change, open};
use super::*;
use crate::kv::Store;
use crate::kv::keys::Batch;
use kernel::task::spawn;

/// What a workload did to a disk, and what it was told.
struct Trace {
    before: Vec<u8>,
    events: Vec<Event>,
    /// What the store holds after each change, and how many events it took until
    /// that was acknowledged. The first is what it begins with.
    models: Vec<(usize, Model)>,
    /// How many changes were under way at a time.
    width: usize,
}

/// Does `count` changes, `width` at a time, to the store on a disk with these bytes.
fn trace(bytes: Vec<u8>, seed: u64, count: usize, width: usize) -> Trace {
    let disk = Disk::new(bytes.clone(), 512);
    let mut numbers = Numbers(seed);
    let keys = open(&disk).unwrap();
    let mut model = run(all(&keys)).unwrap();
    let mut models = std::vec![(disk.events.borrow().len(), model.clone())];
    while models.len() <= count {
        let mut tasks = Vec::new();
        let mut then = Vec::new();
        for _ in 0..width {
            let mut batch = Batch::new();
            for _ in 0..=numbers.below(2) {
                change(&mut numbers, &mut model, &mut batch, 1500);
            }
            then.push(model.clone());
            let (keys, events) = (keys.clone(), disk.events.clone());
            tasks.push(async move {
                keys.apply(batch).await.unwrap();
                events.borrow().len()
            });
        }
        let done: Vec<usize> = run(async {
            let tasks: Vec<_> = tasks.into_iter().map(spawn).collect();
            let mut done = Vec::new();
            for task in tasks {
                done.push(task.await);
            }
            done
        });
        models.extend(done.into_iter().zip(then));
    }
    let events = disk.events.borrow().clone();
    Trace { before: bytes, events, models, width }
}

/// Lets some of the `pending` writes reach `bytes`, sector by sector, in any order,
/// and the last sector in part.
fn tear(bytes: &mut [u8], pending: &[&Event], numbers: &mut Numbers, garbage: bool) {
    let mut sectors = Vec::new();
    for event in pending {
        let Event::Write(sector, content) = event else { continue };
        for (number, content) in content.chunks(512).enumerate() {
            sectors.push((*sector as usize + number, content));
        }
    }
    // None, all, the first ones, or any: of writes to one sector the later counts.
    let (kind, cut) = (numbers.below(5), numbers.below(sectors.len() + 1));
    let torn = numbers.below(sectors.len() + 1);
    for (index, &(sector, content)) in sectors.iter().enumerate() {
        let there = match kind {
            0 => index < cut,
            1 => index >= cut,
            2 => numbers.below(8) > 0,
            _ => numbers.below(2) > 0,
        };
        let at = sector * 512;
        if index == torn {
            // A part of it is new; the rest is old, or neither.
            let part = numbers.below(513);
            bytes[at..at + part].copy_from_slice(&content[..part]);
            if garbage && numbers.below(3) == 0 {
                bytes[at + part..at + 512].fill(numbers.next() as u8);
            }
        } else if there {
            bytes[at..at + 512].copy_from_slice(content);
        }
    }
}

/// Crashes at every event in `each` ways; how many states that are.
fn crash(trace: &Trace, seed: u64, each: usize, mut also: impl FnMut(&Disk, &Model)) -> usize {
    let mut numbers = Numbers(seed);
    let mut bytes = trace.before.clone();
    let (mut pending, mut states) = (Vec::new(), 0);
    for at in 0..=trace.events.len() {
        let acknowledged = trace.models.iter().filter(|(events, _)| *events <= at).count();
        let ahead = trace.models.len().min(acknowledged + trace.width);
        // Before the first, the store may not be there yet.
        let possible = &trace.models[acknowledged.saturating_sub(1)..ahead];
        for way in 0..each {
            let mut crashed = bytes.clone();
            if way > 0 {
                // A disk that is half formatted and garbage is not told from a foreign one.
                tear(&mut crashed, &pending, &mut numbers, at > trace.models[0].0);
            }
            states += 1;
            let disk = Disk::new(crashed, 512);
            let keys = open(&disk).unwrap_or_else(|error| panic!("event {at}, {way}: {error}"));
            let now = run(all(&keys)).unwrap();
            let found = possible.iter().any(|(_, model)| *model == now);
            assert!(found, "event {at}, {way}: {now:?}\n{possible:?}");
            // It can be used on, and opened once more.
            if states % 7 == 0 {
                run(keys.set(b"after", b"crash")).unwrap();
                let mut more = now.clone();
                more.insert(b"after".to_vec(), b"crash".to_vec());
                assert_eq!(run(all(&open(&disk).unwrap())), Ok(more));
            } else {
                also(&disk, &now);
            }
            if pending.is_empty() && way == 0 {
                break;
            }
        }
        match trace.events.get(at) {
            Some(Event::Flush) => {
                for event in pending.drain(..) {
                    let Event::Write(sector, content) = event else { continue };
                    let start = *sector as usize * 512;
                    bytes[start..start + content.len()].copy_from_slice(content);
                }
            }
            Some(write) => pending.push(write),
            None => {}
        }
    }
    states
}

/// Workloads of this width from `seed` on, until there are `least` states.
fn survives(seed: u64, width: usize, least: usize) {
    let (mut states, mut seed) = (0, seed);
    while states < least {
        // The first begins on a blank disk, so that formatting is interrupted, too.
        let trace = trace(blank(LEAST, 512).bytes.take(), seed, 120, width);
        states += crash(&trace, seed, 12, |_, _| {});
        seed += 1;
    }
    std::println!("{states} crash states, {width} changes at a time");
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    survives(1, 1, 6000);
}

#[test]
fn changes_at_the_same_time_survive_in_their_order() {
    survives(101, 5, 4000);
}

#[test]
fn crashes_after_crashes_lose_nothing() {
    let first = trace(blank(LEAST, 512).bytes.take(), 201, 60, 1);
    let (mut numbers, mut states) = (Numbers(202), 0);
    let mut seconds = Vec::new();
    crash(&first, 203, 6, |disk, _| {
        if numbers.below(25) == 0 {
            seconds.push(disk.bytes.borrow().clone());
        }
    });
    for bytes in seconds {
        let second = trace(bytes, numbers.next(), 12, 2);
        states += crash(&second, numbers.next(), 6, |_, _| {});
    }
    assert!(states > 1000, "{states}");
    std::println!("{states} crash states after crashes");
}

/// The test itself: a store that acknowledges before it flushes is caught.
#[test]
fn a_flush_that_is_left_out_is_found() {
    let honest = trace(blank(LEAST, 512).bytes.take(), 301, 60, 1);
    let formatted = honest.models[0].0;
    let mut events = honest.events[..formatted].to_vec();
    let mut models = std::vec![honest.models[0].clone()];
    let mut next = honest.models[1..].iter().peekable();
    for (at, event) in honest.events.iter().enumerate().skip(formatted) {
        if *event != Event::Flush {
            events.push(event.clone());
        }
        while let Some((_, model)) = next.next_if(|(events, _)| *events <= at + 1) {
            models.push((events.len(), model.clone()));
        }
    }
    let lying = Trace { events, models, ..honest };
    let caught = std::panic::catch_unwind(|| crash(&lying, 302, 4, |_, _| {}));
    assert!(caught.is_err());
}
