//! Servers of all sorts, without a network.

extern crate std;

mod server;

use super::client::Heard;
use super::flaw::Flaw;
use super::*;
use core::time::Duration;
use devices::net::Mac;
use server::{BAD, Bench, GOOD, MAC, OWN, Reply, WAY, ack, offer};
use std::string::ToString;
use std::vec::Vec;

#[test]
fn every_answer_to_a_search_gets_its_verdict() {
    let flaw = |flaw| Heard::Flawed(flaw);
    let edge = |last, bits| flaw(Flaw::Edge([10, 0, 0, last].into(), bits));
    let odd = |it: [u8; 4]| flaw(Flaw::Address(it.into()));
    let mask = |it: [u8; 4]| flaw(Flaw::Mask(it.into()));
    let table = [
        ("good", offer(), Heard::Offer),
        ("without an end", offer().edit(|it| it.end.clear()), Heard::Offer),
        ("padded", offer().edit(|it| it.end = std::vec![0, 0, 0, 255, 7]), Heard::Offer),
        ("unknown options", offer().and(224, b"x").and(43, &[]), Heard::Offer),
        ("no mask", offer().without(1), Heard::Offer),
        ("no lease time", offer().without(51), Heard::Offer),
        ("a lease of nothing", offer().with(51, &[0; 4]), Heard::Offer),
        ("one address", offer().with(1, &[255; 4]), Heard::Offer),
        ("two addresses", offer().with(1, &[255, 255, 255, 254]), Heard::Offer),
        ("a question", offer().edit(|it| it.head[0] = 1), Heard::Nothing),
        ("other hardware", offer().edit(|it| it.head[1] = 6), Heard::Nothing),
        ("a longer address", offer().edit(|it| it.head[2] = 8), Heard::Nothing),
        ("another transaction", offer().edit(|it| it.xid = Some(1)), Heard::Nothing),
        ("another client", offer().edit(|it| it.mac = WAY), Heard::Nothing),
        ("another cookie", offer().edit(|it| it.cookie[3] = 0), Heard::Nothing),
        ("an acknowledgement", ack(), Heard::Nothing),
        ("a refusal", Reply::new(Kind::Nak, GOOD), Heard::Nothing),
        ("no kind", offer().without(53), flaw(Flaw::NoKind)),
        ("an unknown kind", offer().with(53, &[9]), flaw(Flaw::NoKind)),
        ("a client's kind", offer().with(53, &[3]), flaw(Flaw::NoKind)),
        ("no server", offer().without(54), flaw(Flaw::NoServer)),
        ("server 0.0.0.0", offer().with(54, &[0; 4]), flaw(Flaw::NoServer)),
        ("server of 3 bytes", offer().with(54, &[10, 0, 0]), flaw(Flaw::NoServer)),
        (
            "an option too long",
            offer().edit(|it| it.end = std::vec![6, 4, 1]),
            flaw(Flaw::Malformed),
        ),
        ("half an option", offer().edit(|it| it.end = std::vec![6]), flaw(Flaw::Malformed)),
        ("0.0.0.0", offer().address([0; 4]), odd([0; 4])),
        ("loopback", offer().address([127, 0, 0, 1]), odd([127, 0, 0, 1])),
        ("a group", offer().address([224, 0, 0, 9]), odd([224, 0, 0, 9])),
        ("class E", offer().address([240, 0, 0, 9]), odd([240, 0, 0, 9])),
        ("all", offer().address([255; 4]), odd([255; 4])),
        ("the server's", offer().address([10, 0, 0, 1]), flaw(Flaw::Servers(GOOD))),
        ("the network's", offer().address([10, 0, 0, 0]), edge(0, 24)),
        ("broadcast", offer().address([10, 0, 0, 255]), edge(255, 24)),
        ("no prefix at all", offer().with(1, &[0; 4]), mask([0; 4])),
        ("holes", offer().with(1, &[255, 0, 255, 0]), mask([255, 0, 255, 0])),
        ("upside down", offer().with(1, &[0, 0, 0, 255]), mask([0, 0, 0, 255])),
        ("half a mask", offer().with(1, &[255, 255]), flaw(Flaw::Malformed)),
    ];
    for (name, reply, verdict) in table {
        assert_eq!(Bench::new().hear(&reply), verdict, "{name}");
    }
    let mut bench = Bench::new();
    let good = offer().bytes(&bench.asked);
    for length in 0..HEAD {
        let heard = bench.client.hear(&good[..length], GOOD, WAY, bench.now);
        assert_eq!(heard, Heard::Nothing, "{length} bytes");
    }
}

