//! Takes a stream of any length by TCP, makes another, and says the SHA-256 of each: what
//! is sent through a network with faults has to be what arrives.
//!
//! Port 9 takes a stream to its end and answers with `LENGTH SHA-256`. Port 19 is told a
//! length on a line and makes that much. Port 29 says the same of what was made last.
//!
//! test: client transfer.sh
//! test: timeout 300
//! test: memory 32
//! test(offloads): dom0 "echo 16777216 >/tmp/bytes"
//! test(plain): dom0 "echo 2097152 >/tmp/bytes"
//! test(small-out): dom0 "echo 8388608 >/tmp/bytes"
//! test(small-in): dom0 "echo 8388608 >/tmp/bytes"
//! test(offloads): args ip=10.0.0.2/24,fd00::2/64
//! test(plain): args ip=10.0.0.2/24,fd00::2/64 net.tso=off net.gro=off net.csum=off
//! test(small-out): args ip=10.0.0.2/24,fd00::2/64 net.tso=off
//! test(small-in): args ip=10.0.0.2/24,fd00::2/64 net.gro=off
//! test: no-verdict
//! test(plain,small-out,small-in): not-in-check

#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use core::cell::RefCell;
use core::fmt;
use kernel::task::{Either3, select3};
use sha2::{Digest, Sha256};
use xenith::Ip;
use xenith::ip::{Error, Listener, Stream, Tcp, any};

kernel::unikernel! {
    /// Takes and makes streams, and says what was in them.
    name: "transfer",
    memory: 32 MiB,
    devices: { ip: Ip("0") },
    main: start,
}

/// Bytes that are read or written at a time.
const PIECE: usize = 32 << 10;

/// The console hears of so many bytes, and of so many more.
const STEP: u64 = 32 << 20;

/// The longest line that says a length.
const LINE: usize = 20;

/// What was in a stream.
#[derive(Clone, Default)]
struct Content {
    length: u64,
    hash: Sha256,
}

impl Content {
    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let before = self.length;
        self.length += bytes.len() as u64;
        if before / STEP != self.length / STEP {
            kernel::println!("transfer: {} bytes", self.length);
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.length)?;
        self.hash.clone().finalize().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Bytes without a period that anybody could meet: xorshift64 (Marsaglia).
struct Bytes(u64);

impl Bytes {
    fn fill(&mut self, to: &mut [u8]) {
        for word in to.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes()[..word.len()]);
        }
    }
}

/// Says what was in a stream, and ends.
async fn tell(stream: &mut impl Stream, content: &Content) -> Result<(), Error> {
    let text = alloc::format!("{content}\n");
    stream.write_all(text.as_bytes()).await?;
    stream.close().await
}

async fn take(stream: &mut impl Stream, piece: &mut [u8]) -> Result<(), Error> {
    let mut content = Content::default();
    loop {
        let count = stream.read(piece).await?;
        if count == 0 {
            break;
        }
        content.add(&piece[..count]);
    }
    kernel::println!("transfer: took {content}");
    tell(stream, &content).await
}

async fn give(
    stream: &mut impl Stream,
    piece: &mut [u8],
    last: &RefCell<Content>,
) -> Result<(), Error> {
    let mut length = 0_u64;
    for _ in 0..LINE {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 || byte[0] == b'\n' {
            break;
        }
        length = length.saturating_mul(10).saturating_add(u64::from(byte[0].wrapping_sub(b'0')));
    }
    let (mut content, mut bytes) = (Content::default(), Bytes(0x9e37_79b9_7f4a_7c15));
    while content.length < length {
        let rest = usize::try_from(length - content.length).unwrap_or(PIECE);
        let piece = &mut piece[..rest.min(PIECE)];
        bytes.fill(piece);
        stream.write_all(piece).await?;
        content.add(piece);
    }
    kernel::println!("transfer: gave {content}");
    last.replace(content);
    stream.close().await
}

/// Does with each connection what `with` does, one after the other.
async fn serve<L: Listener>(
    listener: L,
    mut with: impl AsyncFnMut(&mut L::Stream, &mut [u8]) -> Result<(), Error>,
) -> Error {
    let mut piece = vec![0; PIECE];
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                if let Err(error) = with(&mut stream, &mut piece).await {
                    let port = listener.local_addr().port();
                    kernel::println!("transfer: port {port}: {error}");
                }
            }
            Err(Error::Exhausted) => {}
            Err(error) => return error,
        }
    }
}

async fn start(ip: impl Tcp) -> Result<(), Error> {
    let (taking, giving, telling) =
        (ip.bind(any(9)).await?, ip.bind(any(19)).await?, ip.bind(any(29)).await?);
    kernel::println!("transfer: listening on ports 9, 19 and 29");
    let last = RefCell::new(Content::default());
    let ended = select3(
        serve(taking, async |stream, piece| take(stream, piece).await),
        serve(giving, async |stream, piece| give(stream, piece, &last).await),
        serve(telling, async |stream, _| {
            let content = last.borrow().clone();
            tell(stream, &content).await
        }),
    );
    match ended.await {
        Either3::First(error) | Either3::Second(error) | Either3::Third(error) => Err(error),
    }
}
