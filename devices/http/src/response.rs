//! The head of a response.
//!
//! Nothing here allocates: heads, and what is [printed](super::Sink::print), are formatted
//! into the one piece of memory that a connection has for it, and sent each time that it is
//! full. So no request decides how much memory its answer takes.

use super::fields::lists;
use super::h2::{Encoder, is_of_connections};
use super::pace::Pace;
use super::{Error, Status, date, syntax};
use core::fmt::{self, Write as _};
use core::pin::pin;
use embedded_io_async::Write;

/// A line that is made without the heap. One type for all, as each has its code.
pub(super) type Line = heapless::String<96>;

/// Bytes of memory in which an answer's head is made, and after it what is printed.
pub(super) const ROOM: usize = 1024;

/// Bytes that are kept free before what is printed, for a chunk's size and its line end.
pub(super) const BEFORE: usize = 5;

/// And behind it, for the chunk's line end and the last chunk.
pub(super) const BEHIND: usize = 7;

// Three digits are enough.
const _: () = assert!(ROOM - BEFORE - BEHIND < 1 << 12);

/// What has been said on the connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// A head was sent.
    pub begun: bool,
    /// The answer is complete.
    pub done: bool,
    /// Its status.
    pub status: Option<Status>,
    /// Bytes of content so far.
    pub sent: u64,
}

/// The part of a text that begins at its byte `skip` and fits into `room`.
pub(super) struct Window<'a> {
    room: &'a mut [u8],
    pub filled: usize,
    skip: usize,
    pub full: bool,
}

impl fmt::Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let text = text.as_bytes();
        // All of it, nearly always, and many times in each answer.
        if self.skip == 0
            && let Some(room) = self.room.get_mut(self.filled..self.filled + text.len())
        {
            room.copy_from_slice(text);
            self.filled += text.len();
            return Ok(());
        }
        self.write_part(text)
    }
}

impl<'a> Window<'a> {
    pub(super) const fn new(room: &'a mut [u8], skip: usize) -> Self {
        Self { room, filled: 0, skip, full: false }
    }

    /// Takes what fits of what is not skipped.
    fn write_part(&mut self, text: &[u8]) -> fmt::Result {
        let skipped = self.skip.min(text.len());
        self.skip -= skipped;
        let rest = text.get(skipped..).unwrap_or_default();
        let room = self.room.get_mut(self.filled..).unwrap_or_default();
        let count = rest.len().min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        self.filled += count;
        self.full |= count < rest.len();
        // What follows would not fit either.
        if self.full { Err(fmt::Error) } else { Ok(()) }
    }

    /// Takes what fits of `text`. After what did not there is no room for anything.
    fn add(&mut self, text: &str) {
        let _ = self.write_str(text);
    }

    fn add_number(&mut self, number: u64) {
        self.add(digits(number, &mut [0; 20]));
    }
}

/// A number in decimal digits.
fn digits(mut number: u64, to: &mut [u8; 20]) -> &str {
    let mut first = to.len();
    loop {
        first -= 1;
        to[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return core::str::from_utf8(&to[first..]).unwrap_or_default();
        }
    }
}

/// Formats `text` from its byte `skip` on into `room`: how many bytes that were, and
/// whether they were the last.
pub(super) fn format(
    room: &mut [u8],
    text: fmt::Arguments<'_>,
    skip: usize,
) -> Result<(usize, bool), Error> {
    let mut window = Window::new(room, skip);
    match fmt::write(&mut window, text) {
        Ok(()) => Ok((window.filled, true)),
        Err(fmt::Error) if window.full => Ok((window.filled, false)),
        Err(fmt::Error) => Err(Error::Request(Status::INTERNAL)),
    }
}

/// Returns how many bytes `text` has, of which none is kept.
pub(super) fn length(text: &dyn fmt::Display) -> u64 {
    struct Count(u64);
    impl fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len() as u64;
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting does not fail.
    let _ = write!(count, "{text}");
    count.0
}

/// How the content of an answer is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// There is none to be sent.
    Silent,
    /// This many bytes, which are announced and not written.
    Length(u64),
    Chunks,
    /// By the end of the connection.
    Close,
}

