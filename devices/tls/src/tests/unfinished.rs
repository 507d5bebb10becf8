//! Peers that begin messages of handshakes and never end them.

use super::*;
use crate::provider;
use crate::session::{CHAIN, HEAD, HELLO, Session, Side, Take};
use core::time::Duration;
use kernel::testing::simulate_memory;
use kernel::time::sleep;
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

/// Bytes of a message beyond its header.
const LONG: usize = 0xfff0;

/// Records of a plain handshake with a message of this type, without its end.
fn begun(kind: u8, length: usize) -> Vec<u8> {
    let message = [&[kind, 0, 0xff, 0xf0][..], &[7; LONG]].concat();
    let piece = |piece: &[u8]| {
        let length = (piece.len() as u16).to_be_bytes();
        [&[22, 3, 1][..], &length, piece].concat()
    };
    message[..length].chunks(16 << 10).flat_map(piece).collect()
}

/// Gives a session bytes until it takes no more; how many it has taken.
fn feed(session: &mut Session, mut bytes: &[u8]) -> usize {
    let all = bytes.len();
    while !bytes.is_empty() && session.failed().is_none() {
        let read = |take, to: &mut [u8]| {
            let count = to.len().min(bytes.len());
            to[..count].copy_from_slice(&bytes[..count]);
            if take == Take::Read {
                bytes = &bytes[count..];
            }
            Ok::<_, ()>(Some(count))
        };
        session.receive(read).unwrap();
        session.proceed();
    }
    all - bytes.len()
}

fn pass(from: &mut Session, to: &mut Session) {
    let bytes = from.outgoing().to_vec();
    from.sent(bytes.len());
    feed(to, &bytes);
}

#[test]
fn a_client_without_a_certificate_says_little_before_it_is_understood_t8() {
    for (config, most) in [
        (server(), HELLO),
        (ServerOptions::new(identity()).clients(pem!("ca.pem")).unwrap().build().unwrap(), CHAIN),
    ] {
        let mut session =
            Session::new(Side::Server(config.connection().unwrap()), config.limits().1);
        let hello = begun(1, 12_000);
        assert_eq!(feed(&mut session, &hello), hello.len());
        assert!(session.unfinished() < hello.len() + 2100, "{}", session.unfinished());
        let mut session =
            Session::new(Side::Server(config.connection().unwrap()), config.limits().1);
        let taken = feed(&mut session, &begun(1, 63_900));
        assert!(taken.abs_diff(63_900.min(most)) < 2100, "{taken} of {most}");
        assert_eq!(session.failed(), (most == HELLO).then_some(&Error::TooLong));
        if most == HELLO {
            assert_eq!(session.unfinished(), 0, "it is given back");
        }
    }
}

#[test]
fn a_record_that_comes_in_parts_takes_what_it_has_t8() {
    let hello = begun(1, 1800);
    for (part, most) in [(3, HEAD), (1460, hello.len())] {
        let config = server();
        let mut session =
            Session::new(Side::Server(config.connection().unwrap()), config.limits().1);
        assert_eq!(feed(&mut session, &hello[..part]), part);
        assert_eq!(session.receive(|_, _| Ok::<_, ()>(None)), Ok(None));
        assert!(session.unfinished() <= most, "{}", session.unfinished());
        assert_eq!(feed(&mut session, &hello[part..]), hello.len() - part);
        assert_eq!(session.failed(), None);
    }
}

#[test]
fn who_was_answered_holds_no_memory_of_other_handshakes_t8() {
    on_a_cable(async |near, far| {
        let listener = Rc::new(Server::new(far, server()).bind(port()).await.unwrap());
        let mut ends = Vec::new();
        for _ in 0..100 {
            let raw = near.connect(port()).await.unwrap();
            ends.push((raw, Rc::new(listener.accept().await.unwrap().0)));
        }
        // Of which handshakes hold a 32nd.
        simulate_memory(256 << 10);
        for (raw, tls) in &mut ends {
            let mut hello = Session::new(Side::Client(client().connection(WWW).unwrap()), CHAIN);
            hello.proceed();
            raw.write_all(hello.outgoing()).await.unwrap();
            let tls = Rc::clone(tls);
            spawn(async move { drop(tls.handshake().await) }).detach();
        }
        sleep(Duration::from_secs(1)).await;
        let failed: Vec<_> = ends.iter().filter_map(|(_, tls)| tls.failure()).collect();
        assert_eq!(failed, []);
    });
}

