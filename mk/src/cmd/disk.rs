//! `cargo mk disk`: images of disks, made and looked into.

#[path = "../../embed/signs.rs"]
mod signs;

use crate::disk::debian::Packages;
use crate::disk::{Draft, empty, pack, sealed, size};
use crate::project::Project;
use crate::ui::{Ui, out};
use anyhow::{Context, Result, bail, ensure};
use signs::SIGNS;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Makes an image of a disk, or shows what is in one
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo mk disk data.img 64M        an empty image\n  cargo mk disk \
site.tar ./site     a folder's files, as an archive\n  cargo mk disk root.tar debian:redis-server,dash\n \
                                  a Linux program's root, of Debian's packages\n  cargo mk disk site.img sealed:./site   a folder, \
compressed, with hashes to verify it by\n  cargo mk disk data.img            what is \
in it\n\n`cargo mk run APP --disk NAME=IMAGE` gives it to an app."
)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// What to make it of: a folder, a size, Debian's packages, or a folder to seal; without it the image is shown
    #[arg(value_name = "FOLDER|SIZE|debian:PACKAGE,...|sealed:FOLDER")]
    source: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When the image cannot be made or read.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    if let Some(source) = &args.source {
        let folder = Path::new(source);
        let packages = Packages::parse(source);
        let to_seal = sealed::folder(source)?;
        if packages.is_some() || to_seal.is_some() || folder.is_dir() {
            ensure!(!args.image.exists(), "{} exists already", args.image.display());
        }
        if let Some(packages) = packages {
            let here = |folder: &str| Ok(PathBuf::from(folder));
            let archive = packages.archive(&Project::find()?, args.image.clone(), here, ui)?;
            if archive != args.image {
                let what = || format!("cannot make {}", args.image.display());
                let draft = Draft::of(&args.image);
                draft.fill(&archive).with_context(what)?;
                draft.finish().with_context(what)?;
            }
        } else if let Some(folder) = to_seal {
            let argument = sealed::seal(folder, &args.image)?;
            out(&format!("{argument}\n"));
        } else if folder.is_dir() {
            pack(folder, &args.image, &[])?;
        } else if let Some(size) = size(source) {
            empty(&args.image, size)?;
        } else {
            bail!(
                "{source} is neither a folder nor a size such as 64M, nor debian: and packages, nor sealed: and a folder"
            );
        }
    }
    let what = || format!("cannot read {}", args.image.display());
    let mut file = File::open(&args.image).with_context(what)?;
    // What was just made of files is known; how much it is may be not.
    out(&shown(&mut file, args.source.is_none()).with_context(what)?);
    Ok(0)
}

/// Bytes at the start by which an image is known.
const START: usize = 128 * 1024;

/// What is in an image, in words; with `all`, each file of an archive.
fn shown(image: &mut (impl Read + Seek), all: bool) -> Result<String> {
    let length = image.seek(SeekFrom::End(0))?;
    image.rewind()?;
    let mut start = Vec::new();
    image.by_ref().take(START as u64).read_to_end(&mut start)?;
    start.resize(START, 0);
    let mut text = format!("{length} bytes, {}\n", kind(&start));
    if start[257..262] == *b"ustar" {
        image.rewind()?;
        let mut archive = tar::Archive::new(image);
        let mut count = 0;
        for entry in archive.entries()? {
            let entry = entry?;
            count += 1;
            if !all {
                continue;
            }
            let header = entry.header();
            let end = if header.entry_type().is_dir() { "/" } else { "" };
            text += &format!("{:>12}  {}{end}\n", header.size()?, entry.path()?.display());
        }
        if !all {
            text += &format!("{count} files and folders; `cargo mk disk IMAGE` lists them\n");
        }
    } else {
        for (number, (first, count, kind)) in partitions(&start).into_iter().enumerate() {
            let number = number + 1;
            text += &format!("{number:>12}  {kind}, sectors {first} to {}\n", first + count - 1);
        }
    }
    Ok(text)
}

/// What an image that starts so is, as far as it is known here.
fn kind(start: &[u8]) -> &'static str {
    let has = |&&(at, what, _): &&signs::Sign| start[at..].starts_with(what);
    match SIGNS.iter().find(has) {
        Some((_, _, name)) => name,
        None if start.iter().all(|&byte| byte == 0) => {
            "which begin with zeros: an empty disk, as a rule"
        }
        None => "of an unknown kind",
    }
}

/// The partitions of an MBR: the first sector, how many, and of which kind.
fn partitions(start: &[u8]) -> Vec<(u64, u64, String)> {
    let (entries, _) = start[446..510].as_chunks::<16>();
    let used = entries.iter().filter(|entry| start[510..512] == [0x55, 0xAA] && entry[4] != 0);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    let partitions = used.map(|entry| {
        let kind = format!("type {:#04x}", entry[4]);
        (number(&entry[8..12]), number(&entry[12..16]), kind)
    });
    partitions.filter(|partition| partition.1 > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Cursor;

    #[test]
    fn images_are_known_by_their_first_bytes() {
        let with = |at: usize, what: &[u8]| {
            let mut start = vec![0; START];
            start[at..at + what.len()].copy_from_slice(what);
            kind(&start)
        };
        assert!(with(1080, &[0x53, 0xEF]).contains("ext4"));
        assert!(with(82, b"FAT32   ").contains("FAT"));
        assert!(with(512, b"EFI PART").contains("GPT"));
        assert!(with(0, b"x").contains("unknown kind"));
        assert!(with(0, b"").contains("empty"));
    }

    #[test]
    fn an_archive_is_listed_and_so_are_partitions() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.txt"), "four").unwrap();
        let bytes = crate::disk::packed(folder.path()).unwrap();
        let text = shown(&mut Cursor::new(&bytes), true).unwrap();
        assert!(text.contains("a tar archive") && text.contains("           4  a.txt"), "{text}");

        let short = shown(&mut Cursor::new(&bytes), false).unwrap();
        assert!(!short.contains("a.txt") && short.contains("1 files and folders"), "{short}");

        let mut disk = vec![0; 1 << 20];
        disk[510..512].copy_from_slice(&[0x55, 0xAA]);
        disk[446 + 4] = 0x83;
        disk[446 + 8..446 + 16].copy_from_slice(&[0, 8, 0, 0, 100, 0, 0, 0]);
        let text = shown(&mut Cursor::new(disk), true).unwrap();
        assert!(text.contains("type 0x83, sectors 2048 to 2147"), "{text}");
    }
}
