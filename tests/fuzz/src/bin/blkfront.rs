//! The block front end, against a back end that says any state and value at any time and answers
//! what it likes. While nobody has lied, what was written is what is read, through suspensions too.

#![no_main]

use kernel::task::join;
use kernel::time::{sleep, timeout};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::pin::pin;
use std::time::Duration;
use xen::DomId;
use xen::fake::Fake;
use xen::fake::blkback::Misdeed;
use xen::gnttab::ReadWriteGrant;
use xenith::block::Block;
use xenith::block::blkfront::Blkfront;
use xenith_fuzz::on_fake;

/// The number of `xvda`.
const XVDA: u32 = 51712;

/// Sectors of 512 bytes that are written and read.
const SECTORS: usize = 64;

/// A part of them.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Part(u8, u8);

impl Part {
    fn first(self) -> usize {
        usize::from(self.0) % SECTORS
    }

    fn count(self) -> usize {
        1 + usize::from(self.1) % (SECTORS - self.first())
    }
}

/// What happens.
#[derive(Arbitrary, Debug)]
enum Act {
    Write(Part, u8),
    Read(Part),
    Flush,
    Discard(Part),
    Wait(u16),
    Wrong(Wrong, Option<u8>),
    Behave,
    State(Vec<u8>),
    Offer(Feature, Vec<u8>),
    Withhold(Feature),
    Front(Setting, Vec<u8>),
    Reverse(bool),
    Slow(bool),
    Sleep,
    Wake,
    Detach,
    Unplug,
    Plug,
    Restart(u8),
    Vanish,
    ClosePort,
    Stray(u16),
    /// The guest goes on as this domain, or as the same one, while it writes.
    Suspend(Option<u8>, Part, u8),
}

impl Act {
    /// Whether a back end that does so still has all that was written.
    const fn is_honest(&self) -> bool {
        matches!(
            self,
            Self::Write(..)
                | Self::Read(_)
                | Self::Flush
                | Self::Wait(_)
                | Self::Reverse(_)
                | Self::Slow(_)
                | Self::Sleep
                | Self::Wake
                | Self::Stray(_)
                | Self::Suspend(..)
        )
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wrong {
    Index(i32),
    Id(u64),
    IdAgain,
    Operation(u8),
    Status(i16),
    Refuse(i16),
    Stuck,
    Scribble,
    KeepGrants,
    EventStorm(u8),
    LoseEvents,
}

impl Wrong {
    fn misdeed(self) -> Misdeed {
        match self {
            Self::Index(by) => Misdeed::Index(by),
            Self::Id(id) => Misdeed::Id(id),
            Self::IdAgain => Misdeed::IdAgain,
            Self::Operation(operation) => Misdeed::Operation(operation),
            Self::Status(status) => Misdeed::Status(status),
            Self::Refuse(status) => Misdeed::Refuse(status),
            Self::Stuck => Misdeed::Stuck,
            Self::Scribble => Misdeed::Scribble,
            Self::KeepGrants => Misdeed::KeepGrants,
            Self::EventStorm(count) => Misdeed::EventStorm(count.into()),
            Self::LoseEvents => Misdeed::LoseEvents,
        }
    }
}

/// What the back end says of itself.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Feature {
    Persistent,
    Flush,
    Barrier,
    Discard,
    Granularity,
    Indirect,
    Order,
    Info,
}

impl Feature {
    const fn name(self) -> &'static str {
        match self {
            Self::Persistent => "feature-persistent",
            Self::Flush => "feature-flush-cache",
            Self::Barrier => "feature-barrier",
            Self::Discard => "feature-discard",
            Self::Granularity => "discard-granularity",
            Self::Indirect => "feature-max-indirect-segments",
            Self::Order => "max-ring-page-order",
            Self::Info => "info",
        }
    }
}

/// What the toolstack says in the front end's folder.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Setting {
    Backend,
    BackendId,
    VirtualDevice,
    DeviceType,
}

impl Setting {
    const fn name(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::BackendId => "backend-id",
            Self::VirtualDevice => "virtual-device",
            Self::DeviceType => "device-type",
        }
    }
}