/// An answer's head.
pub(super) struct Head<'a> {
    status: Status,
    pub date: &'a str,
    /// A field besides.
    pub added: Option<(&'static str, &'static str)>,
    fields: &'a [(&'a str, &'a str)],
    /// The app says the date, or what the server is.
    dated: bool,
    served: bool,
    /// How the content would be delimited, were it sent.
    pub content: Content,
    /// What the app, and what the server says of the connection.
    connection: [&'a str; 2],
}

/// What a request says of its response.
pub(super) struct Asked {
    /// The content is left out, as HEAD asks for.
    pub headless: bool,
    /// The client knows HTTP/1.1's chunks.
    pub newest: bool,
    /// It waits to be told to send the body.
    pub waiting: bool,
}

/// Which of the fields that the server says as well it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    None,
    Date,
    Server,
    Connection,
    Length,
    Coding,
}

impl Own {
    fn of(name: &str) -> Self {
        let (like, own) = match name.len() {
            4 => ("date", Self::Date),
            6 => ("server", Self::Server),
            10 => ("connection", Self::Connection),
            14 => ("content-length", Self::Length),
            17 => ("transfer-encoding", Self::Coding),
            _ => return Self::None,
        };
        if name.eq_ignore_ascii_case(like) { own } else { Self::None }
    }
}

impl<'a> Head<'a> {
    /// Makes the head of the response to a request. `keep` is whether the connection can be
    /// used again, and is cleared where the response ends it.
    ///
    /// # Errors
    /// Fields that are none, or that say another length.
    pub(super) fn new(
        asked: &Asked,
        keep: &mut bool,
        status: Status,
        fields: &'a [(&'a str, &'a str)],
        length: Option<u64>,
    ) -> Result<Self, Error> {
        const WRONG: Error = Error::Request(Status::INTERNAL);
        let silent = asked.headless || is_empty(status);
        let (mut dated, mut served, mut own, mut said) = (false, false, "", None);
        for &(name, value) in fields {
            if !syntax::is_token(name.as_bytes()) || !syntax::is_value(value.as_bytes()) {
                return Err(WRONG);
            }
            match Own::of(name) {
                Own::None => {}
                Own::Date => dated = true,
                Own::Server => served = true,
                Own::Connection => {
                    *keep &= !lists(value.as_bytes(), b"close");
                    if !lists(value.as_bytes(), b"keep-alive") {
                        own = value;
                    }
                }
                Own::Length => {
                    let number = syntax::decimal(value.as_bytes()).ok_or(WRONG)?;
                    if said.or(length.filter(|_| !silent)).is_some_and(|it| it != number) {
                        return Err(WRONG);
                    }
                    said = Some(number);
                }
                Own::Coding => return Err(WRONG),
            }
        }
        // What HEAD is told of is what GET would be (RFC 9110, section 8.6).
        let content = match (status.0, said.or(length)) {
            (100..200 | 204, _) => Content::Silent,
            (205, _) => Content::Length(0),
            (304, _) => said.map_or(Content::Silent, Content::Length),
            (_, Some(length)) => Content::Length(length),
            (_, None) if asked.newest => Content::Chunks,
            (_, None) => Content::Close,
        };
        // A client that waits to be asked for the body may send it or not.
        *keep &= (content != Content::Close || silent) && !asked.waiting;
        let rest = match (*keep, asked.newest) {
            (false, _) if lists(own.as_bytes(), b"close") => "",
            (false, _) => "close",
            (true, false) => "keep-alive",
            (true, true) => "",
        };
        Ok(Self {
            status,
            date: "",
            added: None,
            fields,
            dated,
            served,
            content,
            connection: [own, rest],
        })
    }
}

/// Whether an answer has no content by definition (RFC 9110, sections 15.2, 15.3.5, 15.3.6
/// and 15.4.5).
pub(super) fn is_empty(status: Status) -> bool {
    matches!(status.0, 100..200 | 204 | 205 | 304)
}

impl<'a> Head<'a> {
    /// Makes the head of an answer of the server's own, whose content [`explain`] writes.
    pub(super) fn refusal(status: Status, why: &str, date: &'a [u8]) -> Self {
        let fields: &[_] = match status {
            Status::UNAVAILABLE => &[PLAIN, ("Retry-After", "1")],
            _ => &[PLAIN],
        };
        let length = status.phrase().len() + reason(status, why).len() + 8;
        Self {
            status,
            date: core::str::from_utf8(date).unwrap_or_default(),
            fields,
            added: None,
            dated: false,
            served: false,
            content: Content::Length(length as u64),
            connection: ["", "close"],
        }
    }

