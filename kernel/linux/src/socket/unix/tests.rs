//! Tests Unix sockets without a program.

use super::{Place, Registry, Unix};
use crate::errno::Errno;
use crate::file::{Caller, Open};
use crate::memory::{Memory, Ram, Sink, Source};
use crate::socket::{Address, Credentials, Incoming, Name, Outgoing, Socket, SocketFile, Style};
use crate::stop::Stop;
use crate::watch::Ready;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use linux_raw_sys::net::{
    MSG_PEEK, MSG_TRUNC, SO_ERROR, SO_KEEPALIVE, SO_LINGER, SO_PEERCRED, SO_REUSEADDR, SOL_SOCKET,
};

struct Nobody;

impl Caller for Nobody {
    fn memory(&self) -> Rc<Memory> {
        Rc::new(Memory::new(&Ram::new()).unwrap())
    }

    fn process(&self) -> [i32; 3] {
        [7; 3]
    }
}

const ME: Credentials = Credentials { process: 7, user: 0, group: 0 };

fn pair(style: Style) -> [Rc<Unix>; 2] {
    Unix::pair(style, &Rc::default(), ME)
}

fn send(socket: &Unix, bytes: &[u8]) -> Result<usize, Stop> {
    socket
        .send(&mut Outgoing { credentials: ME, ..Outgoing::default() }, &mut Source::kernel(bytes))
}

fn receive(socket: &Unix, most: usize, flags: u32) -> Result<(Vec<u8>, Incoming), Stop> {
    let mut bytes = Vec::new();
    let came = socket.receive(flags, &mut Sink::kernel(&mut bytes, most))?;
    Ok((bytes, came))
}

fn got(socket: &Unix, most: usize) -> Vec<u8> {
    receive(socket, most, 0).unwrap().0
}

fn error<T>(result: Result<T, Stop>) -> Option<Errno> {
    match result {
        Err(Stop::Fail(errno)) => Some(errno),
        _ => None,
    }
}

#[test]
fn a_stream_has_no_bounds_and_ends() {
    let [one, other] = pair(Style::Stream);
    send(&one, b"hello ").unwrap();
    send(&one, b"world").unwrap();
    assert_eq!(receive(&other, 3, MSG_PEEK).unwrap().0, b"hel");
    assert_eq!((got(&other, 8), got(&other, 9)), (b"hello wo".to_vec(), b"rld".to_vec()));
    assert!(matches!(receive(&other, 9, 0), Err(Stop::Wait)));
    drop(one);
    assert_eq!(got(&other, 9), b"");
    assert_eq!(error(send(&other, b"x")), Some(Errno::EPIPE));
    assert!(other.ready().contains(Ready::HUP | Ready::RDHUP | Ready::IN));
}

#[test]
fn a_sequence_keeps_its_bounds_and_says_what_was_cut() {
    let [one, other] = pair(Style::Sequence);
    send(&one, b"long").unwrap();
    send(&one, b"x").unwrap();
    let (bytes, came) = receive(&other, 2, 0).unwrap();
    assert_eq!((&bytes[..], came.length, came.flags & MSG_TRUNC), (&b"lo"[..], 2, MSG_TRUNC));
    assert_eq!(receive(&other, 0, MSG_PEEK | MSG_TRUNC).unwrap().1.length, 1);
    assert_eq!(got(&other, 9), b"x");
}

#[test]
fn who_writes_waits_for_room_and_is_told_of_it() {
    let [one, other] = pair(Style::Stream);
    let mut written = 0;
    while let Ok(count) = send(&one, &[7; 10_000]) {
        written += count;
    }
    assert!((100_000..=212_992).contains(&written), "{written}");
    assert!(!one.ready().contains(Ready::OUT));
    let changes = one.watch().changes();
    let mut read = 0;
    while let Ok((bytes, _)) = receive(&other, 10_000, 0) {
        read += bytes.len();
    }
    assert_eq!(read, written);
    assert!(one.watch().changes() > changes && one.ready().contains(Ready::OUT));
}

