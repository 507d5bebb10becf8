//! What becomes a record.

use super::*;
use crate::session::{CHAIN, RECORD, Session, Side};
use alloc::vec;

/// Brings what one has to send to the other; how many bytes.
fn carry(from: &mut Session, to: &mut Session) -> usize {
    from.proceed();
    let mut carried = 0;
    while !from.outgoing().is_empty() {
        let read = to.receive(|_, room| {
            let count = room.len().min(from.outgoing().len());
            room[..count].copy_from_slice(&from.outgoing()[..count]);
            Ok::<_, ()>(Some(count))
        });
        let count = read.unwrap().unwrap();
        from.sent(count);
        to.proceed();
        carried += count;
    }
    carried
}

/// Two ends whose handshake is done.
fn ends() -> (Session, Session) {
    let mut near = Session::new(Side::Client(client().connection(WWW).unwrap()), CHAIN);
    let mut far = Session::new(Side::Server(server().connection().unwrap()), CHAIN);
    while carry(&mut near, &mut far) + carry(&mut far, &mut near) > 0 {}
    assert!(near.is_open() && far.is_open());
    (near, far)
}

/// The lengths of the records that are to be sent.
fn records(session: &Session) -> Vec<usize> {
    let (mut rest, mut lengths) = (session.outgoing(), Vec::new());
    while let [_, _, _, high, low, more @ ..] = rest {
        lengths.push(usize::from(u16::from_be_bytes([*high, *low])));
        rest = &more[lengths[lengths.len() - 1]..];
    }
    lengths
}

/// Bytes that a record has besides what it carries.
const MORE: usize = 17;

#[test]
fn what_is_held_back_is_one_record_with_what_follows() {
    let (mut near, mut far) = ends();
    assert!(far.hold(b"head, "));
    assert_eq!((far.held(), far.outgoing().len()), (6, 0));
    assert_eq!(far.release(b"body"), Some(4));
    assert_eq!(records(&far), [10 + MORE]);
    carry(&mut far, &mut near);
    let mut read = [0; 20];
    assert_eq!(near.peek(&mut read), 10);
    assert!(read.starts_with(b"head, body"));
    // A record is not longer than one may be, and nothing is held beyond.
    assert!(far.hold(&[1; 400]));
    assert!(!far.hold(&[2; RECORD]));
    assert_eq!(far.release(&[2; RECORD]), Some(RECORD - 400));
    assert_eq!(records(&far), [RECORD + MORE]);
    far.discard();
    assert!(!far.hold(&[1; RECORD]) && far.hold(&[1; RECORD - 1]));
    assert_eq!(far.release(b"xy"), Some(1));
    assert_eq!(records(&far), [RECORD + MORE]);
    // What is held goes before the end.
    far.discard();
    assert!(far.hold(b"last"));
    far.end();
    assert_eq!(records(&far), [4 + MORE, 2 + MORE]);
}

#[test]
fn a_handshake_brings_one_ticket() {
    let mut near = Session::new(Side::Client(client().connection(WWW).unwrap()), CHAIN);
    let mut far = Session::new(Side::Server(server().connection().unwrap()), CHAIN);
    carry(&mut near, &mut far);
    carry(&mut far, &mut near);
    near.proceed();
    assert!(near.is_open() && !far.is_open());
    carry(&mut near, &mut far);
    // What it sends when it has the client's last word.
    assert!(far.is_open());
    assert_eq!(records(&far).len(), 1);
}

#[test]
fn keys_may_be_renewed_beside_data_and_not_again_and_again_for_nothing() {
    let (mut near, mut far) = ends();
    let renew = |near: &mut Session, far: &mut Session| {
        near.renew_keys();
        assert!(!near.outgoing().is_empty());
        carry(near, far);
        // What it answers waits for data of its own, and is one record however often it was asked.
        assert_eq!(far.outgoing().len(), 0);
    };
    for _ in 0..100 {
        renew(&mut near, &mut far);
        assert!(near.write(b"x"));
        carry(&mut near, &mut far);
    }
    assert_eq!((far.failed(), far.readable()), (None, 100));
    assert!(far.write(b"y"));
    assert_eq!(records(&far), [5 + MORE, 1 + MORE]);
    carry(&mut far, &mut near);
    assert_eq!((near.failed(), near.readable()), (None, 1));
    for _ in 0..32 {
        renew(&mut near, &mut far);
    }
    assert_eq!(far.failed(), None);
    renew(&mut near, &mut far);
    assert!(matches!(far.failed(), Some(Error::Protocol(_))), "{:?}", far.failed());
}

#[test]
fn what_is_wrong_after_the_end_of_a_half_is_answered_with_nothing() {
    let (mut near, mut far) = ends();
    near.end();
    carry(&mut near, &mut far);
    assert!(far.is_ended());
    assert!(far.write(b"the last"));
    let last = far.outgoing().len() - 1;
    let read = near.receive(|_, room| {
        let count = room.len().min(far.outgoing().len());
        room[..count].copy_from_slice(&far.outgoing()[..count]);
        room.get_mut(last).into_iter().for_each(|byte| *byte ^= 1);
        Ok::<_, ()>(Some(count))
    });
    assert_eq!(read, Ok(Some(last + 1)));
    near.proceed();
    assert!(matches!(near.failed(), Some(Error::Protocol(_))), "{:?}", near.failed());
    assert_eq!(near.outgoing().len(), 0);
}

#[test]
fn what_is_no_record_of_an_open_connection_ends_it_with_an_alert() {
    let record = |kind: u8, length: u16, content: usize| {
        let header = [&[kind, 3, 3][..], &length.to_be_bytes()].concat();
        [&header[..], &vec![0; content]].concat()
    };
    for (bytes, what) in [
        (record(23, 0x4001, 0x4001), "16 KiB + 1 that nobody encrypted"),
        // Longer than encryption makes it (RFC 8446, section 5.2), which TLS 1.2 let be more: of a
        // record that is longer than that, the header is enough.
        (record(23, 0x4101, 0x4101), "16 KiB + 257"),
        (record(23, 0x4801, 0), "the header of 18 KiB + 1"),
        (record(23, 0, 0), "an empty one"),
        (record(23, 16, 16), "one without content"),
        (record(99, 20, 20), "another type"),
        (vec![0xff; 5000], "garbage"),
        (b"GET / HTTP/1.1\r\nHost: www.lab\r\n\r\n".to_vec(), "HTTP"),
        ([&record(22, 4, 0)[..], &[1, 0, 0, 0]].concat(), "a hello in plain text"),
        ([&record(21, 2, 0)[..], &[2, 40]].concat(), "an alert in plain text"),
    ] {
        let (_, mut far) = ends();
        let mut rest = &bytes[..];
        while !rest.is_empty() && far.failed().is_none() {
            let read = far.receive(|_, room| {
                let count = room.len().min(rest.len());
                room[..count].copy_from_slice(&rest[..count]);
                Ok::<_, ()>(Some(count))
            });
            rest = &rest[read.unwrap().unwrap()..];
            far.proceed();
        }
        let failed = far.failed();
        assert!(matches!(failed, Some(Error::Protocol(_) | Error::TooLong)), "{what}: {failed:?}");
        assert_eq!((records(&far), far.readable()), (vec![2 + MORE], 0), "{what}");
    }
}