    /// Writes it as HTTP/2 has it (RFC 9113, section 8.3.2), without what is said of connections.
    pub(super) fn encode(&self, to: &mut Encoder<'_>) {
        to.status(self.status.0);
        if !self.dated {
            to.field("date", self.date);
        }
        if !self.served {
            to.field("server", "Xenith");
        }
        for (name, value) in self.fields.iter().chain(&self.added) {
            let own = Own::of(name);
            if !matches!(own, Own::Connection | Own::Length) && !is_of_connections(name) {
                to.field(name, value);
            }
        }
        if let Content::Length(length) = self.content {
            to.field("content-length", digits(length, &mut [0; 20]));
        }
    }

    /// Writes it: without `format_args!`, as every answer has one.
    pub(super) fn write(&self, to: &mut Window<'_>) {
        to.add("HTTP/1.1 ");
        to.add_number(self.status.0.into());
        to.add(" ");
        to.add(self.status.phrase());
        if !self.dated {
            to.add("\r\nDate: ");
            to.add(self.date);
        }
        if !self.served {
            to.add("\r\nServer: Xenith");
        }
        for (name, value) in self.fields.iter().chain(&self.added) {
            if !matches!(Own::of(name), Own::Connection | Own::Length) {
                to.add("\r\n");
                to.add(name);
                to.add(": ");
                to.add(value);
            }
        }
        let [own, rest] = self.connection;
        if !own.is_empty() || !rest.is_empty() {
            to.add("\r\nConnection: ");
            to.add(own);
            if !own.is_empty() && !rest.is_empty() {
                to.add(", ");
            }
            to.add(rest);
        }
        match self.content {
            Content::Length(length) => {
                to.add("\r\nContent-Length: ");
                to.add_number(length);
            }
            Content::Chunks => to.add("\r\nTransfer-Encoding: chunked"),
            Content::Silent | Content::Close => {}
        }
        to.add("\r\n\r\n");
    }
}

/// Makes an answer of the server's own, after which it closes the connection.
pub(super) fn refusal<'a>(
    memory: &'a mut [u8],
    status: Status,
    why: &str,
    headless: bool,
) -> &'a [u8] {
    let date = date::format(kernel::time::wall_clock().as_secs());
    let head = Head::refusal(status, why, &date);
    let mut window = Window::new(memory, 0);
    head.write(&mut window);
    if !headless {
        explain(&mut window, status, why);
    }
    // All of it fits.
    let length = window.filled;
    memory.get(..length).unwrap_or_default()
}

/// Why a request is refused: `why`, if anything is known of it.
fn reason(status: Status, why: &str) -> &str {
    match status {
        _ if !why.is_empty() => why,
        Status::TIMEOUT => "the request took too long to arrive",
        Status::TOO_LARGE => "the body is longer than the server takes",
        Status::UNAVAILABLE => "the server is overloaded; try again later",
        Status::INTERNAL => "the app did not respond",
        _ => "the request cannot be answered",
    }
}

/// Writes the content of such an answer.
pub(super) fn explain(to: &mut Window<'_>, status: Status, why: &str) {
    to.add_number(status.0.into());
    for text in [" ", status.phrase(), ": ", reason(status, why), ".\n"] {
        to.add(text);
    }
}

const PLAIN: (&str, &str) = ("Content-Type", "text/plain");

/// Writes all of `bytes`, each part of it in time.
pub(super) async fn put<W: Write<Error = ip::Error>>(
    writer: &mut W,
    mut bytes: &[u8],
    pace: &mut Pace,
) -> Result<(), Error> {
    while !bytes.is_empty() {
        match pace.wait(pin!(writer.write(bytes))).await {
            Ok(Ok(0)) | Err(_) => return Err(Error::Connection(ip::Error::TimedOut)),
            Ok(count) => bytes = bytes.get(count?..).unwrap_or_default(),
        }
    }
    Ok(())
}