#[test]
fn what_was_sent_with_descriptors_ends_what_is_received_at_once() {
    let [one, other] = pair(Style::Stream);
    let open = Open::uncounted(SocketFile::new(pair(Style::Stream)[0].clone()), 0);
    let send_with = |bytes| {
        let rights = alloc::vec![Rc::clone(&open)];
        let bound = [1000, usize::MAX];
        let mut message = Outgoing { rights, bound, credentials: ME, ..Outgoing::default() };
        one.send(&mut message, &mut Source::kernel(bytes)).unwrap();
    };
    let check = |most, flags, bytes: &[u8], rights| {
        let (got, came) = receive(&other, most, flags).unwrap();
        assert_eq!((&got[..], came.rights.len()), (bytes, rights));
    };
    // What came before them comes with them, and what comes after does not.
    send(&one, b"aaaa").unwrap();
    send_with(b"b");
    send(&one, b"cccc").unwrap();
    check(20, MSG_PEEK, b"aaaab", 1);
    check(20, 0, b"aaaab", 1);
    check(20, 0, b"cccc", 0);
    send_with(b"1");
    send_with(b"2");
    check(20, 0, b"1", 1);
    check(20, 0, b"2", 1);
    // They come with the first byte, and are no bound any more.
    send_with(b"bbb");
    send(&one, b"cccc").unwrap();
    check(2, 0, b"bb", 1);
    check(20, 0, b"bcccc", 0);
}

#[test]
fn datagrams_that_came_are_lost_with_the_peer_as_soon_as_that_is_noticed() {
    let [one, other] = pair(Style::Datagram);
    send(&other, b"early").unwrap();
    drop(other);
    assert_eq!(got(&one, 9), b"early", "nobody has looked");
    let [one, other] = pair(Style::Datagram);
    send(&other, b"lost").unwrap();
    drop(other);
    assert_eq!(error(send(&one, b"x")), Some(Errno::ECONNREFUSED));
    assert!(matches!(receive(&one, 9, 0), Err(Stop::Wait)));
    assert_eq!(error(send(&one, b"x")), Some(Errno::ENOTCONN));
    // Who leaves a peer for another loses what came, and the peer that counted on it hears of that.
    let [one, other] = pair(Style::Datagram);
    one.connect(&Nobody, &Address::None).unwrap();
    assert!(!other.ready().contains(Ready::ERR), "nothing was lost");
    let [one, other] = pair(Style::Datagram);
    send(&other, b"lost").unwrap();
    one.connect(&Nobody, &Address::None).unwrap();
    assert!(matches!(receive(&one, 9, 0), Err(Stop::Wait)));
    assert_eq!(other.option(SOL_SOCKET, SO_ERROR).unwrap(), 104_i32.to_ne_bytes());
}

#[test]
fn half_of_a_stream_may_end() {
    let [one, other] = pair(Style::Stream);
    send(&one, b"last").unwrap();
    one.shutdown(false, true).unwrap();
    assert_eq!(error(send(&one, b"more")), Some(Errno::EPIPE));
    assert_eq!((got(&other, 9), got(&other, 9)), (b"last".to_vec(), Vec::new()));
    send(&other, b"answer").unwrap();
    assert_eq!(got(&one, 9), b"answer");
}

#[test]
fn a_listener_hands_out_connections_in_their_order() {
    let registry = Rc::<Registry>::default();
    let new = || Unix::new(Style::Stream, &registry, ME);
    let (listener, client) = (new(), new());
    let name = Address::Unix(Name::Abstract(b"door".to_vec()));
    assert_eq!(error(client.connect(&Nobody, &name)), Some(Errno::ECONNREFUSED));
    assert_eq!(listener.listen(1), Err(Errno::EINVAL), "it has no name");
    listener.bind(&Nobody, &name).unwrap();
    assert_eq!(error(new().bind(&Nobody, &name)), Some(Errno::EADDRINUSE));
    assert_eq!(error(client.connect(&Nobody, &name)), Some(Errno::ECONNREFUSED), "not listening");
    listener.listen(1).unwrap();
    assert!(matches!(listener.accept(), Err(Stop::Wait)));
    client.connect(&Nobody, &name).unwrap();
    assert_eq!(error(client.connect(&Nobody, &name)), Some(Errno::EISCONN));
    // The client need not wait for that.
    send(&client, b"early").unwrap();
    let more = [new(), new()];
    more[0].connect(&Nobody, &name).unwrap();
    let changes = more[1].watch().changes();
    assert!(matches!(more[1].connect(&Nobody, &name), Err(Stop::Wait)), "two wait already");
    let (server, peer) = listener.accept().unwrap();
    assert!(more[1].watch().changes() > changes);
    more[1].connect(&Nobody, &name).unwrap();
    assert_eq!((peer, server.local()), (Address::Unix(Name::Unnamed), name.clone()));
    assert_eq!(client.peer(), Ok(name.clone()));
    let mut bytes = Vec::new();
    server.receive(0, &mut Sink::kernel(&mut bytes, 9)).unwrap();
    assert_eq!(bytes, b"early");
    assert_eq!(client.option(SOL_SOCKET, SO_PEERCRED).unwrap()[..4], 7_i32.to_ne_bytes());
    // Who is never accepted learns of it.
    drop(listener);
    assert_eq!(error(receive(&more[0], 1, 0)), Some(Errno::ECONNRESET));
    assert!(registry.find(&Place::Abstract(Style::Stream, b"door".to_vec())).is_none());
}

