//! What routers may say, and what becomes of it.

extern crate std;

use super::*;
use crate::ndisc::announce;
use crate::packet::{Verdict, finish_icmp_v6, judge};
use devices::net::Meta;
use std::vec::Vec;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// What fe80::9 says: it is a router for `lifetime` s, and 2001:db8::/64 lives for
/// `valid` s.
fn advertisement(lifetime: u16, valid: u32) -> Vec<u8> {
    let mut frame = announce(MAC, ip("fe80::9"))[..54].to_vec();
    frame.extend([134, 0, 0, 0, 64, 0]);
    frame.extend(lifetime.to_be_bytes());
    frame.extend([0; 8]);
    frame.extend([3, 4, 64, 0xc0]);
    frame.extend(valid.to_be_bytes().into_iter().chain([0; 8]));
    frame.extend(ip("2001:db8::").octets());
    frame.extend([25, 3, 0, 0, 0, 0, 1, 0]);
    frame.extend(ip("2001:db8::53").octets());
    frame[19] = (frame.len() - 54) as u8;
    finish_icmp_v6(&mut frame);
    frame
}

#[test]
fn routers_give_addresses_for_as_long_as_they_say() {
    kernel::testing::simulate_time();
    let now = Instant::now();
    let after = |seconds| now.saturating_add(Duration::from_secs(seconds));
    let mut routers = Routers::new(now);
    assert!(routers.turn(now) && !routers.turn(now));
    let frame = advertisement(1800, 3600);
    let Verdict::Router(router) = judge(&frame, Meta::default()) else { panic!("a router") };
    routers.hear(router, &frame, now);
    assert_eq!(routers.routers().collect::<Vec<_>>(), [ip("fe80::9")]);
    // It is not preferred for any time.
    assert_eq!(routers.addresses(MAC).collect::<Vec<_>>(), [(ip("2001:db8::ff:fe00:1"), true)]);
    assert_eq!(routers.servers().collect::<Vec<_>>(), [ip("2001:db8::53")]);
    assert_eq!(routers.next(), Some(after(256)));
    assert!(!routers.turn(after(256)));
    assert_eq!((routers.servers().count(), routers.routers().count()), (0, 1));
    assert_eq!(routers.next(), Some(after(1800)));
    assert!(!routers.turn(after(1800)));
    assert_eq!((routers.routers().count(), routers.addresses(MAC).count()), (0, 1));
    routers.turn(after(3600));
    assert_eq!((routers.next(), routers.addresses(MAC).count()), (None, 0));
}

/// The option that names `servers` for `seconds`.
fn rdnss(servers: &[&str], seconds: u32) -> Vec<u8> {
    let mut option = [25, 1 + 2 * servers.len() as u8, 0, 0].to_vec();
    option.extend(seconds.to_be_bytes());
    option.extend(servers.iter().flat_map(|it| ip(it).octets()));
    option
}

#[test]
fn name_servers_live_as_long_as_routers_say() {
    kernel::testing::simulate_time();
    let now = Instant::now();
    let after = |seconds| now.saturating_add(Duration::from_secs(seconds));
    let mut routers = Routers::new(now);
    routers.ask = None;
    let names = |routers: &Routers| routers.servers().collect::<Vec<_>>();
    let (a, b, c) = ("2001:db8::1", "2001:db8::2", "2001:db8::3");
    routers.option(&rdnss(&[a, b, c], 100), now);
    assert_eq!(names(&routers), [ip(a), ip(b)], "there is room for two");
    // Another option prolongs one, and leaves what it does not name.
    routers.option(&rdnss(&[b], 300), now);
    assert_eq!(routers.next(), Some(after(100)));
    routers.turn(after(100));
    assert_eq!(names(&routers), [ip(b)]);
    // One that is over later takes the place of one that is over earlier, not otherwise.
    routers.option(&rdnss(&[a, c], 150), after(100));
    assert_eq!(names(&routers), [ip(b), ip(a)]);
    routers.option(&rdnss(&[c], u32::MAX), after(100));
    assert_eq!(names(&routers), [ip(b), ip(c)]);
    routers.turn(after(300));
    assert_eq!((names(&routers), routers.next()), ([ip(c)].to_vec(), Some(until(now, u32::MAX))));
    routers.option(&rdnss(&[c], 0), after(300));
    assert_eq!((names(&routers), routers.next()), (Vec::new(), None));
    // None that could be asked, and options that are cut short.
    routers.option(&rdnss(&["::", "ff02::1", "::1"], 100), now);
    routers.option(&rdnss(&[a], 100)[..16], now);
    assert_eq!(routers.servers().count(), 0);
}

