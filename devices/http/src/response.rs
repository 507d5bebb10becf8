//! The answer to a request.
//!
//! Nothing here allocates: heads, and what is [printed](Sink::print), are formatted into
//! the one piece of memory that a connection has for it, and sent each time that it is
//! full. So no request decides how much memory its answer takes.

use super::body::Body;
use super::fields::lists;
use super::pace::Pace;
use super::{Error, Status, date, syntax};
use core::cell::Cell;
use core::fmt::{self, Write as _};
use core::pin::pin;
use embedded_io_async::{ErrorType, Read, Write};

/// A line that is made without the heap. One type for all, as each has its code.
pub(super) type Line = heapless::String<96>;

/// Bytes of memory in which an answer's head is made, and after it what is printed.
pub(super) const ROOM: usize = 1024;

/// Bytes that are kept free before what is printed, for a chunk's size and its line end.
const BEFORE: usize = 5;

/// And behind it, for the chunk's line end and the last chunk.
const BEHIND: usize = 7;

// Three digits are enough.
const _: () = assert!(ROOM - BEFORE - BEHIND < 1 << 12);

/// What has been said on the connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// A head was sent.
    pub begun: bool,
    /// The answer is complete.
    pub done: bool,
}

/// The part of a text that begins at its byte `skip` and fits into `room`.
struct Window<'a> {
    room: &'a mut [u8],
    filled: usize,
    skip: usize,
    full: bool,
}

impl fmt::Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let skipped = self.skip.min(text.len());
        self.skip -= skipped;
        let rest = text.as_bytes().get(skipped..).unwrap_or_default();
        let room = self.room.get_mut(self.filled..).unwrap_or_default();
        let count = rest.len().min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        self.filled += count;
        self.full |= count < rest.len();
        // What follows would not fit either.
        if self.full { Err(fmt::Error) } else { Ok(()) }
    }
}

impl<'a> Window<'a> {
    const fn new(room: &'a mut [u8], skip: usize) -> Self {
        Self { room, filled: 0, skip, full: false }
    }

    /// Takes what fits of `text`. After what did not there is no room for anything.
    fn add(&mut self, text: &str) {
        let _ = self.write_str(text);
    }

    fn add_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.add(core::str::from_utf8(&digits[first..]).unwrap_or_default());
    }
}

/// Formats `text` from its byte `skip` on into `room`: how many bytes that were, and
/// whether they were the last.
fn format(room: &mut [u8], text: fmt::Arguments<'_>, skip: usize) -> Result<(usize, bool), Error> {
    let mut window = Window::new(room, skip);
    match fmt::write(&mut window, text) {
        Ok(()) => Ok((window.filled, true)),
        Err(fmt::Error) if window.full => Ok((window.filled, false)),
        Err(fmt::Error) => Err(Error::Request(Status::INTERNAL)),
    }
}

/// How the content of an answer is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// There is none to be sent.
    Silent,
    /// This many bytes, which are announced and not written.
    Length(u64),
    Chunks,
    /// By the end of the connection.
    Close,
}

/// An answer's head.
struct Head<'a> {
    status: Status,
    date: &'a str,
    fields: &'a [(&'a str, &'a str)],
    /// The app says the date, or what the server is.
    dated: bool,
    served: bool,
    /// How the content would be delimited, were it sent.
    content: Content,
    /// What the app, and what the server says of the connection.
    connection: [&'a str; 2],
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
    /// The head with which `response` begins.
    ///
    /// # Errors
    /// Fields that are none, or that say another length.
    fn new(
        response: &mut Response<'_>,
        status: Status,
        fields: &'a [(&'a str, &'a str)],
        length: Option<u64>,
        unasked: bool,
    ) -> Result<Self, Error> {
        const WRONG: Error = Error::Request(Status::INTERNAL);
        let silent = response.headless || is_empty(status);
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
                    *response.keep &= !lists(value.as_bytes(), b"close");
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
            (_, None) if response.newest => Content::Chunks,
            (_, None) => Content::Close,
        };
        // A client that waits to be asked for the body may send it or not.
        *response.keep &= (content != Content::Close || silent) && !unasked;
        let rest = match (*response.keep, response.newest) {
            (false, _) if lists(own.as_bytes(), b"close") => "",
            (false, _) => "close",
            (true, false) => "keep-alive",
            (true, true) => "",
        };
        Ok(Self { status, date: "", fields, dated, served, content, connection: [own, rest] })
    }
}

/// Whether an answer has no content by definition (RFC 9110, sections 15.2, 15.3.5, 15.3.6
/// and 15.4.5).
fn is_empty(status: Status) -> bool {
    matches!(status.0, 100..200 | 204 | 205 | 304)
}