#[test]
fn datagrams_go_to_names_and_say_from_whom() {
    let registry = Rc::<Registry>::default();
    let new = || Unix::new(Style::Datagram, &registry, ME);
    let (one, other) = (new(), new());
    let name = |text: &[u8]| Address::Unix(Name::Abstract(text.to_vec()));
    one.bind(&Nobody, &name(b"one")).unwrap();
    other.bind(&Nobody, &Address::Unix(Name::Unnamed)).unwrap();
    assert_eq!(error(send(&other, b"x")), Some(Errno::ENOTCONN));
    let to = name(b"one");
    let mut message = Outgoing { to: Some(&to), credentials: ME, ..Outgoing::default() };
    other.send(&mut message, &mut Source::kernel(b"hi")).unwrap();
    let (bytes, came) = receive(&one, 9, 0).unwrap();
    assert_eq!((bytes, came.from), (b"hi".to_vec(), Some(name(b"00001"))));
    let long = [0; 300_000];
    other.connect(&Nobody, &to).unwrap();
    assert_eq!(error(send(&other, &long)), Some(Errno::EMSGSIZE));
    drop(one);
    assert_eq!(error(send(&other, b"x")), Some(Errno::ECONNREFUSED));
}

#[test]
fn descriptors_come_with_the_first_byte_that_they_went_with() {
    let [one, other] = pair(Style::Stream);
    let [passed, _kept] = pair(Style::Stream);
    send(&one, b"before").unwrap();
    let open = Open::uncounted(SocketFile::new(passed), 2);
    let rights = alloc::vec![Rc::clone(&open)];
    let bound = [1000, usize::MAX];
    let mut message = Outgoing { rights, bound, credentials: ME, ..Outgoing::default() };
    one.send(&mut message, &mut Source::kernel(b"with")).unwrap();
    send(&one, b"after").unwrap();
    assert_eq!(receive(&other, 6, 0).unwrap().0, b"before");
    let (bytes, came) = receive(&other, 99, 0).unwrap();
    assert_eq!((&bytes[..4], came.rights.len()), (&b"with"[..], 1));
    assert!(Rc::ptr_eq(&came.rights[0], &open));
    drop(came);
    drop(one);
    let mut rest = bytes[4..].to_vec();
    rest.extend(got(&other, 99));
    assert_eq!((&rest[..], Rc::strong_count(&open)), (&b"after"[..], 1));
}

#[test]
fn what_was_never_read_is_an_error_to_who_sent_it() {
    let [one, other] = pair(Style::Stream);
    send(&one, b"lost").unwrap();
    drop(other);
    let told = one.option(SOL_SOCKET, SO_ERROR).unwrap();
    assert_eq!(told, u32::from(Errno::ECONNRESET.number()).to_ne_bytes());
    assert_eq!(one.option(SOL_SOCKET, SO_ERROR).unwrap(), [0; 4]);
    let [one, other] = pair(Style::Stream);
    send(&one, b"lost").unwrap();
    send(&other, b"last").unwrap();
    drop(other);
    let mut read = Vec::new();
    let mut receive = || one.receive(0, &mut Sink::kernel(&mut read, 9)).map(|it| it.length);
    assert_eq!(receive().unwrap(), 4, "what came before");
    assert!(matches!(receive(), Err(Stop::Fail(Errno::ECONNRESET))));
    assert_eq!(receive().unwrap(), 0);
}

