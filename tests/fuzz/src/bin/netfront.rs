//! The network front end, against a back end that says any state and value at any
//! time, answers what it likes and writes into the rings whatever it likes.

#![no_main]

use kernel::time::{sleep, timeout};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::future::poll_fn;
use std::time::Duration;
use xen::fake::Fake;
use xen::fake::netback::{Misdeed, RxSlot};
use xen::gnttab::ReadWriteGrant;
use xen::public::io::netif::RxFlags;
use xenith::net::netfront::Netfront;
use xenith::net::{Checksum, Meta, Net};
use xenith_fuzz::on_fake;

/// What happens. The guest receives whenever it can.
#[derive(Arbitrary, Debug)]
enum Act {
    Transmit(u16),
    Wait(u16),
    Deliver {
        length: u16,
        flags: u8,
    },
    Slots(Vec<Slot>),
    Headroom(u8),
    Wrong(Wrong, Option<u8>),
    Behave,
    State(Vec<u8>),
    Offer(Feature, Vec<u8>),
    Withhold(Feature),
    Front(Setting, Vec<u8>),
    Scribble {
        receive: bool,
        at: u16,
        bytes: Vec<u8>,
    },
    /// What the back end would have to write to answer as many.
    Answer {
        receive: bool,
        index: u32,
        slots: Vec<[u8; 8]>,
    },
    Reverse(bool),
    Map(bool),
    Detach,
    Unplug,
    Plug,
    Restart(u8),
    Vanish,
    ClosePorts,
    Stray(u16),
    /// The guest goes on as this domain, or as the same one.
    Suspend(Option<u8>),
}

#[derive(Arbitrary, Debug)]
enum Slot {
    Data { length: u16, offset: u16, flags: u16, status: Option<i16> },
    Extra([u8; 8]),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wrong {
    TxIndex(i32),
    TxId(u16),
    TxIdAgain,
    TxStatus(i16),
    TxStuck,
    RxIndex(i32),
    RxId(u16),
    RxIdAgain,
    RxStatus(i16),
    RxOffset(u16),
    RxFlags(u16),
    RxStuck,
    KeepGrants,
    EventStorm(u8),
    LoseEvents,
}

impl Wrong {
    fn misdeed(self) -> Misdeed {
        match self {
            Self::TxIndex(by) => Misdeed::TxIndex(by),
            Self::TxId(id) => Misdeed::TxId(id),
            Self::TxIdAgain => Misdeed::TxIdAgain,
            Self::TxStatus(status) => Misdeed::TxStatus(status),
            Self::TxStuck => Misdeed::TxStuck,
            Self::RxIndex(by) => Misdeed::RxIndex(by),
            Self::RxId(id) => Misdeed::RxId(id),
            Self::RxIdAgain => Misdeed::RxIdAgain,
            Self::RxStatus(status) => Misdeed::RxStatus(status),
            Self::RxOffset(offset) => Misdeed::RxOffset(offset),
            Self::RxFlags(flags) => Misdeed::RxFlags(RxFlags::from_bits_retain(flags)),
            Self::RxStuck => Misdeed::RxStuck,
            Self::KeepGrants => Misdeed::KeepGrants,
            Self::EventStorm(count) => Misdeed::EventStorm(count.into()),
            Self::LoseEvents => Misdeed::LoseEvents,
        }
    }
}

/// What the back end says of itself.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Feature {
    RxCopy,
    Sg,
    Split,
    Queues,
    Checksum,
    Gso,
    Multicast,
}

impl Feature {
    const fn name(self) -> &'static str {
        match self {
            Self::RxCopy => "feature-rx-copy",
            Self::Sg => "feature-sg",
            Self::Split => "feature-split-event-channels",
            Self::Queues => "multi-queue-max-queues",
            Self::Checksum => "feature-ipv6-csum-offload",
            Self::Gso => "feature-gso-tcpv4",
            Self::Multicast => "feature-multicast-control",
        }
    }
}

/// What the toolstack says in the front end's folder.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Setting {
    Backend,
    BackendId,
    Mac,
    Mtu,
    Handle,
}

impl Setting {
    const fn name(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::BackendId => "backend-id",
            Self::Mac => "mac",
            Self::Mtu => "mtu",
            Self::Handle => "handle",
        }
    }
}

