//! The arguments and the environment of a program, on their way from one memory to another.

use crate::errno::Errno;
use crate::memory::Memory;
use crate::stop::Stop;
use alloc::vec::Vec;

/// Most bytes of one text, with its NUL (execve(2)).
const MOST_OF_ONE: usize = 131_072;

/// Most bytes of all, and least, whatever the limit of the stack is (execve(2)).
const MOST: usize = 6 << 20;
const LEAST: usize = MOST_OF_ONE;

/// Texts, each with a NUL behind it.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    pub(super) bytes: Vec<u8>,
    pub(super) count: usize,
}

impl Texts {
    /// Adds one.
    ///
    /// # Errors
    /// `ENOMEM`
    pub(super) fn push(&mut self, text: &[u8]) -> Result<(), Errno> {
        self.bytes.try_reserve(text.len() + 1).map_err(|_| Errno::ENOMEM)?;
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self.count += 1;
        Ok(())
    }

    /// Puts others in front, in place of the first.
    ///
    /// # Errors
    /// `ENOMEM`
    pub(super) fn replace_first(&mut self, by: &[&[u8]]) -> Result<(), Errno> {
        let mut new = Self::default();
        by.iter().try_for_each(|it| new.push(it))?;
        let rest = self.bytes.iter().position(|&byte| byte == 0).map_or(0, |it| it + 1);
        let rest = self.bytes.get(rest..).unwrap_or_default();
        new.bytes.try_reserve(rest.len()).map_err(|_| Errno::ENOMEM)?;
        new.bytes.extend_from_slice(rest);
        new.count += self.count.saturating_sub(1);
        *self = new;
        Ok(())
    }

    /// Reads those that a list at `at` points to, which a null pointer ends. `used`: bytes of
    /// others; `most`: of all, with their pointers.
    ///
    /// # Errors
    /// `E2BIG`, `EFAULT`, `ENOMEM`, [`Stop::Load`].
    pub(super) fn read(memory: &Memory, at: u64, used: usize, most: usize) -> Result<Self, Stop> {
        let mut texts = Self::default();
        let mut place = at;
        loop {
            // No list at all is an empty one, as on Linux.
            let pointer: u64 = if at == 0 { 0 } else { memory.get(place)? };
            if pointer == 0 {
                return Ok(texts);
            }
            place = place.wrapping_add(8);
            let text = memory.text(pointer, MOST_OF_ONE - 1).map_err(|stop| match stop {
                Stop::Fail(Errno::ENAMETOOLONG) => Stop::Fail(Errno::E2BIG),
                other => other,
            })?;
            texts.push(&text)?;
            // What is left is the kernel's.
            memory.ram().check()?;
            if used + texts.size() > most {
                return Err(Errno::E2BIG.into());
            }
        }
    }

    /// Returns how many bytes they take, with a pointer each.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + 8 * self.count
    }

    /// Returns how many bytes all may take, where the stack may have `stack`.
    pub(super) fn most(stack: usize) -> usize {
        (stack / 4).clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gives_way_to_others() {
        let mut texts = Texts::default();
        for text in [&b"sh"[..], b"", b"-x"] {
            texts.push(text).unwrap();
        }
        texts.replace_first(&[b"/bin/sh", b"script"]).unwrap();
        assert_eq!((texts.bytes.as_slice(), texts.count), (&b"/bin/sh\0script\0\0-x\0"[..], 4));
        let mut none = Texts::default();
        none.replace_first(&[b"a"]).unwrap();
        assert_eq!((none.bytes.as_slice(), none.count), (&b"a\0"[..], 1));
    }
}