/// Sends the descriptor `open` to the peer of `socket`.
fn pass(socket: &Unix, open: &Rc<Open>) {
    let rights = alloc::vec![Rc::clone(open)];
    let bound = [1000, usize::MAX];
    let mut message = Outgoing { rights, bound, credentials: ME, ..Outgoing::default() };
    socket.send(&mut message, &mut Source::kernel(b"x")).unwrap();
}

fn opened(pair: [Rc<Unix>; 2]) -> ([Weak<Unix>; 2], [Rc<Open>; 2]) {
    (pair.each_ref().map(Rc::downgrade), pair.map(|it| Open::uncounted(SocketFile::new(it), 2)))
}

#[test]
fn sockets_that_only_their_own_messages_hold_are_freed() {
    let registry = Rc::default();
    let make = || opened(Unix::pair(Style::Stream, &registry, ME));
    // One in its own queue; then two, each in the queue of the other.
    let ([one, other], [a, b]) = make();
    pass(&one.upgrade().unwrap(), &b);
    drop(b);
    assert!(other.strong_count() > 0, "the other end may still send to it");
    drop(a);
    assert_eq!((one.strong_count(), other.strong_count()), (0, 0));
    let ([one, other], [a, b]) = make();
    pass(&one.upgrade().unwrap(), &a);
    pass(&other.upgrade().unwrap(), &b);
    drop((a, b));
    // They are found when the next socket ends.
    drop(make());
    assert_eq!((one.strong_count(), other.strong_count()), (0, 0));
}

#[test]
fn a_listener_in_its_own_backlog_is_freed() {
    let registry = Rc::default();
    let make = |accepted: bool| {
        let listener = Unix::new(Style::Stream, &registry, ME);
        let name = b"own".to_vec();
        listener.name(Name::Abstract(name.clone()), Place::Abstract(Style::Stream, name)).unwrap();
        listener.listen(1).unwrap();
        let (weak, open) =
            (Rc::downgrade(&listener), Open::uncounted(SocketFile::new(listener), 2));
        let client = Unix::new(Style::Stream, &registry, ME);
        client.connect_to(&Nobody, &weak.upgrade().unwrap()).unwrap();
        pass(&client, &open);
        let end = accepted.then(|| weak.upgrade().unwrap().accept().unwrap().0);
        (weak, open, client, end)
    };
    let (listener, open, client, _) = make(false);
    drop(client);
    assert!(listener.strong_count() > 0, "it may be accepted");
    drop(open);
    drop(opened(Unix::pair(Style::Stream, &registry, ME)));
    assert_eq!(listener.strong_count(), 0);
    // Once the connection is accepted, what came over it can be received.
    let (listener, open, client, end) = make(true);
    drop((open, client));
    drop(opened(Unix::pair(Style::Stream, &registry, ME)));
    assert!(listener.strong_count() > 0);
    drop(end);
    drop(opened(Unix::pair(Style::Stream, &registry, ME)));
    assert_eq!(listener.strong_count(), 0);
}

#[test]
fn what_can_still_be_received_stays() {
    let registry = Rc::default();
    let ([one, _], [_a, b]) = opened(Unix::pair(Style::Stream, &registry, ME));
    let ([two, _], [c, d]) = opened(Unix::pair(Style::Stream, &registry, ME));
    // `d` is in its own queue, and its other end in that of `b`, which is open.
    pass(&two.upgrade().unwrap(), &d);
    pass(&one.upgrade().unwrap(), &d);
    pass(&one.upgrade().unwrap(), &c);
    let inner = Rc::downgrade(&d);
    drop((c, d));
    drop(opened(Unix::pair(Style::Stream, &registry, ME)));
    assert!(two.strong_count() > 0 && inner.strong_count() > 0);
    let other = SocketFile::of(&b).unwrap();
    let mut bytes = Vec::new();
    let came = other.receive(0, &mut Sink::kernel(&mut bytes, 1)).unwrap();
    assert!(Rc::ptr_eq(&came.rights[0], &inner.upgrade().unwrap()));
}

