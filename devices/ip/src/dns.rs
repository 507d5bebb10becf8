//! Resolves names by asking servers (RFC 1035).
//!
//! Every query has a port and an identifier of its own, both random (RFC 5452, section 9;
//! rule S5), and only a response to that port, from the server's address and port, with that
//! identifier and that question, counts; others are ignored. Truncated responses are asked
//! for again by TCP (RFC 7766, section 5). Nothing is cached, and DNSSEC is not validated.

use super::shared::Shared;
use super::stack::DnsRecordData;
use super::stack::{DnsFlags, DnsPacket, DnsQueryType, DnsQuestion, DnsRcode, DnsRecord};
use super::tcp::TcpStream;
use super::udp::UdpSocket;
use super::{Addresses, Error, Socket, any, random};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use embedded_io_async::{Read, Write};
use kernel::task::join;
use kernel::time::timeout;

/// The port of name servers.
const PORT: u16 = 53;

/// How long a server may take, in the first round and in the second.
const PATIENCE: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(5)];

/// The longest response by UDP that is read. Without EDNS it is 512 bytes (RFC 1035, section
/// 2.3.4); the rest is room for servers that send more.
const DATAGRAM: usize = 1232;

/// The longest name in a message, and the longest chain of aliases that is followed.
const NAME: usize = 255;
const ALIASES: usize = 8;

/// A question: header, name, type and class.
type Query = heapless::Vec<u8, { 12 + NAME + 4 }>;

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// It is none to this question.
    Other,
    /// It does not fit a datagram.
    Cut,
    /// These, and no others.
    Found(Addresses),
    /// The server cannot say.
    Failed,
}

/// `name` as it stands in messages. A dot at the end is allowed and says nothing new.
pub(super) fn encode(name: &str) -> Result<heapless::Vec<u8, NAME>, Error> {
    let name = name.as_bytes();
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut bytes = heapless::Vec::new();
    for label in name.split(|&byte| byte == b'.') {
        let good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if label.is_empty() || label.len() > 63 || !label.iter().all(good) {
            return Err(Error::BadName);
        }
        bytes.push(label.len() as u8).map_err(|_| Error::BadName)?;
        bytes.extend_from_slice(label).map_err(|_| Error::BadName)?;
    }
    bytes.push(0).map_err(|_| Error::BadName)?;
    Ok(bytes)
}

/// The question for `kind` of `name`.
fn question(id: u16, name: &[u8], kind: DnsQueryType) -> Query {
    let mut query = Query::new();
    // One question, and the wish that the server asks others for us.
    let parts: [&[u8]; 5] = [
        &id.to_be_bytes(),
        &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        name,
        &u16::from(kind).to_be_bytes(),
        &[0, 1],
    ];
    // There is room for the longest name.
    query.extend(parts.into_iter().flatten().copied());
    query
}

/// Reads the answer in `message` to `query`.
fn read(message: &[u8], query: &[u8]) -> Answer {
    let Some(expected) = DnsPacket::new_checked(query).ok() else { return Answer::Other };
    let Some(packet) = DnsPacket::new_checked(message).ok() else { return Answer::Other };
    let mine = packet.transaction_id() == expected.transaction_id()
        && packet.flags().contains(DnsFlags::RESPONSE)
        && packet.question_count() == 1;
    let asked = DnsQuestion::parse(expected.payload()).ok();
    let repeated = DnsQuestion::parse(packet.payload()).ok();
    let (Some((_, asked)), Some((mut rest, repeated)), true) = (asked, repeated, mine) else {
        return Answer::Other;
    };
    if asked.type_ != repeated.type_ || !asked.name.eq_ignore_ascii_case(repeated.name) {
        return Answer::Other;
    }
    if packet.flags().contains(DnsFlags::TRUNCATED) {
        return Answer::Cut;
    }
    match packet.rcode() {
        DnsRcode::NoError => {}
        DnsRcode::NXDomain => return Answer::Found(Addresses::new()),
        _ => return Answer::Failed,
    }
    let mut records = heapless::Vec::<DnsRecord<'_>, 32>::new();
    for _ in 0..packet.answer_record_count() {
        let Ok((after, record)) = DnsRecord::parse(rest) else { return Answer::Failed };
        rest = after;
        // More than that, and the rest is not looked at.
        let _ = records.push(record);
    }
    let same = |a: &[u8], b: &[u8]| {
        let (mut a, mut b) = (packet.parse_name(a), packet.parse_name(b));
        loop {
            match (a.next(), b.next()) {
                (None, None) => return true,
                (Some(Ok(a)), Some(Ok(b))) if a.eq_ignore_ascii_case(b) => {}
                _ => return false,
            }
        }
    };
    let (mut name, mut found) = (repeated.name, Addresses::new());
    let mut aliases = 0;
    while let Some(alias) = records.iter().find_map(|record| match record.data {
        DnsRecordData::Cname(alias) if same(record.name, name) => Some(alias),
        _ => None,
    }) {
        aliases += 1;
        if aliases > ALIASES {
            return Answer::Failed;
        }
        name = alias;
    }
    for record in records.iter().filter(|record| same(record.name, name)) {
        let address = match (&record.data, asked.type_) {
            (DnsRecordData::A(address), DnsQueryType::A) => IpAddr::V4(*address),
            (DnsRecordData::Aaaa(address), DnsQueryType::Aaaa) => IpAddr::V6(*address),
            _ => continue,
        };
        if found.push(address).is_err() {
            break;
        }
    }
    Answer::Found(found)
}