impl Head<'_> {
    /// Writes it: without `format_args!`, as every answer has one.
    fn write(&self, to: &mut Window<'_>) {
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
        for (name, value) in self.fields {
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
    let why = match status {
        _ if !why.is_empty() => why,
        Status::TIMEOUT => "the request took too long to arrive",
        Status::TOO_LARGE => "the body is longer than the server takes",
        Status::UNAVAILABLE => "there is too much to do; try again later",
        Status::INTERNAL => "the app gave no answer",
        _ => "the request cannot be answered",
    };
    let (fields, phrase): (&[_], _) = match status {
        Status::UNAVAILABLE => (&[PLAIN, ("Retry-After", "1")], status.phrase()),
        _ => (&[PLAIN], status.phrase()),
    };
    let date = date::format(kernel::time::wall_clock().as_secs());
    let head = Head {
        status,
        date: core::str::from_utf8(&date).unwrap_or_default(),
        fields,
        dated: false,
        served: false,
        content: Content::Length((phrase.len() + why.len() + 8) as u64),
        connection: ["", "close"],
    };
    let mut window = Window::new(memory, 0);
    head.write(&mut window);
    if !headless {
        window.add_number(status.0.into());
        for text in [" ", phrase, ": ", why, ".\n"] {
            window.add(text);
        }
    }
    // All of it fits.
    let length = window.filled;
    memory.get(..length).unwrap_or_default()
}

const PLAIN: (&str, &str) = ("Content-Type", "text/plain");

/// The answer to one request, to be given once.
///
/// Fields are the app's, and checked: a name is a token and a value holds no control
/// characters (RFC 9110, section 5.5). What the server says as well, `Date`, `Server`,
/// `Content-Length` and `Connection`, is said once: as the app has it if it does.
/// `Transfer-Encoding` is the server's alone.
///
/// [`send`](Self::send) is for content that there is as a whole. What is made for the
/// request is best [streamed](Self::stream) and [printed](Sink::print): that takes no
/// memory, however much it is and however many ask for it.
#[derive(Debug)]
pub struct Response<'a> {
    pub(super) progress: &'a mut Progress,
    /// The content is left out, as HEAD asks for.
    pub(super) headless: bool,
    pub(super) keep: &'a mut bool,
    /// The client knows HTTP/1.1's chunks.
    pub(super) newest: bool,
    /// What the head is made in, [`ROOM`] bytes.
    pub(super) memory: &'a mut [u8],
    pub(super) pace: &'a mut Pace,
    /// The server ends: there are no more requests on this connection.
    pub(super) closing: &'a Cell<bool>,
}

impl<'a> Response<'a> {
    /// Sends the head of the answer, and says how its content is delimited.
    async fn begin<R, W>(
        &mut self,
        body: &mut Body<'_, R, W>,
        status: Status,
        fields: &[(&str, &str)],
        length: Option<u64>,
    ) -> Result<Content, Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        *self.keep &= !self.closing.get();
        let mut head = Head::new(self, status, fields, length, body.answered())?;
        let date = date::format(kernel::time::wall_clock().as_secs());
        head.date = core::str::from_utf8(&date).unwrap_or_default();
        self.progress.begun = true;
        let mut sent = 0;
        loop {
            let mut window = Window::new(self.memory, sent);
            head.write(&mut window);
            let (count, last) = (window.filled, !window.full);
            let part = self.memory.get(..count).unwrap_or_default();
            put(body.writer(), part, self.pace).await?;
            sent += count;
            if last {
                let silent = self.headless || is_empty(status);
                return Ok(if silent { Content::Silent } else { head.content });
            }
        }
    }

    /// Answers with `content` as a whole.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for fields that are none, or that say
    /// another length.
    pub async fn send<R, W>(
        mut self,
        body: &mut Body<'_, R, W>,
        status: Status,
        fields: &[(&str, &str)],
        content: &[u8],
    ) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        // What follows a wrong body may be anything, so that it is not worth an answer.
        body.check().await?;
        let how = self.begin(body, status, fields, Some(content.len() as u64)).await?;
        if how != Content::Silent {
            put(body.writer(), content, self.pace).await?;
        }
        self.progress.done = true;
        Ok(())
    }

    /// Begins an answer whose content comes piece by piece: `length` bytes, or
    /// as many as there will be. The content is written and printed to what this
    /// returns, and ended by [`Sink::finish`]. Without a length, a client of HTTP/1.0 takes
    /// the end of the connection for the end of the content.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for fields that are none, or that say
    /// another length.
    pub async fn stream<R, W>(
        mut self,
        body: &mut Body<'_, R, W>,
        status: Status,
        fields: &[(&str, &str)],
        length: Option<u64>,
    ) -> Result<Sink<'a>, Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        let content = self.begin(body, status, fields, length).await?;
        Ok(Sink {
            progress: self.progress,
            content,
            memory: self.memory,
            end: BEFORE,
            pace: self.pace,
        })
    }
}

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

