//! An open file whose text is made when it is read.

use super::texts::Take;
use super::{At, File, Inode, Open, Stat};
use crate::errno::Errno;
use crate::memory::{Sink, Source, is_refused};
use crate::stop::Stop;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::RefCell;
use linux_raw_sys::general::{SEEK_CUR, SEEK_END, SEEK_SET};

/// Bytes of a text that is kept in any case: what is under way asks for so much (rule S8).
const SMALL: usize = 4096;

/// The most bytes that are written at once.
const MOST: usize = 4096;

/// Makes the text.
pub(crate) type Make = Box<dyn Fn() -> Result<Vec<u8>, Errno>>;

/// An open file whose text is made anew whenever it is read from its beginning.
pub(crate) struct TextFile {
    node: Rc<dyn Inode>,
    make: Make,
    take: Option<Take>,
    text: RefCell<Option<Vec<u8>>>,
}

impl TextFile {
    pub(crate) fn new(node: Rc<dyn Inode>, make: Make, take: Option<Take>) -> Rc<Self> {
        Rc::new(Self { node, make, take, text: RefCell::new(None) })
    }
}

impl File for TextFile {
    fn read(&self, open: &Open, at: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        let offset = match at {
            At::Offset(offset) => offset,
            At::Position => open.position.get(),
        };
        if offset == 0 || self.text.borrow().is_none() {
            // It is kept as long as the descriptor, of which a program has thousands.
            *self.text.borrow_mut() = None;
            if kernel::memory::is_nearly_gone() {
                return Err(Errno::ENOMEM.into());
            }
            let text = (self.make)()?;
            if text.capacity() > SMALL && is_refused() {
                return Err(Errno::ENOMEM.into());
            }
            *self.text.borrow_mut() = Some(text);
        }
        let text = self.text.borrow();
        let text = text.as_deref().unwrap_or_default();
        let rest = text.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let count = if rest.is_empty() { 0 } else { to.put(rest)? };
        if at == At::Position {
            open.position.set(offset + count as u64);
        }
        Ok(count)
    }

    fn write(&self, open: &Open, _: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        let take = self.take.as_ref().ok_or(Errno::EACCES)?;
        let mut bytes = [0; MOST];
        let length = from.left();
        if length > MOST {
            return Err(Errno::EINVAL.into());
        }
        let count = from.take(&mut bytes[..length])?;
        let text = bytes.get(..count).unwrap_or_default();
        take(text.strip_suffix(b"\n").unwrap_or(text))?;
        open.position.update(|it| it + count as u64);
        Ok(count)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(self.node.stat())
    }

    fn seek(&self, open: &Open, offset: i64, whence: u32) -> Result<u64, Stop> {
        let base = match whence {
            SEEK_SET => 0,
            SEEK_CUR => open.position.get(),
            SEEK_END => self.text.borrow().as_ref().map_or(0, |it| it.len() as u64),
            _ => return Err(Errno::EINVAL.into()),
        };
        let to = base.checked_add_signed(offset).ok_or(Errno::EINVAL)?;
        open.position.set(to);
        Ok(to)
    }

    fn truncate(&self, _: u64) -> Result<(), Stop> {
        Ok(())
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
