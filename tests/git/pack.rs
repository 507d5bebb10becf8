//! Writes packs of git, as it would and as it would not.

use git::{Id, Kind};
use sha1::{Digest, Sha1};
use std::format;
use std::vec::Vec;

/// Data as zlib has them without compression.
pub(crate) fn stored(data: &[u8]) -> Vec<u8> {
    let mut to = Vec::from([0x78, 1]);
    let mut rest = data;
    loop {
        let (block, after) = rest.split_at(rest.len().min(65_535));
        to.push(after.is_empty().into());
        let length = block.len() as u16;
        to.extend(length.to_le_bytes());
        to.extend((!length).to_le_bytes());
        to.extend(block);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let (mut low, mut high) = (1_u32, 0_u32);
    for &byte in data {
        low = (low + u32::from(byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    to.extend((high << 16 | low).to_be_bytes());
    to
}

/// The header of an object.
pub(crate) fn header(kind: u8, mut size: usize) -> Vec<u8> {
    let mut to = Vec::new();
    let mut next = kind << 4 | (size & 15) as u8;
    size >>= 4;
    while size > 0 {
        to.push(next | 0x80);
        next = (size & 0x7f) as u8;
        size >>= 7;
    }
    to.push(next);
    to
}

/// How far back a base is.
pub(crate) fn back(mut by: usize) -> Vec<u8> {
    let mut to = Vec::from([(by & 0x7f) as u8]);
    while by > 0x7f {
        by = (by >> 7) - 1;
        to.insert(0, (by & 0x7f) as u8 | 0x80);
    }
    to
}

/// An object of a pack: its type, what stands before its data, and those.
pub(crate) fn object(kind: u8, base: &[u8], data: &[u8]) -> Vec<u8> {
    [&header(kind, data.len()), base, &stored(data)].concat()
}

/// An object that is no delta.
pub(crate) fn whole(kind: Kind, data: &[u8]) -> Vec<u8> {
    let number = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    object(number, &[], data)
}

/// A pack of these.
pub(crate) fn pack(objects: &[Vec<u8>]) -> Vec<u8> {
    let count = (objects.len() as u32).to_be_bytes();
    sealed([b"PACK\0\0\0\x02", &count[..], &objects.concat()].concat())
}

/// With the SHA-1 at its end.
pub(crate) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = Sha1::digest(&bytes);
    bytes.extend(sum);
    bytes
}

/// An entry of a tree.
pub(crate) fn entry(mode: &str, name: &[u8], id: Id) -> Vec<u8> {
    [mode.as_bytes(), b" ", name, b"\0", &id.0].concat()
}

/// Lines, and what ends them.
pub(crate) fn lines(texts: &[&[u8]], end: &[u8]) -> Vec<u8> {
    let mut to = Vec::new();
    for text in texts {
        to.extend(format!("{:04x}", text.len() + 4).bytes());
        to.extend(*text);
    }
    to.extend(end);
    to
}

/// What a server offers that can do what is needed.
pub(crate) fn offer() -> Vec<u8> {
    lines(&[b"version 2\n", b"ls-refs\n", b"fetch=shallow\n", b"object-format=sha1\n"], b"0000")
}

/// A server's words around a pack, in which `id` is wanted as the ref `name`.
pub(crate) fn around(id: Id, name: &str, pack: &[u8]) -> Vec<u8> {
    let mut says = offer();
    says.extend(lines(&[format!("{id} {name}\n").as_bytes()], b"0000"));
    says.extend(lines(&[b"packfile\n"], b""));
    for piece in pack.chunks(50_000) {
        says.extend(lines(&[&[&[1], piece].concat()], b""));
    }
    says.extend(b"0000");
    says
}
