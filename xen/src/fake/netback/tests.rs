//! The back end against a front end that is as small as can be.

use super::super::Fake;
use super::super::tests::{run, try_run};
use super::{Misdeed, RxSlot, Transmitted};
use crate::DomId;
use crate::evtchn::Port;
use crate::gnttab::GrantRef;
use crate::gnttab::{ReadOnlyGrant, ReadWriteGrant};
use crate::memory::PAGE_SIZE;
use crate::public::io::netif::{
    RX_SLOT, RxFlags, RxRequest, RxResponse, TX_SLOT, TxFlags, TxRequest, TxResponse,
};
use crate::ring::Front;
use crate::xenbus::{Frontend, XenbusState, read_number};

/// A front end.
struct Guest {
    front: Frontend,
    tx: Front<TX_SLOT>,
    rx: Front<RX_SLOT>,
    tx_port: Port,
    rx_port: Port,
    out: ReadOnlyGrant,
    input: ReadWriteGrant,
}

impl Guest {
    /// Connects; the rings start at `index`, and `pages` pages are posted.
    async fn connect(index: u32, pages: u16) -> Self {
        let front = Frontend::find("vif", "0").await.unwrap();
        let peer = front.peer();
        front.announce(XenbusState::Initialising).await.unwrap();
        front.wait_until(&|state| state == XenbusState::InitWait).await.unwrap();
        let path = front.theirs("feature-rx-copy");
        assert_eq!(read_number(&path, 0..=1, 0).await, Ok(1));
        let mut guest = Self {
            tx: Front::starting_at(ReadWriteGrant::new(peer, 1).unwrap(), index),
            rx: Front::starting_at(ReadWriteGrant::new(peer, 1).unwrap(), index),
            tx_port: Port::alloc(peer).unwrap(),
            rx_port: Port::alloc(peer).unwrap(),
            out: ReadOnlyGrant::new(peer, 4).unwrap(),
            input: ReadWriteGrant::new(peer, 32).unwrap(),
            front,
        };
        (0..pages).for_each(|page| guest.post(page));
        let _ = guest.rx.publish();
        let settings = [
            ("tx-ring-ref", guest.tx.reference().0),
            ("rx-ring-ref", guest.rx.reference().0),
            ("event-channel-tx", guest.tx_port.number().0),
            ("event-channel-rx", guest.rx_port.number().0),
            ("request-rx-copy", 1),
        ]
        .map(|(name, value)| (name, value.to_string()));
        guest.front.announce_with(XenbusState::Connected, &settings).await.unwrap();
        guest.front.wait_until(&|state| state == XenbusState::Connected).await.unwrap();
        guest
    }

    fn post(&mut self, page: u16) {
        let gref = self.input.references()[usize::from(page)];
        assert!(self.rx.put(RxRequest { id: page, gref }.to_bytes()));
    }

    /// Sends slots of as many bytes each, the first `offset` bytes into its page.
    fn send(&mut self, id: u16, offset: u16, sizes: &[u16]) {
        let total = sizes.iter().sum();
        for (i, &size) in sizes.iter().enumerate() {
            let mut flags = TxFlags::empty();
            flags.set(TxFlags::MORE_DATA, i + 1 < sizes.len());
            let size = if i == 0 { total } else { size };
            let offset = if i == 0 { offset } else { 0 };
            let gref = self.out.references()[i];
            let id = id + i as u16;
            assert!(self.tx.put(TxRequest { gref, offset, flags, id, size }.to_bytes()));
        }
        if self.tx.publish() {
            self.tx_port.notify().unwrap();
        }
    }

    fn answers(&mut self) -> Vec<(u16, i16)> {
        self.tx.pending().unwrap();
        let slots = std::iter::from_fn(|| self.tx.take());
        slots.map(TxResponse::from_bytes).map(|it| (it.id, it.status)).collect()
    }

    fn frames(&mut self) -> Vec<RxResponse> {
        self.rx.pending().unwrap();
        std::iter::from_fn(|| self.rx.take()).map(RxResponse::from_bytes).collect()
    }

    /// Says that it is closed, and waits until the back end is.
    async fn close(self) {
        self.front.announce(XenbusState::Closed).await.unwrap();
        self.front.wait_until(&|state| state == XenbusState::Closed).await.unwrap();
    }
}

/// A host with an interface.
fn plugged() -> Fake {
    let fake = Fake::new();
    let _ = fake.netback(0);
    fake
}

fn settle(fake: &Fake) {
    while fake.step() {}
}

