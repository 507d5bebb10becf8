//! Segments of one live connection at, around and beyond the edges of its window, with
//! buffers of different sizes. Each byte tells where in the stream it belongs, so that
//! what is read is what was sent.

#![no_main]

use embedded_io_async::{Read, Write};
use kernel::task::spawn;
use kernel::time::{sleep, timeout};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use xenith::ip::{Limits, Listener, Settings, Stack, Stream, Tcp, any};
use xenith::net::cable::{End, Options, cable};
use xenith_fuzz::{frame, on_machine};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A place in the stream.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    /// Behind what was sent in order, and so much further or back.
    Next(i16),
    /// What the stack wants next, and so much further or back.
    Wanted(i16),
    /// The end of what the stack said it takes, in units as it said so or scaled.
    Edge(i16),
    ScaledEdge(i16),
    Any(u32),
}

#[derive(Arbitrary, Debug)]
enum Act {
    Send {
        at: Place,
        length: u16,
        flags: u8,
        acknowledge: Place,
        window: u16,
        options: Vec<u8>,
    },
    /// In order, as much as is wanted.
    Fill(u16),
    Read(u32),
    Write(u16),
    Shutdown,
    Wait(u16),
}

#[derive(Arbitrary, Debug)]
struct Case {
    size: u8,
    scale: Option<u8>,
    mss: Option<u16>,
    window: u16,
    acts: Vec<Act>,
}

struct Peer {
    net: End,
    next: u32,
    /// What the stack said last: its next number, what it wants, its window, its scale.
    theirs: u32,
    wanted: u32,
    window: u32,
    scale: u32,
}

/// The first number of the stream's bytes.
const FIRST: u32 = u32::MAX - 70_000;

const fn byte(at: u32) -> u8 {
    let at = at.wrapping_sub(FIRST);
    (at ^ at >> 8 ^ at >> 16) as u8
}

impl Peer {
    fn look(&mut self) {
        while let Some(bytes) = frame::take(&self.net) {
            if bytes.len() < 54 || bytes[12..14] != [8, 0] || bytes[23] != frame::TCP {
                continue;
            }
            let segment = &bytes[34..];
            let word =
                |at: usize| u32::from_be_bytes(*segment[at..].first_chunk().expect("4 bytes"));
            let header = usize::from(segment[12] >> 4) * 4;
            let flags = segment[13];
            let length = (segment.len() - header) as u32
                + u32::from(flags & SYN > 0)
                + u32::from(flags & FIN > 0);
            let end = word(4).wrapping_add(length);
            if flags & SYN > 0 || (end.wrapping_sub(self.theirs) as i32) > 0 {
                self.theirs = end;
            }
            if flags & ACK > 0 {
                self.wanted = word(8);
                self.window = u16::from_be_bytes([segment[14], segment[15]]).into();
            }
            if flags & SYN > 0 {
                let mut options = &segment[20..header];
                while let [kind, rest @ ..] = options {
                    options = match (*kind, rest) {
                        (0, _) => break,
                        (1, rest) => rest,
                        (3, [3, scale, rest @ ..]) => {
                            self.scale = (*scale).into();
                            rest
                        }
                        (_, [length, ..]) => &options[usize::from(*length).max(2)..],
                        _ => break,
                    };
                }
            }
        }
    }

    fn place(&self, place: Place, next: u32, wanted: u32) -> u32 {
        let by = |from: u32, by: i16| from.wrapping_add_signed(by.into());
        match place {
            Place::Next(more) => by(next, more),
            Place::Wanted(more) => by(wanted, more),
            Place::Edge(more) => by(wanted.wrapping_add(self.window), more),
            Place::ScaledEdge(more) => by(wanted.wrapping_add(self.window << self.scale), more),
            Place::Any(at) => at,
        }
    }

