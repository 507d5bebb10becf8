//! The line discipline: what becomes of a byte that is typed.

use super::{Settings, signal};
use crate::memory::{Sink, may_take};
use crate::stop::Stop;
use alloc::collections::VecDeque;
use linux_raw_sys::general as abi;

/// The most bytes of a line with its end, and of what waits to be read (`MAX_CANON`, `N_TTY_BUF`).
const MOST: usize = 4096;

/// What was typed.
#[derive(Default)]
pub(super) struct Input {
    /// Lines that are complete, and the one that is typed behind them.
    bytes: VecDeque<u8>,
    /// The lengths of the complete ones.
    lines: VecDeque<usize>,
    /// The sum of those.
    complete: usize,
    /// The next byte is taken as it is (`VLNEXT`).
    literal: bool,
}

/// What a byte does beside being taken.
#[derive(Default)]
pub(super) struct Effect {
    pub(super) echo: heapless::Vec<u8, 64>,
    pub(super) signal: Option<u32>,
    /// Output goes on, or stops.
    pub(super) flow: Option<bool>,
}

impl Effect {
    fn show(&mut self, bytes: &[u8]) {
        let _ = self.echo.extend_from_slice(bytes);
    }

    /// Echoes a byte that was taken.
    fn echo(&mut self, byte: u8, settings: &Settings) {
        if !settings.has_local(abi::ECHO) {
            if byte == b'\n' && settings.has_local(abi::ECHONL) && settings.is_canonical() {
                self.show(b"\n");
            }
            return;
        }
        match byte {
            b'\n' | b'\t' => self.show(&[byte]),
            0..0x20 | 0x7f if settings.has_local(abi::ECHOCTL) => self.show(&[b'^', byte ^ 0x40]),
            _ => self.show(&[byte]),
        }
    }

    /// Takes a character off the screen.
    fn erase(&mut self, first: u8, settings: &Settings) {
        if !settings.has_local(abi::ECHO) {
            return;
        }
        if !settings.has_local(abi::ECHOE) {
            return self.show(&[settings.control(abi::VERASE)]);
        }
        let is_control = (first < 0x20 && first != b'\t') || first == 0x7f;
        match (is_control, settings.has_local(abi::ECHOCTL)) {
            (true, true) => self.show(b"\x08 \x08\x08 \x08"),
            (true, false) => {}
            (false, _) => self.show(b"\x08 \x08"),
        }
    }
}

impl Input {
    /// Whether no more is taken now.
    pub(super) fn is_full(&self, settings: &Settings) -> bool {
        // A line that is too long must still be ended.
        let room = if settings.is_canonical() && self.lines.is_empty() { usize::MAX } else { MOST };
        let no_end = settings.is_canonical() && !self.lines.is_empty() && !self.can_end();
        self.bytes.len() >= room || no_end
    }

    /// Whether there is room for the length of one more line.
    fn can_end(&self) -> bool {
        self.lines.len() < self.lines.capacity()
            || may_take(2 * self.lines.len() * size_of::<usize>())
    }

    pub(super) fn take(&mut self, byte: u8, settings: &Settings) -> Effect {
        let mut effect = Effect::default();
        let mut byte = if settings.has_input(abi::ISTRIP) { byte & 0x7f } else { byte };
        if core::mem::take(&mut self.literal) {
            self.add(byte, settings, &mut effect);
            return effect;
        }
        let flow = [abi::VSTART, abi::VSTOP].into_iter().any(|at| settings.is(byte, at));
        if settings.has_input(abi::IXON) && flow {
            effect.flow = Some(settings.is(byte, abi::VSTART));
            return effect;
        }
        if settings.has_local(abi::ISIG) {
            let signals =
                [(abi::VINTR, signal::INT), (abi::VQUIT, signal::QUIT), (abi::VSUSP, signal::TSTP)];
            if let Some((_, number)) = signals.into_iter().find(|&(at, _)| settings.is(byte, at)) {
                effect.signal = Some(number);
                effect.echo(byte, settings);
                if !settings.has_local(abi::NOFLSH) {
                    self.flush();
                }
                return effect;
            }
        }
        match byte {
            b'\r' if settings.has_input(abi::IGNCR) => return effect,
            b'\r' if settings.has_input(abi::ICRNL) => byte = b'\n',
            b'\n' if settings.has_input(abi::INLCR) => byte = b'\r',
            _ => {}
        }
        if !settings.is_canonical() {
            self.add(byte, settings, &mut effect);
            return effect;
        }
        let extended = settings.has_local(abi::IEXTEN);
        if settings.is(byte, abi::VERASE) {
            self.erase(settings, &mut effect);
        } else if settings.is(byte, abi::VKILL) {
            let shown = settings.has_local(abi::ECHOKE) && settings.has_local(abi::ECHOE);
            let mut left = 20;
            while self.typed() > 0 {
                // What is longer than the screen's memory of it is not taken off it.
                let mut ignored = Effect::default();
                let to = if shown && left > 0 { &mut effect } else { &mut ignored };
                self.erase(settings, to);
                left -= 1;
            }
            if !shown && settings.has_local(abi::ECHO) && settings.has_local(abi::ECHOK) {
                effect.show(b"^U\n");
            }
        } else if extended && settings.is(byte, abi::VWERASE) {
            let last = |it: &Self| (it.typed() > 0).then(|| it.bytes.back().copied()).flatten();
            while last(self).is_some_and(|it| it == b' ' || it == b'\t') {
                self.erase(settings, &mut effect);
            }
            while last(self).is_some_and(|it| it != b' ' && it != b'\t') {
                self.erase(settings, &mut effect);
            }
        } else if extended && settings.is(byte, abi::VLNEXT) {
            self.literal = true;
            if settings.has_local(abi::ECHO) && settings.has_local(abi::ECHOCTL) {
                effect.show(b"^\x08");
            }
        } else if extended && settings.is(byte, abi::VREPRINT) {
            effect.echo(byte, settings);
            effect.show(b"\n");
            let typed = self.bytes.iter().skip(self.complete);
            for &byte in typed.take(40) {
                effect.echo(byte, settings);
            }
        } else if settings.is(byte, abi::VEOF) {
            self.end();
        } else {
            let ends = byte == b'\n'
                || settings.is(byte, abi::VEOL)
                || extended && settings.is(byte, abi::VEOL2);
            self.add(byte, settings, &mut effect);
            if ends {
                self.end();
            }
        }
        effect
    }