#[test]
fn a_prefix_is_its_first_64_bits_and_no_lifetime_contradicts_the_other() {
    kernel::testing::simulate_time();
    let now = Instant::now();
    let mut routers = Routers::new(now);
    let mut hear = |last: &str, valid: u32, preferred: u32| {
        let mut frame = advertisement(1800, valid);
        frame[78..82].copy_from_slice(&preferred.to_be_bytes());
        frame[86..102].copy_from_slice(&ip(last).octets());
        routers.hear(ip("fe80::9"), &frame, now);
        routers.addresses(MAC).map(|it| it.0).collect::<Vec<_>>()
    };
    assert!(hear("2001:db8::", 100, 101).is_empty(), "preferred for longer than valid");
    assert!(hear("::1:2:3:4", 100, 100).is_empty(), "no prefix but what is ignored");
    let address = [ip("2001:db8::ff:fe00:1")];
    assert_eq!(hear("2001:db8::1:2:3:4", 100, 100), address);
    assert_eq!(hear("2001:db8::5", 100, 100), address, "the same network");
    assert_eq!(hear("2001:db8::", 100, 100), address);
}

/// The option that has addresses made in 2001:db8:`network`::/64.
fn prefix(network: u16, valid: u32, preferred: u32) -> Vec<u8> {
    let mut option = [3, 4, 64, 0x40].to_vec();
    option.extend(valid.to_be_bytes().into_iter().chain(preferred.to_be_bytes()).chain([0; 4]));
    option.extend(ip(&std::format!("2001:db8:{network}::")).octets());
    option
}

#[test]
fn addresses_are_preferred_for_as_long_as_routers_say_and_then_give_way() {
    kernel::testing::simulate_time();
    let now = Instant::now();
    let after = |seconds| now.saturating_add(Duration::from_secs(seconds));
    let mut routers = Routers::new(now);
    routers.ask = None;
    // The third group of each, and whether it is deprecated.
    let own = |routers: &Routers| {
        routers.addresses(MAC).map(|(it, old)| (it.segments()[2], old)).collect::<Vec<_>>()
    };
    routers.option(&prefix(1, 9000, 100), now);
    routers.option(&prefix(2, 8000, 200), now);
    routers.option(&prefix(3, 8000, 8000), now);
    assert_eq!(own(&routers), [(1, false), (2, false)], "none makes room that is preferred");
    assert_eq!(routers.next(), Some(after(100)));
    routers.news = false;
    assert!(!routers.turn(after(99)) && !routers.news);
    assert!(!routers.turn(after(100)) && routers.news);
    assert_eq!((own(&routers), routers.next()), ([(1, true), (2, false)].into(), Some(after(200))));
    // It is again when a router says so, and at once not any more, though it stays valid.
    routers.option(&prefix(1, 9000, 300), after(100));
    assert_eq!(own(&routers), [(1, false), (2, false)]);
    routers.option(&prefix(1, 0, 0), after(100));
    routers.option(&prefix(2, 0, 0), after(100));
    assert_eq!(own(&routers), [(1, true), (2, true)]);
    // One that is not preferred has no place beside them, and others have one, but no third.
    routers.option(&prefix(3, 9000, 0), after(100));
    routers.option(&prefix(2, 9000, 0), after(100));
    assert_eq!(own(&routers), [(1, true), (2, true)]);
    for number in 3..6 {
        routers.option(&prefix(number, 9000, 100), after(100));
    }
    assert_eq!(own(&routers), [(1, true), (2, true), (3, false), (4, false)]);
    // The one that ends first gives way to one that is preferred, and none to more of those.
    for number in 2..5 {
        routers.option(&prefix(number, 9000, 0), after(200));
    }
    for number in 5..9 {
        routers.option(&prefix(number, 9000, 9000), after(200));
    }
    assert_eq!(own(&routers), [(3, true), (4, true), (5, false), (6, false)]);
}

#[test]
fn what_is_on_the_link_is_another_matter_than_addresses() {
    kernel::testing::simulate_time();
    let now = Instant::now();
    let mut routers = Routers::new(now);
    let mut hear = |prefix: &str, bits: u8, flags: u8, valid: u32| {
        let mut frame = advertisement(1800, valid);
        (frame[72], frame[73]) = (bits, flags);
        frame[86..102].copy_from_slice(&ip(prefix).octets());
        routers.hear(ip("fe80::9"), &frame, now);
        (routers.links().collect::<Vec<_>>(), routers.addresses(MAC).count())
    };
    assert_eq!(hear("2001:db8::", 64, 0x40, 100), (Vec::new(), 1));
    assert_eq!(hear("2001:db8:1:2:3::4", 48, 0xc0, 100), ([(ip("2001:db8:1::"), 48)].into(), 1));
    // Who does not say that it is on the link does not say that it is not.
    assert_eq!(hear("2001:db8:1::", 48, 0, 0).0.len(), 1);
    assert_eq!(hear("fe80::", 64, 0x80, 100).0.len(), 1);
    assert_eq!(hear("::", 1, 0x80, 100).0.len(), 1);
    let link = (ip("2001:db8::"), 64);
    assert_eq!(hear("2001:db8::", 64, 0xc0, 200), ([(ip("2001:db8:1::"), 48), link].into(), 1));
    assert_eq!(hear("2001:db8:1::", 48, 0x80, 0), ([link].into(), 1));
    assert_eq!(hear("2001:db8:1::", 129, 0x80, 100).0.len(), 1);
    for n in 1..9 {
        assert!(hear(&std::format!("2001:db8:{n}::"), 48, 0x80, 300).0.len() <= LINKS);
    }
    routers.turn(now.saturating_add(Duration::from_secs(200)));
    assert!(!routers.links().any(|it| it == link) && routers.links().count() == 3);
}