/// The content of an answer, piece by piece.
///
/// ```no_run
/// # use xenith_devices as devices;
/// # use devices::http::{Body, Error, Response, Status};
/// # use devices::ip;
/// # use embedded_io_async::{Read, Write};
/// # async fn list<R, W>(
/// #     names: &[&str], body: &mut Body<'_, R, W>, response: Response<'_>,
/// # ) -> Result<(), Error>
/// # where R: Read<Error = ip::Error>, W: Write<Error = ip::Error> {
/// let mut sink = response.stream(body, Status::OK, &[], None).await?;
/// for (number, name) in names.iter().enumerate() {
///     sink.print(body, format_args!("{number}: {name}\n")).await?;
/// }
/// sink.finish(body).await
/// # }
/// ```
#[derive(Debug)]
pub struct Sink<'a> {
    progress: &'a mut Progress,
    content: Content,
    /// What was printed and not sent, from [`BEFORE`] on.
    memory: &'a mut [u8],
    /// And up to here.
    end: usize,
    pace: &'a mut Pace,
}

impl Sink<'_> {
    /// Sends a piece, after what was printed.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for more than was announced.
    pub async fn write<R, W>(
        &mut self,
        body: &mut Body<'_, R, W>,
        piece: &[u8],
    ) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        if piece.is_empty() || self.content == Content::Silent {
            return Ok(());
        }
        self.flush(body).await?;
        self.count(piece.len())?;
        let writer = body.writer();
        if self.content != Content::Chunks {
            return put(writer, piece, self.pace).await;
        }
        let mut size = Line::new();
        // Sixteen digits and the line's end fit.
        let _ = write!(size, "{:x}\r\n", piece.len());
        put(writer, size.as_bytes(), self.pace).await?;
        put(writer, piece, self.pace).await?;
        put(writer, b"\r\n", self.pace).await
    }

    /// Adds `text`, as in `sink.print(body, format_args!("{name}\n"))`. It is sent when
    /// about a kilobyte has come together, or by [`flush`](Self::flush), by
    /// [`write`](Self::write) and by [`finish`](Self::finish); no memory is allocated,
    /// however long it is.
    ///
    /// A text that does not fit is formatted again for each further kilobyte, so it has
    /// to come out the same each time, and long ones are better printed in parts.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for more than was announced, and when
    /// formatting fails.
    pub async fn print<R, W>(
        &mut self,
        body: &mut Body<'_, R, W>,
        text: fmt::Arguments<'_>,
    ) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        let mut done = 0;
        while self.content != Content::Silent {
            let room = self.memory.get_mut(self.end..ROOM - BEHIND).unwrap_or_default();
            let (count, last) = format(room, text, done)?;
            self.count(count)?;
            self.end += count;
            done += count;
            if last {
                break;
            }
            self.flush(body).await?;
        }
        Ok(())
    }

    /// Sends what was printed so far, for who waits for it.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn flush<R, W>(&mut self, body: &mut Body<'_, R, W>) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        if self.end == BEFORE { Ok(()) } else { self.push(body, b"").await }
    }

    /// `count` bytes more are content.
    fn count(&mut self, count: usize) -> Result<(), Error> {
        if let Content::Length(left) = &mut self.content {
            let rest = left.checked_sub(count as u64);
            *left = rest.ok_or(Error::Request(Status::INTERNAL))?;
        }
        Ok(())
    }

    /// Sends what was printed, and `last` after it when in chunks.
    async fn push<R, W>(&mut self, body: &mut Body<'_, R, W>, last: &[u8]) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        let (mut start, mut end) = (BEFORE, self.end);
        if self.content == Content::Chunks {
            let mut size = end - start;
            if size > 0 {
                self.memory[start - 2..start].copy_from_slice(b"\r\n");
                start -= 2;
                while size > 0 {
                    start -= 1;
                    self.memory[start] = b"0123456789abcdef"[size % 16];
                    size /= 16;
                }
                self.memory[end..end + 2].copy_from_slice(b"\r\n");
                end += 2;
            }
            self.memory[end..end + last.len()].copy_from_slice(last);
            end += last.len();
        }
        self.end = BEFORE;
        put(body.writer(), &self.memory[start..end], self.pace).await
    }

    /// Ends the content.
    ///
    /// # Errors
    /// Those of the connection; [`Status::INTERNAL`] for less than was announced.
    pub async fn finish<R, W>(mut self, body: &mut Body<'_, R, W>) -> Result<(), Error>
    where
        R: Read<Error = ip::Error>,
        W: Write<Error = ip::Error>,
    {
        match self.content {
            Content::Silent => {}
            Content::Length(1..) => return Err(Error::Request(Status::INTERNAL)),
            _ => self.push(body, b"0\r\n\r\n").await?,
        }
        self.progress.done = true;
        Ok(())
    }
}

impl ErrorType for Sink<'_> {
    type Error = Error;
}
