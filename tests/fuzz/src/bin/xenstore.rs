//! Xenstore's client, against a daemon that answers wrong, late, in pieces or with
//! bytes that are no messages.

#![no_main]

use kernel::task::{Task, spawn};
use kernel::time::{sleep, timeout};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use xen::fake::Fake;
use xen::fake::store::Misdeed;
use xen::xenbus::{self, Frontend};
use xen::xenstore::{self, Error};
use xenith_fuzz::on_fake;

/// A place in the tree.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    Node,
    Below,
    Missing,
    Root,
    Device,
    Odd,
}

impl Place {
    const fn path(self) -> &'static str {
        match self {
            Self::Node => "data/a",
            Self::Below => "data/a/b/c",
            Self::Missing => "nothing",
            Self::Root => "/",
            Self::Device => "device/vif/0/backend",
            Self::Odd => "//x\u{e4}/",
        }
    }
}

/// What happens.
#[derive(Arbitrary, Debug)]
enum Act {
    Read(Place),
    Number(Place),
    Write(Place, Vec<u8>),
    Directory(Place),
    Permissions(Place),
    Remove(Place),
    Watch(Place),
    Transaction(Place, Vec<u8>),
    DomainPath(u16),
    Frontend,
    /// The oldest request is given up.
    Drop,
    Wait(u8),
    /// Someone else writes.
    Dom0(Place, Vec<u8>),
    Wrong(Wrong, Option<u8>),
    Behave,
    Hold,
    Release(bool),
    Pieces(u8),
    LoseEvents,
    Fire(Place),
    Inject {
        kind: u8,
        id: u8,
        transaction: u8,
        payload: Vec<u8>,
    },
    Event(Vec<u8>),
    Bytes(Vec<u8>),
    Flood(u8),
    Collide(u8),
    Connection(bool),
    Error(u8),
    Indices(u32, u32),
    /// The guest goes on as this domain, or as the same one.
    Suspend(Option<u8>),
}

#[derive(Arbitrary, Debug)]
enum Wrong {
    Id,
    Kind(u8),
    Transaction,
    Length(u32),
    Truncated(u8),
    Payload(Vec<u8>),
    Refuse(u8),
    Twice,
    Never,
}

impl Wrong {
    fn misdeed(self) -> Misdeed {
        const NAMES: [&str; 6] = ["ENOENT", "EAGAIN", "EACCES", "E2BIG", "EINVAL", "?"];
        match self {
            Self::Id => Misdeed::WrongId,
            Self::Kind(kind) => Misdeed::WrongKind(kind.into()),
            Self::Transaction => Misdeed::WrongTransaction,
            Self::Length(length) => Misdeed::Length(length),
            Self::Truncated(count) => Misdeed::Truncated(count.into()),
            Self::Payload(payload) => Misdeed::Payload(payload),
            Self::Refuse(name) => Misdeed::Refuse(NAMES[usize::from(name) % NAMES.len()].into()),
            Self::Twice => Misdeed::Twice,
            Self::Never => Misdeed::Never,
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Input {
    requests: u32,
    responses: u32,
    acts: Vec<Act>,
}

fuzz_target!(|input: Input| {
    on_fake(async |fake| {
        // What a daemon that lies is told to forget, it may not forget.
        fake.allow_leaks();
        fake.store().start_at(input.requests, input.responses);
        fake.store().write("data/a", "7");
        let mut running = Vec::new();
        for act in input.acts.into_iter().take(64) {
            play(&fake, act, &mut running).await;
        }
        fake.store().behave();
        fake.store().release();
        sleep(Duration::from_secs(11)).await;
        assert!(running.iter().all(Task::is_finished), "a request hangs");
        drop(running);
        sleep(Duration::from_millis(10)).await;
        let stats = xenstore::stats();
        assert_eq!(stats.watches, 0);
        assert!(stats.waiting <= 200, "{} replies are waited for", stats.waiting);
    });
});

/// Does something that may take long, 10 s at most.
fn ask<T: 'static>(running: &mut Vec<Task<()>>, future: impl Future<Output = T> + 'static) {
    running.push(spawn(async {
        let _ = timeout(Duration::from_secs(10), future).await;
    }));
}

async fn play(fake: &Fake, act: Act, running: &mut Vec<Task<()>>) {
    let store = fake.store();
    match act {
        Act::Read(at) => ask(running, xenstore::read(at.path())),
        Act::Number(at) => ask(running, xenbus::read_number(at.path(), 1..=1500, 0)),
        Act::Write(at, value) => {
            ask(running, xenstore::write(at.path(), &value));
        }
        Act::Directory(at) => ask(running, xenstore::directory(at.path())),
        Act::Permissions(at) => ask(running, xenstore::permissions(at.path())),
        Act::Remove(at) => ask(running, xenstore::remove(at.path())),
        Act::Watch(at) => ask(running, async move {
            let watch = xenstore::watch(at.path()).await?;
            loop {
                watch.changed().await?;
            }
            #[allow(unreachable_code, reason = "it names the type of the errors")]
            Ok::<(), Error>(())
        }),
        Act::Transaction(at, value) => ask(running, async move {
            xenstore::transaction(async |transaction| {
                let old = transaction.read(at.path()).await.unwrap_or_default();
                transaction.write(at.path(), &[&old[..], &value].concat()).await
            })
            .await
        }),
        Act::DomainPath(domain) => ask(running, xenstore::domain_path(xen::DomId(domain))),
        Act::Frontend => ask(running, async {
            let front = Frontend::find("vif", "0").await?;
            front.wait_until(&|_| false).await
        }),
        Act::Drop if !running.is_empty() => drop(running.remove(0)),
        Act::Drop => {}
        Act::Wait(moments) => sleep(Duration::from_millis(moments.into())).await,
        Act::Dom0(at, value) => {
            if !matches!(at, Place::Odd | Place::Root) {
                store.write(at.path(), value);
            }
        }
        Act::Wrong(wrong, Some(skip)) => store.misbehave_at(skip.into(), wrong.misdeed()),
        Act::Wrong(wrong, None) => store.misbehave(wrong.misdeed()),
        Act::Behave => store.behave(),
        Act::Hold => store.hold(),
        Act::Release(false) => store.release(),
        Act::Release(true) => store.release_reversed(),
        Act::Pieces(bytes) => store.deliver_at_most(usize::from(bytes) + 1),
        Act::LoseEvents => store.lose_events(),
        Act::Fire(at) => {
            if !matches!(at, Place::Odd) {
                store.fire(at.path());
            }
        }
        Act::Inject { kind, id, transaction, payload } => {
            store.inject(kind.into(), id.into(), transaction.into(), &payload);
        }
        Act::Event(payload) => store.inject_event(&payload),
        Act::Bytes(bytes) => store.inject_bytes(&bytes),
        Act::Flood(count) => store.flood(count.into()),
        Act::Collide(count) => store.collide(count.into()),
        Act::Connection(closed) => store.set_connection(closed.into()),
        Act::Error(error) => store.set_error(error.into()),
        Act::Indices(consumer, producer) => store.break_indices(consumer, producer),
        Act::Suspend(new) => xenith_fuzz::suspend(fake, new).await,
    }
}
