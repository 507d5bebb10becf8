//! What a file system has below: a disk, which is only read.

use super::super::{Listing, Type};
use crate::errno::Errno;
use crate::stop::{Boxed, boxed};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use storage::fs::inodes::{Attributes, Inodes, Sort};
use storage::fs::{Error, Kind};

/// A file, folder or link of a disk.
pub trait Below {
    /// What is known of it.
    fn attributes(&self) -> &Attributes;

    /// Finds `name` in this folder.
    fn child(self: Rc<Self>, name: Box<[u8]>) -> Boxed<Result<Option<Rc<dyn Below>>, Errno>>;

    /// Returns the target of this link.
    fn target(self: Rc<Self>) -> Boxed<Result<Vec<u8>, Errno>>;

    /// Reads `length` bytes from `offset` on, or as many as there are.
    fn read(self: Rc<Self>, offset: u64, length: usize) -> Boxed<Result<Vec<u8>, Errno>>;

    /// Lists this folder.
    fn list(self: Rc<Self>) -> Boxed<Result<Listing, Errno>>;
}

/// A file, folder or link of a disk of the format `T`.
pub struct OnDisk<T: Inodes> {
    disk: Rc<T>,
    node: T::Node,
    attributes: Attributes,
}

impl<T: Inodes + 'static> OnDisk<T> {
    /// Returns the root of a disk.
    ///
    /// # Errors
    /// `EIO`, `EUCLEAN`, `ENOMEM`.
    pub async fn root(disk: T) -> Result<Rc<dyn Below>, Errno> {
        let disk = Rc::new(disk);
        let node = disk.root().await.map_err(errno)?;
        let attributes = disk.attributes(&node).await.map_err(errno)?;
        Ok(Rc::new(Self { disk, node, attributes }))
    }
}

/// Returns what a program is told of an error of a disk.
fn errno(error: Error) -> Errno {
    match error {
        Error::NotFound => Errno::ENOENT,
        Error::NotFolder => Errno::ENOTDIR,
        Error::NotFile => Errno::EISDIR,
        Error::NoMemory => Errno::ENOMEM,
        Error::Damaged => Errno::EUCLEAN,
        Error::Unsupported => Errno::EOPNOTSUPP,
        Error::BadPath => Errno::EINVAL,
        _ => Errno::EIO,
    }
}

/// Returns the type that a disk's entry has.
pub(super) const fn kind(sort: Sort) -> Type {
    match sort {
        Sort::File => Type::Regular,
        Sort::Folder => Type::Folder,
        Sort::Link => Type::Link,
        Sort::Character => Type::Character,
        Sort::Block => Type::Block,
        Sort::Pipe => Type::Pipe,
        Sort::Socket => Type::Socket,
        _ => Type::Anonymous,
    }
}

impl<T: Inodes + 'static> Below for OnDisk<T> {
    fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    fn child(self: Rc<Self>, name: Box<[u8]>) -> Boxed<Result<Option<Rc<dyn Below>>, Errno>> {
        boxed(async move {
            let node = match self.disk.child(&self.node, &name).await {
                Ok(node) => node,
                Err(Error::NotFound | Error::BadPath) => return Ok(None),
                Err(error) => return Err(errno(error)),
            };
            let attributes = self.disk.attributes(&node).await.map_err(errno)?;
            let child: Rc<dyn Below> =
                Rc::new(Self { disk: Rc::clone(&self.disk), node, attributes });
            Ok(Some(child))
        })
    }

    fn target(self: Rc<Self>) -> Boxed<Result<Vec<u8>, Errno>> {
        boxed(async move { self.disk.read_link(&self.node).await.map_err(errno) })
    }

    fn read(self: Rc<Self>, offset: u64, length: usize) -> Boxed<Result<Vec<u8>, Errno>> {
        boxed(async move {
            let mut bytes = kernel::memory::zeroed(length).ok_or(Errno::ENOMEM)?;
            let mut read = 0;
            while read < length {
                let rest = bytes.get_mut(read..).unwrap_or_default();
                match self.disk.read(&self.node, offset + read as u64, rest).await {
                    Ok(0) => break,
                    Ok(count) => read += count,
                    Err(error) => return Err(errno(error)),
                }
            }
            bytes.truncate(read);
            Ok(bytes)
        })
    }

    fn list(self: Rc<Self>) -> Boxed<Result<Listing, Errno>> {
        boxed(async move {
            let (mut names, mut full) = (Listing::default(), false);
            let mut each = |name: &[u8], it: storage::fs::Metadata| {
                let kind = match it.kind {
                    Kind::File => Some(Type::Regular),
                    Kind::Folder => Some(Type::Folder),
                    Kind::Link => Some(Type::Link),
                    _ => None,
                };
                full |= names.push(name, it.id, kind).is_err();
            };
            self.disk.list(&self.node, &mut each).await.map_err(errno)?;
            if full { Err(Errno::ENOMEM) } else { Ok(names) }
        })
    }
}
