//! Two stacks, a client's and a server's, and a cable between them on which segments are lost,
//! doubled, late, and changed: numbers, flags, windows, options and lengths, with the right
//! checksum; and on which somebody who sees all of it sends his own. As long as no byte is
//! changed and none sent, what is read is what was written.

#![no_main]

use embedded_io_async::{Read, Write};
use kernel::task::spawn;
use kernel::time::{sleep, timeout};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use xenith::ip::config::{Ipv4, Limits};
use xenith::ip::{Listener, Settings, Stack, Stream, Tcp, any};
use xenith::net::cable::{End, Options, cable};
use xenith_fuzz::{frame, on_machine};

const PORT: u16 = 80;

/// What becomes of the next segment.
#[derive(Arbitrary, Clone, Debug)]
enum Act {
    Pass,
    PassMany(u8),
    Lose,
    Double,
    /// So many ms later, behind others.
    Delay(u16),
    Change(Change),
    /// Beside it, another one of the same connection.
    Forge {
        /// To whom it was sent, and not back to its sender.
        on: bool,
        change: Change,
    },
    /// Beside it, an error about it: packets may have so many bytes.
    TooBig(u16),
    Unreachable(u8),
    /// Marked by a router (CE).
    Mark,
}

/// How a segment differs from the one on which it is based.
#[derive(Arbitrary, Clone, Debug)]
struct Change {
    seq: Number,
    ack: Number,
    /// Flags that are turned.
    flags: u8,
    window: Option<u16>,
    options: Choice,
    length: Option<u16>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    Same,
    By(i8),
    ByMore(i16),
    ByWindow(i8),
    Any(u32),
}

#[derive(Arbitrary, Clone, Debug)]
enum Choice {
    Same,
    None,
    Any(Vec<u8>),
    /// Blocks that begin so far from the acknowledgement and are so long.
    Sack(Vec<(i16, u16)>),
    Stamps(i32, i32),
}

#[derive(Arbitrary, Debug)]
struct Case {
    /// What each side writes, and what it reads at a time.
    sizes: [u16; 2],
    pieces: [u8; 2],
    pause: u8,
    buffer: u8,
    /// How each side ends: in order, or at once.
    ends: [bool; 2],
    acts: Vec<Act>,
}

/// A segment of TCP in IPv4.
#[derive(Clone)]
struct Segment {
    ports: [u16; 2],
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Segment {
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(12..14)? != [8, 0] || bytes.get(14)? != &0x45 || *bytes.get(23)? != frame::TCP
        {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
        let segment = bytes.get(34..14 + length)?;
        let word = |at: usize| Some(u32::from_be_bytes(*segment.get(at..)?.first_chunk()?));
        let half = |at: usize| Some(u16::from_be_bytes(*segment.get(at..)?.first_chunk()?));
        let header = usize::from(segment.get(12)? >> 4) * 4;
        Some(Self {
            ports: [half(0)?, half(2)?],
            seq: word(4)?,
            ack: word(8)?,
            flags: segment[13],
            window: half(14)?,
            options: segment.get(20..header)?.to_vec(),
            payload: segment.get(header..)?.to_vec(),
        })
    }

    fn changed(&self, change: &Change) -> Self {
        let mut new = self.clone();
        new.seq = change.seq.of(self.seq, self.window);
        new.ack = change.ack.of(self.ack, self.window);
        new.flags ^= change.flags;
        new.window = change.window.unwrap_or(self.window);
        match &change.options {
            Choice::Same => {}
            Choice::None => new.options.clear(),
            Choice::Any(options) => new.options.clone_from(options),
            Choice::Sack(blocks) => {
                // The timestamps stay, if they are there.
                new.options.truncate(12);
                let blocks = &blocks[..blocks.len().min(3)];
                new.options.extend([1, 1, 5, 2 + 8 * blocks.len() as u8]);
                for &(from, length) in blocks {
                    let start = new.ack.wrapping_add_signed(from.into());
                    new.options.extend(start.to_be_bytes());
                    new.options.extend(start.wrapping_add(length.into()).to_be_bytes());
                }
            }
            Choice::Stamps(value, echo) => {
                if let Some(own) = new.options.get_mut(4..12) {
                    for (word, by) in own.chunks_mut(4).zip([value, echo]) {
                        let old = u32::from_be_bytes(*word.first_chunk().expect("4 bytes"));
                        word.copy_from_slice(&old.wrapping_add_signed(*by).to_be_bytes());
                    }
                }
            }
        }
        if let Some(length) = change.length {
            new.payload.resize(usize::from(length) % 1400, 0xaa);
        }
        new
    }

    fn frame(&self, from: usize) -> Vec<u8> {
        let numbers = [self.seq, self.ack];
        let (options, payload) = (&self.options, &self.payload);
        let segment = frame::tcp(self.ports, numbers, self.flags, self.window, options, payload);
        let addresses = [frame::PEER, frame::STACK];
        let mut frame =
            frame::between(addresses[from], addresses[1 - from], frame::TCP, &[], &segment);
        if from == 1 {
            // The other way.
            let (to, here) = frame[..12].split_at_mut(6);
            to.swap_with_slice(here);
        }
        frame
    }
}

impl Number {
    const fn of(self, base: u32, window: u16) -> u32 {
        match self {
            Self::Same => base,
            Self::By(more) => base.wrapping_add_signed(more as i32),
            Self::ByMore(more) => base.wrapping_add_signed(more as i32),
            Self::ByWindow(more) => {
                base.wrapping_add(window as u32).wrapping_add_signed(more as i32)
            }
            Self::Any(number) => number,
        }
    }
}

/// The cable between the two.
struct Middle {
    ends: [End; 2],
    acts: std::vec::IntoIter<Act>,
    passes: u8,
    /// What arrives later, by when and to whom.
    late: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    now: u64,
    count: u64,
    /// Nothing was changed or sent by somebody else.
    honest: Rc<Cell<bool>>,
}

impl Middle {
    /// Carries what is there. Returns whether there was something.
    fn carry(&mut self) -> bool {
        let mut busy = false;
        for from in 0..2 {
            while let Some(bytes) = frame::take(&self.ends[from]) {
                busy = true;
                self.pass(from, bytes);
            }
        }
        while let Some(first) = self.late.first_entry()
            && first.key().0 <= self.now
        {
            busy = true;
            let (to, bytes) = first.remove();
            frame::send(&self.ends[to], &bytes);
        }
        busy
    }