#[test]
fn descriptors_fill_a_queue_and_leave_room_when_they_are_received() {
    let [one, other] = pair(Style::Stream);
    let [passed, _kept] = pair(Style::Stream);
    let open = Open::uncounted(SocketFile::new(passed), 2);
    let fill = || {
        (0..100_000)
            .find(|_| {
                let rights = alloc::vec![Rc::clone(&open); 253];
                let bound = [1000, usize::MAX];
                let mut message =
                    Outgoing { rights, bound, credentials: ME, ..Outgoing::default() };
                one.send(&mut message, &mut Source::kernel(b"x")).is_err()
            })
            .unwrap()
    };
    let count = fill();
    assert!((1..100).contains(&count), "{count} times 253 descriptors in 208 KiB");
    assert_eq!(Rc::strong_count(&open), 1 + 253 * count);
    (0..count).for_each(|_| assert_eq!(receive(&other, 9, 0).unwrap().1.rights.len(), 253));
    assert_eq!((Rc::strong_count(&open), fill()), (1, count));
}

#[test]
fn nothing_is_queued_while_memory_is_low() {
    use kernel::testing::{simulate_memory, simulate_memory_use};

    let ([one, other], [stream, end]) = (pair(Style::Datagram), pair(Style::Stream));
    send(&stream, b"x").unwrap();
    simulate_memory(16 << 20);
    simulate_memory_use(16 << 20);
    assert_eq!(error(send(&one, b"x")), Some(Errno::ENOBUFS));
    assert_eq!(error(send(&stream, b"x")), Some(Errno::ENOBUFS));
    simulate_memory_use(0);
    send(&one, b"y").unwrap();
    assert_eq!((got(&other, 9), got(&end, 9)), (b"y".to_vec(), b"x".to_vec()));
}

#[test]
fn sockets_in_the_queues_of_sockets_end_without_recursion() {
    let registry = Rc::default();
    let ([mut outer, _], mut opens) = opened(Unix::pair(Style::Stream, &registry, ME));
    let mut first = None;
    for _ in 0..20_000 {
        let ([next, _], inner) = opened(Unix::pair(Style::Stream, &registry, ME));
        // The one before, with both ends, is in the queue of this one.
        opens.iter().for_each(|it| pass(&next.upgrade().unwrap(), it));
        first.get_or_insert(core::mem::replace(&mut outer, next));
        opens = inner;
    }
    drop(opens);
    assert_eq!(first.map(|it| it.strong_count()), Some(0));
}

#[test]
fn each_style_has_names_of_its_own() {
    let registry = Rc::<Registry>::default();
    let name = Address::Unix(Name::Abstract(b"door".to_vec()));
    let [stream, sequence, late] =
        [Style::Stream, Style::Sequence, Style::Stream].map(|it| Unix::new(it, &registry, ME));
    assert_eq!(error(stream.bind(&Nobody, &name)), None);
    assert_eq!(error(sequence.bind(&Nobody, &name)), None);
    assert_eq!(error(late.bind(&Nobody, &name)), Some(Errno::EADDRINUSE));
    sequence.listen(1).unwrap();
    assert_eq!(error(late.connect(&Nobody, &name)), Some(Errno::ECONNREFUSED));
}

#[test]
fn who_is_connected_takes_datagrams_of_nobody_else() {
    let registry = Rc::<Registry>::default();
    let [server, peer, other] = [0; 3].map(|_| Unix::new(Style::Datagram, &registry, ME));
    let names = [&b"server"[..], b"peer"].map(|it| Address::Unix(Name::Abstract(it.to_vec())));
    server.bind(&Nobody, &names[0]).unwrap_or_default();
    peer.bind(&Nobody, &names[1]).unwrap_or_default();
    assert_eq!(error(other.connect(&Nobody, &names[0])), None);
    assert_eq!(error(server.connect(&Nobody, &names[1])), None);
    assert_eq!(error(send(&other, b"x")), Some(Errno::EPERM));
    assert_eq!(error(other.connect(&Nobody, &names[0])), Some(Errno::EPERM));
    assert_eq!(error(peer.connect(&Nobody, &names[0])), None);
    send(&peer, b"long").unwrap();
    send(&peer, b"x").unwrap();
    assert_eq!(server.queued()[0], 4, "the next one");
    assert_eq!(got(&server, 9), b"long");
    assert_eq!(error(server.accept().map(drop)), Some(Errno::EOPNOTSUPP));
}

