//! Speaks the frontend/backend protocol 3.0 over any stream.

use crate::error::{Error, Report};
use crate::message::{Incoming, Outgoing, columns, copied, report, values};
use crate::scram::{Channel, Open, Scram, bound, header};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use embedded_io_async::{Read, ReadExactError, Write};
use xenith::memory;
use zeroize::Zeroize;

/// The protocol's version 3.0.
const VERSION: i32 = 3 << 16;

/// Bytes that are read at once of a long message, so that memory follows what has come.
const PIECE: usize = 16 << 10;

/// Ways to prove a password, without a binding to the channel and with one.
const PLAIN: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Says who logs in, and to what.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The user.
    pub user: &'a str,
    /// The database.
    pub database: &'a str,
    /// The password, of ASCII alone. With one, the server has to prove that it knows it
    /// (SCRAM-SHA-256); without, it has to let the user in without any.
    pub password: Option<&'a str>,
}

/// Is a row of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    names: &'a [String],
    body: &'a [u8],
    values: &'a [Option<Range<usize>>],
}

impl<'a> Row<'a> {
    /// Returns the names of the columns.
    #[must_use]
    pub const fn names(&self) -> &'a [String] {
        self.names
    }

    /// Returns the value of a column as PostgreSQL writes it as text; `None` if it is null, or
    /// there is no such column.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<&'a [u8]> {
        self.body.get(self.values.get(column)?.clone()?)
    }

    /// Returns the values of all columns.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let Self { body, values, .. } = *self;
        values.iter().map(|range| body.get(range.clone()?))
    }
}

/// A row for tests.
#[cfg(test)]
pub(crate) const fn row<'a>(
    names: &'a [String],
    body: &'a [u8],
    values: &'a [Option<Range<usize>>],
) -> Row<'a> {
    Row { names, body, values }
}

/// Asks one server. Dropping a future before it is ready leaves an answer unread, after which every
/// question is [`Broken`](Error::Broken); closing the connection is what ends the question there.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// The content of the last message.
    body: Vec<u8>,
    /// The most bytes of a message.
    limit: u32,
    /// Whether the server waits for a question.
    ready: bool,
}

impl<S: Read + Write> Connection<S> {
    /// Logs in. No message of the server may be longer than `limit` bytes.
    ///
    /// # Errors
    /// [`Error`]: all but `Broken`.
    pub fn new(
        stream: S,
        login: &Login<'_>,
        limit: u32,
    ) -> impl Future<Output = Result<Self, Error<S::Error>>> {
        Self::bound(stream, login, limit, Open)
    }