    fn send(&self, at: u32, flags: u8, acknowledge: u32, window: u16, options: &[u8], length: u16) {
        let payload: Vec<u8> =
            (0..u32::from(length.min(1400))).map(|it| byte(at.wrapping_add(it))).collect();
        let numbers = [at, acknowledge];
        let segment = frame::tcp([1000, 80], numbers, flags, window, options, &payload);
        frame::send(&self.net, &frame::ipv4(frame::TCP, &[], &segment));
    }
}

fuzz_target!(|case: Case| {
    on_machine(async {
        let (net, right) = cable(Options { capacity: 1024, ..Options::default() });
        let size = [4 << 10, 32 << 10, 64 << 10, 100_000, 256 << 10][usize::from(case.size % 5)];
        let limits = Limits::for_memory(64 << 20).with_buffer(size);
        let Ok(stack) = Stack::start(right, Settings { limits, ..frame::settings() }) else {
            return;
        };
        let Ok(listener) = stack.bind(any(80)).await else { return };
        sleep(Duration::from_millis(1)).await;
        let (theirs, wanted, window, scale) = (0, FIRST, 0, 0);
        let mut peer = Peer { net, next: FIRST, theirs, wanted, window, scale };
        let mut options = Vec::new();
        if let Some(mss) = case.mss {
            options.extend([2, 4]);
            options.extend(mss.to_be_bytes());
        }
        if let Some(scale) = case.scale {
            options.extend([1, 3, 3, scale]);
        }
        peer.send(FIRST.wrapping_sub(1), SYN, 0, case.window, &options, 0);
        sleep(Duration::from_millis(1)).await;
        peer.look();
        peer.send(FIRST, ACK, peer.theirs, case.window, &[], 0);
        let Ok(Ok((mut stream, _))) = timeout(Duration::from_millis(10), listener.accept()).await
        else {
            return;
        };
        // What is read is what was sent, up to an end that more follows.
        let (mut read, mut ended) = (FIRST, false);
        for act in case.acts.into_iter().take(100) {
            peer.look();
            match act {
                Act::Send { at, length, flags, acknowledge, window, options } => {
                    let at = peer.place(at, peer.next, peer.wanted);
                    let acknowledge = peer.place(acknowledge, peer.theirs, peer.theirs);
                    // Without these, most ends at once.
                    let flags = if flags & 0x80 == 0 { flags & !(RST | SYN) | ACK } else { flags };
                    ended |= flags & FIN > 0;
                    peer.send(at, flags, acknowledge, window, &options, length);
                }
                Act::Fill(count) => {
                    for _ in 0..count % 256 {
                        peer.look();
                        let room = (peer.window << peer.scale)
                            .saturating_sub(peer.next.wrapping_sub(peer.wanted));
                        if room == 0 {
                            break;
                        }
                        let length = room.min(1400);
                        peer.send(peer.next, ACK, peer.theirs, case.window, &[], length as u16);
                        peer.next = peer.next.wrapping_add(length);
                        sleep(Duration::from_micros(10)).await;
                    }
                }
                Act::Read(count) => {
                    let mut to = vec![0; (count % 300_000) as usize];
                    if let Ok(Ok(count)) =
                        timeout(Duration::from_millis(1), stream.read(&mut to)).await
                    {
                        for &got in &to[..count] {
                            let at = read.wrapping_sub(FIRST);
                            assert!(ended || got == byte(read), "{got} at {at}");
                            read = read.wrapping_add(1);
                        }
                    }
                }
                Act::Write(count) => {
                    let bytes = vec![7; count.into()];
                    let _ = timeout(Duration::from_millis(1), stream.write(&bytes)).await;
                }
                Act::Shutdown => {
                    let _ = timeout(Duration::from_millis(1), stream.shutdown()).await;
                }
                Act::Wait(time) => sleep(Duration::from_millis(time.into())).await,
            }
            sleep(Duration::from_micros(50)).await;
        }
        drop(stream);
        drop(spawn(async move { drop(listener) }));
    });
});