    fn pass(&mut self, from: usize, bytes: Vec<u8>) {
        let to = 1 - from;
        let Some(segment) = Segment::read(&bytes) else {
            return frame::send(&self.ends[to], &bytes);
        };
        if self.passes > 0 {
            self.passes -= 1;
            return frame::send(&self.ends[to], &bytes);
        }
        self.count += 1;
        match self.acts.next().unwrap_or(Act::Pass) {
            Act::Pass => frame::send(&self.ends[to], &bytes),
            Act::PassMany(count) => {
                self.passes = count;
                frame::send(&self.ends[to], &bytes);
            }
            Act::Lose => {}
            Act::Double => {
                frame::send(&self.ends[to], &bytes);
                frame::send(&self.ends[to], &bytes);
            }
            Act::Delay(time) => {
                let at = self.now + u64::from(time % 8192) * 1000;
                self.late.insert((at, self.count), (to, bytes));
            }
            Act::Change(change) => {
                self.honest.set(false);
                frame::send(&self.ends[to], &segment.changed(&change).frame(from));
            }
            Act::Forge { on, change } => {
                self.honest.set(false);
                frame::send(&self.ends[to], &bytes);
                let mut forged = segment.changed(&change);
                if on {
                    frame::send(&self.ends[to], &forged.frame(from));
                } else {
                    forged.ports.reverse();
                    (forged.seq, forged.ack) = (forged.ack, forged.seq);
                    frame::send(&self.ends[from], &forged.frame(to));
                }
            }
            Act::TooBig(size) => self.tell(from, &bytes, 4, size),
            Act::Unreachable(code) => {
                self.honest.set(false);
                self.tell(from, &bytes, code % 16, 0);
            }
            Act::Mark => {
                let mut bytes = bytes;
                // The checksum of the header changes with it (RFC 1624).
                let old = bytes[15];
                bytes[15] |= 3;
                let check = u16::from_be_bytes([bytes[24], bytes[25]]);
                let (sum, over) = check.overflowing_sub(u16::from(bytes[15] - old));
                let check = sum.wrapping_sub(u16::from(over));
                bytes[24..26].copy_from_slice(&check.to_be_bytes());
                frame::send(&self.ends[to], &bytes);
            }
        }
    }