#[test]
fn options_that_do_nothing_are_kept_and_other_levels_have_none() {
    let [one, _] = pair(Style::Stream);
    let on = 1_u32.to_ne_bytes();
    assert_eq!(one.set_option(SOL_SOCKET, SO_KEEPALIVE, &on), Ok(()));
    assert_eq!(one.option(SOL_SOCKET, SO_KEEPALIVE), Ok(on.to_vec()));
    assert_eq!(one.option(SOL_SOCKET, SO_REUSEADDR), Ok(std::vec![0; 4]));
    assert_eq!(one.set_option(SOL_SOCKET, SO_LINGER, &on), Err(Errno::EINVAL));
    assert_eq!(one.set_option(6, 1, &on), Err(Errno::EOPNOTSUPP));
}

#[test]
fn a_datagram_socket_forgets_a_peer_that_is_gone_once_it_was_told() {
    let registry = Rc::<Registry>::default();
    let [one, peer, other] = [0; 3].map(|_| Unix::new(Style::Datagram, &registry, ME));
    let name = Address::Unix(Name::Abstract(b"one".to_vec()));
    one.bind(&Nobody, &name).unwrap();
    one.connect_to(&Nobody, &peer).unwrap();
    drop(peer);
    let to_one = || {
        let mut message = Outgoing { to: Some(&name), credentials: ME, ..Outgoing::default() };
        other.send(&mut message, &mut Source::kernel(b"x"))
    };
    assert_eq!(error(to_one()), Some(Errno::EPERM));
    assert!(one.peer().is_ok(), "it was not told");
    assert_eq!(error(send(&one, b"x")), Some(Errno::ECONNREFUSED));
    assert_eq!(error(send(&one, b"x")), Some(Errno::ENOTCONN));
    assert_eq!(one.peer(), Err(Errno::ENOTCONN));
    assert_eq!((to_one().ok(), got(&one, 9)), (Some(1), b"x".to_vec()));
}

#[test]
fn who_hears_another_says_so_before_that_it_hears_nothing() {
    let registry = Rc::<Registry>::default();
    let [one, peer, other] = [0; 3].map(|_| Unix::new(Style::Datagram, &registry, ME));
    one.connect_to(&Nobody, &peer).unwrap();
    one.shutdown(true, false).unwrap();
    let send = |from: &Unix| {
        from.send_to(Some(Rc::clone(&one)), &mut Outgoing::default(), &mut Source::kernel(b"x"))
    };
    assert_eq!(error(send(&other)), Some(Errno::EPERM));
    assert_eq!(error(send(&peer)), Some(Errno::EPIPE));
}

#[test]
fn descriptors_in_flight_are_bounded_for_each_user_and_for_all_u4() {
    kernel::testing::simulate_memory(1 << 20);
    let most = (1 << 20) / 10_240;
    let registry = Rc::default();
    let [one, other] = Unix::pair(Style::Stream, &registry, ME);
    let passed = Open::uncounted(SocketFile::new(Unix::new(Style::Stream, &registry, ME)), 2);
    let send = |user: usize, bound: usize| {
        let rights = alloc::vec![Rc::clone(&passed)];
        let bound = [user, bound];
        let mut message = Outgoing { rights, bound, credentials: ME, ..Outgoing::default() };
        one.send(&mut message, &mut Source::kernel(b"x"))
    };
    let failed = |sent: Result<usize, Stop>| matches!(sent, Err(Stop::Fail(Errno::ETOOMANYREFS)));
    // As on Linux, one more than the limit.
    (0..11).for_each(|_| assert_eq!(send(1000, 10).unwrap(), 1));
    assert!(failed(send(1000, 10)));
    assert_eq!(send(1001, 10).unwrap(), 1, "another user's are other ones");
    let mut read = Vec::new();
    drop(other.receive(0, &mut Sink::kernel(&mut read, 1)).unwrap());
    assert_eq!(send(1000, 10).unwrap(), 1, "what was received does not count");
    (12..most).for_each(|_| assert_eq!(send(0, usize::MAX).unwrap(), 1));
    assert!(failed(send(0, usize::MAX)), "root's too");
    drop(other);
    assert_eq!(Rc::strong_count(&passed), 1);
    // What nobody can receive makes room.
    for _ in 0..3 * most {
        let ([one, _], [a, b]) = opened(Unix::pair(Style::Stream, &registry, ME));
        pass(&one.upgrade().unwrap(), &b);
        drop((a, b));
    }
}