#[test]
fn nobody_can_take_an_address_away_at_once() {
    kernel::testing::simulate_time();
    let now = Instant::now();
    let mut routers = Routers::new(now);
    routers.hear(ip("fe80::9"), &advertisement(1800, u32::MAX), now);
    routers.hear(ip("fe80::9"), &advertisement(0, 1), now);
    (routers.servers, routers.links) = Default::default();
    assert_eq!(routers.routers().next(), None);
    assert_eq!(routers.next(), Some(now.saturating_add(SAFE)));
    routers.hear(ip("fe80::9"), &advertisement(0, 1), now);
    (routers.servers, routers.links) = Default::default();
    assert_eq!(routers.next(), Some(now.saturating_add(SAFE)));
}

#[test]
fn routers_are_asked_three_times() {
    kernel::testing::simulate_time();
    let mut now = Instant::now();
    let mut routers = Routers::new(now);
    for _ in 0..ASKED {
        now = routers.next().unwrap();
        assert!(routers.turn(now));
    }
    assert_eq!(routers.next(), None);
}

#[test]
fn what_comes_from_afar_or_is_spoilt_is_useless() {
    let with = |at: usize, value: u8, mend: bool| {
        let mut frame = advertisement(1800, 3600);
        frame[at] = value;
        if mend {
            (frame[56], frame[57]) = (0, 0);
            finish_icmp_v6(&mut frame);
        }
        judge(&frame, Meta::default())
    };
    assert!(matches!(with(0, 0x33, false), Verdict::Router(_)));
    assert_eq!(with(21, 254, true), Verdict::Useless);
    assert_eq!(with(22, 0x20, true), Verdict::Useless);
    assert_eq!(with(60, 9, false), Verdict::Corrupt);
}

#[test]
fn no_bytes_make_it_fail() {
    kernel::testing::simulate_time();
    let now = Instant::now();
    let good = advertisement(1800, 3600);
    for at in 54..good.len() {
        for value in [0, 1, 3, 25, 255] {
            let mut bad = good.clone();
            bad[at] = value;
            Routers::new(now).hear(ip("fe80::9"), &bad, now);
        }
        Routers::new(now).hear(ip("fe80::9"), &good[..at], now);
    }
}

#[test]
fn several_routers_stand_in_the_order_of_their_preferences() {
    kernel::testing::simulate_time();
    let now = Instant::now();
    let after = |seconds| now.saturating_add(Duration::from_secs(seconds));
    let mut routers = Routers::new(now);
    let mut hear = |router: &str, flags: u8, lifetime: u16| {
        let mut frame = advertisement(lifetime, 3600);
        frame[59] = flags;
        routers.hear(ip(router), &frame, now);
        routers.routers().map(|it| it.octets()[15]).collect::<Vec<_>>()
    };
    // Preferences: medium, high, low, and the one that is reserved and stands for medium.
    assert_eq!(hear("fe80::1", 0, 1800), [1]);
    assert_eq!(hear("fe80::2", 3 << 3, 1800), [1, 2]);
    assert_eq!(hear("fe80::3", 1 << 3, 100), [3, 1, 2]);
    assert_eq!(hear("fe80::4", 2 << 3, 1800), [3, 1, 4, 2]);
    // A fifth that is better takes the place of the last, and one that is not does not.
    assert_eq!(hear("fe80::5", 3 << 3, 1800), [3, 1, 4, 2]);
    assert_eq!(hear("fe80::6", 0, 1800), [3, 1, 4, 6]);
    // What they say anew counts.
    assert_eq!(hear("fe80::4", 1 << 3, 1800), [3, 4, 1, 6]);
    assert_eq!(hear("fe80::1", 0, 50), [3, 4, 1, 6]);
    assert_eq!(hear("fe80::6", 1 << 3, 0), [3, 4, 1]);
    routers.turn(after(50));
    assert_eq!(routers.routers().collect::<Vec<_>>(), [ip("fe80::3"), ip("fe80::4")]);
    routers.turn(after(100));
    assert_eq!(routers.routers().collect::<Vec<_>>(), [ip("fe80::4")]);
    assert_eq!(routers.next(), Some(after(256)));
}
