//! Routers on the link whose addresses are in no network of this machine: what Xen's
//! vif-route and several clouds give to their guests.

use super::*;
use crate::{ndisc, packet};
use devices::net::{Mac, Meta};
use kernel::task::spawn;
use kernel::time::sleep;

const OWN: [u8; 4] = [10, 9, 0, 50];
const ROUTER: [u8; 4] = [172, 31, 1, 1];
const MAC: Mac = Mac([2, 0, 0, 0, 0, 77]);

fn alone(address: IpAddr, gateway: IpAddr) -> Settings {
    let mut settings = Settings { limits: Limits::for_memory(4 << 20), ..Settings::default() };
    match address {
        IpAddr::V4(address) => settings.ipv4 = Ipv4::Static(address, 32),
        IpAddr::V6(address) => (settings.ipv4, settings.ipv6) = (Ipv4::Off, Some((address, 128))),
    }
    settings.gateways.push(gateway).unwrap();
    settings
}

#[test]
fn machines_that_are_each_others_routers_speak() {
    let pairs: [[IpAddr; 2]; 3] = [
        [OWN.into(), ROUTER.into()],
        ["2001:db8::2".parse().unwrap(), "2001:db8:1::1".parse().unwrap()],
        ["fd00::2".parse().unwrap(), "fd00:0:0:1::1".parse().unwrap()],
    ];
    for [one, other] in pairs {
        kernel::testing::simulate_time();
        block_on(async {
            let (left, right) = cable(Options::default());
            let left = Stack::start(left, alone(one, other)).unwrap();
            let right = Stack::start(right, alone(other, one)).unwrap();
            for (from, to, at) in [(&left, &right, other), (&right, &left, one)] {
                from.ping(at, 8, SECOND).await.unwrap();
                let listener = Tcp::bind(to, any(80)).await.unwrap();
                let serving = spawn(async move {
                    let mut stream = listener.accept().await.unwrap().0;
                    stream.write_all(b"here").await.unwrap();
                    stream.flush().await.unwrap();
                    stream
                });
                let mut stream = from.connect(SocketAddr::new(at, 80)).await.unwrap();
                let mut bytes = [0; 4];
                stream.read_exact(&mut bytes).await.unwrap();
                assert_eq!(&bytes, b"here");
                drop(serving.await);
            }
            // What was learnt is forgotten and asked for again.
            sleep(SECOND * 100).await;
            left.ping(other, 8, SECOND).await.unwrap();
        });
    }
}

/// Sends a frame.
fn put(net: &End, frame: &[u8]) {
    let fill = |to: &mut [u8]| {
        to.copy_from_slice(frame);
        ((), Meta::default())
    };
    net.transmit(frame.len(), fill).unwrap();
    net.flush();
}

/// Every frame that came, as long as it lasts.
async fn got(net: &End) -> Vec<Vec<u8>> {
    sleep(SECOND / 10).await;
    core::iter::from_fn(|| net.receive(|frame, _| frame.to_vec())).collect()
}

#[test]
fn a_router_elsewhere_is_asked_by_arp_and_gets_what_is_for_others() {
    kernel::testing::simulate_time();
    block_on(async {
        let (net, right) = cable(Options::default());
        let stack = Stack::start(right, alone(OWN.into(), ROUTER.into())).unwrap();
        let connecting =
            spawn(async move { stack.connect(SocketAddr::from(([192, 0, 2, 1], 80))).await });
        let frames = got(&net).await;
        let asks = frames.iter().find(|it| it[12..14] == [8, 6] && it[38..42] == ROUTER).unwrap();
        assert!(frames.iter().all(|it| it[12..14] != [8, 0]));
        // From this machine to all: who has the router's address?
        let mac: [u8; 6] = asks[6..12].try_into().unwrap();
        let expected = packet::request_v4(Mac(mac), OWN.into(), ROUTER.into(), None);
        assert_eq!(asks[..expected.len()], expected);
        assert!(asks[expected.len()..].iter().all(|it| *it == 0));
        let answer = packet::answer_v4(MAC, ROUTER.into(), (Mac(mac), OWN.into()));
        put(&net, &answer);
        let frames = got(&net).await;
        let syn = frames.iter().find(|it| it[12..14] == [8, 0]).unwrap();
        assert_eq!((&syn[..6], &syn[30..34]), (&MAC.0[..], &[192, 0, 2, 1][..]));
        drop(connecting);
    });
}

#[test]
fn whoever_is_on_the_link_gets_an_answer_by_arp() {
    kernel::testing::simulate_time();
    block_on(async {
        let (net, right) = cable(Options::default());
        let stack = Stack::start(right, alone(OWN.into(), ROUTER.into())).unwrap();
        got(&net).await;
        // The router, somebody else, and who wants to know whether the address is free.
        for sender in [ROUTER, [192, 0, 2, 9], [0; 4]] {
            put(&net, &packet::request_v4(MAC, sender.into(), OWN.into(), None));
            let frames = got(&net).await;
            let answer = frames.iter().find(|it| it[12..14] == [8, 6]).unwrap();
            assert_eq!(answer[20..22], [0, 2]);
            assert_eq!((&answer[..6], &answer[28..32]), (&MAC.0[..], &OWN[..]));
            assert_eq!((&answer[32..38], &answer[38..42]), (&MAC.0[..], &sender[..]));
        }
        // Nobody is told of who else is there, and groups ask nothing.
        put(&net, &packet::request_v4(MAC, ROUTER.into(), [10, 9, 0, 51].into(), None));
        put(&net, &packet::request_v4(MAC, [224, 0, 0, 1].into(), OWN.into(), None));
        put(&net, &packet::request_v4(Mac([1, 0, 0, 0, 0, 1]), ROUTER.into(), OWN.into(), None));
        assert!(got(&net).await.iter().all(|it| it[12..14] != [8, 6]));
        drop(stack);
    });
}

#[test]
fn nobody_on_the_network_speaks_of_addresses_that_stand_for_others() {
    kernel::testing::simulate_time();
    block_on(async {
        let (net, right) = cable(Options::default());
        let stack = Stack::start(right, alone(OWN.into(), ROUTER.into())).unwrap();
        let router = Ipv4Addr::from(ROUTER);
        put(&net, &ndisc::announce(MAC, router.to_ipv6_mapped()));
        let connecting =
            spawn(async move { stack.connect(SocketAddr::from(([192, 0, 2, 1], 80))).await });
        assert!(got(&net).await.iter().all(|it| it[12..14] != [8, 0]));
        drop(connecting);
    });
}