#[test]
fn frames_go_both_ways_at_any_index_r11() {
    for index in [0, 0xFFFF_FFF0] {
        let fake = plugged();
        let netback = fake.netback(0);
        let baseline = fake.baseline();
        let mut guest = run(&fake, Guest::connect(index, 32));
        assert_eq!(netback.state(), XenbusState::Connected);
        guest.out.bytes_mut()[100..200].fill(7);
        guest.out.bytes_mut()[PAGE_SIZE..PAGE_SIZE + 50].fill(8);
        for round in 0..300 {
            guest.send(round, 100, &[100, 50]);
            settle(&fake);
            let bytes = [vec![7; 100], vec![8; 50]].concat();
            let (flags, slots, extras) = (TxFlags::MORE_DATA, 2, Vec::new());
            let sent = Transmitted { bytes, flags, slots, extras, queue: 0 };
            assert_eq!(netback.transmitted(), [sent]);
            assert_eq!(guest.answers(), [(round, 0), (round + 1, 0)]);

            netback.set_headroom(256);
            netback.deliver(&[round as u8; 5000], RxFlags::CSUM_BLANK);
            settle(&fake);
            let frames = guest.frames();
            let told: Vec<_> = frames.iter().map(|it| (it.offset, it.status, it.flags)).collect();
            let flags = RxFlags::CSUM_BLANK | RxFlags::MORE_DATA;
            assert_eq!(told, [(256, 3840, flags), (256, 1160, RxFlags::empty())]);
            for frame in frames {
                let mut bytes = vec![0; frame.status as usize];
                guest.input.pages()[usize::from(frame.id)].copy_out(256, &mut bytes);
                assert!(bytes.iter().all(|&byte| byte == round as u8));
                guest.post(frame.id);
            }
            if guest.rx.publish() {
                guest.rx_port.notify().unwrap();
            }
        }
        run(&fake, guest.close());
        assert_eq!(netback.state(), XenbusState::Closed);
        fake.assert_no_leaks(&baseline);
    }
}

#[test]
fn a_front_end_that_forgets_to_notify_hangs_r2() {
    let fake = plugged();
    let mut guest = run(&fake, Guest::connect(0, 0));
    settle(&fake);
    let gref = guest.out.references()[0];
    let request = TxRequest { gref, offset: 0, flags: TxFlags::empty(), id: 0, size: 60 };
    assert!(guest.tx.put(request.to_bytes()));
    assert!(guest.tx.publish(), "it wants to be notified");
    settle(&fake);
    assert_eq!(guest.answers(), []);
    guest.tx_port.notify().unwrap();
    settle(&fake);
    assert_eq!(guest.answers(), [(0, 0)]);
    fake.netback(0).deliver(&[1; 60], RxFlags::empty());
    settle(&fake);
    assert_eq!(fake.netback(0).undelivered(), 1, "there is no page for it");
    guest.post(3);
    assert!(guest.rx.publish(), "it wants to be notified");
    settle(&fake);
    assert_eq!(fake.netback(0).undelivered(), 1);
    guest.rx_port.notify().unwrap();
    settle(&fake);
    assert_eq!(guest.frames().len(), 1);
    run(&fake, guest.close());
}

/// What a front end gets punished for.
fn send_badly(what: impl FnOnce(&mut Guest)) {
    let fake = plugged();
    let mut guest = run(&fake, Guest::connect(0, 0));
    what(&mut guest);
    settle(&fake);
}

#[test]
#[should_panic(expected = "rule N10: an empty slot")]
fn an_empty_slot_is_punished_n10() {
    send_badly(|guest| guest.send(0, 0, &[60, 0]));
}

#[test]
#[should_panic(expected = "rule N10: 60 bytes at 4090 leave the page")]
fn a_slot_across_pages_is_punished_n10() {
    send_badly(|guest| guest.send(0, 4090, &[60]));
}

#[test]
#[should_panic(expected = "rule N10: id 5 is used twice")]
fn an_id_that_is_in_flight_is_punished_n10() {
    send_badly(|guest| {
        guest.send(5, 0, &[60]);
        guest.send(5, 0, &[60]);
    });
}

#[test]
#[should_panic(expected = "rule N10: the first slot")]
fn a_header_in_pieces_is_punished_n10() {
    send_badly(|guest| guest.send(0, 0, &[10, 50]));
}

