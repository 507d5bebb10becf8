//! The memory of a process: what is mapped where, and bytes that it points to.

mod transfer;

pub use transfer::{Part, Sink, Source};

use crate::errno::Errno;
use crate::stop::Stop;
use alloc::vec::Vec;
use core::cell::RefCell;
use kernel::user::{Access, Frame, PAGE, Space, TOP};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// The memory of one process.
pub struct Memory {
    space: RefCell<Space>,
}

impl Memory {
    /// Makes an empty one.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new() -> Result<Self, Errno> {
        let space = Space::new().map_err(|_| Errno::ENOMEM)?;
        Ok(Self { space: RefCell::new(space) })
    }

    /// Returns the address space, to run in it.
    pub(crate) const fn space(&self) -> &RefCell<Space> {
        &self.space
    }

    /// Copies bytes out of the program's memory, as far as the program could read them itself.
    ///
    /// # Errors
    /// `EFAULT`, [`Stop::Load`].
    pub fn read(&self, at: usize, to: &mut [u8]) -> Result<(), Stop> {
        let mut done = 0;
        while done < to.len() {
            let from = at.checked_add(done).filter(|&it| it < TOP).ok_or(Errno::EFAULT)?;
            let count = (PAGE - from % PAGE).min(to.len() - done);
            let frame = self.readable(from)?;
            frame.read(from % PAGE, &mut to[done..done + count]);
            done += count;
        }
        Ok(())
    }

    /// Copies bytes into the program's memory, as far as the program could write them itself.
    /// With an error, some may be written.
    ///
    /// # Errors
    /// `EFAULT`, [`Stop::Load`].
    pub fn write(&self, at: usize, from: &[u8]) -> Result<(), Stop> {
        let mut done = 0;
        while done < from.len() {
            let to = at.checked_add(done).filter(|&it| it < TOP).ok_or(Errno::EFAULT)?;
            let count = (PAGE - to % PAGE).min(from.len() - done);
            let frame = self.writable(to)?;
            frame.write(to % PAGE, &from[done..done + count]);
            done += count;
        }
        Ok(())
    }

    /// Reads a structure.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn get<T: FromBytes + FromZeros + IntoBytes>(&self, at: u64) -> Result<T, Stop> {
        let mut value = T::new_zeroed();
        self.read(at as usize, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a structure.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub fn put<T: IntoBytes + Immutable>(&self, at: u64, value: &T) -> Result<(), Stop> {
        self.write(at as usize, value.as_bytes())
    }

    /// Reads a text that ends with NUL, of at most `most` bytes without it.
    ///
    /// # Errors
    /// `ENAMETOOLONG`, and as of [`read`](Self::read).
    pub fn text(&self, at: u64, most: usize) -> Result<Vec<u8>, Stop> {
        let (mut text, mut at) = (Vec::new(), at as usize);
        loop {
            let mut piece = [0; 256];
            let count = (PAGE - at % PAGE).min(piece.len());
            self.read(at, &mut piece[..count])?;
            let end = piece[..count].iter().position(|&byte| byte == 0);
            let part = &piece[..end.unwrap_or(count)];
            if text.len() + part.len() > most {
                return Err(Errno::ENAMETOOLONG.into());
            }
            text.try_reserve(part.len()).map_err(|_| Errno::ENOMEM)?;
            text.extend_from_slice(part);
            if end.is_some() {
                return Ok(text);
            }
            at += count;
        }
    }

    /// The page at `at`, which the program could read.
    fn readable(&self, at: usize) -> Result<Frame, Stop> {
        let space = self.space.borrow();
        match space.frame(at / PAGE * PAGE) {
            Some((frame, access)) if access.contains(Access::READ) => Ok(frame.clone()),
            _ => Err(Errno::EFAULT.into()),
        }
    }

    /// The page at `at`, which the program could write.
    fn writable(&self, at: usize) -> Result<Frame, Stop> {
        let space = self.space.borrow();
        match space.frame(at / PAGE * PAGE) {
            Some((frame, access)) if access.contains(Access::WRITE) => Ok(frame.clone()),
            _ => Err(Errno::EFAULT.into()),
        }
    }
}
