//! Opens a disk in whichever of the formats it is.

use super::super::erofs::{self, Erofs};
use super::super::ext4::{self, Ext4};
use super::super::fat::{self, Fat};
use super::super::{Error, Kind, Metadata, Tree, tar};
use super::{Attributes, Inodes, TarInodes};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use devices::block::Block;

/// The inodes of whichever format a disk has: [`Any`](crate::fs::Any) with owners and modes.
#[non_exhaustive]
pub enum AnyInodes<B> {
    /// The disk's format is EROFS.
    Erofs(Erofs<Rc<B>>),
    /// The disk's format is ext4.
    Ext4(Ext4<Rc<B>>),
    /// The disk's format is FAT.
    Fat(Fat<Rc<B>>),
    /// The disk's format is tar.
    Tar(TarInodes<Rc<B>>),
}

impl<B: Block> AnyInodes<B> {
    /// Opens `disk` with the first format that takes it for its own.
    ///
    /// # Errors
    /// [`Error::OtherFormat`] if none does, and what that format says of the disk.
    pub async fn open(disk: B) -> Result<Self, Error> {
        let disk = Rc::new(disk);
        // First, as its first file may have what the others look for.
        match TarInodes::open(Rc::clone(&disk)).await {
            Err(Error::OtherFormat) => {}
            tree => return tree.map(Self::Tar),
        }
        match Erofs::open(Rc::clone(&disk)).await {
            Err(Error::OtherFormat) => {}
            tree => return tree.map(Self::Erofs),
        }
        match Ext4::open(Rc::clone(&disk)).await {
            Err(Error::OtherFormat) => {}
            tree => return tree.map(Self::Ext4),
        }
        Fat::open(disk).await.map(Self::Fat)
    }
}

impl<B> fmt::Debug for AnyInodes<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyInodes")
    }
}

/// A file, folder or link of [`AnyInodes`]. Another disk, of another format, does not find it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AnyNode {
    /// One of EROFS.
    Erofs(erofs::Node),
    /// One of ext4.
    Ext4(ext4::Node),
    /// One of FAT.
    Fat(fat::Node),
    /// One of tar.
    Tar(tar::Node),
}

/// Does the same with each format; a node of another one is not found.
macro_rules! each {
    ($tree:expr, $node:expr, |$it:ident, $of:ident| $do:expr) => {
        each!($tree, $node, |$it, $of| $do, Err(Error::NotFound))
    };
    ($tree:expr, $node:expr, |$it:ident, $of:ident| $do:expr, $else:expr) => {
        match ($tree, $node) {
            (Self::Erofs($it), AnyNode::Erofs($of)) => $do,
            (Self::Ext4($it), AnyNode::Ext4($of)) => $do,
            (Self::Fat($it), AnyNode::Fat($of)) => $do,
            (Self::Tar($it), AnyNode::Tar($of)) => $do,
            _ => $else,
        }
    };
}

impl<B: Block> Tree for AnyInodes<B> {
    type Node = AnyNode;

    async fn lookup(&self, path: &[u8]) -> Result<AnyNode, Error> {
        match self {
            Self::Erofs(it) => it.lookup(path).await.map(AnyNode::Erofs),
            Self::Ext4(it) => it.lookup(path).await.map(AnyNode::Ext4),
            Self::Fat(it) => it.lookup(path).await.map(AnyNode::Fat),
            Self::Tar(it) => it.lookup(path).await.map(AnyNode::Tar),
        }
    }

    fn metadata(&self, node: &AnyNode) -> Metadata {
        let none = Metadata { kind: Kind::Other, size: 0, modified: 0, id: 0 };
        each!(self, node, |it, of| it.metadata(of), none)
    }

    async fn read(&self, node: &AnyNode, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        each!(self, node, |it, of| it.read(of, offset, to).await)
    }

    async fn list(
        &self,
        node: &AnyNode,
        each: &mut dyn FnMut(&[u8], Metadata),
    ) -> Result<(), Error> {
        each!(self, node, |it, of| it.list(of, each).await)
    }

    async fn list_after(
        &self,
        node: &AnyNode,
        after: &[u8],
        each: &mut dyn FnMut(&[u8], Metadata) -> bool,
    ) -> Result<(), Error> {
        each!(self, node, |it, of| it.list_after(of, after, each).await)
    }
}

impl<B: Block> Inodes for AnyInodes<B> {
    async fn root(&self) -> Result<AnyNode, Error> {
        match self {
            Self::Erofs(it) => it.root().await.map(AnyNode::Erofs),
            Self::Ext4(it) => it.root().await.map(AnyNode::Ext4),
            Self::Fat(it) => it.root().await.map(AnyNode::Fat),
            Self::Tar(it) => it.root().await.map(AnyNode::Tar),
        }
    }

    async fn child(&self, node: &AnyNode, name: &[u8]) -> Result<AnyNode, Error> {
        match (self, node) {
            (Self::Erofs(it), AnyNode::Erofs(of)) => it.child(of, name).await.map(AnyNode::Erofs),
            (Self::Ext4(it), AnyNode::Ext4(of)) => it.child(of, name).await.map(AnyNode::Ext4),
            (Self::Fat(it), AnyNode::Fat(of)) => it.child(of, name).await.map(AnyNode::Fat),
            (Self::Tar(it), AnyNode::Tar(of)) => it.child(of, name).await.map(AnyNode::Tar),
            _ => Err(Error::NotFound),
        }
    }

    async fn read_link(&self, node: &AnyNode) -> Result<Vec<u8>, Error> {
        each!(self, node, |it, of| it.read_link(of).await)
    }

    async fn attributes(&self, node: &AnyNode) -> Result<Attributes, Error> {
        each!(self, node, |it, of| it.attributes(of).await)
    }
}
