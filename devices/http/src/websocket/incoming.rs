//! What a client sends, put together: frames become messages and requests of the protocol's.

use super::frame::{self, CONTROL, Header, Opcode};
use super::{Code, Violation};
use crate::budget::{Budget, Collected};

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A part of something, or, where no byte was taken, not enough of it.
    Part,
    /// A message, which is text or not.
    Message(bool),
    /// Its payload is to be sent back.
    Ping,
    Pong,
    /// The client closes, with this code if it says one.
    Close(Option<Code>),
}

/// A message that has begun.
#[derive(Clone, Copy, Debug)]
struct Begun {
    text: bool,
    /// Bytes of it that are known to be UTF-8.
    checked: usize,
}

/// Reads frames.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    budget: &'a Budget,
    /// Bytes that a message may have.
    limit: usize,
    /// The frame that has begun, and how much of its payload is to come.
    frame: Option<Header>,
    begun: Option<Begun>,
    message: Collected<'a>,
    control: heapless::Vec<u8, CONTROL>,
}

impl<'a> Incoming<'a> {
    pub(super) const fn new(limit: usize, budget: &'a Budget) -> Self {
        Self {
            budget,
            limit,
            frame: None,
            begun: None,
            message: Collected::new(budget),
            control: heapless::Vec::new(),
        }
    }

    /// The message that was put together last.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// The payload of the last control frame.
    pub(super) fn control(&self) -> &[u8] {
        &self.control
    }

    /// Bytes that there are of a message or frame that has begun; `None` between them.
    pub(super) fn under_way(&self) -> Option<usize> {
        (self.begun.is_some() || self.frame.is_some()).then(|| self.message.len())
    }

    /// Forgets the last message, and gives back its memory if it is much.
    pub(super) fn clear(&mut self) {
        if !self.message.clear() {
            self.message = Collected::new(self.budget);
        }
    }

    /// Takes bytes from the beginning of `input`: how many, and what that makes.
    ///
    /// # Errors
    /// What the client may not send, and messages that are too long or that there is no
    /// memory for. What comes after it means nothing.
    pub(super) fn step(&mut self, input: &mut [u8]) -> Result<(usize, Event), Violation> {
        let mut taken = 0;
        let mut header = match self.frame.take() {
            Some(header) => header,
            None => {
                let Some((header, length)) = Header::parse(input)? else {
                    return Ok((0, Event::Part));
                };
                self.begin(header)?;
                taken = length;
                header
            }
        };
        let rest = input.get_mut(taken..).unwrap_or_default();
        let count = usize::try_from(header.length).unwrap_or(usize::MAX).min(rest.len());
        let payload = &mut rest[..count];
        frame::mask(payload, &mut header.mask);
        header.length -= count as u64;
        taken += count;
        match header.opcode.is_control() {
            // No longer than was checked.
            true => drop(self.control.extend_from_slice(payload)),
            false => self.add(payload)?,
        }
        if header.length > 0 {
            self.frame = Some(header);
            return Ok((taken, Event::Part));
        }
        self.finish(header).map(|event| (taken, event))
    }

    /// A frame begins.
    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        let why = match (header.opcode, self.begun) {
            (Opcode::Continuation, None) => "a continuation frame continues nothing",
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                "a message begins within another that has not ended"
            }
            (Opcode::Continuation | Opcode::Text | Opcode::Binary, _) => {
                let room = self.limit.saturating_sub(self.message.len());
                if header.length > room as u64 {
                    return Err(Violation { code: Code::TOO_BIG, why: "the message is too long" });
                }
                let text = header.opcode == Opcode::Text;
                self.begun.get_or_insert(Begun { text, checked: 0 });
                return Ok(());
            }
            _ => {
                self.control.clear();
                return Ok(());
            }
        };
        Err(Violation { code: Code::PROTOCOL, why })
    }

    /// Adds to the message, whose memory grows with what has come.
    fn add(&mut self, mut payload: &[u8]) -> Result<(), Violation> {
        while !payload.is_empty() {
            let none =
                |_| Violation { code: Code::TRY_AGAIN, why: "there is no memory for it now" };
            let room = self.message.room(self.limit).map_err(none)?;
            let (first, rest) = payload.split_at(room.min(payload.len()));
            self.message.add(first);
            payload = rest;
        }
        self.check(false)
    }

    /// Checks that what has come is UTF-8, where it is to be; at the end, in whole characters.
    fn check(&mut self, end: bool) -> Result<(), Violation> {
        let Some(Begun { text: true, checked }) = &mut self.begun else { return Ok(()) };
        let bad = Violation { code: Code::INVALID, why: "the text is not UTF-8" };
        if let Err(error) = core::str::from_utf8(self.message.get(*checked..).unwrap_or_default()) {
            *checked += error.valid_up_to();
            return if end || error.error_len().is_some() { Err(bad) } else { Ok(()) };
        }
        *checked = self.message.len();
        Ok(())
    }

    /// A frame ends.
    fn finish(&mut self, header: Header) -> Result<Event, Violation> {
        Ok(match header.opcode {
            Opcode::Ping => Event::Ping,
            Opcode::Pong => Event::Pong,
            Opcode::Close => Event::Close(close(&self.control)?),
            _ if !header.last => Event::Part,
            _ => {
                self.check(true)?;
                Event::Message(self.begun.take().is_some_and(|begun| begun.text))
            }
        })
    }
}

/// The code in a close frame (sections 5.5.1 and 7.4).
fn close(payload: &[u8]) -> Result<Option<Code>, Violation> {
    let wrong = |code, why| Err(Violation { code, why });
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => wrong(Code::PROTOCOL, "the code of the close frame is cut off"),
        };
    };
    let code = Code(u16::from_be_bytes(*code));
    if !code.may_be_sent() {
        return wrong(Code::PROTOCOL, "the close frame has a code that must not be sent");
    }
    if core::str::from_utf8(reason).is_err() {
        return wrong(Code::INVALID, "the reason for closing is not UTF-8");
    }
    Ok(Some(code))
}