#[test]
fn sockets_that_end_do_not_each_look_at_all_that_is_in_flight_u5() {
    let registry = Rc::default();
    let pairs = [0; 3].map(|_| Unix::pair(Style::Stream, &registry, ME));
    let passed = Open::uncounted(SocketFile::new(Unix::new(Style::Stream, &registry, ME)), 2);
    (0..3000).for_each(|number| pass(&pairs[number % 3][0], &passed));
    let looks = registry.flight.looks.get();
    (0..1000).for_each(|_| drop(Unix::pair(Style::Stream, &registry, ME)));
    let looks = registry.flight.looks.get() - looks;
    assert!(looks < 100 * 3000, "{looks} descriptors were looked at");
}

#[test]
fn messages_that_are_refused_or_received_do_not_each_look_at_all_that_is_in_flight_u5() {
    let registry = Rc::default();
    let [[one, other], [quick, reader]] = [0; 2].map(|_| Unix::pair(Style::Stream, &registry, ME));
    let more = [0; 2].map(|_| Unix::pair(Style::Stream, &registry, ME));
    let passed = Open::uncounted(SocketFile::new(Unix::new(Style::Stream, &registry, ME)), 2);
    let send = |from: &Unix, bound: usize| {
        let (rights, bound) = (alloc::vec![Rc::clone(&passed)], [1000, bound]);
        let mut message = Outgoing { rights, bound, credentials: ME, ..Outgoing::default() };
        from.send(&mut message, &mut Source::kernel(b"x"))
    };
    let all = [&one, &more[0][0], &more[1][0]];
    (0..3000).for_each(|number| assert_eq!(send(all[number % 3], 3000).unwrap(), 1));
    let looks = registry.flight.looks.get();
    for _ in 0..1000 {
        assert_eq!(error(send(&one, 2000)), Some(Errno::ETOOMANYREFS));
    }
    let refused = registry.flight.looks.get() - looks;
    assert!(refused < 100 * 3000, "{refused} looks for 1000 that were refused");
    for _ in 0..1000 {
        assert_eq!(send(&quick, 9000).unwrap(), 1);
        assert_eq!(receive(&reader, 9, 0).unwrap().1.rights.len(), 1);
    }
    let received = registry.flight.looks.get() - looks - refused;
    assert!(received < 150 * 3000, "{received} looks for 1000 that were received");
    drop(other);
}

#[test]
fn who_has_too_many_in_flight_that_nobody_can_receive_may_send_again() {
    let registry = Rc::default();
    let [one, _other] = Unix::pair(Style::Stream, &registry, ME);
    let send = |from: &Unix, open: &Rc<Open>| {
        let (rights, bound) = (alloc::vec![Rc::clone(open)], [1000, 100]);
        let mut message = Outgoing { rights, bound, credentials: ME, ..Outgoing::default() };
        from.send(&mut message, &mut Source::kernel(b"x"))
    };
    let (ends, [first, second]) = opened(Unix::pair(Style::Stream, &registry, ME));
    let [a, b] = ends.map(|it| it.upgrade().unwrap());
    (0..51).for_each(|_| assert_eq!(send(&a, &first).unwrap(), 1));
    (0..50).for_each(|_| assert_eq!(send(&b, &second).unwrap(), 1));
    assert_eq!(error(send(&one, &second)), Some(Errno::ETOOMANYREFS));
    let plain = Open::uncounted(SocketFile::new(Unix::new(Style::Stream, &registry, ME)), 2);
    // Each is in the queue of the other, so that none ends.
    drop((first, second, a, b));
    let refused = (0..10).take_while(|_| send(&one, &plain).is_err()).count();
    assert!(refused < 10, "refused {refused} times");
}
