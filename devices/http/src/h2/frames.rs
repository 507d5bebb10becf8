//! What each frame of a client does to a connection (RFC 9113, section 6).

use super::super::Status;
use super::super::budget::Charge;
use super::super::exchange::Handler;
use super::connection::{Block, Connection, Fault, PIECES, UPDATES};
use super::frame::{Code, Frame, LARGEST, Setting, depends_on, flag, kind, settings};
use super::hpack::{Decoder, Refused};
use super::request::{Fields, Wrong};
use super::state::{Ended, STREAMS};
use super::stream;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Requests of a connection for which the memory that is left does not have to be half of all.
const FEW: usize = 8;

impl<'a, H: Handler> Connection<'a, H> {
    /// Whether it is the number of a stream that a client may begin (section 5.1.1).
    pub(super) fn client_stream(&self, id: u32) -> Result<(), Fault> {
        if id % 2 == 1 { Ok(()) } else { Err(Code::PROTOCOL.into()) }
    }

    /// Whether the stream has been begun at any time (section 5.1).
    fn known(&self, id: u32) -> Result<(), Fault> {
        self.client_stream(id)?;
        if id <= self.highest { Ok(()) } else { Err(Code::PROTOCOL.into()) }
    }

    /// DATA (section 6.1).
    pub(super) fn data(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Fault> {
        let id = frame.stream;
        self.known(id)?;
        let content = frame.unpadded(payload)?;
        let mut state = self.within.state.borrow_mut();
        state.came(payload.len())?;
        let over = frame.has(flag::END_STREAM);
        if content.is_empty() && !over {
            self.useless += 1;
        }
        let closed = match state.stream(id) {
            Some(stream) if !stream.gone => stream.over,
            // Only what crosses a reset of ours is let pass.
            _ => state.ended(id) != Ended::Here,
        };
        if closed {
            return Err(Fault::Stream(id, Code::STREAM_CLOSED));
        }
        let taken = state.take(id, (content, payload.len()), over, &self.pool().budget);
        taken.map_err(|code| Fault::Stream(id, code))
    }

    /// A piece of a field block: of HEADERS or CONTINUATION (sections 6.2 and 6.10).
    pub(super) fn piece(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Fault> {
        let end = frame.has(flag::END_HEADERS);
        let over = frame.has(flag::END_STREAM);
        let Some(mut block) = self.block.take() else {
            if frame.kind == kind::CONTINUATION {
                return Err(Code::PROTOCOL.into());
            }
            if end {
                return self.fields(frame.stream, over, payload);
            }
            let charge = Charge::new(&self.pool().budget);
            let bytes = Vec::new();
            let block = Block { stream: frame.stream, over, bytes, pieces: 0, charge };
            return self.keep(block, payload);
        };
        if !end {
            return self.keep(block, payload);
        }
        self.add(&mut block, payload)?;
        self.fields(block.stream, block.over, &block.bytes)
    }

    fn keep(&mut self, mut block: Block<'a>, payload: &[u8]) -> Result<(), Fault> {
        self.add(&mut block, payload)?;
        self.block = Some(block);
        Ok(())
    }

    /// Adds a piece to a block, which grows with what comes, up to the longest head.
    fn add(&self, block: &mut Block<'_>, payload: &[u8]) -> Result<(), Fault> {
        block.pieces += 1;
        let most = self.within.limits.head.max(LARGEST);
        if block.pieces > PIECES || block.bytes.len() + payload.len() > most {
            return Err(Code::CALM.into());
        }
        block.charge.add(payload.len()).map_err(|_| Code::INTERNAL)?;
        block.bytes.try_reserve_exact(payload.len()).map_err(|_| Code::INTERNAL)?;
        block.bytes.extend_from_slice(payload);
        Ok(())
    }

    /// A whole field block: a request, or what follows the content of one.
    fn fields(&mut self, id: u32, over: bool, block: &[u8]) -> Result<(), Fault> {
        let mut fields = Fields::new(self.within.limits.head);
        let most = 4 * self.within.limits.head;
        let decoded = self.decoder.decode(block, most, &mut |name, value| fields.add(name, value));
        // What one block needs, all connections would have at a time.
        self.decoder.shrink();
        let decoded = decoded.and_then(|()| self.remember());
        decoded.map_err(|refused| match refused {
            Refused::Wrong => Code::COMPRESSION,
            Refused::Memory => Code::INTERNAL,
            Refused::Long => Code::CALM,
        })?;
        let mut state = self.within.state.borrow_mut();
        if id <= self.highest {
            let ended = state.ended(id);
            return match state.stream(id) {
                Some(stream) if !stream.gone && !stream.over => {
                    let whole = over && stream.announced.unwrap_or(0) == 0;
                    match fields.trailer() {
                        Ok(()) if whole => {}
                        Err(Wrong::Memory) => return Err(Fault::Stream(id, Code::INTERNAL)),
                        _ => return Err(Fault::Stream(id, Code::PROTOCOL)),
                    }
                    state.finish(id);
                    Ok(())
                }
                Some(stream) if stream.gone && ended == Ended::Here => Ok(()),
                Some(_) => Err(Code::STREAM_CLOSED.into()),
                None => match ended {
                    Ended::Here => Ok(()),
                    Ended::There => Err(Code::STREAM_CLOSED.into()),
                    Ended::Unknown => Err(Code::PROTOCOL.into()),
                },
            };
        }
        self.highest = id;
        drop(state);
        self.begin(id, over, &fields)
    }

    /// Counts what the client has remembered, the last field block's as well.
    ///
    /// # Errors
    /// [`Refused::Memory`]: there is none, and no request that would be cut off for it.
    fn remember(&mut self) -> Result<(), Refused> {
        if self.remembered.follow(self.decoder.holds()).is_some() {
            return Ok(());
        }
        // What was kept for the next block may be all that has grown.
        self.decoder.rest();
        if self.remembered.follow(self.decoder.holds()).is_some() {
            return Ok(());
        }
        if self.within.state.borrow().count() == 0 {
            // What nobody has memory for is not kept until the client has heard of it.
            self.decoder = Decoder::new();
            return Err(Refused::Memory);
        }
        // Without its table, no block that follows can be read. It is bounded, and kept until the
        // requests that are under way have been answered; more are refused.
        self.leave();
        Ok(())
    }

    /// Begins a request.
    fn begin(&mut self, id: u32, over: bool, fields: &Fields) -> Result<(), Fault> {
        const REFUSED: Code = Code::REFUSED_STREAM;
        let (within, handler) = (self.within, self.handler);
        let head = match fields.head(over) {
            Ok(head) => Ok(head),
            Err(Wrong::Malformed) => return Err(Fault::Stream(id, Code::PROTOCOL)),
            Err(Wrong::Memory) => return Err(Fault::Stream(id, REFUSED)),
            Err(Wrong::Long) => Err((Status::HEAD_TOO_LARGE, fields.is_head())),
        };
        if self.pool().closing.get() {
            self.leave();
        }
        let mut state = within.state.borrow_mut();
        // One connection does not take what others need: beyond a few requests, only of what is
        // plenty.
        let many = state.count() >= FEW && self.pool().budget.left() < within.limits.memory / 2;
        if self.leaving || state.live() >= STREAMS || many || kernel::memory::is_low() {
            return Err(Fault::Stream(id, REFUSED));
        }
        let task = kernel::memory::boxed(stream::run(within, id, head, over, handler));
        let Ok(task) = task else { return Err(Fault::Stream(id, REFUSED)) };
        state.begin(id, over, fields.length).ok_or(Fault::Stream(id, REFUSED))?;
        if fields.expects && !over {
            // Where there is no room for it, the client sends after a while all the same.
            let _ = state.output.head(id, |to| to.status(100), &self.pool().budget);
        }
        self.tasks.push(Box::into_pin(task));
        Ok(())
    }

    /// PRIORITY (section 6.3), which is not heeded. One that was not begun is not reset (section
    /// 6.4).
    pub(super) fn priority(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Fault> {
        let id = frame.stream;
        self.useless += 1;
        let begun = self.known(id).is_ok();
        let fault = |code: Code| if begun { Fault::Stream(id, code) } else { code.into() };
        match <[u8; 5]>::try_from(payload) {
            _ if id == 0 => Err(Code::PROTOCOL.into()),
            Err(_) => Err(fault(Code::FRAME_SIZE)),
            Ok(priority) if depends_on(priority) == id => Err(fault(Code::PROTOCOL)),
            Ok(_) => Ok(()),
        }
    }

    /// RST_STREAM (section 6.4). Resetting requests as fast as they are sent is an attack, which
    /// costs the server more than the client.
    pub(super) fn reset(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Fault> {
        if payload.len() != 4 {
            return Err(Code::FRAME_SIZE.into());
        }
        self.known(frame.stream)?;
        let mut state = self.within.state.borrow_mut();
        match state.stream(frame.stream) {
            Some(stream) if !stream.gone => {
                let moved = stream.moved;
                state.gone(frame.stream);
                drop(state);
                self.count_reset(moved);
            }
            _ => self.useless += 1,
        }
        Ok(())
    }

    /// SETTINGS (section 6.5).
    pub(super) fn settings(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Fault> {
        if frame.stream != 0 {
            return Err(Code::PROTOCOL.into());
        }
        if frame.has(flag::ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(Code::FRAME_SIZE.into()) };
        }
        if !payload.len().is_multiple_of(6) {
            return Err(Code::FRAME_SIZE.into());
        }
        self.useless += u32::from(core::mem::replace(&mut self.settled, true));
        let mut state = self.within.state.borrow_mut();
        // The last of several is what remains (section 6.5.3), and each would be for all streams.
        let mut window = None;
        for setting in settings(payload) {
            if let Setting::Window(size) = setting? {
                window = Some(size);
            }
        }
        window.map_or(Ok(()), |window| state.resize(window))?;
        let acknowledged = (kind::SETTINGS, flag::ACK, 0);
        Ok(state.output.add(acknowledged, &[], &self.pool().budget).ok_or(Code::INTERNAL)?)
    }

    /// PING (section 6.7).
    pub(super) fn ping(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Fault> {
        self.useless += 1;
        if frame.stream != 0 {
            return Err(Code::PROTOCOL.into());
        }
        if payload.len() != 8 {
            return Err(Code::FRAME_SIZE.into());
        }
        if frame.has(flag::ACK) {
            return Ok(());
        }
        let mut state = self.within.state.borrow_mut();
        let answer = (kind::PING, flag::ACK, 0);
        Ok(state.output.add(answer, payload, &self.pool().budget).ok_or(Code::INTERNAL)?)
    }

    /// WINDOW_UPDATE (section 6.9), of which many are of no use where nothing comes of them.
    pub(super) fn window_update(&mut self, frame: Frame, payload: &[u8]) -> Result<(), Fault> {
        self.updates = (self.updates + 1) % UPDATES;
        self.useless += u32::from(self.updates == 0);
        let more = <[u8; 4]>::try_from(payload).map_err(|_| Code::FRAME_SIZE)?;
        let more = u32::from_be_bytes(more) & i32::MAX as u32;
        let id = frame.stream;
        if id != 0 {
            self.known(id)?;
        }
        let mut state = self.within.state.borrow_mut();
        match (id, more) {
            (0, 0) => Err(Code::PROTOCOL.into()),
            (0, _) => Ok(state.allowed(more)?),
            (_, 0) => Err(Fault::Stream(id, Code::PROTOCOL)),
            _ => state.allowed_on(id, more).map_err(|code| Fault::Stream(id, code)),
        }
    }
}
