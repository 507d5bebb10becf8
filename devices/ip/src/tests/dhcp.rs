//! Addresses from DHCP servers and routers.

use super::*;
use crate::{ndisc, packet};
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use devices::net::Meta;
use kernel::task::{spawn, yield_now};
use kernel::time::{Instant, sleep, timeout};
use std::rc::Rc;

fn dynamic() -> Settings {
    Settings { limits: Limits::for_memory(4 << 20), ..Settings::default() }
}

/// What a server gives.
#[derive(Clone, Copy)]
struct Gift {
    last: u8,
    router: bool,
    seconds: u32,
}

/// Answers what it is asked at the end of a cable, as long as `open` says so, and notes
/// when and of what type the questions were.
fn serve(
    net: End,
    open: Rc<Cell<Option<Gift>>>,
    asked: Rc<RefCell<Vec<(Instant, u8)>>>,
) -> kernel::task::Task<()> {
    spawn(async move {
        while poll_fn(|context| net.poll_receive(context)).await.is_ok() {
            let frame = net.receive(|frame, _| frame.to_vec()).unwrap();
            let udp = frame[12..14] == [8, 0] && frame[23] == 17 && frame[36..38] == [0, 67];
            if !udp {
                continue;
            }
            // A DHCP server hears of it; nobody else does of what comes from nobody.
            let verdict = packet::judge(&frame, Meta::default());
            assert!(matches!(verdict, packet::Verdict::Udp(it) if it.to.port() == 67));
            if frame[26..30] == [0; 4] {
                let other = packet::judge(&elsewhere(&frame), Meta::default());
                assert_eq!(other, packet::Verdict::Useless);
            }
            let kind = option(&frame, 53).unwrap()[0];
            asked.borrow_mut().push((Instant::now(), kind));
            if let Some(gift) = open.get() {
                let answer = reply(&frame, if kind == 1 { 2 } else { 5 }, gift);
                net.transmit(answer.len(), |to| {
                    to.copy_from_slice(&answer);
                    ((), Meta::default())
                })
                .unwrap();
                net.flush();
            }
        }
    })
}

/// A question from nobody to another port.
fn elsewhere(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[37] = 69;
    packet::finish(&mut frame, false, 0);
    frame
}

/// An option of a DHCP message in a frame.
fn option(frame: &[u8], code: u8) -> Option<&[u8]> {
    let mut rest = &frame[14 + 20 + 8 + 240..];
    while let [kind, length, after @ ..] = rest {
        let (value, next) = after.split_at_checked((*length).into())?;
        if *kind == code {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// The answer to a question: an offer or its confirmation.
fn reply(question: &[u8], kind: u8, gift: Gift) -> Vec<u8> {
    let asked = &question[42..];
    let mut message = std::vec![0; 240];
    message[..4].copy_from_slice(&[2, 1, 6, 0]);
    message[4..8].copy_from_slice(&asked[4..8]);
    message[16..20].copy_from_slice(&[10, 0, 0, gift.last]);
    message[20..24].copy_from_slice(&[10, 0, 0, 1]);
    message[28..34].copy_from_slice(&asked[28..34]);
    message[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend([53, 1, kind, 54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 255, 0, 51, 4]);
    message.extend(gift.seconds.to_be_bytes());
    if gift.router {
        message.extend([3, 4, 10, 0, 0, 1, 6, 8, 10, 0, 0, 1, 10, 0, 0, 3]);
    }
    message.push(255);
    let mut frame = Vec::from([0xff; 6]);
    frame.extend([2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0]);
    frame.extend((28 + message.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 255, 255, 255, 255]);
    let sum: u32 = frame[14..].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend([0, 67, 0, 68]);
    frame.extend((8 + message.len() as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(message);
    packet::finish(&mut frame, false, 0);
    frame
}

const GIFT: Gift = Gift { last: 50, router: true, seconds: 600 };

#[test]
fn an_address_comes_from_a_server_and_is_kept() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (open, asked) = (Rc::new(Cell::new(Some(GIFT))), Rc::default());
        let server = serve(left, Rc::clone(&open), Rc::clone(&asked));
        let stack = timeout(SECOND, Stack::new(right, dynamic())).await.unwrap().unwrap();
        let own = IpAddr::from([10, 0, 0, 50]);
        assert!(stack.addresses().contains(&(own, 24)));
        assert_eq!(asked.borrow().iter().map(|it| it.1).collect::<Vec<_>>(), [1, 3]);
        // Through the router, which does not answer; without one there is no way at all.
        let far = SocketAddr::from(([192, 0, 2, 1], 80));
        assert_eq!(stack.connect(far).await.err(), Some(Error::TimedOut));
        sleep(SECOND * 3000).await;
        assert!(stack.addresses().contains(&(own, 24)));
        assert!((6..40).contains(&asked.borrow().len()), "{}", asked.borrow().len());
        // Another address is none that this one can be prolonged with, but the next one.
        open.set(Some(Gift { last: 51, ..GIFT }));
        sleep(SECOND * 200).await;
        assert!(stack.addresses().contains(&(own, 24)));
        sleep(SECOND * 410).await;
        assert!(stack.addresses().contains(&([10, 0, 0, 51].into(), 24)));
        assert!(!stack.addresses().contains(&(own, 24)));
        // And none at all when the lease ends.
        open.set(None);
        sleep(SECOND * 700).await;
        assert!(stack.addresses().iter().all(|(it, _)| it.is_ipv6()));
        let begun = Instant::now();
        sleep(SECOND * 100).await;
        assert!(asked.borrow().iter().any(|it| it.0 > begun && it.1 == 1));
        drop(server);
    });
}

#[test]
fn a_server_that_comes_late_is_found_and_asked_less_and_less_before() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (open, asked): (Rc<Cell<_>>, Rc<RefCell<Vec<_>>>) = Default::default();
        let server = serve(left, Rc::clone(&open), Rc::clone(&asked));
        let begun = Instant::now();
        let starting = spawn(Stack::new(right, dynamic()));
        sleep(SECOND * 400).await;
        let times: Vec<_> = asked
            .borrow()
            .iter()
            .map(|it| it.0.saturating_duration_since(begun).as_secs())
            .collect();
        // Each wait is a second longer or shorter than it is told, and whole seconds are cut.
        for (at, (time, told)) in
            times.iter().zip([0_u64, 4, 12, 28, 60, 124, 188, 252, 316]).enumerate()
        {
            assert!(time.abs_diff(told) <= at as u64 + 1, "{times:?}");
        }
        assert!((9..=11).contains(&times.len()), "{times:?}");
        assert!(!starting.is_finished());
        open.set(Some(GIFT));
        sleep(SECOND * 65).await;
        assert!(starting.is_finished());
        assert!(starting.await.is_ok());
        drop(server);
    });
}