    /// Drops a packet and tells its sender why.
    fn tell(&self, from: usize, bytes: &[u8], code: u8, mtu: u16) {
        let quoted = bytes.get(14..bytes.len().min(14 + 28)).unwrap_or_default();
        let [high, low] = mtu.to_be_bytes();
        let message = [&[3, code, 0, 0, 0, 0, high, low][..], quoted].concat();
        let addresses = [frame::PEER, frame::STACK];
        let error =
            frame::between(addresses[1 - from], addresses[from], frame::ICMP, &[], &message);
        let mut error = error;
        if from == 0 {
            let (to, here) = error[..12].split_at_mut(6);
            to.swap_with_slice(here);
        }
        frame::send(&self.ends[from], &error);
    }
}

fn byte(side: usize, at: usize) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16) ^ (side * 0x55)) as u8
}

/// Writes and reads, each as much as is to be.
async fn talk<S: Stream>(mut stream: S, side: usize, case: &Case, honest: &Cell<bool>) {
    let size = usize::from(case.sizes[side]) * 4;
    let all: Vec<u8> = (0..size).map(|at| byte(side, at)).collect();
    {
        let (mut reader, mut writer) = stream.split();
        let writing = async {
            let _ = writer.write_all(&all).await;
            let _ = writer.flush().await;
        };
        let reading = async {
            let most = usize::from(case.sizes[1 - side]) * 4;
            let mut piece = vec![0; usize::from(case.pieces[side]) * 64 + 1];
            let mut read = 0;
            while read < most {
                let Ok(count @ 1..) = reader.read(&mut piece).await else { break };
                for (offset, &got) in piece[..count].iter().enumerate() {
                    assert!(!honest.get() || got == byte(1 - side, read + offset), "a wrong byte");
                }
                read += count;
                if case.pause % 4 == 1 {
                    sleep(Duration::from_millis(u64::from(case.pause))).await;
                }
            }
        };
        kernel::task::join(std::pin::pin!(writing), std::pin::pin!(reading)).await;
    }
    if case.ends[side] {
        let _ = stream.close().await;
    } else {
        stream.abort();
    }
}

fuzz_target!(|case: Case| {
    on_machine(async {
        let size = [4 << 10, 16 << 10, 64 << 10, 256 << 10][usize::from(case.buffer % 4)];
        let limits = Limits::for_memory(16 << 20).with_buffer(size);
        let limits = Limits { connections: 4, backlog: 2, half_open: 4, ..limits };
        let (mut ends, mut stacks) = (Vec::new(), Vec::new());
        for (side, address) in [frame::PEER, frame::STACK].into_iter().enumerate() {
            let (one, other) = cable(Options { capacity: 1024, ..Options::default() });
            // The first end of a cable has the address of a peer, the second that of a stack.
            let (own, far) = if side == 0 { (one, other) } else { (other, one) };
            let ipv4 = Ipv4::Static(address, 24);
            let settings = Settings { ipv4, limits, ..Settings::default() };
            let Ok(stack) = Stack::start(own, settings) else { return };
            ends.push(far);
            stacks.push(stack);
        }
        let honest = Rc::new(Cell::new(true));
        let ends = ends.try_into().unwrap_or_else(|_| unreachable!("there are two"));
        let mut middle = Middle {
            ends,
            acts: case.acts.clone().into_iter(),
            passes: 0,
            late: BTreeMap::new(),
            now: 0,
            count: 0,
            honest: Rc::clone(&honest),
        };
        let carrying = spawn(async move {
            let mut pause = 50;
            loop {
                pause = if middle.carry() { 50 } else { (pause * 2).min(20_000) };
                sleep(Duration::from_micros(pause)).await;
                middle.now += pause;
            }
        });
        let Ok(listener) = stacks[1].bind(any(PORT)).await else { return };
        let serving = async {
            if let Ok(Ok((stream, _))) = timeout(Duration::from_secs(40), listener.accept()).await {
                let _ = timeout(Duration::from_secs(90), talk(stream, 1, &case, &honest)).await;
            }
        };
        let asking = async {
            let to = SocketAddr::new(frame::STACK.into(), PORT);
            if let Ok(stream) = stacks[0].connect(to).await {
                let _ = timeout(Duration::from_secs(90), talk(stream, 0, &case, &honest)).await;
            }
        };
        kernel::task::join(std::pin::pin!(serving), std::pin::pin!(asking)).await;
        for stack in &stacks {
            let stats = stack.stats();
            assert!(stats.open <= 4 && stats.half_open <= 4, "{stats:?}");
        }
        drop(carrying);
    });
});
