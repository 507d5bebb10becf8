//! Moves bytes between files and a program's memory.

use super::{Memory, Ram};
use crate::errno::Errno;
use crate::stop::Stop;
use alloc::vec::Vec;

/// A range of a program's memory: `struct iovec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its address.
    pub at: usize,
    /// Its length in bytes.
    pub length: usize,
}

/// Where the bytes of a read go: parts of a program's memory, or of the kernel's.
pub struct Sink<'a> {
    to: Place<'a>,
    parts: &'a [Part],
    /// Bytes of the first part that are filled. At the end of all it stays as it is.
    skip: usize,
    done: usize,
    left: usize,
}

/// Where the bytes of a write come from.
pub struct Source<'a> {
    from: Origin<'a>,
    parts: &'a [Part],
    skip: usize,
    done: usize,
    left: usize,
}

enum Place<'a> {
    Program(&'a Memory),
    Kernel(&'a mut Vec<u8>),
}

enum Origin<'a> {
    Program(&'a Memory),
    Kernel(&'a [u8], Option<&'a Ram>),
}

impl<'a> Sink<'a> {
    /// Fills `parts` of `memory`, one after the other.
    #[must_use]
    pub fn new(memory: &'a Memory, parts: &'a [Part]) -> Self {
        Self { to: Place::Program(memory), parts, skip: 0, done: 0, left: total(parts) }
    }

    /// Appends up to `most` bytes to `to`, for what the kernel itself reads (sendfile(2)).
    pub const fn kernel(to: &'a mut Vec<u8>, most: usize) -> Self {
        Self { to: Place::Kernel(to), parts: &[], skip: 0, done: 0, left: most }
    }

    /// Returns how many bytes there is room for.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Returns how many bytes were put.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.done
    }

    /// Makes sure that all of the next `count` bytes can be put.
    ///
    /// # Errors
    /// `EFAULT`, [`Stop::Load`]; the former also if it is only a part that can be put.
    pub fn check(&self, count: usize) -> Result<(), Stop> {
        let Place::Program(memory) = &self.to else { return Ok(()) };
        let count = count.min(self.left);
        let (mut parts, mut skip) = (self.parts, self.skip);
        let check = |at, range: core::ops::Range<usize>| memory.check_write(at, range.len());
        match each(&mut parts, &mut skip, count, check)? {
            done if done < count => Err(Errno::EFAULT.into()),
            _ => Ok(()),
        }
    }

    /// Leaves out `count` bytes that were put before.
    pub fn skip(&mut self, count: usize) {
        if matches!(self.to, Place::Program(_)) {
            forward(&mut self.parts, &mut self.skip, count);
        }
        self.done += count;
        self.left = self.left.saturating_sub(count);
    }

    /// Puts as much of `from` as there is room for, and returns how much that is.
    ///
    /// # Errors
    /// `EFAULT` and [`Stop::Load`] if nothing could be put.
    pub fn put(&mut self, from: &[u8]) -> Result<usize, Stop> {
        let from = &from[..from.len().min(self.left)];
        let count = match &mut self.to {
            Place::Program(memory) => {
                let memory = *memory;
                match first(self.parts, self.skip, from.len()) {
                    Some(at) => {
                        memory.write(at, from)?;
                        if from.len() < self.left {
                            forward(&mut self.parts, &mut self.skip, from.len());
                        }
                        from.len()
                    }
                    None => each(&mut self.parts, &mut self.skip, from.len(), |at, range| {
                        memory.write(at, &from[range])
                    })?,
                }
            }
            Place::Kernel(to) => {
                to.try_reserve(from.len()).map_err(|_| Errno::ENOMEM)?;
                to.extend_from_slice(from);
                from.len()
            }
        };
        self.done += count;
        self.left -= count;
        Ok(count)
    }
}

impl<'a> Source<'a> {
    /// Reads `parts` of `memory`, one after the other.
    #[must_use]
    pub fn new(memory: &'a Memory, parts: &'a [Part]) -> Self {
        Self { from: Origin::Program(memory), parts, skip: 0, done: 0, left: total(parts) }
    }