fuzz_target!(|acts: Vec<Act>| {
    // A small guest, whose requests have to wait for pages.
    kernel::testing::simulate_memory(2 << 20);
    on_fake(async |fake| {
        let back = fake.blkback(XVDA);
        let mut acts = acts.into_iter().take(40);
        let mut content = Content { honest: true, known: [None; SECTORS] };
        // Before the guest comes, after that, and while it works.
        for act in acts.by_ref().take(3) {
            play(&fake, act, None, &mut content).await;
        }
        // A back end may never connect, and is waited for.
        let opened = timeout(Duration::from_secs(10), Blkfront::open("xvda")).await;
        if let Ok(Ok(disk)) = opened {
            for act in acts {
                play(&fake, act, Some(&disk), &mut content).await;
            }
            let _ = disk.stats();
        }
        back.behave();
        back.unplug();
        sleep(Duration::from_secs(1)).await;
        // What the back end kept comes back when something is lent (rule G4).
        drop(ReadWriteGrant::new(DomId::DOM0, 1));
    });
});

/// What is known to be on the disk.
struct Content {
    honest: bool,
    known: [Option<u8>; SECTORS],
}

/// Writes, and notes what is known then.
async fn write(disk: &Blkfront, part: Part, value: u8, content: &mut Content) {
    let (first, count) = (part.first(), part.count());
    content.known[first..][..count].fill(None);
    let bytes = vec![value; count * 512];
    let writing = pin!(disk.write(first as u64, &bytes));
    if let Ok(Ok(())) = timeout(Duration::from_secs(30), writing).await {
        content.known[first..][..count].fill(Some(value));
    }
}

async fn play(fake: &Fake, act: Act, disk: Option<&Blkfront>, content: &mut Content) {
    let back = fake.blkback(XVDA);
    content.honest &= act.is_honest();
    let limit = Duration::from_millis(300);
    match act {
        Act::Write(part, value) => {
            let Some(disk) = disk else { return };
            write(disk, part, value, content).await;
        }
        Act::Read(part) => {
            let Some(disk) = disk else { return };
            let (first, count) = (part.first(), part.count());
            let mut bytes = vec![0; count * 512];
            let read = timeout(limit, pin!(disk.read(first as u64, &mut bytes))).await;
            if let Ok(Ok(())) = read {
                let all = bytes.chunks(512).zip(&content.known[first..]);
                for (sector, known) in all.filter(|_| content.honest) {
                    let known = known.unwrap_or(sector[0]);
                    assert!(sector.iter().all(|&byte| byte == known), "it was {known}");
                }
            }
        }
        Act::Flush => {
            let Some(disk) = disk else { return };
            let _ = timeout(limit, pin!(disk.flush())).await;
        }
        Act::Discard(part) => {
            let Some(disk) = disk else { return };
            let discard = disk.discard(part.first() as u64, part.count() as u64);
            let _ = timeout(limit, pin!(discard)).await;
        }
        Act::Wait(time) => sleep(Duration::from_millis(u64::from(time) % 12_000)).await,
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
        Act::Reverse(reversed) => back.answer_in_reverse(reversed),
        Act::Slow(slow) => back.take_one_at_a_time(slow),
        Act::Sleep => back.sleep(),
        Act::Wake => back.wake(),
        Act::Detach => back.detach(),
        Act::Unplug => back.unplug(),
        Act::Plug => back.plug(),
        Act::Restart(domain) => back.restart_in(DomId(domain.into())),
        Act::Vanish => back.vanish(),
        Act::ClosePort => back.close_port(),
        Act::Stray(port) => fake.raise(xen::evtchn::PortNumber(u32::from(port) % 4096)),
        Act::Suspend(new, part, value) => {
            let suspending = xenith_fuzz::suspend(fake, new);
            match disk {
                Some(disk) => drop(join(write(disk, part, value, content), suspending).await),
                None => suspending.await,
            }
        }
    }
    sleep(Duration::from_millis(2)).await;
}