    /// The same over a stream that is encrypted, to which the login is bound if the server can do
    /// that (SCRAM-SHA-256-PLUS).
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub async fn bound<C: Channel>(
        stream: S,
        login: &Login<'_>,
        limit: u32,
        channel: C,
    ) -> Result<Self, Error<S::Error>> {
        if !login.password.is_none_or(str::is_ascii) {
            return Err(Error::NotAscii);
        }
        let mut connection = Self { stream, body: Vec::new(), limit, ready: false };
        let mut out = Outgoing::default();
        out.message(None, |out| {
            out.long(VERSION);
            for text in ["user", login.user, "database", login.database] {
                out.text(text);
            }
            ["client_encoding", "UTF8"].iter().for_each(|text| out.text(text));
            out.bytes.push(0);
        });
        connection.send(out).await?;
        connection.log_in(login.password, channel).await?;
        connection.finish(&mut async |_: &Row<'_>| {}).await?;
        Ok(connection)
    }

    async fn log_in<C: Channel>(
        &mut self,
        password: Option<&str>,
        mut channel: C,
    ) -> Result<(), Error<S::Error>> {
        const SENSE: &str = "request to log in";
        let (mut scram, mut expected, mut proved) = (None, None, password.is_none());
        loop {
            let kind = self.receive().await?;
            if kind != b'R' {
                self.aside(kind)?;
                continue;
            }
            let mut rest = Incoming(&self.body);
            match (rest.long().ok_or(Error::Malformed(SENSE))?, password) {
                (0, _) if proved => return Ok(()),
                (0, _) => return Err(Error::Impostor),
                // AuthenticationSASL, with the names of mechanisms.
                (10, Some(password)) if scram.is_none() => {
                    if C::IS && channel.can_bind() && offers(rest.0, PLUS) {
                        channel.offer();
                    } else if !offers(rest.0, PLAIN) {
                        return Err(Error::Login(10));
                    }
                    let mut random = [0; 18];
                    xenith::entropy::fill(&mut random).map_err(|_| Error::NoEntropy)?;
                    let begun = Scram::new(password, &random);
                    let first = begun.first(&header(&channel));
                    scram = Some(begun);
                    let mut out = Outgoing::default();
                    out.message(Some(b'p'), |out| {
                        out.text(if channel.binding().is_some() { PLUS } else { PLAIN });
                        out.value(Some(first.as_bytes()));
                    });
                    self.send(out).await?;
                }
                // AuthenticationSASLContinue.
                (11, _) if expected.is_none() => {
                    let answer = core::str::from_utf8(rest.0).ok();
                    let answer =
                        answer.and_then(|text| scram.as_ref()?.answer(text, &bound(&channel)));
                    let (answer, then) = answer.ok_or(Error::Malformed("challenge"))?;
                    expected = Some(then);
                    let mut out = Outgoing::default();
                    out.message(Some(b'p'), |out| out.bytes.extend(answer.as_bytes()));
                    self.send(out).await?;
                }
                // AuthenticationSASLFinal.
                (12, _) => {
                    let text = core::str::from_utf8(rest.0).ok();
                    let expected = expected.as_ref().zip(text);
                    proved = expected.is_some_and(|(expected, text)| expected.is_proved(text));
                    if !proved {
                        return Err(Error::Impostor);
                    }
                    if channel.binding().is_some() {
                        log::info!("the login is bound to the server's certificate");
                    }
                }
                (kind, _) => return Err(Error::Login(kind.cast_unsigned())),
            }
        }
    }

    /// Asks a question of one or several commands in the simple protocol, without values. Gives
    /// `each` the rows as they come, waits for what it does with each, and returns what the last command did, such as `SELECT 2`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn run(
        &mut self,
        sql: &str,
        mut each: impl AsyncFnMut(&Row<'_>),
    ) -> Result<String, Error<S::Error>> {
        let mut out = Outgoing::default();
        out.message(Some(b'Q'), |out| out.text(sql));
        self.ask(out, &mut each).await
    }

    /// Asks a question of one command, whose `$1` and so on stand for `values` as text, or null:
    /// so no value is ever taken for a command. Else as [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn query(
        &mut self,
        sql: &str,
        values: &[Option<&str>],
        mut each: impl AsyncFnMut(&Row<'_>),
    ) -> Result<String, Error<S::Error>> {
        let mut out = Outgoing::default();
        // Parse: no name, the question, no types.
        out.message(Some(b'P'), |out| {
            out.text("");
            out.text(sql);
            out.short(0);
        });
        // Bind: no names, all values and all results as text.
        out.message(Some(b'B'), |out| {
            out.bytes.extend([0, 0]);
            out.short(0);
            out.short(values.len());
            values.iter().for_each(|value| out.value(value.map(str::as_bytes)));
            out.short(0);
        });
        // Describe, Execute without a limit of rows, Sync.
        out.message(Some(b'D'), |out| out.bytes.extend(*b"P\0"));
        out.message(Some(b'E'), |out| out.bytes.extend([0; 5]));
        out.message(Some(b'S'), |_| {});
        self.ask(out, &mut each).await
    }

    /// Tells the server that there is nothing else, and returns the stream.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn close(mut self) -> Result<S, Error<S::Error>> {
        let mut out = Outgoing::default();
        out.message(Some(b'X'), |_| {});
        self.send(out).await?;
        Ok(self.stream)
    }

