//! Disks that hold something, of which some bytes are others.

use std::process::Command;
use xenith::block::memory::Memory;
use xenith::fs::Tree;

/// `base` with bytes of `patches`: of each four, three say where, and one what. So that
/// most of them meet something, only every other may be where `base` is zero.
#[must_use]
pub fn patched(base: &[u8], patches: &[u8]) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for (number, patch) in patches.chunks_exact(4).take(64).enumerate() {
        let at = usize::from(patch[0]) << 16 | usize::from(patch[1]) << 8 | usize::from(patch[2]);
        let mut at = at % base.len();
        if number % 2 == 0 {
            at = base[at..].iter().position(|&byte| byte != 0).map_or(at, |more| at + more);
        }
        bytes[at] = patch[3];
    }
    bytes
}

/// A disk with these bytes.
#[must_use]
pub fn disk(bytes: Vec<u8>) -> Memory {
    Memory::from_bytes(512, bytes)
}

/// Puts the right checksum into a header of a tar archive.
pub fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
}

/// A file in a tar archive.
#[must_use]
pub fn file(path: &str, mode: u32, bytes: &[u8]) -> Vec<u8> {
    let mut whole = vec![0; 512];
    whole[..path.len()].copy_from_slice(path.as_bytes());
    whole[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
    whole[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    whole[156] = b'0';
    whole[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut whole);
    whole.extend(bytes);
    whole.resize(whole.len().next_multiple_of(512), 0);
    whole
}

/// A FAT32 of some 500 clusters, one sector each, such as Linux mounts.
#[must_use]
pub fn few_clusters() -> Vec<u8> {
    let mut bytes = vec![0; 512 << 9];
    bytes[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
    // Bytes of a sector, sectors of a cluster, reserved ones, tables; the medium.
    bytes[11..17].copy_from_slice(&[0, 2, 1, 8, 0, 2]);
    bytes[21] = 0xf8;
    for (at, number) in [(32, 512), (36, 4), (44, 2), (48, 1)] {
        bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
    }
    bytes[510..516].copy_from_slice(b"\x55\xaaRRaA");
    bytes[512 + 484..512 + 488].copy_from_slice(b"rrAa");
    bytes[512 + 488..512 + 496].fill(0xff);
    for table in [8, 12] {
        let first = [0xf8, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f];
        bytes[table * 512..][..12].copy_from_slice(&first);
    }
    bytes
}

/// What a Linux tool makes of an empty image: `program`, its arguments, the image.
///
/// # Panics
/// When the machine lacks the tool.
#[must_use]
pub fn made(program: &str, arguments: &[&str], size: usize) -> Vec<u8> {
    let image = std::env::temp_dir().join(format!("xenith-fuzz-{}", std::process::id()));
    std::fs::write(&image, vec![0; size]).expect("no room for an image");
    let path = std::env::var("PATH").unwrap_or_default() + ":/sbin:/usr/sbin";
    let command = Command::new(program).env("PATH", path).args(arguments).arg(&image).output();
    let output = command.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {output:?}");
    let bytes = std::fs::read(&image).expect("an image");
    let _ = std::fs::remove_file(image);
    bytes
}

/// Looks at all that is in a tree, up to 100 of it.
pub async fn walk<T: Tree>(tree: &T) {
    let (mut folders, mut left) = (vec![Vec::new()], 100);
    while let Some(path) = folders.pop() {
        left -= 1;
        if left == 0 {
            return;
        }
        let Ok(node) = tree.lookup(&path).await else { continue };
        let metadata = tree.metadata(&node);
        for offset in [0, 1000, metadata.size / 2, metadata.size, u64::MAX] {
            let _ = tree.read(&node, offset, &mut [0; 700]).await;
        }
        let mut add = |name: &[u8], _| folders.push([&path, &b"/"[..], name].concat());
        let _ = tree.list(&node, &mut add).await;
    }
}