/// An open server's session, and what makes records of messages of its client's.
fn opened() -> (Session, impl FnMut(&[u8]) -> Vec<u8>) {
    let mut config = client();
    config.tell_keys();
    let mut near = Session::new(Side::Client(config.connection(WWW).unwrap()), CHAIN);
    let mut far = Session::new(Side::Server(server().connection().unwrap()), HELLO);
    near.proceed();
    for _ in 0..3 {
        pass(&mut near, &mut far);
        pass(&mut far, &mut near);
    }
    assert!(near.is_open() && far.is_open());
    (far, sender(near))
}

#[test]
fn little_is_taken_of_a_message_that_does_not_end_on_an_open_connection_t8() {
    // What goes on in another record is no error as long as it is short: here new keys.
    let (mut far, mut send) = opened();
    for piece in [&[24, 0][..], &[0, 1, 0]] {
        let record = send(piece);
        assert_eq!(feed(&mut far, &record), record.len());
    }
    assert_eq!(far.failed(), None);
    far.rest();
    assert_eq!(far.unfinished(), 0);
    let (mut far, mut send) = opened();
    feed(&mut far, &send(&[&[24, 0, 0xff, 0xf0][..], &[7; 600]].concat()));
    assert_eq!(far.failed(), None);
    let more: Vec<u8> = (0..6).flat_map(|_| send(&[7; 10_000])).collect();
    let taken = feed(&mut far, &more);
    assert!(taken < 3000, "{taken}");
    assert_eq!((far.failed(), far.unfinished()), (Some(&Error::TooLong), 0));
}

/// What encrypts messages of a handshake as this client would.
fn sender(client: Session) -> impl FnMut(&[u8]) -> Vec<u8> {
    let (mut number, keys) = client.into_keys();
    let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = keys else { panic!("another suite") };
    let suites = provider::of_servers(false).cipher_suites.clone();
    let aead = suites.iter().find_map(SupportedCipherSuite::tls13).unwrap().aead_alg;
    let mut encrypter = aead.encrypter(key, iv);
    move |payload| {
        let message = OutboundPlainMessage {
            typ: ContentType::Handshake,
            version: ProtocolVersion::TLSv1_3,
            payload: OutboundChunks::Single(payload),
        };
        number += 1;
        encrypter.encrypt(message, number - 1).unwrap().encode()
    }
}

#[test]
fn those_who_hold_the_most_make_room_for_who_finishes_a_handshake_t8() {
    const ALL: usize = 16 << 20;
    simulate_memory(ALL);
    on_a_cable(async |near, far| {
        let listener = Rc::new(Server::new(far, server()).bind(port()).await.unwrap());
        let held: Rc<core::cell::RefCell<Vec<Rc<Tls<_>>>>> = Rc::default();
        let mut clients = Vec::new();
        for _ in 0..100 {
            let mut raw = near.connect(port()).await.unwrap();
            let tls = Rc::new(listener.accept().await.unwrap().0);
            held.borrow_mut().push(Rc::clone(&tls));
            spawn(async move { drop(tls.handshake().await) }).detach();
            raw.write_all(&begun(1, 15_000)).await.unwrap();
            clients.push(raw);
        }
        sleep(Duration::from_secs(1)).await;
        let taken: usize = held.borrow().iter().map(|it| it.buffered()).sum();
        assert!(taken > ALL / 64 && taken <= ALL / 32, "{taken}");
        let crowded =
            held.borrow().iter().filter(|it| it.failure() == Some(Error::Crowded)).count();
        assert!((60..80).contains(&crowded), "{crowded}");
        let tls = Tls::connect(near.connect(port()).await.unwrap(), WWW, &client()).unwrap();
        let served = spawn(echo(listener.accept().await.unwrap().0));
        assert_eq!(exchange(tls, b"served").await.unwrap(), b"served");
        assert_eq!(served.await, Ok(()));
    });
    simulate_memory(0);
}