#[test]
#[should_panic(expected = "rule G7: the guest has domain 0 read by grant 9999")]
fn a_page_that_is_not_lent_is_punished_g7() {
    send_badly(|guest| {
        let request =
            TxRequest { gref: GrantRef(9999), offset: 0, flags: TxFlags::empty(), id: 0, size: 60 };
        assert!(guest.tx.put(request.to_bytes()) && guest.tx.publish());
        guest.tx_port.notify().unwrap();
    });
}

#[test]
#[should_panic(expected = "rule R3: the guest's producer index")]
fn a_ring_that_is_overrun_is_punished_r3() {
    let fake = plugged();
    let guest = run(&fake, Guest::connect(0, 0));
    let (tx_port, gref) = (&guest.tx_port, guest.tx.reference());
    super::super::with(|state| {
        let host = &mut state.host;
        let index = 300_u32.to_le_bytes();
        host.grants.copy_to(gref, DomId::DOM0, 0, &index, &host.frames).unwrap();
    });
    tx_port.notify().unwrap();
    settle(&fake);
}

#[test]
fn the_transmit_ring_is_broken_on_request_r3_r4_r6() {
    let after = |misdeed: Misdeed| {
        let fake = plugged();
        fake.allow_leaks();
        let mut guest = run(&fake, Guest::connect(0, 0));
        fake.netback(0).misbehave_at(1, misdeed);
        guest.send(1, 0, &[60]);
        settle(&fake);
        assert_eq!(guest.answers(), [(1, 0)]);
        guest.send(2, 0, &[60]);
        settle(&fake);
        let pending = guest.tx.pending();
        if pending.is_ok() { Some(guest.answers()) } else { None }
    };
    assert_eq!(after(Misdeed::TxId(77)), Some(vec![(77, 0)]));
    assert_eq!(after(Misdeed::TxIdAgain), Some(vec![(1, 0)]));
    assert_eq!(after(Misdeed::TxStatus(-7)), Some(vec![(2, -7)]));
    assert_eq!(after(Misdeed::TxIndex(1000)), None, "beyond what was asked");
    assert_eq!(after(Misdeed::TxIndex(-2)), None, "backwards");
}

#[test]
fn the_receive_ring_is_broken_on_request_n1_n2_n3_n4() {
    let after = |misdeed: Misdeed| {
        let fake = plugged();
        let mut guest = run(&fake, Guest::connect(0, 20));
        fake.netback(0).misbehave(misdeed);
        fake.netback(0).deliver(&[1; 60], RxFlags::empty());
        settle(&fake);
        let response = guest.rx.pending().map(|_| guest.frames());
        run(&fake, guest.close());
        response.map(|responses| (responses[0].id, responses[0].offset, responses[0].status))
    };
    assert_eq!(after(Misdeed::RxId(9)), Ok((9, 0, 60)));
    assert_eq!(after(Misdeed::RxStatus(0)), Ok((0, 0, 0)));
    assert_eq!(after(Misdeed::RxStatus(4097)), Ok((0, 0, 4097)));
    assert_eq!(after(Misdeed::RxOffset(4090)), Ok((0, 4090, 60)));
    assert!(after(Misdeed::RxIndex(30)).is_err());

    let fake = plugged();
    let mut guest = run(&fake, Guest::connect(0, 32));
    let flags = RxFlags::MORE_DATA;
    let piece = RxSlot::Data { bytes: vec![1; 14], offset: 0, flags, status: None };
    fake.netback(0).deliver_slots(vec![piece; 19]);
    fake.netback(0).deliver_slots(vec![RxSlot::Extra([9, 1, 0, 0, 0, 0, 0, 0]); 3]);
    settle(&fake);
    assert_eq!(guest.frames().len(), 22);
    run(&fake, guest.close());
}

#[test]
fn pages_that_are_kept_are_quarantined_and_come_back_g4() {
    let fake = plugged();
    let netback = fake.netback(0);
    let baseline = fake.baseline();
    let mut guest = run(&fake, Guest::connect(0, 4));
    netback.misbehave(Misdeed::KeepGrants);
    guest.send(0, 0, &[60]);
    settle(&fake);
    assert_eq!(guest.answers(), [(0, 0)]);
    run(&fake, guest.close());
    // Both rings, and the pages of what was transmitted, which go together.
    assert_eq!(crate::gnttab::stats().quarantine, 6);
    netback.behave();
    drop(ReadWriteGrant::new(DomId::DOM0, 1).unwrap());
    assert_eq!(crate::gnttab::stats().quarantine, 0);
    fake.assert_no_leaks(&baseline);
}