#[test]
fn every_answer_to_a_request_gets_its_verdict() {
    let flaw = |flaw| Heard::Flawed(flaw);
    let nak = |server| Reply::new(Kind::Nak, server);
    let other = Ipv4Addr::new(10, 0, 0, 51);
    // While an offer is accepted, when the server is asked for more, when all are.
    let table = [
        ("good", ack(), [Heard::Lease; 3]),
        ("an offer", offer(), [Heard::Nothing; 3]),
        ("another address", ack().address(other.octets()), [flaw(Flaw::Other(other)); 3]),
        (
            "another server",
            Reply::new(Kind::Ack, BAD),
            [flaw(Flaw::Stranger), flaw(Flaw::Stranger), Heard::Lease],
        ),
        ("no server", ack().without(54), [flaw(Flaw::NoServer); 3]),
        ("a bad mask", ack().with(1, &[0; 4]), [flaw(Flaw::Mask([0; 4].into())); 3]),
        ("another transaction", ack().edit(|it| it.xid = Some(1)), [Heard::Nothing; 3]),
        ("another client", ack().edit(|it| it.mac = WAY), [Heard::Nothing; 3]),
        ("refused", nak(GOOD), [Heard::Refusal; 3]),
        (
            "refused by another",
            nak(BAD),
            [flaw(Flaw::Stranger), flaw(Flaw::Stranger), Heard::Refusal],
        ),
        ("refused by nobody", nak(GOOD).without(54), [flaw(Flaw::NoServer); 3]),
    ];
    for (name, reply, verdicts) in table {
        let mut requesting = Bench::new();
        requesting.hear(&offer());
        requesting.next();
        let mut renewing = Bench::bound(&ack());
        renewing.next();
        let mut rebinding = Bench::bound(&ack());
        rebinding.next();
        while rebinding.asked.to == GOOD {
            rebinding.next();
        }
        let benches = [requesting, renewing, rebinding];
        for (at, (mut bench, verdict)) in benches.into_iter().zip(verdicts).enumerate() {
            assert_eq!(bench.hear(&reply), verdict, "{name}, {at}");
        }
    }
    // Nothing was asked.
    assert_eq!(Bench::bound(&ack()).hear(&Reply::new(Kind::Nak, GOOD)), Heard::Nothing);
}

#[test]
fn questions_say_what_servers_need() {
    let mut bench = Bench::new();
    assert_eq!((bench.asked.to, bench.asked.way), (Ipv4Addr::BROADCAST, Mac([0xff; 6])));
    assert_eq!(bench.kind(), 1);
    assert_eq!(bench.option(61), Some(&[1, 2, 0, 0, 0, 0, 9][..]));
    assert_eq!(bench.option(57), Some(&[5, 0xdc][..]));
    assert_eq!(bench.option(55).unwrap()[..2], [121, 1]);
    assert_eq!((bench.option(50), bench.option(54)), (None, None));
    let xid = bench.asked.message[4..8].to_vec();
    bench.next();
    // Seconds since it began.
    assert!((3..=5).contains(&bench.asked.message[9]), "{}", bench.asked.message[9]);
    let seconds = bench.asked.message[8..10].to_vec();
    bench.now = bench.now.saturating_add(Duration::from_secs(2));
    bench.hear(&offer());
    bench.next();
    assert_eq!((bench.kind(), &bench.asked.message[4..8]), (3, &xid[..]));
    assert_eq!(bench.asked.message[8..10], seconds);
    bench.next();
    assert_eq!((bench.kind(), &bench.asked.message[8..10]), (3, &seconds[..]));
    assert_eq!(bench.option(50), Some(&OWN.octets()[..]));
    assert_eq!(bench.option(54), Some(&GOOD.octets()[..]));
    assert_eq!(bench.asked.message[12..16], [0; 4]);
    bench.hear(&ack());
    bench.next();
    // To the server, from the address that it is about (RFC 2131, section 4.3.6).
    assert_eq!((bench.asked.from, bench.asked.to, bench.asked.way), (OWN, GOOD, WAY));
    assert_eq!(bench.asked.message[12..16], OWN.octets());
    assert_eq!((bench.option(50), bench.option(54)), (None, None));
    assert_ne!(bench.asked.message[4..8], xid);
    let frame = bench.asked.frame(MAC);
    let sum: u32 = frame[14..34].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    assert_eq!((frame.len(), &frame[34..40]), (342, &[0, 68, 0, 67, 1, 52][..]));
}

