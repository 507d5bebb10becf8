//! The rings' own arithmetic: a front end's and a byte ring's ends, with a peer that
//! writes into their page whatever it likes.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use xen::fake::{Fake, leaked_page};
use xen::gnttab::ReadWriteGrant;
use xen::memory::SharedPage;
use xen::public::io::ring::{REQ_EVENT, RSP_PROD};
use xen::public::io::xs_wire::{REQ, RSP};
use xen::ring::{Consumer, Front, Producer};

/// What one of the two does.
#[derive(Arbitrary, Debug)]
enum Act {
    Put,
    Publish,
    Pending,
    Take(u8),
    Arm(u32),
    /// The peer answers as many requests.
    Answer(u8),
    /// The peer writes an index.
    Index {
        event: bool,
        value: u32,
    },
    /// The peer writes anywhere.
    Scribble {
        at: u16,
        bytes: [u8; 4],
    },
    Write(u8),
    Read(u8),
    /// The peer of the byte rings writes an index.
    Byte {
        consumer: bool,
        value: u32,
    },
}

#[derive(Arbitrary, Debug)]
struct Input {
    start: u32,
    acts: Vec<Act>,
}

thread_local! {
    static BYTES: SharedPage = leaked_page();
}

fuzz_target!(|input: Input| {
    let fake = Fake::new();
    let shared = ReadWriteGrant::new(xen::DomId::DOM0, 1).expect("there is room");
    let reference = shared.reference();
    let mut front = Front::<16>::starting_at(shared, input.start);
    BYTES.with(|page| {
        page.copy_in(0, &[0; 4096]);
        let mut out = Producer::new(page, REQ).expect("it is empty");
        let mut within = Consumer::new(page, RSP).expect("it is empty");
        let mut broken = false;
        for act in input.acts {
            play(&fake, &act, &mut front, page, &mut out, &mut within);
            // Whatever the peer does, our own indices stay apart as they may be.
            assert!(front.in_flight() <= front.size());
            assert_eq!(front.room() + front.in_flight(), front.size());
            assert!(out.pending() <= REQ.size);
            assert!(!broken || front.pending().is_err(), "what is broken stays broken (R7)");
            broken = front.pending().is_err();
        }
    });
    assert_eq!(front.reference(), reference);
});

fn play(
    fake: &Fake,
    act: &Act,
    front: &mut Front<16>,
    bytes: &SharedPage,
    out: &mut Producer,
    within: &mut Consumer,
) {
    let page = |front: &Front<16>, at: usize, what: &[u8]| {
        fake.write_lent(xen::DomId::DOM0, front.reference(), at, what);
    };
    match *act {
        Act::Put => {
            let room = front.room();
            assert_eq!(front.put([7; 16]), room > 0);
        }
        Act::Publish => drop(front.publish()),
        Act::Pending => {
            let pending = front.pending();
            assert!(pending.is_err() || pending.is_ok_and(|it| it <= front.in_flight()));
        }
        Act::Take(count) => {
            let known = front.pending().unwrap_or(0);
            let taken = (0..count).map_while(|_| front.take()).count();
            assert!(taken <= known as usize);
        }
        Act::Arm(count) => drop(front.arm(count)),
        Act::Answer(count) => {
            let index = front.next_response().wrapping_add(count.into());
            page(front, RSP_PROD, &index.to_le_bytes());
        }
        Act::Index { event, value } => {
            page(front, if event { REQ_EVENT } else { RSP_PROD }, &value.to_le_bytes());
        }
        Act::Scribble { at, bytes } => page(front, usize::from(at) % 4092, &bytes),
        Act::Write(count) => {
            let piece = [9; 255];
            let written = out.write(bytes, &piece[..count.into()]);
            assert!(written.is_err() || written.is_ok_and(|it| it <= count.into()));
        }
        Act::Read(count) => {
            let mut piece = [0; 255];
            let read = within.read(bytes, &mut piece[..count.into()]);
            assert!(read.is_err() || read.is_ok_and(|it| it <= count.into()));
        }
        Act::Byte { consumer, value } => {
            bytes.store_u32(if consumer { REQ.cons } else { RSP.prod }, value);
        }
    }
}