#[test]
fn a_reconnection_asks_anew_at_once() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (open, asked): (Rc<Cell<_>>, Rc<RefCell<Vec<_>>>) = Default::default();
        let server = serve(left.clone(), Rc::clone(&open), asked);
        let starting = spawn(Stack::new(right, dynamic()));
        sleep(SECOND * 130).await;
        open.set(Some(GIFT));
        left.reconnect();
        sleep(SECOND / 10).await;
        assert!(starting.is_finished());
        drop(server);
    });
}

#[test]
fn what_the_arguments_say_comes_before_what_the_server_says() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let open = Rc::new(Cell::new(Some(Gift { router: false, ..GIFT })));
        let server = serve(left, open, Rc::default());
        let mut settings = dynamic();
        settings.gateways.push([10, 0, 0, 7].into()).unwrap();
        let stack = Stack::new(right, settings).await.unwrap();
        // There is a way, though nobody is at its end.
        let far = SocketAddr::from(([192, 0, 2, 1], 80));
        assert_eq!(stack.connect(far).await.err(), Some(Error::TimedOut));
        // No name server was named by anyone.
        assert_eq!(stack.resolve("a.b").await.err(), Some(Error::NoServer));
        drop(server);
    });
}

#[test]
fn routers_give_addresses_and_a_way() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let stack = Stack::start(right, Settings { ipv4: Ipv4::Off, ..dynamic() }).unwrap();
        stack.configured().await.unwrap();
        sleep(SECOND * 2).await;
        let asks = |frame: &[u8], _: Meta| frame[12..14] == [0x86, 0xdd] && frame[54] == 133;
        let mut asked = false;
        while let Some(it) = left.receive(asks) {
            asked |= it;
        }
        assert!(asked);
        let mut advertisement =
            ndisc::announce(devices::net::Mac([2, 0, 0, 0, 0, 9]), "fe80::9".parse().unwrap())
                [..54]
                .to_vec();
        // A router for half an hour, with a prefix that addresses may be made of.
        advertisement.extend([134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        advertisement.extend([3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0]);
        advertisement.extend("2001:db8::".parse::<Ipv6Addr>().unwrap().octets());
        advertisement[19] = 48;
        let mut sum: u32 =
            advertisement[22..].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
        sum += 58 + 48;
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        advertisement[56..58].copy_from_slice(&sum.to_be_bytes());
        left.transmit(advertisement.len(), |to| {
            to.copy_from_slice(&advertisement);
            ((), Meta::default())
        })
        .unwrap();
        left.flush();
        sleep(SECOND * 2).await;
        yield_now().await;
        let own: IpAddr = "2001:db8::ff:fe00:2".parse().unwrap();
        assert!(stack.addresses().iter().any(|(it, _)| *it == own), "{:?}", stack.addresses());
        let far = "[2001:db8:1::1]:80".parse().unwrap();
        assert_eq!(stack.connect(far).await.err(), Some(Error::TimedOut));
    });
}