#[test]
fn waits_are_those_of_rfc_2131() {
    let mut bench = Bench::new();
    for wait in [4_u128, 8, 16, 32, 64, 64, 64] {
        let waited = bench.next();
        assert!(waited.abs_diff(wait * 1000) <= 1000, "{waited} ms");
        assert_eq!(bench.kind(), 1);
    }
    bench.hear(&offer());
    assert_eq!(bench.next(), 0);
    for wait in [4_u128, 8, 16] {
        let waited = bench.next();
        assert!(waited.abs_diff(wait * 1000) <= 1000, "{waited} ms");
        assert_eq!(bench.kind(), 3);
    }
    bench.next();
    assert_eq!(bench.kind(), 1);
    // Not all machines of a network that comes back ask at the same time.
    let waits: Vec<_> = (0..20).map(|_| Bench::new().next()).collect();
    assert!(waits.iter().any(|it| *it != waits[0]));
}

#[test]
fn a_server_that_refuses_is_asked_less_and_less_t5() {
    let mut bench = Bench::new();
    let (mut rests, mut messages, begun) = (Vec::new(), 0, bench.now);
    while bench.now.saturating_duration_since(begun) < Duration::from_secs(3600) {
        bench.hear(&offer());
        messages += 1;
        bench.next();
        if bench.kind() == 3 {
            bench.hear(&Reply::new(Kind::Nak, GOOD));
            rests.push(bench.next().div_ceil(1000));
            messages += 1;
        }
    }
    assert_eq!(rests[..7], [10, 20, 40, 80, 160, 320, 320]);
    assert!(messages < 60, "{messages}");
    // One that gives at last is asked without rests, and a lease that is prolonged is not
    // held against it.
    while bench.kind() == 1 {
        bench.hear(&offer());
        bench.next();
    }
    assert_eq!(bench.hear(&ack()), Heard::Lease);
    bench.next();
    assert_eq!(bench.hear(&ack()), Heard::Lease);
    bench.next();
    assert_eq!(bench.hear(&Reply::new(Kind::Nak, GOOD)), Heard::Refusal);
    assert_eq!(bench.next(), 10_000);
    assert!(bench.client.news() && bench.client.lease().is_none());
}

#[test]
fn short_leases_cost_a_message_in_ten_seconds_t5() {
    for seconds in [0_u32, 1, 5, 19] {
        let short = ack().with(51, &seconds.to_be_bytes());
        let mut bench = Bench::bound(&short);
        let begun = bench.now;
        for _ in 0..100 {
            bench.next();
            assert_eq!(bench.kind(), 3);
            assert_eq!(bench.hear(&short), Heard::Lease);
        }
        let took = bench.now.saturating_duration_since(begun).as_secs();
        assert_eq!(took, 1000);
    }
}