#[test]
fn events_are_lost_and_storm_on_request_e3_e7() {
    let fake = plugged();
    let mut guest = run(&fake, Guest::connect(0, 0));
    settle(&fake);
    crate::evtchn::scan();
    let before = crate::evtchn::stats().events;
    fake.netback(0).misbehave(Misdeed::LoseEvents);
    guest.send(0, 0, &[60]);
    settle(&fake);
    crate::evtchn::scan();
    assert_eq!((guest.answers().len(), crate::evtchn::stats().events), (1, before));
    fake.netback(0).behave();
    fake.netback(0).misbehave(Misdeed::EventStorm(3));
    for _ in 0..5 {
        fake.step();
        crate::evtchn::scan();
    }
    assert_eq!(crate::evtchn::stats().events, before + 10, "two ports");
    fake.netback(0).misbehave(Misdeed::TxStuck);
    guest.send(1, 0, &[60]);
    settle(&fake);
    assert_eq!((guest.answers(), fake.netback(0).transmitted().len()), (vec![], 2));
    fake.netback(0).behave();
    run(&fake, guest.close());
}

#[test]
fn a_device_comes_goes_and_says_nonsense_x12() {
    let fake = plugged();
    let netback = fake.netback(0);
    let guest = run(&fake, Guest::connect(0, 0));
    netback.detach();
    let closing = guest.front.wait_until(&|state| state == XenbusState::Closing);
    run(&fake, closing).unwrap();
    run(&fake, guest.front.announce(XenbusState::Closed)).unwrap();
    settle(&fake);
    assert_eq!(fake.store().read(&netback.path()), None, "the toolstack cleared up");
    drop(guest);
    netback.restart_in(DomId(3));
    let guest = run(&fake, Guest::connect(5, 0));
    assert_eq!(guest.front.peer(), DomId(3));
    for state in ["77", "4294967296", "x", ""] {
        netback.say_state(state);
        let unknown = guest.front.wait_until(&|state| state == XenbusState::Unknown);
        run(&fake, unknown).unwrap();
    }
    netback.unplug();
    drop(guest);
    netback.plug();
    netback.withhold("feature-rx-copy");
    netback.offer("multi-queue-max-queues", "-1");
    settle(&fake);
    assert_eq!(fake.store().read(&format!("{}/feature-rx-copy", netback.path())), None);
    assert_eq!(netback.state(), XenbusState::InitWait);
    netback.vanish();
    let front = try_run(&fake, Frontend::find("vif", "0")).unwrap().unwrap();
    assert_eq!(run(&fake, front.wait_until(&|_| true)), Ok(XenbusState::Unknown));
}

#[test]
fn a_guest_has_the_number_that_it_is_given() {
    let fake = Fake::with_domain(DomId(7));
    let netback = fake.netback(0);
    assert_eq!(netback.front_path(), "/local/domain/7/device/vif/0");
    assert_eq!(fake.store().permissions(&netback.path()), ["n0", "r7"]);
    let guest = run(&fake, Guest::connect(0, 0));
    assert_eq!(guest.front.backend(), "/local/domain/0/backend/vif/7/0");
    run(&fake, guest.close());
}

#[test]
fn queues_may_share_a_port_and_be_several() {
    let fake = plugged();
    let netback = fake.netback(0);
    fake.step();
    let rings: Vec<_> = (0..4)
        .map(|_| Front::<TX_SLOT>::new(ReadWriteGrant::new(DomId::DOM0, 1).unwrap()))
        .collect();
    let ports = [Port::alloc(DomId::DOM0).unwrap(), Port::alloc(DomId::DOM0).unwrap()];
    netback.write_front("request-rx-copy", "1");
    netback.write_front("multi-queue-num-queues", "2");
    for queue in 0..2 {
        for (name, value) in [
            ("tx-ring-ref", rings[2 * queue].reference().0),
            ("rx-ring-ref", rings[2 * queue + 1].reference().0),
            ("event-channel", ports[queue].number().0),
        ] {
            netback.write_front(&format!("queue-{queue}/{name}"), &value.to_string());
        }
    }
    netback.write_front("state", "4");
    settle(&fake);
    assert_eq!(netback.state(), XenbusState::Connected);
    assert_eq!(netback.ports(), ports.each_ref().map(Port::number));
    netback.write_front("state", "6");
    settle(&fake);
    netback.write_front("multi-queue-num-queues", "3");
    netback.write_front("state", "1");
    settle(&fake);
    netback.write_front("state", "4");
    settle(&fake);
    assert_eq!(netback.state(), XenbusState::Closing);
    assert_eq!(netback.error().unwrap(), "the guest asks for 3 queues of 2");
}
