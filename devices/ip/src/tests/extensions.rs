//! IPv6 extension headers: what is passed over, what is dropped and what is told.

use super::fragments::{datagram, piece};
use super::hostile::{frames, raw, send};
use super::*;
use crate::packet::{self, Verdict};
use devices::net::Meta;
use kernel::time::sleep;

const HOP: u8 = 0;
const TCP: u8 = 6;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ICMP: u8 = 58;
const NONE: u8 = 59;
const DESTINATION: u8 = 60;

/// An echo request.
const ECHO: [u8; 12] = [128, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4];

/// Its kind, and what is in it.
type Header<'a> = (u8, &'a [u8]);

/// Headers with these kinds and contents in front of `message` of `protocol`. Each is filled up
/// to a whole number of 8 bytes by zeros.
fn chain(to: &str, headers: &[Header<'_>], protocol: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = datagram("fd00::1", to, &[])[..54].to_vec();
    let kinds = headers.iter().map(|it| it.0).chain([protocol]);
    let mut kinds = kinds.collect::<Vec<_>>().into_iter();
    frame[20] = kinds.next().unwrap();
    for ((kind, content), next) in headers.iter().zip(kinds) {
        let length = (2 + content.len()).next_multiple_of(8);
        let start = frame.len();
        frame.extend([next, if *kind == FRAGMENT { 0 } else { (length / 8 - 1) as u8 }]);
        frame.extend(*content);
        frame.resize(start + length, 0);
    }
    let transport = frame.len();
    frame.extend(message);
    let length = frame.len() - 54;
    frame[18..20].copy_from_slice(&(length as u16).to_be_bytes());
    if protocol == ICMP && message.len() >= 4 && message[2..4] == [0, 0] {
        // By the pseudo header, whatever the headers in front.
        let mut plain = frame[..54].to_vec();
        plain.extend(message);
        plain[18..20].copy_from_slice(&(message.len() as u16).to_be_bytes());
        plain[20] = ICMP;
        packet::finish_icmp_v6(&mut plain);
        frame[transport..].copy_from_slice(&plain[54..]);
    }
    frame
}

/// What becomes of a packet.
#[derive(Debug, PartialEq)]
enum Fate {
    Answered,
    Dropped,
    /// A parameter problem with this code and pointer.
    Told(u8, u32),
}

use Fate::{Answered, Dropped, Told};

/// What a stack does with a frame.
async fn fate(net: &End, frame: &[u8]) -> Fate {
    frames(net);
    send(net, frame, Meta::default());
    sleep(SECOND / 50).await;
    let answers = frames(net);
    let [answer] = &answers[..] else {
        assert!(answers.is_empty(), "{answers:02x?}");
        return Dropped;
    };
    assert_eq!(
        (&answer[22..38], answer[20]),
        (&"fd00::2".parse::<Ipv6Addr>().unwrap().octets()[..], ICMP)
    );
    let mut right = answer.clone();
    right[56..58].fill(0);
    packet::finish_icmp_v6(&mut right);
    assert_eq!(*answer, right);
    match answer[54] {
        129 => {
            assert_eq!(answer[58..], ECHO[4..]);
            Answered
        }
        4 => {
            assert_eq!(answer[62..], frame[14..frame.len().min(14 + 1280 - 48)]);
            Told(answer[55], u32::from_be_bytes(*answer[58..].first_chunk().unwrap()))
        }
        other => panic!("{other}"),
    }
}

/// Options that a machine does not know, by what they say is to be done then.
const SKIP: [u8; 3] = [0x1e, 1, 0];
const DROP: [u8; 3] = [0x5e, 1, 0];
const TELL: [u8; 3] = [0x9e, 1, 0];
const TELL_ONE: [u8; 3] = [0xde, 1, 0];

#[test]
fn extension_headers_are_passed_over_dropped_or_told_of_t1() {
    raw(async |net, _b| {
        let (alert, empty): (&[u8], &[u8]) = (&[5, 2, 0, 0], &[]);
        let long = [1, 255].into_iter().chain([0; 255]).collect::<Vec<_>>();
        let many = [0x1e, 0].repeat(9);
        let rh0: &[u8] = &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        // Their contents, and what becomes of an echo request behind them.
        let cases: &[(&[Header<'_>], Fate)] = &[
            (&[], Answered),
            // Section 4.3, 4.6: padding and options.
            (&[(HOP, &[])], Answered),
            (&[(HOP, alert)], Answered),
            (&[(DESTINATION, &[1, 4, 0, 0, 0, 0])], Answered),
            (&[(DESTINATION, &long)], Answered),
            (&[(HOP, alert), (DESTINATION, &[]), (ROUTING, &[0, 0]), (DESTINATION, &[])], Answered),
            (&[(DESTINATION, &[]), (DESTINATION, &[])], Answered),
            // Section 4.2: what the two first bits say.
            (&[(HOP, &SKIP)], Answered),
            (&[(HOP, &DROP)], Dropped),
            (&[(HOP, &TELL)], Told(2, 42)),
            (&[(HOP, &TELL_ONE)], Told(2, 42)),
            (&[(DESTINATION, &[0, 0, 0xc9, 1, 0])], Told(2, 44)),
            (&[(HOP, &[]), (DESTINATION, &[SKIP, TELL].concat())], Told(2, 53)),
            // An option that is longer than its header, or of which there is no length.
            (&[(DESTINATION, &[0x1e, 5, 0, 0])], Dropped),
            (&[(DESTINATION, &[1, 3, 0, 0, 0, 0x1e])], Dropped),
            // Section 4.1: only behind the IPv6 header.
            (&[(DESTINATION, &[]), (HOP, &[])], Told(1, 40)),
            (&[(HOP, &[]), (HOP, &[])], Told(1, 40)),
            // Section 4.4, RFC 5095: there is nowhere to go from here.
            (&[(ROUTING, &[0, 0, 0, 0, 0, 0])], Answered),
            (&[(ROUTING, &[4, 0])], Answered),
            (&[(ROUTING, rh0)], Told(0, 42)),
            (&[(ROUTING, &[4, 1])], Told(0, 42)),
            (&[(HOP, &[]), (ROUTING, &[253, 9])], Told(0, 50)),
            // RFC 6946: a fragment that is whole, whatever its number and unused bits.
            (&[(FRAGMENT, &[0, 0, 1, 2, 3, 4])], Answered),
            (&[(FRAGMENT, &[0, 6, 1, 2, 3, 4])], Answered),
            (&[(FRAGMENT, &[0, 0]), (DESTINATION, &[])], Answered),
            (&[(FRAGMENT, &[0, 0]), (FRAGMENT, &[0, 0])], Answered),
            // RFC 8504, section 5.3: bounds.
            (&[(DESTINATION, empty); 8], Answered),
            (&[(DESTINATION, empty); 9], Dropped),
            (&[(DESTINATION, &many)], Dropped),
            (&[(DESTINATION, &many[2..])], Answered),
        ];
        for (headers, wanted) in cases {
            let got = fate(&net, &chain("fd00::2", headers, ICMP, &ECHO)).await;
            assert_eq!(got, *wanted, "{headers:?}");
        }
        // Section 4, 4.7: what nobody here speaks, and nothing.
        for (headers, protocol, wanted) in [
            (&[][..], 253, Told(1, 6)),
            (&[], 51, Told(1, 6)),
            (&[], 2, Told(1, 6)),
            (&[(HOP, &[][..])], 253, Told(1, 40)),
            (&[(HOP, &[]), (DESTINATION, &[])], 50, Told(1, 48)),
            (&[(FRAGMENT, &[0, 0])], 253, Told(1, 40)),
            (&[], NONE, Dropped),
            (&[(DESTINATION, &[])], NONE, Dropped),
        ] {
            let got = fate(&net, &chain("fd00::2", headers, protocol, &[7; 2000][..1400])).await;
            assert_eq!(got, wanted, "{headers:?} {protocol}");
        }
    });
}

#[test]
fn no_error_is_told_where_it_must_not_be_t1() {
    raw(async |net, b| {
        let told =
            async |from: &str, to: &str, headers: &[Header<'_>], protocol, message: &[u8]| {
                let mut frame = chain(to, headers, protocol, message);
                frame[22..38].copy_from_slice(&from.parse::<Ipv6Addr>().unwrap().octets());
                fate(&net, &frame).await != Dropped
            };
        let unreachable = [1, 4, 0, 0, 0, 0, 0, 0];
        let redirect = [137, 0, 0, 0, 0, 0, 0, 0];
        let tell: &[Header<'_>] = &[(DESTINATION, &TELL)];
        let tell_one: &[Header<'_>] = &[(DESTINATION, &TELL_ONE)];
        assert!(told("fd00::1", "fd00::2", tell, ICMP, &ECHO).await);
        // RFC 4443, section 2.4(e): about errors and redirects, to groups, from no one machine.
        for message in [&unreachable, &redirect] {
            assert!(!told("fd00::1", "fd00::2", tell, ICMP, message).await);
            assert!(!told("fd00::1", "fd00::2", &[(ROUTING, &[0, 1])], ICMP, message).await);
        }
        assert!(told("fd00::1", "ff02::1", tell, ICMP, &ECHO).await, "section 2.4(e.3)");
        assert!(!told("fd00::1", "ff02::1", tell_one, ICMP, &ECHO).await);
        assert!(!told("fd00::1", "ff02::1", &[], 253, &ECHO).await);
        assert!(!told("fd00::1", "ff02::1", &[(ROUTING, &[0, 1])], ICMP, &ECHO).await);
        for from in ["::", "ff02::1", "::1", "fd00::2"] {
            assert!(!told(from, "fd00::2", tell, ICMP, &ECHO).await, "{from}");
            assert!(!told(from, "fd00::2", &[], 253, &ECHO).await, "{from}");
        }
        assert!(!told("fd00::1", "fd00::3", tell, ICMP, &ECHO).await);
        // And so many, not more.
        (0..1000).for_each(|_| send(&net, &chain("fd00::2", &[], 253, &ECHO), Meta::default()));
        sleep(SECOND / 10).await;
        let told = frames(&net).len();
        assert!((20..=60).contains(&told), "{told}");
        drop(b);
    });
}

#[test]
fn the_first_fragment_has_all_headers_t1() {
    raw(async |net, _b| {
        let verdict = |frame: &[u8]| packet::judge(frame, Meta::default());
        let first = |headers: &[Header<'_>], protocol, message: &[u8]| {
            let all = [(FRAGMENT, &[0, 1, 0, 0, 0, 9][..])];
            let all: Vec<_> = all.into_iter().chain(headers.iter().copied()).collect();
            chain("fd00::2", &all, protocol, message)
        };
        // RFC 7112, section 5.
        let cut = first(&[(DESTINATION, &[])], TCP, &[7; 16]);
        assert_eq!(fate(&net, &cut).await, Told(3, 0));
        let mut cut = first(&[(DESTINATION, &[])], ICMP, &ECHO[..8]);
        cut[63] = 2;
        assert_eq!(fate(&net, &cut).await, Told(3, 0));
        assert!(matches!(verdict(&first(&[], TCP, &[7; 24])), Verdict::Fragment(..)));
        // Later ones begin anywhere.
        let mut later = first(&[], TCP, &[7; 16]);
        later[57] |= 8;
        assert!(matches!(verdict(&later), Verdict::Fragment(..)));
        // RFC 6980: what is of the link is not cut, nor in one piece that looks like it.
        for kind in 130..=137 {
            let mut message = [0; 24];
            message[0] = kind;
            assert_eq!(verdict(&first(&[], ICMP, &message)), Verdict::Useless, "{kind}");
            let whole = chain("fd00::2", &[(FRAGMENT, &[0, 0])], ICMP, &message);
            assert_eq!(verdict(&whole), Verdict::Useless, "{kind}");
            let behind = chain("fd00::2", &[(DESTINATION, &[])], ICMP, &message);
            assert_eq!(verdict(&behind), Verdict::Useless, "{kind}");
        }
        // Fragments of what would be fragments are not looked into.
        assert_eq!(verdict(&first(&[(FRAGMENT, &[0, 1])], TCP, &[7; 24])), Verdict::Useless);
        // A length that is no number of units, and one beyond all (RFC 8200, section 4.5).
        let whole = datagram("fd00::1", "fd00::2", &pattern(800));
        assert_eq!(fate(&net, &piece(&whole, 1, 0, 12)).await, Told(0, 4));
        let mut beyond = piece(&whole, 1, 0, 808);
        beyond[56..58].copy_from_slice(&[0xff, 0xf8]);
        assert_eq!(fate(&net, &beyond).await, Told(0, 42));
    });
}