#[test]
fn leases_are_renewed_and_rebound_at_their_times() {
    let word = |seconds: u32| seconds.to_be_bytes().to_vec();
    type Row = (u32, Option<u32>, Option<u32>, u128, u128);
    // Lease, T1 and T2, and when the first two questions come.
    let table: [Row; 12] = [
        (3600, None, None, 1800, 3150),
        (3600, Some(1000), Some(2000), 1000, 2000),
        (3600, Some(1000), None, 1000, 3150),
        (3600, None, Some(2000), 1800, 2000),
        // Out of order, beyond the end, or no time at all.
        (3600, Some(2000), Some(1000), 1800, 3150),
        (3600, Some(4000), None, 1800, 3150),
        (3600, None, Some(3600), 1800, 3150),
        (3600, Some(0), Some(0), 1800, 3150),
        (3600, Some(1), Some(2), 1800, 3150),
        (3600, Some(u32::MAX), Some(u32::MAX), 1800, 3150),
        (u32::MAX - 1, None, None, 0x7fff_ffff, 0xdfff_ffff),
        (20, None, None, 10, 18),
    ];
    for (lease, renew, rebind, first, second) in table {
        let mut given = ack().with(51, &word(lease));
        for (code, time) in [(58, renew), (59, rebind)] {
            given = time.map_or(given.clone(), |it| given.and(code, &word(it)));
        }
        let mut bench = Bench::bound(&given);
        let mut at = bench.next();
        assert_eq!((at + 500) / 1000, first, "{lease} {renew:?} {rebind:?}");
        assert_eq!(bench.asked.to, GOOD);
        while bench.asked.to == GOOD {
            at += bench.next();
        }
        assert_eq!((at + 500) / 1000, second, "{lease} {renew:?} {rebind:?}");
        assert!(bench.client.lease().is_some());
        while bench.kind() == 3 {
            at += bench.next();
        }
        assert_eq!((at + 500) / 1000, lease.into());
        assert!(bench.client.lease().is_none());
    }
    let bench = Bench::bound(&ack().with(51, &[255; 4]));
    assert_eq!(bench.client.next(), None);
}

#[test]
fn requests_for_more_time_are_a_minute_apart() {
    let mut bench = Bench::bound(&ack().with(51, &3600_u32.to_be_bytes()));
    let mut times = Vec::new();
    while bench.client.lease().is_some() {
        times.push((bench.next() + 500) / 1000);
    }
    assert_eq!(times, [1800, 675, 338, 169, 84, 60, 24, 225, 113, 60, 53]);
}

#[test]
fn options_stand_in_other_fields_and_in_pieces() {
    // Both fields hold options, one of which begins in the first and ends in the last.
    let wide = offer().without(1).without(51).and(52, &[3]).and(6, &[10, 0, 0, 3]).edit(|it| {
        it.file = std::vec![1, 4, 255, 255, 0, 0, 6, 2, 10, 0, 255];
        it.name = std::vec![6, 2, 0, 4, 51, 4, 0, 0, 1, 0, 255];
    });
    let given = wide.clone().with(53, &[5]);
    let bench = Bench::bound(&given);
    let lease = bench.client.lease().unwrap();
    assert_eq!((lease.address, lease.bits), (OWN, 16));
    let servers: [IpAddr; 2] = [[10, 0, 0, 3].into(), [10, 0, 0, 4].into()];
    assert_eq!(lease.servers, servers);
    let wait = bench.client.next().unwrap().saturating_duration_since(bench.now);
    assert_eq!(wait.as_secs(), 128);
    // Without the word for it, they hold names.
    let plain = wide.clone().without(52);
    let bench = Bench::bound(&plain.with(53, &[5]));
    assert_eq!(
        (bench.client.lease().unwrap().bits, bench.client.lease().unwrap().servers.len()),
        (8, 1)
    );
    let broken = wide.edit(|it| it.name = std::vec![7; 64]);
    assert_eq!(Bench::new().hear(&broken), Heard::Flawed(Flaw::Malformed));
}

#[test]
fn a_missing_mask_is_that_of_the_class() {
    for (address, bits) in
        [([10, 0, 0, 50], 8), ([172, 31, 1, 5], 16), ([192, 168, 3, 4], 24), ([223, 9, 9, 9], 24)]
    {
        let given = ack().without(1).address(address);
        assert_eq!(Bench::bound(&given).client.lease().unwrap().bits, bits);
    }
}

/// Routes as text.
fn ways(ack: &Reply) -> std::string::String {
    let bench = Bench::bound(ack);
    Ways(&bench.client.lease().unwrap().routes).to_string()
}