    async fn ask(
        &mut self,
        out: Outgoing,
        each: &mut impl AsyncFnMut(&Row<'_>),
    ) -> Result<String, Error<S::Error>> {
        if !self.ready {
            return Err(Error::Broken);
        }
        if out.unsendable {
            return Err(Error::Unsendable);
        }
        self.ready = false;
        self.send(out).await?;
        self.finish(each).await
    }

    /// Reads until the server waits for the next question.
    async fn finish(
        &mut self,
        each: &mut impl AsyncFnMut(&Row<'_>),
    ) -> Result<String, Error<S::Error>> {
        let (mut names, mut tag, mut failure) = (Vec::new(), String::new(), None);
        loop {
            match self.receive().await? {
                b'T' => {
                    let found = columns(&self.body);
                    names = found.map_err(|wrong| wrong.within("list of columns"))?;
                }
                b'D' => {
                    let values = values(&self.body).map_err(|wrong| wrong.within("row"))?;
                    if values.len() != names.len() {
                        return Err(Error::Malformed("row"));
                    }
                    each(&Row { names: &names, body: &self.body, values: &values }).await;
                }
                b'C' => {
                    let done = Incoming(&self.body).text();
                    let done = done.ok_or(Error::Malformed("end of a command"))?;
                    tag = copied(done.as_bytes()).map_err(|_| Error::Memory)?;
                }
                // One error ends a question; what follows it is skipped by the server.
                b'E' => {
                    let report = report(&self.body).map_err(|wrong| wrong.within("error"))?;
                    // What is fatal is the last that it says.
                    if report.severity != "ERROR" {
                        return Err(Error::Server(report));
                    }
                    failure = Some(report);
                }
                b'Z' => {
                    self.ready = true;
                    return failure.map_or(Ok(tag), |report| Err(Error::Server(report)));
                }
                // ParseComplete, BindComplete, NoData, EmptyQueryResponse, BackendKeyData.
                b'1' | b'2' | b'n' | b'I' | b'K' => {}
                other => self.aside(other)?,
            }
        }
    }

    /// Takes what may come at any time: notices, settings, notifications.
    fn aside(&self, kind: u8) -> Result<(), Error<S::Error>> {
        match kind {
            b'N' => {
                let notice: Report = report(&self.body).map_err(|wrong| wrong.within("notice"))?;
                log::info!("{notice}");
                Ok(())
            }
            b'E' => {
                let report = report(&self.body).map_err(|wrong| wrong.within("error"))?;
                Err(Error::Server(report))
            }
            b'S' | b'A' => Ok(()),
            // COPY, and what nobody asked for.
            _ => Err(Error::Malformed("message, of a type that was not asked for")),
        }
    }

    async fn send(&mut self, mut out: Outgoing) -> Result<(), Error<S::Error>> {
        let sent = if out.unsendable {
            Err(Error::Unsendable)
        } else {
            self.stream.write_all(&out.bytes).await.map_err(Error::Stream)
        };
        // There may be a proof of the password in it.
        out.bytes.zeroize();
        sent?;
        self.stream.flush().await.map_err(Error::Stream)
    }

    /// Reads a message into `body`, and returns its type.
    async fn receive(&mut self) -> Result<u8, Error<S::Error>> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).await.map_err(ended)?;
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length);
        let left = length.checked_sub(4).ok_or(Error::Malformed("length"))?;
        if left > self.limit {
            return Err(Error::TooLong(left));
        }
        self.body.clear();
        let mut left = left as usize;
        while left > 0 {
            let (at, piece) = (self.body.len(), left.min(PIECE));
            memory::extend_zeroed(&mut self.body, piece).ok_or(Error::Memory)?;
            self.stream.read_exact(&mut self.body[at..]).await.map_err(ended)?;
            left -= piece;
        }
        Ok(kind)
    }
}

/// Whether the name of a mechanism is in a list.
fn offers(list: &[u8], name: &str) -> bool {
    list.split(|&byte| byte == 0).any(|it| it == name.as_bytes())
}

fn ended<E>(error: ReadExactError<E>) -> Error<E> {
    match error {
        ReadExactError::UnexpectedEof => Error::Ended,
        ReadExactError::Other(error) => Error::Stream(error),
    }
}
