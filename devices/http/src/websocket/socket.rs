//! An open WebSocket.

use super::frame::{self, CONTROL, HEADER, Opcode};
use super::handshake::{self, Refused};
use super::incoming::{Event, Incoming};
use super::{Code, Error, Message, Options, Violation};
use crate::exchange::Exchange;
use crate::pool::Doing;
use crate::{Error as Failure, Status};
use core::pin::pin;
use core::time::Duration;
use embedded_io_async::{Read, Write};
use kernel::time::{Instant, timeout};

/// How long a client may take to confirm that it is over.
const CLOSE: Duration = Duration::from_secs(2);

/// A frame that is to be sent when there is time: the answer to a ping, a ping, a close.
#[derive(Debug, Default)]
struct Outgoing {
    bytes: heapless::Vec<u8, { 2 + CONTROL }>,
    sent: usize,
}

impl Outgoing {
    fn set(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut header = [0; HEADER];
        let count = frame::write(&mut header, opcode, payload.len());
        self.bytes.clear();
        self.sent = 0;
        // Both fit: a control frame's payload is short.
        let _ = self.bytes.extend_from_slice(&header[..count]);
        let _ = self.bytes.extend_from_slice(payload);
    }

    fn set_close(&mut self, code: Option<Code>, reason: &str) {
        let mut payload = heapless::Vec::<u8, CONTROL>::new();
        if let Some(code) = code {
            let _ = payload.extend_from_slice(&code.0.to_be_bytes());
            let most = reason.floor_char_boundary(CONTROL - 2);
            let _ = payload.extend_from_slice(&reason.as_bytes()[..most]);
        }
        self.set(Opcode::Close, &payload);
    }
}

/// Notes when somebody looks for the last time, be it that the future is dropped.
struct Looking<'a>(&'a mut Instant);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        *self.0 = Instant::now();
    }
}

/// How a WebSocket ended.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The client closed it, with this code.
    Closed(Option<Code>),
    /// The server ends.
    Leaving,
    Violation(Violation),
    Silent,
}

/// Receives and sends the messages of an open WebSocket.
///
/// Dropping it ends the connection without a close frame, which a browser reports as code
/// 1006; [`close`](Self::close) ends it in order.
#[derive(Debug)]
pub struct WebSocket<'e, 'a> {
    exchange: &'e mut Exchange<'a>,
    incoming: Incoming<'a>,
    /// There is a message in `incoming` that was handed out.
    given: bool,
    outgoing: Outgoing,
    /// A close frame was sent, or is about to be.
    closing: bool,
    /// A message is half sent.
    cut: bool,
    over: Option<End>,
    /// When the last byte came, and when the client was pinged since then.
    heard: Instant,
    pinged: Option<Instant>,
    /// When the message that is under way began, without the time in which nobody looked.
    begun: Option<Instant>,
    /// When somebody looked last.
    looked: Instant,
    idle: Duration,
    protocol: Option<&'e str>,
}

