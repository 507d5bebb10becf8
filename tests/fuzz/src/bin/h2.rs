//! A client of the HTTP server that speaks HTTP/2, whose bytes come in pieces of any size.

#![no_main]

use embedded_io_async::{Read, Write};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::rc::Rc;
use xenith::http::{Error, Exchange, Limits, Server, Status};
use xenith_fuzz::on_machine;
use xenith_fuzz::stream::{Script, split};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// The sizes of the pieces, again and again.
    pieces: [u8; 4],
    acts: Vec<Act<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Act<'a> {
    /// A frame of any kind: a low one is likelier to be of use.
    Frame { kind: u8, flags: u8, stream: u8, payload: &'a [u8] },
    /// A request of a few fields, all of which the static table names or that stand there.
    Request { stream: u8, ends: bool, path: u8, rest: &'a [u8] },
    /// Content for it.
    Content { stream: u8, ends: bool, length: u8 },
}

impl Act<'_> {
    /// As it is sent.
    fn write(&self, to: &mut Vec<u8>) {
        let (kind, flags, stream, payload) = match *self {
            Self::Frame { kind, flags, stream, payload } => {
                (kind % 11, flags, stream, payload.to_vec())
            }
            Self::Request { stream, ends, path, rest } => {
                // GET or POST, http, a path of a byte or two, an authority.
                let method = 0x82 | path & 1;
                let path = [0x04, 0x02, b'/', b'a' + path % 26];
                let block = [&[method, 0x86][..], &path, &[0x01, 0x01, b'x'], rest].concat();
                (1, 4 | u8::from(ends), 2 * (stream & 63) + 1, block)
            }
            Self::Content { stream, ends, length } => {
                (0, u8::from(ends), 2 * (stream & 63) + 1, vec![7; 16 * usize::from(length)])
            }
        };
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        to.extend([length[1], length[2], length[3], kind, flags, 0, 0, 0, stream]);
        to.extend(payload);
    }
}

fuzz_target!(|input: Input<'_>| {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    input.acts.iter().for_each(|act| act.write(&mut bytes));
    let sizes = input.pieces.map(|it| usize::from(it) + 1);
    let answer = Rc::<RefCell<Vec<u8>>>::default();
    let stats = Rc::default();
    let limits = Limits { head: 512, body: 1000, memory: 1 << 18, ..Limits::default() };
    on_machine(async {
        let script = Script::new(split(&bytes, &sizes), Rc::clone(&answer));
        let server = Server::new(echo).limits(limits).stats(Rc::clone(&stats));
        server.http2().connection(script).await;
    });
    assert_eq!(stats.get().open, 0);
    // What it says is frames, each whole.
    let answer = answer.take();
    let mut rest = &answer[..];
    while let Some((header, more)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        assert!(length <= 16_384 && header[3] <= 8, "{header:?}");
        rest = more.get(length..).expect("a frame is cut off");
    }
    assert!(rest.is_empty());
});

/// Sends content back, or says nothing of it.
async fn echo(exchange: &mut Exchange<'_>) -> Result<(), Error> {
    let request = exchange.request();
    assert!(request.path().starts_with(['/', '*']), "{:?}", request.path());
    if request.path().ends_with('e') {
        return exchange.respond(Status::OK, &[("x", "y")], request.path().as_bytes()).await;
    }
    let mut sink = exchange.stream(Status::OK, &[], None).await?;
    let mut piece = [0; 100];
    loop {
        match sink.body().read(&mut piece).await? {
            0 => return sink.finish().await,
            count => sink.write_all(&piece[..count]).await?,
        }
    }
}
