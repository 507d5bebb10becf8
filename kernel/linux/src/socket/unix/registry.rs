//! Which Unix socket has which name.

use super::flight::Flight;
use crate::errno::Errno;
use crate::process::grows;
use crate::socket::{Socket, Style};
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use litemap::LiteMap;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file of the tree, by its device and inode: a socket keeps its name when that is renamed.
    Inode(u64, u64),
    /// A name that is no file's: each style has names of its own.
    Abstract(Style, Vec<u8>),
}

/// The Unix sockets that have a name.
#[derive(Default)]
pub struct Registry {
    bound: RefCell<LiteMap<Place, Weak<dyn Socket>>>,
    /// The last name that was made for a socket that asked for any.
    last: Cell<u32>,
    /// Descriptors that were sent and not received.
    pub(super) flight: Flight,
}

impl Registry {
    /// Gives `socket` a name. Returns whether it was free.
    ///
    /// # Errors
    /// `ENOMEM`
    pub fn bind(&self, place: Place, socket: Weak<dyn Socket>) -> Result<bool, Errno> {
        let mut bound = self.bound.borrow_mut();
        if bound.get(&place).is_some_and(|it| it.strong_count() > 0) {
            return Ok(false);
        }
        grows::<(Place, Weak<dyn Socket>)>(bound.len())?;
        bound.insert(place, socket);
        Ok(true)
    }

    /// Returns the socket that has a name.
    #[must_use]
    pub fn find(&self, place: &Place) -> Option<Rc<dyn Socket>> {
        self.bound.borrow().get(place)?.upgrade()
    }

    /// The socket that had the name is gone.
    pub(super) fn forget(&self, place: &Place) {
        if self.bound.borrow().get(place).is_some_and(|it| it.strong_count() == 0) {
            self.bound.borrow_mut().remove(place);
        }
    }

    /// Returns a name that nobody has: five hexadecimal digits (unix(7), autobind).
    #[must_use]
    pub fn choose(&self, style: Style) -> Option<Vec<u8>> {
        (0..1 << 20).find_map(|_| {
            self.last.set((self.last.get() + 1) & 0xf_ffff);
            let name = alloc::format!("{:05x}", self.last.get()).into_bytes();
            self.find(&Place::Abstract(style, name.clone())).is_none().then_some(name)
        })
    }
}
