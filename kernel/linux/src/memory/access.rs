//! Copies bytes out of and into a program's memory, and faults its pages in for that.

use super::Memory;
use super::area::permits;
use crate::errno::Errno;
use crate::stop::Stop;
use alloc::vec::Vec;
use kernel::user::{Access, Frame, PAGE, TOP};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

impl Memory {
    /// Copies bytes out of the program's memory, as far as the program could read them itself.
    ///
    /// # Errors
    /// `EFAULT`; `ENOMEM` where there is no memory for a page that has to be made;
    /// [`Stop::Load`].
    pub fn read(&self, mut at: usize, mut to: &mut [u8]) -> Result<(), Stop> {
        while !to.is_empty() {
            let offset = at % PAGE;
            let count = (PAGE - offset).min(to.len());
            let (piece, rest) = to.split_at_mut(count);
            self.with_page(at, Access::READ, |frame| frame.read(offset, piece))?;
            (at, to) = (at + count, rest);
        }
        Ok(())
    }

    /// Copies bytes into the program's memory, as far as the program could write them itself.
    /// With an error, some may be written.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn write(&self, at: usize, from: &[u8]) -> Result<(), Stop> {
        // Within one page, as nearly all is.
        match at % PAGE {
            offset if from.len() <= PAGE - offset && !from.is_empty() => {
                self.with_page(at, Access::WRITE, |frame| frame.write(offset, from))
            }
            _ => self.write_apart(at, from),
        }
    }

    #[inline(never)]
    fn write_apart(&self, mut at: usize, mut from: &[u8]) -> Result<(), Stop> {
        while !from.is_empty() {
            let offset = at % PAGE;
            let (piece, rest) = from.split_at((PAGE - offset).min(from.len()));
            self.with_page(at, Access::WRITE, |frame| frame.write(offset, piece))?;
            (at, from) = (at + piece.len(), rest);
        }
        Ok(())
    }

    /// Writes `length` zeros.
    ///
    /// # Errors
    /// As of [`write`](Self::write).
    pub fn clear(&self, at: usize, length: usize) -> Result<(), Stop> {
        let mut done = 0;
        while done < length {
            let to = at.checked_add(done).filter(|&it| it < TOP).ok_or(Errno::EFAULT)?;
            let count = (PAGE - to % PAGE).min(length - done);
            self.with_page(to, Access::WRITE, |frame| frame.fill(to % PAGE, count, 0))?;
            done += count;
        }
        Ok(())
    }

    /// Makes sure that all of these bytes are where a program's may be, as Linux does before it looks
    /// at anything else (`access_ok`).
    ///
    /// # Errors
    /// `EFAULT`
    pub fn check_range(at: u64, length: u64) -> Result<(), Errno> {
        let end = at.checked_add(length).filter(|&it| it <= TOP as u64);
        end.map(drop).ok_or(Errno::EFAULT)
    }

    /// Makes sure that the program could write all of these bytes now.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn check_write(&self, at: usize, length: usize) -> Result<(), Stop> {
        let end = at.checked_add(length).filter(|&it| it <= TOP).ok_or(Errno::EFAULT)?;
        let mut page = at / PAGE * PAGE;
        while length > 0 && page < end {
            self.with_page(page, Access::WRITE, |_| ())?;
            page += PAGE;
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
    /// As of [`read`](Self::read).
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

    /// Does `act` with the page that holds `at`, with which the program could do `wanted`.
    pub(super) fn with_page<T>(
        &self,
        at: usize,
        wanted: Access,
        act: impl FnOnce(&Frame) -> T,
    ) -> Result<T, Stop> {
        let page = at / PAGE * PAGE;
        if let Some((frame, access)) = self.space.borrow().frame(page)
            && permits(access, wanted)
        {
            return Ok(act(frame));
        }
        if at >= TOP {
            return Err(Errno::EFAULT.into());
        }
        self.fault(at, wanted)?;
        match self.space.borrow().frame(page) {
            Some((frame, access)) if permits(access, wanted) => Ok(act(frame)),
            _ => Err(Errno::EFAULT.into()),
        }
    }
}