/// Asks `server` for `kind` of `name`, for as long as it takes.
async fn ask(
    shared: &Rc<Shared>,
    server: IpAddr,
    name: &[u8],
    kind: DnsQueryType,
) -> Result<Answer, Error> {
    let query = question(random()? as u16, name, kind);
    let socket = UdpSocket::new(Rc::clone(shared), any(0))?;
    let server = SocketAddr::new(server, PORT);
    // Where nobody has its port, the next server is asked at once.
    socket.set_peer(Some(server));
    socket.send_to(&query, server).await?;
    let mut message = [0; DATAGRAM];
    loop {
        let (length, from) = socket.recv_from(&mut message).await?;
        let answer = match message.get(..length) {
            Some(message) if from == server => read(message, &query),
            _ => Answer::Other,
        };
        match answer {
            Answer::Other => {}
            Answer::Cut => return ask_at_length(shared, server, &query).await,
            answer => return Ok(answer),
        }
    }
}

/// The same by TCP.
async fn ask_at_length(
    shared: &Rc<Shared>,
    server: SocketAddr,
    query: &[u8],
) -> Result<Answer, Error> {
    let mut stream = TcpStream::connect(Rc::clone(shared), server).await?;
    stream.write_all(&(query.len() as u16).to_be_bytes()).await?;
    stream.write_all(query).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await.map_err(|_| Error::Reset)?;
    let length = usize::from(u16::from_be_bytes(length));
    let mut message = Vec::new();
    message.try_reserve_exact(length).map_err(|_| Error::Exhausted)?;
    message.resize(length, 0);
    stream.read_exact(&mut message).await.map_err(|_| Error::Reset)?;
    Ok(match read(&message, query) {
        Answer::Found(found) => Answer::Found(found),
        _ => Answer::Failed,
    })
}

/// Adds addresses of the other sort, for some of which there is room.
fn add(found: &mut Addresses, more: Addresses) {
    found.truncate((found.capacity() - more.len()).max(5));
    let room = found.capacity() - found.len();
    found.extend(more.into_iter().take(room));
}