#[test]
fn routers_and_routes_are_taken_as_far_as_they_make_sense() {
    let routers = |it: &[u8]| ways(&ack().and(3, it));
    assert_eq!(ways(&ack()), "no gateway");
    assert_eq!(routers(&[10, 0, 0, 2, 10, 0, 0, 3]), "gateway 10.0.0.2");
    assert_eq!(routers(&[10, 0, 0, 50, 10, 0, 0, 3]), "gateway 10.0.0.3");
    assert_eq!(routers(&[0, 0, 0, 0, 127, 0, 0, 1, 255, 255, 255, 255]), "no gateway");
    assert_eq!(routers(&[172, 31, 1, 1]), "gateway 172.31.1.1");
    assert_eq!(routers(&[10, 0, 0]), "no gateway");
    let routes = |it: &[u8]| ways(&ack().and(3, &[10, 0, 0, 2]).and(121, it));
    // The default route of RFC 3442 and others, instead of the router.
    assert_eq!(routes(&[0, 10, 0, 0, 7]), "gateway 10.0.0.7");
    assert_eq!(
        routes(&[24, 192, 168, 9, 10, 0, 0, 8, 0, 10, 0, 0, 7, 9, 172, 128, 10, 0, 0, 9]),
        "gateway 10.0.0.7, 192.168.9.0/24 by 10.0.0.8, 172.128.0.0/9 by 10.0.0.9"
    );
    // A router that is on the link by a route of its own.
    assert_eq!(
        routes(&[32, 172, 31, 1, 1, 0, 0, 0, 0, 0, 172, 31, 1, 1]),
        "gateway 172.31.1.1, 172.31.1.1/32 by 172.31.1.1"
    );
    // Networks on the link are left to the mask, and no machine is its own router.
    assert_eq!(routes(&[16, 10, 9, 0, 0, 0, 0, 8, 11, 10, 0, 0, 50]), "no gateway");
    // What makes no sense is as if it was not there.
    for bad in [&[33, 1, 2, 3, 4, 5, 10, 0, 0, 7][..], &[24, 192, 168, 9, 10, 0, 0], &[0]] {
        assert_eq!(routes(bad), "gateway 10.0.0.2", "{bad:?}");
    }
    // The way to the rest of the world is not among those that are left out.
    let mut many: Vec<u8> = (0..20).flat_map(|it| [8, 20 + it, 10, 0, 0, 8]).collect();
    many.extend([0, 10, 0, 0, 7]);
    assert!(routes(&many).starts_with("gateway 10.0.0.7, 20.0.0.0/8 by 10.0.0.8, "));
}

#[test]
fn a_server_that_does_not_keep_its_word_comes_last() {
    let mut bench = Bench::new();
    bench.hear(&Reply::new(Kind::Offer, BAD));
    for _ in 0..4 {
        bench.next();
        assert_eq!(bench.kind(), 3);
    }
    bench.next();
    assert_eq!(bench.kind(), 1);
    assert_eq!(bench.hear(&Reply::new(Kind::Offer, BAD)), Heard::Kept);
    assert_eq!(bench.hear(&offer()), Heard::Offer);
    bench.next();
    assert_eq!(bench.option(54), Some(&GOOD.octets()[..]));
    assert_eq!(bench.hear(&ack()), Heard::Lease);
    // If there is no other, it gets its chance.
    let mut alone = Bench::new();
    alone.hear(&offer());
    for _ in 0..5 {
        alone.next();
    }
    assert_eq!(alone.hear(&offer()), Heard::Kept);
    assert!(alone.next() >= 3000);
    assert_eq!((alone.kind(), alone.hear(&ack())), (3, Heard::Lease));
}

