//! Clients, in simulated time.

extern crate std;

use super::*;
use crate::message::tests::{found, question};
use std::string::{String, ToString};
use std::vec::Vec;
use xenith::net::cable::{Options, cable};
use xenith::task::{block_on, spawn};
use xenith::time::sleep;

const OWN: [u8; 4] = [10, 0, 1, 1];
const NONE: [u8; 4] = [0; 4];
const SECOND: Duration = Duration::from_secs(1);

/// The arguments that these texts stand for, of which an empty one is not given.
fn args(
    ip: &'static str,
    pool: &'static str,
    gateway: &str,
    dns: &'static str,
    domain: &'static str,
    lease: u64,
) -> Args {
    let given = |text: &'static str| (!text.is_empty()).then_some(text);
    let gateway = (!gateway.is_empty()).then(|| gateway.parse().unwrap());
    let (dns, domain, lease) = (given(dns), given(domain), Duration::from_secs(lease));
    Args { ip, pool, gateway, dns, domain, lease }
}

/// A server of three addresses, of which it has the first itself.
fn server() -> Server {
    xenith::testing::simulate_time();
    let args =
        args("10.0.1.1/24", "10.0.1.1-10.0.1.3", "10.0.1.254", "1.1.1.1,2.2.2.2", "lab", 600);
    let read = Config::read(&args);
    Server::new(read.unwrap())
}

/// What the server says: kind, given address, whom to, and all of it.
type Said = Option<(u8, [u8; 4], String, Vec<u8>)>;

fn ask(server: &mut Server, after: Duration, message: &[u8]) -> Said {
    let now = Instant::now().saturating_add(after);
    let (answer, to) = server.answer(&Question::parse(message).unwrap(), now)?;
    let bytes = answer.finish().unwrap();
    let given = bytes[16..20].try_into().unwrap();
    Some((found(&bytes, 53).unwrap()[0], given, to.to_string(), bytes.to_vec()))
}

/// Kind and address.
fn brief(said: Said) -> Option<(u8, u8)> {
    said.map(|(kind, given, ..)| (kind, given[3]))
}

/// The kind and the address of the answer to a request of one that was just offered.
fn lease(server: &mut Server, client: u8, last: u8) -> Option<(u8, u8)> {
    let options: [(u8, &[u8]); 2] = [(50, &[10, 0, 1, last]), (54, &OWN)];
    brief(ask(server, Duration::ZERO, &question(3, client, NONE, &options)))
}

fn discover(server: &mut Server, after: Duration, client: u8) -> Option<(u8, u8)> {
    brief(ask(server, after, &question(1, client, NONE, &[])))
}

#[test]
fn an_address_is_offered_and_confirmed_with_all_that_is_known() {
    let mut server = server();
    let (kind, given, to, offer) =
        ask(&mut server, Duration::ZERO, &question(1, 7, NONE, &[])).unwrap();
    assert_eq!((kind, given, to.as_str()), (2, [10, 0, 1, 2], "255.255.255.255"));
    for (code, value) in [
        (54, &OWN[..]),
        (51, &[0, 0, 2, 88]),
        (58, &[0, 0, 1, 44]),
        (59, &[0, 0, 2, 13]),
        (1, &[255, 255, 255, 0]),
        (3, &[10, 0, 1, 254]),
        (6, &[1, 1, 1, 1, 2, 2, 2, 2]),
        (15, b"lab"),
    ] {
        assert_eq!(found(&offer, code), Some(value), "option {code}");
    }
    assert_eq!(lease(&mut server, 7, 2), Some((5, 2)));
    // It renews by itself, and asks for it when it comes back.
    let (kind, given, to, _) =
        ask(&mut server, 300 * SECOND, &question(3, 7, [10, 0, 1, 2], &[])).unwrap();
    assert_eq!((kind, given, to.as_str()), (5, [10, 0, 1, 2], "10.0.1.2"));
    let again = question(3, 7, NONE, &[(50, &[10, 0, 1, 2])]);
    assert_eq!(brief(ask(&mut server, 500 * SECOND, &again)), Some((5, 2)));
    assert_eq!(discover(&mut server, 5000 * SECOND, 7), Some((2, 2)), "as the last time");
}

