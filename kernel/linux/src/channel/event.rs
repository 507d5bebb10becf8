//! Counters that can be waited for (eventfd(2)).

use crate::errno::Errno;
use crate::file::{At, File, Open, Stat, Type, next_inode};
use crate::memory::{Sink, Source, Text};
use crate::stop::Stop;
use crate::watch::{Ready, Watch};
use alloc::rc::Rc;
use alloc::sync::Arc;
use core::any::Any;
use core::cell::Cell;
use core::fmt::{self, Write};

/// The most that it counts to.
const MOST: u64 = u64::MAX - 1;

/// A counter: a write adds to it, a read takes all of it, or one.
pub struct Event {
    count: Cell<u64>,
    /// `EFD_SEMAPHORE`: a read takes one.
    semaphore: bool,
    changed: Arc<Watch>,
    inode: u64,
}

impl Event {
    /// Makes one that stands at `count`.
    #[must_use]
    pub fn new(count: u64, semaphore: bool) -> Rc<Self> {
        let changed = Watch::new();
        Rc::new(Self { count: Cell::new(count), semaphore, changed, inode: next_inode() })
    }
}

impl File for Event {
    fn label(&self) -> &'static str {
        "[eventfd]"
    }

    fn tell(&self, text: &mut Text) -> fmt::Result {
        writeln!(text, "eventfd-count: {:16x}\neventfd-id: {}", self.count.get(), self.inode)
    }

    fn read(&self, _: &Open, _: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        if to.left() < 8 {
            return Err(Errno::EINVAL.into());
        }
        let count = self.count.get();
        if count == 0 {
            return Err(Stop::Wait);
        }
        let taken = if self.semaphore { 1 } else { count };
        to.put(&taken.to_le_bytes())?;
        self.count.set(count - taken);
        self.changed.raise();
        Ok(8)
    }

    fn write(&self, _: &Open, _: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        if from.left() < 8 {
            return Err(Errno::EINVAL.into());
        }
        let mut more = [0; 8];
        from.peek(&mut more)?;
        let more = u64::from_le_bytes(more);
        if more > MOST {
            return Err(Errno::EINVAL.into());
        }
        if more > MOST - self.count.get() {
            return Err(Stop::Wait);
        }
        from.skip(8);
        self.count.update(|it| it + more);
        self.changed.raise();
        Ok(8)
    }

    fn ready(&self) -> Ready {
        let mut ready = Ready::empty();
        ready.set(Ready::IN, self.count.get() > 0);
        ready.set(Ready::OUT, self.count.get() < MOST);
        ready
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        Some(&self.changed)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(Stat::of(Type::Anonymous, 0o600, self.inode))
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn read(open: &Open) -> Result<u64, Stop> {
        let mut read = Vec::new();
        open.file.read(open, At::Position, &mut Sink::kernel(&mut read, 8))?;
        Ok(u64::from_le_bytes(read.try_into().unwrap()))
    }

    fn write(open: &Open, more: u64) -> Result<usize, Stop> {
        open.file.write(open, At::Position, &mut Source::kernel(&more.to_le_bytes()))
    }

    #[test]
    fn a_read_takes_all_or_one() {
        let open = Open::uncounted(Event::new(3, false), 2);
        assert_eq!(write(&open, 4).unwrap(), 8);
        assert_eq!(read(&open).unwrap(), 7);
        assert!(matches!(read(&open), Err(Stop::Wait)));
        let open = Open::uncounted(Event::new(2, true), 2);
        assert_eq!([read(&open).unwrap(), read(&open).unwrap()], [1, 1]);
        assert!(matches!(read(&open), Err(Stop::Wait)));
    }

    #[test]
    fn it_counts_so_far_and_no_further() {
        let open = Open::uncounted(Event::new(1, false), 2);
        assert!(matches!(write(&open, u64::MAX), Err(Stop::Fail(Errno::EINVAL))));
        assert!(matches!(write(&open, MOST), Err(Stop::Wait)));
        assert!(open.file.ready().contains(Ready::OUT));
        write(&open, MOST - 1).unwrap();
        assert_eq!(open.file.ready(), Ready::IN);
        let short = open.file.read(&open, At::Position, &mut Sink::kernel(&mut Vec::new(), 7));
        assert!(matches!(short, Err(Stop::Fail(Errno::EINVAL))));
        assert_eq!(read(&open).unwrap(), MOST);
    }
}