#[test]
fn the_same_interface_keeps_its_lease_unless_a_server_says_that_it_is_of_another_network() {
    let reconnected = || {
        let mut bench = Bench::bound(&ack());
        assert!(bench.client.news());
        bench.client.reconnected(MAC, bench.now);
        bench.next();
        assert!(bench.client.lease().is_some() && !bench.client.news());
        // All are asked, as who has an address and no server (RFC 2131, section 4.3.2, INIT-REBOOT).
        assert_eq!((bench.kind(), bench.asked.from), (3, Ipv4Addr::UNSPECIFIED));
        assert_eq!(bench.asked.to, Ipv4Addr::BROADCAST);
        assert_eq!((bench.option(50), bench.option(54)), (Some(&[10, 0, 0, 50][..]), None));
        assert_eq!(bench.asked.message[12..16], [0; 4]);
        bench
    };
    let mut bench = reconnected();
    assert_eq!(bench.hear(&ack()), Heard::Lease);
    assert!(bench.client.lease().is_some() && !bench.client.news());
    let mut bench = reconnected();
    assert_eq!(bench.hear(&Reply::new(Kind::Nak, BAD)), Heard::Refusal);
    assert!(bench.client.lease().is_none() && bench.client.news());
    let begun = bench.now;
    bench.next();
    assert_eq!((bench.kind(), bench.now), (1, begun), "a search begins at once");
    // Where nobody answers, it goes on as before.
    let (mut bench, mut asked) = (reconnected(), 1);
    while bench.option(50).is_some() {
        bench.next();
        asked += 1;
    }
    assert_eq!(asked, 5);
    assert!(bench.client.lease().is_some() && !bench.client.news());
    assert_eq!((bench.kind(), bench.asked.to), (3, GOOD), "it is asked for more time");
}

#[test]
fn another_interface_has_no_claim_to_the_lease() {
    let mut bench = Bench::bound(&ack());
    assert!(bench.client.news());
    bench.client.reconnected(WAY, bench.now);
    assert!(bench.client.lease().is_none() && bench.client.news());
    bench.asked = bench.client.turn(bench.now).unwrap();
    assert_eq!((bench.kind(), &bench.asked.message[28..34]), (1, &WAY.0[..]));
}

#[test]
fn the_log_says_what_is_wrong() {
    let at = Some((GOOD, Flaw::Edge(OWN, 24)));
    for (notice, text) in [
        (Notice::Again(None, 8), "no DHCP server answers: asking again, for 8 s"),
        (
            Notice::Again(Some((GOOD, Flaw::NoServer)), 8),
            "the DHCP server 10.0.0.1 is of no use: its answer does not name the server (option \
             54): asking again, for 8 s",
        ),
        (
            Notice::Refused(GOOD, 20),
            "the DHCP server 10.0.0.1 is of no use: it refuses the address (DHCPNAK): asking \
             again in 20 s",
        ),
        (Notice::Over(None), "the lease is over: no DHCP server answers"),
        (
            Notice::Over(at),
            "the lease is over: the DHCP server 10.0.0.1 is of no use: it offers 10.0.0.50/24, \
             which is the network's own address or broadcast",
        ),
    ] {
        assert_eq!(notice.to_string(), text);
    }
    let bench = Bench::bound(&ack().and(3, &[10, 0, 0, 2]).and(6, &[10, 0, 0, 3, 10, 0, 0, 4]));
    let lease = Notice::Lease(bench.client.lease().unwrap(), false).to_string();
    assert_eq!(lease, "10.0.0.50/24 by DHCP, gateway 10.0.0.2, dns 10.0.0.3, 10.0.0.4");
    let bench = Bench::bound(&ack().without(1));
    let lease = Notice::Lease(bench.client.lease().unwrap(), true).to_string();
    assert_eq!(
        lease,
        "10.0.0.50/8 by DHCP (by its class, no mask was given), no gateway, dns none"
    );
}

#[test]
fn no_bytes_make_it_fail() {
    let rich = offer()
        .and(52, &[3])
        .and(3, &[10, 0, 0, 2])
        .and(121, &[24, 192, 168, 9, 10, 0, 0, 8])
        .edit(|it| (it.file, it.name) = (std::vec![6, 4, 1, 1, 1, 1], std::vec![0, 255]));
    let mut bench = Bench::new();
    let good = rich.bytes(&bench.asked);
    for at in 0..good.len() {
        for value in [0, 1, 3, 33, 52, 121, 128, 255] {
            let mut bad = good.clone();
            bad[at] = value;
            bench.client.hear(&bad, GOOD, WAY, bench.now);
            let (now, mut client) = (bench.now, bench.client.clone());
            client.turn(now);
            bad[242] = 5;
            client.hear(&bad, GOOD, WAY, now);
            client.turn(client.next().unwrap_or(now));
        }
        bench.client.hear(&good[..at], GOOD, WAY, bench.now);
    }
}