#[test]
fn nobody_gets_what_somebody_has() {
    let mut server = server();
    let wish = |last| question(1, 2, NONE, &[(50, &[10, 0, 1, last])]);
    assert_eq!(brief(ask(&mut server, Duration::ZERO, &wish(3))), Some((2, 3)));
    assert_eq!(lease(&mut server, 2, 3), Some((5, 3)));
    assert_eq!(lease(&mut server, 3, 3), Some((6, 0)), "another's");
    assert_eq!(lease(&mut server, 3, 1), Some((6, 0)), "the server's own");
    assert_eq!(lease(&mut server, 3, 99), Some((6, 0)), "none of the pool");
    assert_eq!(lease(&mut server, 2, 2), Some((6, 0)), "a second one");
    let renews = question(3, 2, [10, 0, 1, 2], &[]);
    let (kind, _, to, _) = ask(&mut server, Duration::ZERO, &renews).unwrap();
    assert_eq!((kind, to.as_str()), (6, "255.255.255.255"));
    let far = question(3, 4, NONE, &[(50, &[192, 168, 0, 9])]);
    assert_eq!(brief(ask(&mut server, Duration::ZERO, &far)), Some((6, 0)));
}

#[test]
fn the_clients_of_another_server_are_left_to_it() {
    let mut server = server();
    assert_eq!(discover(&mut server, Duration::ZERO, 2), Some((2, 2)));
    for last in [1, 2, 77] {
        // It comes back, renews, or asks everybody.
        for message in [
            question(3, 9, NONE, &[(50, &[10, 0, 1, last])]),
            question(3, 9, [10, 0, 1, last], &[]),
        ] {
            assert_eq!(ask(&mut server, Duration::ZERO, &message), None, "{last}");
        }
    }
    // Who is known, or of another network, hears that it is wrong.
    for (client, address) in [(2, [10, 0, 1, 77]), (9, [10, 0, 2, 77])] {
        let message = question(3, client, NONE, &[(50, &address)]);
        assert_eq!(brief(ask(&mut server, Duration::ZERO, &message)), Some((6, 0)), "{client}");
    }
}

#[test]
fn addresses_run_out_and_come_back() {
    let mut server = server();
    assert_eq!(discover(&mut server, Duration::ZERO, 2), Some((2, 2)));
    assert_eq!(lease(&mut server, 2, 2), Some((5, 2)));
    assert_eq!(discover(&mut server, Duration::ZERO, 3), Some((2, 3)));
    assert_eq!(discover(&mut server, Duration::ZERO, 4), None);
    assert_eq!(discover(&mut server, 59 * SECOND, 4), None);
    assert_eq!(discover(&mut server, 60 * SECOND, 4), Some((2, 3)), "an offer was not taken");
    assert_eq!(discover(&mut server, 599 * SECOND, 5), Some((2, 3)));
    assert_eq!(discover(&mut server, 600 * SECOND, 6), Some((2, 2)), "a lease ran out");
}

#[test]
fn what_is_given_back_declined_or_not_wanted() {
    let mut server = server();
    assert_eq!(discover(&mut server, Duration::ZERO, 2), Some((2, 2)));
    let other = question(3, 2, NONE, &[(50, &[10, 0, 1, 9]), (54, &[10, 0, 1, 9])]);
    assert_eq!(ask(&mut server, Duration::ZERO, &other), None, "it chose another server");
    assert_eq!(discover(&mut server, Duration::ZERO, 3), Some((2, 2)));
    assert_eq!(lease(&mut server, 3, 2), Some((5, 2)));
    // Only who has it can give it back.
    let back = |client| question(7, client, [10, 0, 1, 2], &[(54, &OWN)]);
    assert_eq!(ask(&mut server, SECOND, &back(4)), None);
    assert_eq!(discover(&mut server, SECOND, 5), Some((2, 3)));
    assert_eq!(discover(&mut server, SECOND, 6), None);
    assert_eq!(ask(&mut server, SECOND, &back(3)), None);
    assert_eq!(discover(&mut server, SECOND, 6), Some((2, 2)));
    let no = question(4, 6, NONE, &[(50, &[10, 0, 1, 2]), (54, &OWN)]);
    assert_eq!(ask(&mut server, SECOND, &no), None);
    assert_eq!(discover(&mut server, 2 * SECOND, 6), None, "it rests");
    assert_eq!(discover(&mut server, 3602 * SECOND, 6), Some((2, 3)));
    assert_eq!(discover(&mut server, 3602 * SECOND, 7), Some((2, 2)));
}