/// All addresses of `name`: those that there is a way to first, IPv4 before IPv6.
pub(super) async fn resolve(shared: &Rc<Shared>, name: &str) -> Result<Addresses, Error> {
    if let Ok(address) = name.parse() {
        return Ok(core::iter::once(address).collect());
    }
    let name = encode(name)?;
    let servers = {
        let engine = shared.engine();
        engine.protocols.up()?;
        engine.servers()
    };
    let mut last = if servers.is_empty() { Error::NoServer } else { Error::TimedOut };
    for (patience, server) in PATIENCE.iter().flat_map(|it| servers.iter().map(move |s| (it, s))) {
        let kind = |kind| timeout(*patience, ask(shared, *server, &name, kind));
        let (four, six) = join(kind(DnsQueryType::A), kind(DnsQueryType::Aaaa)).await;
        let (mut found, mut missing) = (Addresses::new(), false);
        for answer in [four, six] {
            match answer {
                Ok(Ok(Answer::Found(more))) => add(&mut found, more),
                Ok(Err(error @ (Error::Down | Error::NoEntropy))) => return Err(error),
                Ok(Err(error)) => (last, missing) = (error, true),
                Ok(Ok(_)) => (last, missing) = (Error::BadName, true),
                Err(_) => (last, missing) = (Error::TimedOut, true),
            }
        }
        if !found.is_empty() {
            let engine = shared.engine();
            found.sort_by_key(|&it| engine.protocols.source(it).is_err());
            return Ok(found);
        }
        if !missing {
            return Err(Error::NoSuchName);
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    fn query() -> Query {
        question(0x1234, &encode("www.example.org").unwrap(), DnsQueryType::A)
    }

    /// An answer to [`query`] with these records behind the question.
    fn answer(records: &[&[u8]]) -> Vec<u8> {
        let mut message = query().to_vec();
        message[2] = 0x81;
        message[7] = records.len() as u8;
        message.extend(records.iter().copied().flatten());
        message
    }

    /// The record of an address, with a pointer to the question's name.
    const ADDRESS: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 9];

    fn found(addresses: &[&str]) -> Answer {
        Answer::Found(addresses.iter().map(|it| it.parse().unwrap()).collect())
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(encode("a.bc").unwrap(), b"\x01a\x02bc\0");
        assert_eq!(encode("a.bc.").unwrap(), b"\x01a\x02bc\0");
        assert_eq!(encode("_x-1").unwrap(), b"\x04_x-1\0");
        let label = "x".repeat(63);
        assert!(encode(&label).is_ok());
        let long = [label.as_str(); 4].join(".");
        for name in ["", ".", "a..b", ".a", "a b", "caf\u{e9}", "a..", &(label + "x"), &long] {
            assert_eq!(encode(name), Err(Error::BadName), "{name}");
        }
    }

    #[test]
    fn addresses_are_read() {
        let query = query();
        assert_eq!(read(&answer(&[ADDRESS]), &query), found(&["10.0.0.9"]));
        assert_eq!(read(&answer(&[]), &query), found(&[]));
        let many = answer(&[ADDRESS; 20]);
        assert_eq!(read(&many, &query), found(&["10.0.0.9"; 8]));
        // Of another name, and of another type.
        let other: &[u8] = &[1, b'x', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 8];
        let text: &[u8] = &[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 9, 0, 2, 1, b'x'];
        assert_eq!(read(&answer(&[other, text, ADDRESS]), &query), found(&["10.0.0.9"]));
    }

    #[test]
    fn aliases_are_followed_in_any_order_and_not_for_ever() {
        let query = query();
        let address: &[u8] = &[1, b'x', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 8];
        let alias: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 3, 1, b'x', 0];
        for records in [[alias, address], [address, alias]] {
            assert_eq!(read(&answer(&records), &query), found(&["10.0.0.8"]));
        }
        let circle: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12];
        assert_eq!(read(&answer(&[circle]), &query), Answer::Failed);
    }

    #[test]
    fn what_answers_another_question_is_passed_over_s5() {
        let good = answer(&[ADDRESS]);
        let query = query();
        // Identifier, whether it is an answer, number of questions, name, type, class.
        for (at, bit) in [(1, 1), (2, 0x80), (5, 1), (14, 1), (30, 1), (32, 1)] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            assert_eq!(read(&bad, &query), Answer::Other, "byte {at}");
        }
        let mut shouted = good.clone();
        shouted[13..16].make_ascii_uppercase();
        assert_eq!(read(&shouted, &query), found(&["10.0.0.9"]));
    }

    #[test]
    fn failures_and_cuts_are_told_apart() {
        let query = query();
        let with = |at: usize, value: u8| {
            let mut message = answer(&[ADDRESS]);
            message[at] |= value;
            read(&message, &query)
        };
        assert_eq!(with(2, 2), Answer::Cut);
        assert_eq!(with(3, 2), Answer::Failed);
        assert_eq!(with(3, 3), found(&[]));
        assert_eq!(with(7, 2), Answer::Failed);
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise() {
        let query = query();
        let good = answer(&[ADDRESS, ADDRESS]);
        for at in 0..good.len() {
            assert!(matches!(read(&good[..at], &query), Answer::Other | Answer::Failed));
            for value in [0, 0x3f, 0x40, 0xc0, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                read(&bad, &query);
            }
        }
    }

    #[test]
    fn eight_addresses_of_one_sort_are_kept_and_five_beside_others() {
        let of = |first: u8, count: u8| (0..count).map(move |at| IpAddr::from([first, 0, 0, at]));
        for (one, other, expected) in [(8, 0, 8), (8, 2, 6), (8, 8, 5), (3, 8, 3), (0, 8, 0)] {
            let mut found: Addresses = of(1, one).collect();
            add(&mut found, of(2, other).collect());
            let first =
                found.iter().filter(|it| matches!(it, IpAddr::V4(it) if it.octets()[0] == 1));
            assert_eq!(first.count(), expected, "{one} and {other}");
            assert_eq!(found.len(), usize::from(one + other).min(8));
        }
    }

    #[test]
    fn a_chain_of_aliases_that_is_too_long_is_no_missing_name() {
        // Each is an alias of the next: a, b, c and on, each a name of one letter.
        let chain = |length: u8| {
            let mut message = question(7, &encode("a").unwrap(), DnsQueryType::A).to_vec();
            (message[2], message[7]) = (0x81, length + 1);
            for at in 0..length {
                message.extend([1, b'a' + at, 0, 0, 5, 0, 1, 0, 0, 0, 9, 0, 3, 1, b'b' + at, 0]);
            }
            message.extend([1, b'a' + length, 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 9]);
            read(&message, &question(7, &encode("a").unwrap(), DnsQueryType::A))
        };
        for length in 0..9 {
            assert!(matches!(chain(length), Answer::Found(it) if it.len() == 1), "{length}");
        }
        assert!(matches!(chain(9), Answer::Failed));
    }
}