    /// Reads bytes of the kernel's own.
    #[must_use]
    pub const fn kernel(from: &'a [u8]) -> Self {
        Self { from: Origin::Kernel(from, None), parts: &[], skip: 0, done: 0, left: from.len() }
    }

    /// Has caches of `ram` give up pages for what is kept of them.
    #[must_use]
    pub const fn within(mut self, ram: &'a Ram) -> Self {
        if let Origin::Kernel(from, _) = self.from {
            self.from = Origin::Kernel(from, Some(ram));
        }
        self
    }

    /// Returns how many bytes there are.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Returns how many bytes were taken.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.done
    }

    /// Returns whether there is room for what is kept of them, for which caches give up pages.
    #[must_use]
    pub fn has_room(&self) -> bool {
        match self.from {
            Origin::Program(memory) => memory.ram().has_room(),
            Origin::Kernel(_, Some(ram)) => ram.has_room(),
            Origin::Kernel(_, None) => !super::is_refused(),
        }
    }

    /// Takes as many bytes as `to` has room for, and returns how many.
    ///
    /// # Errors
    /// `EFAULT` and [`Stop::Load`] if nothing could be taken.
    pub fn take(&mut self, to: &mut [u8]) -> Result<usize, Stop> {
        let count = self.peek(to)?;
        self.skip(count);
        Ok(count)
    }

    /// Copies the next bytes without taking them: what cannot be written stays.
    ///
    /// # Errors
    /// As of [`take`](Self::take).
    pub fn peek(&self, to: &mut [u8]) -> Result<usize, Stop> {
        let most = to.len().min(self.left);
        let to = &mut to[..most];
        match self.from {
            Origin::Program(memory) => {
                if let Some(at) = first(self.parts, self.skip, to.len()) {
                    memory.read(at, to)?;
                    return Ok(to.len());
                }
                let (mut parts, mut skip) = (self.parts, self.skip);
                each(&mut parts, &mut skip, to.len(), |at, range| memory.read(at, &mut to[range]))
            }
            Origin::Kernel(from, _) => {
                let rest = &from[self.done..];
                let count = rest.len().min(to.len());
                to[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
        }
    }

    /// Takes `count` bytes that were [peeked](Self::peek) at.
    pub fn skip(&mut self, count: usize) {
        if matches!(self.from, Origin::Program(_)) && count < self.left {
            forward(&mut self.parts, &mut self.skip, count);
        }
        self.done += count;
        self.left = self.left.saturating_sub(count);
    }
}

/// Returns the number of bytes of all parts.
fn total(parts: &[Part]) -> usize {
    match parts {
        // The way of nearly all calls.
        [part] => part.length,
        parts => parts.iter().map(|it| it.length).sum(),
    }
}

/// Returns the address of the next `count` bytes, if they are all of the first part.
fn first(parts: &[Part], skip: usize, count: usize) -> Option<usize> {
    let part = parts.first().filter(|it| it.length - skip >= count)?;
    Some(part.at.wrapping_add(skip))
}

/// Goes on by `count` bytes.
fn forward(parts: &mut &[Part], skip: &mut usize, count: usize) {
    *skip += count;
    while let Some((part, others)) = parts.split_first()
        && *skip >= part.length
    {
        *skip -= part.length;
        *parts = others;
    }
}

/// Calls `step` with the address and the range of the transfer of each piece. Stops at the first
/// that fails, which is an error if it is the first of all.
fn each(
    parts: &mut &[Part],
    skip: &mut usize,
    most: usize,
    mut step: impl FnMut(usize, core::ops::Range<usize>) -> Result<(), Stop>,
) -> Result<usize, Stop> {
    let mut done = 0;
    while done < most
        && let Some((part, others)) = parts.split_first()
    {
        let count = (part.length - *skip).min(most - done);
        if count > 0
            && let Err(stop) = step(part.at.wrapping_add(*skip), done..done + count)
        {
            return if done > 0 { Ok(done) } else { Err(stop) };
        }
        done += count;
        *skip += count;
        if *skip == part.length {
            (*parts, *skip) = (others, 0);
        }
    }
    Ok(done)
}