#[test]
fn who_has_an_address_is_told_the_rest() {
    let mut server = server();
    let inform = question(8, 2, [10, 0, 1, 77], &[]);
    let (kind, given, to, bytes) = ask(&mut server, Duration::ZERO, &inform).unwrap();
    assert_eq!((kind, given, to.as_str()), (5, NONE, "10.0.1.77"));
    assert_eq!((found(&bytes, 51), found(&bytes, 15)), (None, Some(&b"lab"[..])));
    assert_eq!(ask(&mut server, Duration::ZERO, &question(8, 2, [1, 2, 3, 4], &[])), None);
    // One that was started anew knows nobody.
    let renews = question(3, 9, [10, 0, 1, 3], &[]);
    assert_eq!(brief(ask(&mut server, Duration::ZERO, &renews)), Some((5, 3)));
}

#[test]
fn arguments_are_checked() {
    let read = |ip, pool, gateway, dns, domain, lease| {
        Config::read(&args(ip, pool, gateway, dns, domain, lease)).map(|_| ()).err()
    };
    let good = "10.0.1.100-10.0.1.199";
    assert_eq!(read("10.0.1.1/24", good, "", "", "", 10), None);
    for ip in [
        "10.0.0.1/+24",
        "",
        "10.0.1.1",
        "10.0.1.1/0",
        "10.0.1.1/31",
        "10.0.1.0/24",
        "127.0.0.1/8",
        "x/24",
    ] {
        assert_eq!(read(ip, good, "", "", "", 60), Some(Wrong::Ip), "{ip}");
    }
    for pool in ["", "10.0.1.5", "10.0.1.9-10.0.1.8", "10.0.1.1-10.0.2.1", "10.0.1.0-10.0.1.9"] {
        assert_eq!(read("10.0.1.1/24", pool, "", "", "", 60), Some(Wrong::Pool), "{pool}");
    }
    let wide = "10.0.0.1-10.0.255.1";
    assert_eq!(read("10.0.1.1/8", wide, "", "", "", 60), Some(Wrong::Pool));
    assert_eq!(read("10.0.1.1/24", good, "10.0.2.1", "", "", 60), Some(Wrong::Gateway));
    assert_eq!(read("10.0.1.1/24", good, "", "1.1.1.1,", "", 60), Some(Wrong::Dns));
    let five = "1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5";
    assert_eq!(read("10.0.1.1/24", good, "", five, "", 60), Some(Wrong::Dns));
    assert_eq!(read("10.0.1.1/24", good, "", "", "a b", 60), Some(Wrong::Domain));
    assert_eq!(read("10.0.1.1/24", good, "", "", "", 9), Some(Wrong::Lease));
}

#[test]
fn a_client_gets_an_address_over_the_wire_and_keeps_it() {
    xenith::testing::simulate_time();
    block_on(async {
        let (here, there) = cable(Options::default());
        let _server = spawn(async move {
            start(here, args("10.0.1.1/24", "10.0.1.50-10.0.1.50", "", "", "", 60)).await
        });
        let client = Stack::new(there, Settings::default()).await.unwrap();
        let expected = (IpAddr::V4(Ipv4Addr::new(10, 0, 1, 50)), 24);
        for _ in 0..20 {
            assert!(client.addresses().contains(&expected));
            sleep(31 * SECOND).await;
        }
    });
}
