//! Inodes of EROFS.

use super::super::erofs::{Erofs, Node};
use super::super::{Error, Kind};
use super::{Attributes, Inodes, Sort, device, is_name};
use alloc::vec::Vec;
use devices::block::Block;

impl<B: Block> Inodes for Erofs<B> {
    async fn root(&self) -> Result<Node, Error> {
        self.root_node().await
    }

    async fn child(&self, node: &Node, name: &[u8]) -> Result<Node, Error> {
        if node.inode().kind() != Kind::Folder || !is_name(name) {
            return Err(Error::NotFound);
        }
        self.find(node.inode(), name).await
    }

    async fn read_link(&self, node: &Node) -> Result<Vec<u8>, Error> {
        if node.inode().kind() != Kind::Link {
            return Err(Error::NotFile);
        }
        self.target(node.inode()).await
    }

    async fn attributes(&self, node: &Node) -> Result<Attributes, Error> {
        let inode = node.inode();
        let (sort, of) = (Sort::of_mode(inode.mode.into()), u64::from(inode.first));
        let special = match sort {
            Sort::Character | Sort::Block => {
                device(of >> 8 & 0xfff, of & 0xff | of >> 12 & 0xf_ff00)
            }
            _ => 0,
        };
        Ok(Attributes {
            sort,
            id: inode.number,
            mode: u32::from(inode.mode) & 0o7777,
            uid: inode.uid,
            gid: inode.gid,
            links: inode.links,
            special,
            size: if matches!(sort, Sort::File | Sort::Link) { inode.size } else { 0 },
            accessed: inode.time,
            modified: inode.time,
            changed: inode.time,
            born: 0,
        })
    }
}
