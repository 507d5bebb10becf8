//! Connections that carry so much that their numbers wrap around.

extern crate std;

use super::abuse::{IRS, ISS, Victim};
use super::segment::{ACK, ECE, RST, Segment};
use super::seq::Seq;
use alloc::rc::Rc;
use std::vec::Vec;

/// A byte that tells where it belongs.
fn byte(at: u32) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

/// An acknowledgement of all before `ack`.
fn acknowledgement(ack: Seq) -> Segment<'static> {
    Segment {
        seq: IRS + 1,
        ack,
        flags: ACK,
        window: 0xffff,
        options: super::segment::Options::default(),
        payload: &[],
        staged: 0,
        marked: false,
    }
}

#[test]
fn a_byte_with_the_number_of_the_syn_is_a_byte_as_any_other() {
    let mut victim = Victim::new(1460, Some(7));
    let begin = ISS + 1;
    // As it stands after 4 GiB and a little less.
    let iss = begin + 5000;
    victim.connection.iss = iss;
    let bytes: Vec<u8> = (0..20_000).map(byte).collect();
    assert_eq!(victim.connection.write(&bytes[..12_000]), 12_000);
    let (mut got, mut acked) = (std::vec![0; 20_000], begin);
    for round in 0..20 {
        while let Some(emission) = victim.connection.next(0, victim.now) {
            let mut payload = std::vec![0; emission.length];
            victim.connection.payload(&emission, &mut payload);
            let at = emission.head.seq.since(begin) as usize;
            assert!(payload == bytes[at..at + payload.len()], "{round}: {emission:?}");
            got[at..at + payload.len()].copy_from_slice(&payload);
        }
        let next = victim.connection.snd_next();
        acked = if acked.is_before(iss) { iss } else { next };
        let pool = Rc::clone(&victim.pool);
        victim.connection.receive(&acknowledgement(acked), &pool, victim.now);
        assert_eq!(victim.connection.una(), acked);
        let written = acked.since(begin) as usize + victim.connection.unacknowledged();
        victim.connection.write(&bytes[written..]);
    }
    assert!(acked == begin + 20_000 && got == bytes);
    // It was open, also when it is reset just there.
    let mut victim = Victim::new(1460, Some(7));
    victim.connection.iss = victim.connection.una();
    victim.segment(IRS + 1, ISS + 1, RST, 0, &[], &[]);
    assert!(victim.connection.was_open());
}

#[test]
fn what_was_two_gibibytes_ago_is_not_taken_for_what_is_to_come() {
    let mut victim = Victim::new(1460, Some(7));
    victim.connection.set_no_delay(false);
    // Of the first segment a router said that its path is congested.
    victim.connection.ecn = true;
    victim.connection.reduced = Some(ISS + 1);
    let bytes = std::vec![7; 1460 * 40];
    let pool = Rc::clone(&victim.pool);
    let mut sent = 0_u64;
    while sent <= 1 << 31 {
        let count = victim.connection.write(&bytes) as u64;
        assert_eq!(count % 1460, 0);
        sent += count;
        while victim.connection.next(65_000, victim.now).is_some() {}
        let next = victim.connection.snd_next();
        victim.connection.receive(&acknowledgement(next), &pool, victim.now);
    }
    assert_eq!(victim.connection.unacknowledged(), 0);
    victim.connection.write(b"tail");
    let last = victim.connection.next(0, victim.now);
    assert_eq!(last.map(|it| it.length), Some(4));
    // Another one waits for it.
    victim.connection.write(b"more");
    assert_eq!(victim.connection.next(0, victim.now), None);
    // And of this path a router says so again.
    let una = victim.connection.una();
    let segment = Segment { flags: ACK | ECE, ..acknowledgement(una) };
    victim.connection.receive(&segment, &pool, victim.now);
    assert!(victim.connection.owes_cwr);
}
