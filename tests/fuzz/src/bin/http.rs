//! A client of the HTTP server, whose bytes come in pieces of any size.

#![no_main]

#[path = "../../../http/reading.rs"]
mod reading;

use embedded_io_async::Write;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use reading::all;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use xenith::http::{Error, Exchange, Handler, Limits, Status, connection};
use xenith_fuzz::on_machine;
use xenith_fuzz::stream::{Pieces, Script, split, whole};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// The sizes of the pieces, again and again.
    pieces: [u8; 4],
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let (answer, requests) = served(whole(input.bytes));
    let sizes = input.pieces.map(|it| usize::from(it) + 1);
    let (split, split_requests) = served(split(input.bytes, &sizes));
    // Where one reader sees a request, so does any other, however it comes (RFC 9112,
    // section 11.2).
    assert_eq!(requests, split_requests);
    assert_eq!(String::from_utf8_lossy(&answer), String::from_utf8_lossy(&split));
});

/// What a client that sends `pieces` is answered, and the requests that were seen.
fn served(pieces: Pieces) -> (Vec<u8>, Vec<String>) {
    let (answer, seen) = (Rc::<RefCell<Vec<u8>>>::default(), Echo::default());
    let limits = Limits { head: 512, body: 1000, ..Limits::default() };
    on_machine(async {
        let script = Script::new(pieces, Rc::clone(&answer));
        connection(script, &limits, &Cell::default(), &seen).await;
    });
    let mut answer = answer.take();
    // The time of day is nobody's input, and who sent the body already is not asked for it.
    let asked = b"HTTP/1.1 100 Continue\r\n\r\n";
    for (what, length) in [(&b"\r\nDate: "[..], 8 + 29), (asked, asked.len())] {
        while let Some(at) = answer.windows(what.len()).position(|it| it == what) {
            answer.drain(at..at + length);
        }
    }
    (answer, seen.requests.into_inner())
}

/// Sends bodies back, and notes who asked for what.
#[derive(Default)]
struct Echo {
    requests: RefCell<Vec<String>>,
}

impl Handler for Echo {
    async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), Error> {
        let request = exchange.request();
        let length = request.field("content-length");
        let coding = request.field("transfer-encoding");
        assert!(length.is_none() || coding.is_none(), "two lengths of one body");
        assert!(request.path().starts_with(['/', '*']), "{:?}", request.path());
        let asked = format!("{:?} {} {:?}", request.method(), request.path(), request.query());
        self.requests.borrow_mut().push(asked);
        if !request.path().ends_with('e') {
            return exchange.respond(Status::OK, &[], request.path().as_bytes()).await;
        }
        let all = all(exchange.body(), 7).await?;
        assert!(all.len() <= 1000);
        let mut sink = exchange.stream(Status::OK, &[], None).await?;
        sink.write_all(&all).await?;
        sink.finish().await
    }
}
