//! Who writes to a regular file, and who runs it: never both at once (`ETXTBSY` of open(2) and
//! execve(2)).

use super::Inode;
use crate::errno::Errno;
use alloc::rc::Rc;
use core::fmt;

/// One use of a file, which ends when this value is dropped.
pub struct Use {
    node: Rc<dyn Inode>,
    step: i64,
}

impl Use {
    /// Begins to write to a file. Returns nothing for what is no regular file.
    ///
    /// # Errors
    /// `ETXTBSY` while it runs.
    pub fn write(node: &Rc<dyn Inode>) -> Result<Option<Self>, Errno> {
        Self::begin(node, 1)
    }

    /// Begins to run a file.
    ///
    /// # Errors
    /// `ETXTBSY` while somebody may write to it.
    pub fn run(node: &Rc<dyn Inode>) -> Result<Option<Self>, Errno> {
        Self::begin(node, -1)
    }

    fn begin(node: &Rc<dyn Inode>, step: i64) -> Result<Option<Self>, Errno> {
        let Some(extras) = node.extras() else { return Ok(None) };
        extras.uses().begin(step)?;
        Ok(Some(Self { node: Rc::clone(node), step }))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Some(extras) = self.node.extras() {
            extras.uses().end(self.step);
        }
    }
}

impl fmt::Debug for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.step > 0 { "writes" } else { "runs" })
    }
}
