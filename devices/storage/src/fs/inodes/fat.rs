//! Inodes of FAT, which has neither links nor owners: all is root's, and for everybody to read
//! and execute, as Linux mounts it.

use super::super::fat::{Fat, Node};
use super::super::{Error, Kind, Tree};
use super::{Attributes, Inodes, SECOND, Sort, is_name};
use alloc::vec::Vec;
use devices::block::Block;

impl<B: Block> Inodes for Fat<B> {
    async fn root(&self) -> Result<Node, Error> {
        self.lookup(b"/").await
    }

    async fn child(&self, node: &Node, name: &[u8]) -> Result<Node, Error> {
        if !is_name(name) {
            return Err(Error::NotFound);
        }
        self.lookup(&[node.path(), b"/", name].concat()).await
    }

    async fn read_link(&self, _: &Node) -> Result<Vec<u8>, Error> {
        Err(Error::NotFile)
    }

    async fn attributes(&self, node: &Node) -> Result<Attributes, Error> {
        let it = self.metadata(node);
        let time = it.modified.saturating_mul(SECOND);
        Ok(Attributes {
            sort: if it.kind == Kind::Folder { Sort::Folder } else { Sort::File },
            id: it.id,
            mode: 0o755,
            uid: 0,
            gid: 0,
            links: 1,
            special: 0,
            size: it.size,
            accessed: time,
            modified: time,
            changed: time,
            born: 0,
        })
    }
}