impl<'e, 'a> WebSocket<'e, 'a> {
    /// Accepts the opening handshake with 101 (RFC 6455, section 4.2.2). Returns `None` if the
    /// request was refused instead: with 426 for a request without the handshake and for another
    /// version of the protocol than 13, with 405 for another method than GET, with 403 for a page
    /// of another [site](Options::origin), and with 400 for an invalid key.
    ///
    /// # Errors
    /// Those of the connection; [`Status::BAD_REQUEST`] for a request with a body.
    pub async fn accept(
        exchange: &'e mut Exchange<'a>,
        options: &Options<'e>,
    ) -> Result<Option<Self>, Failure> {
        let request = exchange.request();
        let accept = match handshake::judge(&request, options.origin) {
            Ok(accept) => accept,
            Err(Refused { status, why }) => {
                let fields = [
                    ("Content-Type", "text/plain"),
                    ("Sec-WebSocket-Version", "13"),
                    ("Upgrade", "websocket"),
                    ("Connection", "Upgrade"),
                    ("Allow", "GET"),
                ];
                // What the server wants is said with 426, what the method is to be with 405.
                let fields = match status {
                    Status::METHOD_NOT_ALLOWED => &[fields[0], fields[4]][..],
                    handshake::UPGRADE => &fields[..4],
                    _ => &fields[..1],
                };
                exchange.respond(status, fields, why.as_bytes()).await?;
                return Ok(None);
            }
        };
        let protocol = handshake::choose(&request, options.protocols);
        let fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", core::str::from_utf8(&accept).unwrap_or_default()),
            ("Sec-WebSocket-Protocol", protocol.unwrap_or_default()),
        ];
        let count = if protocol.is_some() { 4 } else { 3 };
        exchange.switch(&fields[..count]).await?;
        let incoming = Incoming::new(options.message, exchange.body.budget());
        Ok(Some(Self {
            exchange,
            incoming,
            given: false,
            outgoing: Outgoing::default(),
            closing: false,
            cut: false,
            over: None,
            heard: Instant::now(),
            pinged: None,
            begun: None,
            looked: Instant::now(),
            idle: options.idle,
            protocol,
        }))
    }

    /// Waits for the next message and returns it. Returns `None` when the client has closed the
    /// connection, or the server ends ([`Code::GOING_AWAY`]): then the handler should return.
    ///
    /// Pings are answered, and a silent client is pinged, while this waits; so a call should be
    /// pending most of the time. It may be dropped at any moment, as
    /// [`select`](kernel::task::select) does: no byte is lost.
    ///
    /// # Errors
    /// [`Error::Violation`], which the client was told; [`Error::Silent`]; and those of the
    /// connection, such as its end without a close frame.
    pub async fn receive(&mut self) -> Result<Option<Message<'_>>, Error> {
        let text = self.next().await?;
        Ok(text.map(|text| {
            let bytes = self.incoming.message();
            match text {
                // It was checked as it came.
                true => Message::Text(core::str::from_utf8(bytes).unwrap_or_default()),
                false => Message::Binary(bytes),
            }
        }))
    }

    /// Sends a message, in one frame, and waits until the connection has taken it. A client that
    /// takes it more slowly than [`Limits::response`](crate::Limits::response) allows is given up.
    ///
    /// If this is dropped before its end, a part of a message may have been sent, which nothing
    /// can follow: every further call fails.
    ///
    /// # Errors
    /// [`Error::Closed`] after the end; those of the connection.
    pub async fn send(&mut self, message: impl Into<Message<'_>>) -> Result<(), Error> {
        let (opcode, payload) = match message.into() {
            Message::Text(text) => (Opcode::Text, text.as_bytes()),
            Message::Binary(bytes) => (Opcode::Binary, bytes),
        };
        self.flush().await?;
        if self.closing || self.cut {
            return Err(Error::Closed);
        }
        let mut header = [0; HEADER];
        let count = frame::write(&mut header, opcode, payload.len());
        self.cut = true;
        let (_, mut takes) = self.exchange.slot.pool.paces;
        self.exchange.body.link.put(&header[..count], &mut takes).await?;
        self.exchange.body.link.put(payload, &mut takes).await?;
        self.cut = false;
        Ok(())
    }

    /// Sends a close frame and waits up to 2 s for the client's (RFC 6455, section 7.1.2).
    /// Messages that come meanwhile are thrown away. Of a `reason`, the first 123 bytes are sent,
    /// and [`Code::INTERNAL`] for a code that must not be sent.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn close(&mut self, code: Code, reason: &str) -> Result<(), Error> {
        if !self.closing {
            self.flush().await?;
            let code = if code.may_be_sent() { code } else { Code::INTERNAL };
            self.queue_close(Some(code), reason);
        }
        let confirmed = async {
            while self.next().await?.is_some() {}
            Ok(())
        };
        match timeout(CLOSE, confirmed).await {
            // Nobody is interested in more.
            Ok(Err(Error::Connection(ip::Error::Reset | ip::Error::TimedOut))) => Ok(()),
            Ok(Err(Error::Connection(error))) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Returns the subprotocol that was agreed on, of [`Options::protocols`].
    #[must_use]
    pub const fn protocol(&self) -> Option<&'e str> {
        self.protocol
    }

    /// Returns the code with which the client closed the connection, if it has and sent one.
    #[must_use]
    pub const fn closed_by(&self) -> Option<Code> {
        match self.over {
            Some(End::Closed(code)) => code,
            _ => None,
        }
    }

    /// Waits for the next message: whether it is text.
    async fn next(&mut self) -> Result<Option<bool>, Error> {
        if core::mem::take(&mut self.given) {
            self.incoming.clear();
        }
        loop {
            self.flush().await?;
            match self.over {
                None => {}
                Some(End::Closed(_) | End::Leaving) => return Ok(None),
                Some(End::Violation(violation)) => return Err(Error::Violation(violation)),
                Some(End::Silent) => return Err(Error::Silent),
            }
            let (count, event) = match self.incoming.step(self.exchange.body.input()) {
                Ok(step) => step,
                Err(violation) => {
                    self.over = Some(End::Violation(violation));
                    self.queue_close(Some(violation.code), violation.why);
                    continue;
                }
            };
            self.exchange.body.start += count;
            if self.incoming.under_way().is_none() {
                self.begun = None;
            }
            match event {
                Event::Part if count == 0 => self.fill().await?,
                Event::Part | Event::Pong => {}
                Event::Message(text) => {
                    self.given = true;
                    return Ok(Some(text));
                }
                Event::Ping if self.closing => {}
                Event::Ping => self.outgoing.set(Opcode::Pong, self.incoming.control()),
                Event::Close(code) => {
                    self.over = Some(End::Closed(code));
                    self.queue_close(code, "");
                }
            }
        }
    }

    /// Queues a close frame, unless one was sent.
    fn queue_close(&mut self, code: Option<Code>, reason: &str) {
        if !core::mem::replace(&mut self.closing, true) && !self.cut {
            self.outgoing.set_close(code, reason);
        }
    }

    /// Sends what is to be sent before anything else. Where that is dropped, the next call
    /// goes on.
    async fn flush(&mut self) -> Result<(), Error> {
        let (_, mut takes) = self.exchange.slot.pool.paces;
        while let rest @ [_, ..] = self.outgoing.bytes.get(self.outgoing.sent..).unwrap_or_default()
        {
            if self.cut {
                return Err(Error::Closed);
            }
            match takes.wait(pin!(self.exchange.body.link.write(rest))).await {
                Ok(Ok(0)) | Err(_) => return Err(Error::Connection(ip::Error::TimedOut)),
                Ok(count) => self.outgoing.sent += count?,
            }
        }
        Ok(self.exchange.body.link.flush_in(&mut takes).await?)
    }

    /// Reads more into the buffer, or finds that the client is silent or the server ends.
    async fn fill(&mut self) -> Result<(), Error> {
        let (sends, _) = self.exchange.slot.pool.paces;
        let until = match self.incoming.under_way() {
            Some(count) => {
                let now = Instant::now();
                let begun = self.begun.map_or(now, |begun| {
                    begun.saturating_add(now.saturating_duration_since(self.looked))
                });
                sends.end(*self.begun.insert(begun), count)
            }
            // A handler that was busy has not looked for longer, which is not the client's fault.
            None => self.pinged.unwrap_or(self.heard).saturating_add(self.idle),
        };
        let left = until.saturating_duration_since(Instant::now());
        let slot = self.exchange.slot;
        let looking = Looking(&mut self.looked);
        let (link, room) = self.exchange.body.link_and_room();
        let read = slot.wait(Doing::Open, left, pin!(link.read(room))).await;
        drop(looking);
        match read {
            Some(Ok(0)) => return Err(Error::Connection(ip::Error::Reset)),
            Some(count) => {
                self.exchange.body.end += count?;
                self.heard = Instant::now();
                self.pinged = None;
            }
            None if slot.leaves() || slot.pool.is_moving() => {
                self.over = Some(End::Leaving);
                self.queue_close(Some(Code::GOING_AWAY), "");
            }
            None if self.incoming.under_way().is_none() && self.pinged.is_none() => {
                self.pinged = Some(Instant::now());
                self.outgoing.set(Opcode::Ping, b"");
            }
            None => {
                self.over = Some(End::Silent);
                self.queue_close(Some(Code::POLICY), "nothing came in time");
            }
        }
        Ok(())
    }
}