fuzz_target!(|acts: Vec<Act>| {
    on_fake(async |fake| {
        let back = fake.netback(0);
        // It is the toolstack that lies, not the guest.
        back.tolerate();
        let mut acts = acts.into_iter().take(48);
        // Before the guest comes, after that, and while it works.
        for act in acts.by_ref().take(4) {
            play(&fake, act, None).await;
        }
        // A back end may never connect, and is waited for.
        let opened = timeout(Duration::from_secs(10), Netfront::open("0")).await;
        if let Ok(Ok(net)) = opened {
            for act in acts {
                play(&fake, act, Some(&net)).await;
                receive(&net).await;
            }
            let _ = net.stats();
        }
        back.behave();
        back.unplug();
        sleep(Duration::from_secs(1)).await;
        // What the back end kept comes back when something is lent (rule G4).
        drop(ReadWriteGrant::new(xen::DomId::DOM0, 1));
    });
});

/// Takes what came.
async fn receive(net: &Netfront) {
    for _ in 0..300 {
        let ready = poll_fn(|context| net.poll_receive(context));
        if !matches!(timeout(Duration::ZERO, ready).await, Ok(Ok(()))) {
            break;
        }
        net.receive(|frame, meta| {
            assert!(frame.len() >= 14, "rule N6: a frame of {} bytes", frame.len());
            assert!(frame.len() <= 18 * 4096, "rule N3: a frame of {} bytes", frame.len());
            assert!(matches!(
                meta.checksum,
                Checksum::Complete | Checksum::Blank | Checksum::Verified
            ));
        });
    }
    net.flush();
}

async fn play(fake: &Fake, act: Act, net: Option<&Netfront>) {
    let back = fake.netback(0);
    match act {
        Act::Transmit(length) => {
            let Some(net) = net else { return };
            let length = usize::from(length);
            let info = net.info();
            let ready = poll_fn(|context| net.poll_transmit(context));
            if let Ok(Ok(())) = timeout(Duration::from_millis(50), ready).await {
                let sent = net.transmit(length, |to| {
                    assert_eq!(to.len(), length);
                    to.fill(1);
                    ((), Meta::default())
                });
                assert!(sent.is_none() || (14..=info.mtu + 14).contains(&length));
                net.flush();
            }
        }
        Act::Wait(time) => sleep(Duration::from_millis(u64::from(time) % 12_000)).await,
        Act::Deliver { length, flags } => {
            let frame = vec![3; usize::from(length)];
            back.deliver(&frame, RxFlags::from_bits_truncate(flags.into()));
        }
        Act::Slots(slots) => {
            let slots = slots.into_iter().take(24).map(|slot| match slot {
                Slot::Data { length, offset, flags, status } => RxSlot::Data {
                    bytes: vec![4; usize::from(length) % 8192],
                    offset,
                    flags: RxFlags::from_bits_retain(flags),
                    status,
                },
                Slot::Extra(bytes) => RxSlot::Extra(bytes),
            });
            back.deliver_slots(slots.collect());
        }
        Act::Headroom(bytes) => back.set_headroom(bytes.into()),
        Act::Wrong(wrong, Some(skip)) => back.misbehave_at(skip.into(), wrong.misdeed()),
        Act::Wrong(wrong, None) => back.misbehave(wrong.misdeed()),
        Act::Behave => back.behave(),
        Act::State(state) => fake.store().write(&format!("{}/state", back.path()), state),
        Act::Offer(feature, value) => {
            fake.store().write(&format!("{}/{}", back.path(), feature.name()), value);
        }
        Act::Withhold(feature) => back.withhold(feature.name()),
        Act::Front(setting, value) => {
            fake.store().write(&format!("{}/{}", back.front_path(), setting.name()), value);
        }
        Act::Scribble { receive, at, bytes } => back.scribble(receive, at.into(), &bytes),
        Act::Answer { receive, index, slots } => {
            for (i, slot) in slots.iter().enumerate() {
                let (number, size) = if receive { (i % 256, 8) } else { (i % 256, 12) };
                back.scribble(receive, 64 + number * size, slot);
            }
            back.scribble(receive, 8, &index.to_le_bytes());
        }
        Act::Reverse(reversed) => back.answer_in_reverse(reversed),
        Act::Map(maps) => back.map_until_answered(maps),
        Act::Detach => back.detach(),
        Act::Unplug => back.unplug(),
        Act::Plug => back.plug(),
        Act::Restart(domain) => back.restart_in(xen::DomId(domain.into())),
        Act::Vanish => back.vanish(),
        Act::ClosePorts => back.close_ports(),
        Act::Suspend(new) => xenith_fuzz::suspend(fake, new).await,
        Act::Stray(port) => fake.raise(xen::evtchn::PortNumber(u32::from(port) % 4096)),
    }
    sleep(Duration::from_millis(2)).await;
}