    /// Bytes of the line that is not complete.
    fn typed(&self) -> usize {
        self.bytes.len() - self.complete
    }

    fn add(&mut self, byte: u8, settings: &Settings, effect: &mut Effect) {
        // The last place of a line is for its end.
        let most = if settings.is_canonical() && byte != b'\n' { MOST - 1 } else { MOST };
        let full = self.bytes.len() == self.bytes.capacity() && !may_take(2 * self.bytes.len());
        if self.typed() >= most || full || self.bytes.try_reserve(1).is_err() {
            return effect.show(b"\x07");
        }
        self.bytes.push_back(byte);
        effect.echo(byte, settings);
    }

    fn end(&mut self) {
        if self.can_end() && self.lines.try_reserve(1).is_ok() {
            self.lines.push_back(self.typed());
            self.complete = self.bytes.len();
        }
    }

    /// Takes back the last character.
    fn erase(&mut self, settings: &Settings, effect: &mut Effect) {
        let mut first = None;
        while self.typed() > 0 {
            first = self.bytes.pop_back();
            // A character of UTF-8 is taken back as a whole.
            let continues = first.is_some_and(|it| it & 0xc0 == 0x80);
            if !(settings.has_input(abi::IUTF8) && continues) {
                break;
            }
        }
        if let Some(first) = first {
            effect.erase(first, settings);
        }
    }

    /// Forgets all.
    pub(super) fn flush(&mut self) {
        *self = Self::default();
    }

    /// The terminal is set to lines, or no longer: what is there is a line, or bytes.
    pub(super) fn convert(&mut self, canonical: bool) {
        self.lines.clear();
        self.complete = 0;
        if canonical && !self.bytes.is_empty() {
            self.end();
        }
    }

    /// Returns how many bytes can be read.
    pub(super) fn available(&self, settings: &Settings) -> usize {
        if settings.is_canonical() { self.complete } else { self.bytes.len() }
    }

    pub(super) fn is_ready(&self, settings: &Settings) -> bool {
        if settings.is_canonical() {
            return !self.lines.is_empty();
        }
        let timed = settings.control(abi::VTIME) > 0;
        let least = if timed { 1 } else { settings.control(abi::VMIN).max(1) };
        self.bytes.len() >= usize::from(least)
    }

    /// Reads what there is: of lines the first one at most. `None`: one has to wait.
    pub(super) fn read(
        &mut self,
        to: &mut Sink<'_>,
        settings: &Settings,
    ) -> Result<Option<usize>, Stop> {
        if !settings.is_canonical() {
            let timed = settings.control(abi::VTIME) > 0;
            let least = usize::from(settings.control(abi::VMIN)).min(to.left());
            let least = if timed { 1 } else { least.max(1) };
            if self.bytes.len() < least {
                return Ok(None);
            }
            let count = self.put(to, usize::MAX)?;
            return Ok(Some(count));
        }
        let Some(&length) = self.lines.front() else { return Ok(None) };
        let count = self.put(to, length)?;
        self.complete -= count;
        if count == length {
            self.lines.pop_front();
        } else if let Some(first) = self.lines.front_mut() {
            *first -= count;
        }
        Ok(Some(count))
    }

    fn put(&mut self, to: &mut Sink<'_>, most: usize) -> Result<usize, Stop> {
        let mut done = 0;
        while done < most && to.left() > 0 && !self.bytes.is_empty() {
            let front = self.bytes.as_slices().0;
            match to.put(&front[..front.len().min(most - done)]) {
                Ok(0) => break,
                Ok(count) => {
                    self.bytes.drain(..count);
                    done += count;
                }
                Err(stop) if done == 0 => return Err(stop),
                Err(_) => break,
            }
        }
        Ok(done)
    }
}
