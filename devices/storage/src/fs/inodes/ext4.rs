//! Inodes of ext2, ext3 and ext4.

use super::super::ext4::{Ext4, Node, Parse, ROOT};
use super::super::{Error, Kind};
use super::{Attributes, Inodes, LONGEST, SECOND, Sort, device, is_name};
use alloc::rc::Rc;
use alloc::vec::Vec;
use devices::block::Block;

/// All of an inode (Linux's Documentation/filesystems/ext4, "Index Nodes").
struct Whole(Attributes);

impl Parse for Whole {
    fn parse(bytes: &[u8], number: u32, _: Option<u32>) -> Result<Self, Error> {
        let part = |at: usize| bytes.get(at..at + 2).and_then(|it| it.first_chunk());
        let half = |at| part(at).map_or(0, |&it| u16::from_le_bytes(it));
        let word = |at| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let extra = if bytes.len() > 128 { usize::from(half(0x80)) } else { 0 };
        // The second word of a time has its ns, and two more bits of its seconds.
        let time = |at, more: usize| {
            let word2 = if more + 4 <= 128 + extra { word(more) } else { 0 };
            let seconds = i64::from(word(at).cast_signed()) + (i64::from(word2 & 3) << 32);
            let seconds = u64::try_from(seconds).unwrap_or(0);
            seconds.saturating_mul(SECOND).saturating_add(u64::from(word2 >> 2) % SECOND)
        };
        let mode = u32::from(half(0));
        let sort = Sort::of_mode(mode);
        let special = match sort {
            Sort::Character | Sort::Block if word(0x28) != 0 => {
                let old = u64::from(word(0x28));
                device(old >> 8 & 0xff, old & 0xff)
            }
            Sort::Character | Sort::Block => {
                let new = u64::from(word(0x2c));
                device(new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00)
            }
            _ => 0,
        };
        let size = u64::from(word(4)) | u64::from(word(0x6c)) << 32;
        let born = if extra >= 0x18 { time(0x90, 0x94) } else { 0 };
        Ok(Self(Attributes {
            sort,
            id: number.into(),
            mode: mode & 0o7777,
            uid: u32::from(half(2)) | u32::from(half(0x78)) << 16,
            gid: u32::from(half(0x18)) | u32::from(half(0x7a)) << 16,
            links: half(0x1a).into(),
            special,
            size: if matches!(sort, Sort::File | Sort::Link) { size } else { 0 },
            accessed: time(8, 0x8c),
            modified: time(0x10, 0x88),
            changed: time(0xc, 0x84),
            born,
        }))
    }
}

impl<B: Block> Inodes for Ext4<B> {
    async fn root(&self) -> Result<Node, Error> {
        Ok(Node::new(Rc::new(self.inode(ROOT).await?)))
    }

    async fn child(&self, node: &Node, name: &[u8]) -> Result<Node, Error> {
        if node.inode().kind != Kind::Folder || !is_name(name) {
            return Err(Error::NotFound);
        }
        Ok(Node::new(Rc::new(self.find(node.inode(), name).await?)))
    }

    async fn read_link(&self, node: &Node) -> Result<Vec<u8>, Error> {
        let inode = node.inode();
        if inode.kind != Kind::Link {
            return Err(Error::NotFile);
        }
        let length = usize::try_from(inode.size).ok().filter(|&it| it as u64 <= LONGEST);
        let mut target = alloc::vec![0; length.ok_or(Error::Damaged)?];
        self.content(inode, 0, &mut target).await?;
        Ok(target)
    }

    async fn attributes(&self, node: &Node) -> Result<Attributes, Error> {
        let Whole(attributes) = self.inode(node.inode().number).await?;
        Ok(attributes)
    }
}
