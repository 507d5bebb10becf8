//! What a link in `/proc/self/fd` leads to where that is in no tree: a pipe, a socket.

use crate::errno::Errno;
use crate::file::{Caller, File, Inode, Open, Place, Stat, Statfs, Type};
use crate::stop::Stop;
use alloc::format;
use alloc::rc::Rc;
use core::any::Any;

/// Something open that is in no tree.
pub(super) struct OpenNode {
    open: Rc<Open>,
    stat: Stat,
}

impl OpenNode {
    /// Returns where an open file is; for what is nowhere, its name is that of its kind.
    ///
    /// # Errors
    /// As of fstat(2).
    pub(super) fn place(open: &Rc<Open>) -> Result<Place, Stop> {
        if let Some(place) = &open.place {
            return Ok(place.clone());
        }
        let stat = open.file.stat()?;
        let kind = match stat.kind {
            Type::Pipe => "pipe",
            Type::Socket => "socket",
            _ => "",
        };
        let name = match kind {
            "" => format!("anon_inode:{}", open.file.label()),
            kind => format!("{kind}:[{}]", stat.inode),
        };
        let name = name.into_bytes().into();
        Ok(Place { node: Rc::new(Self { open: Rc::clone(open), stat }), folder: None, name })
    }
}

impl Inode for OpenNode {
    fn id(&self) -> (u64, u64) {
        (self.stat.device, self.stat.inode)
    }

    fn kind(&self) -> Type {
        self.stat.kind
    }

    fn stat(&self) -> Stat {
        self.stat.clone()
    }

    fn open(self: Rc<Self>, _: &dyn Caller, flags: u32) -> Result<Rc<dyn File>, Stop> {
        Ok(self.open.file.reopen(flags)?)
    }

    fn system(&self) -> Statfs {
        let magic = linux_raw_sys::general::PIPEFS_MAGIC.into();
        Statfs { magic, size: 0, free: 0, files: 0, free_files: 0, device: self.stat.device }
    }

    fn set(&self, _: &crate::file::Change) -> Result<(), Stop> {
        Err(Errno::EPERM.into())
    }

    fn any(&self) -> &dyn Any {
        self
    }
}
