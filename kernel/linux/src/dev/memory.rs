//! The devices of null(4), full(4) and random(4).

use crate::errno::Errno;
use crate::file::{At, File, Inode, Open, Stat};
use crate::memory::{Sink, Source, zeros};
use crate::stop::{Stop, TURN};
use alloc::rc::Rc;
use core::any::Any;

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Null,
    Zero,
    Full,
    Random,
}

/// An open device.
pub(super) struct Memory {
    sort: Sort,
    node: Rc<dyn Inode>,
    /// What is read of `/dev/zero`.
    zeros: &'static [u8],
}

impl Memory {
    pub(super) fn new(sort: Sort, node: Rc<dyn Inode>) -> Rc<Self> {
        Rc::new(Self { sort, node, zeros: zeros() })
    }
}

/// Fills `to` by pieces, up to about [`TURN`]. Returns how many bytes that is, or the error of the first piece.
fn fill(
    to: &mut Sink<'_>,
    mut put: impl FnMut(&mut Sink<'_>) -> Result<usize, Stop>,
) -> Result<usize, Stop> {
    let mut done = 0;
    loop {
        match put(to) {
            Ok(count) => done += count,
            Err(stop) if done == 0 => return Err(stop),
            Err(_) => return Ok(done),
        }
        if to.left() == 0 || done >= TURN {
            return Ok(done);
        }
    }
}

impl File for Memory {
    fn read(&self, _: &Open, _: At, to: &mut Sink<'_>) -> Result<usize, Stop> {
        match self.sort {
            Sort::Null => Ok(0),
            Sort::Zero | Sort::Full => fill(to, |to| to.put(self.zeros)),
            Sort::Random => {
                let mut random = [0; 256];
                fill(to, |to| {
                    let length = to.left().min(random.len());
                    let fresh = random.get_mut(..length).unwrap_or_default();
                    kernel::entropy::fill(fresh).map_err(|_| Errno::EIO)?;
                    to.put(fresh)
                })
            }
        }
    }

    fn write(&self, _: &Open, _: At, from: &mut Source<'_>) -> Result<usize, Stop> {
        if self.sort == Sort::Full {
            return Err(Errno::ENOSPC.into());
        }
        // What is written to the random devices is not taken for random.
        let count = from.left();
        from.skip(count);
        Ok(count)
    }

    fn stat(&self) -> Result<Stat, Stop> {
        Ok(self.node.stat())
    }

    fn seek(&self, _: &Open, _: i64, _: u32) -> Result<u64, Stop> {
        Ok(0)
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
