//! From the ELF file that the linker made to what Xen boots.
//!
//! | module | what it does |
//! | --- | --- |
//! | `elf` | reads ELF files |
//! | `manifest` | the note that says what the app is and needs |
//! | `notes` | the notes that say how Xen starts it |
//! | `verify` | what must be true of an image; `drivers` is a part of it |
//! | `stack` | where the stack is |
//! | `redzone` | code that no event may interrupt |
//! | `layout` | the link address and the least memory |
//! | `pack` | writes the file that Xen boots |
//! | `xl` | the domain's configuration |
//! | `report` | sizes |

pub(crate) mod crypto;
pub(crate) mod drivers;
pub(crate) mod elf;
pub(crate) mod layout;
pub(crate) mod manifest;
pub(crate) mod notes;
pub(crate) mod pack;
pub(crate) mod redzone;
pub(crate) mod report;
pub(crate) mod stack;
pub(crate) mod verify;
pub(crate) mod xl;

use anyhow::{Context, Result};
use elf::Elf;
use manifest::Manifest;

/// Reads the manifest of `image`.
///
/// # Errors
/// When it has none or a broken one.
pub(crate) fn manifest(image: &Elf<'_>) -> Result<Manifest> {
    let note = image.note(manifest::OWNER, manifest::KIND).context(
        "the image has no manifest (ELF note Xenith): is `xenith::unikernel!` in its main.rs?",
    )?;
    Manifest::parse(note)
}

/// The memory that `image` takes before the heap: its first address and the
/// number of bytes.
///
/// # Errors
/// When there is nothing in it.
pub(crate) fn extent(image: &Elf<'_>) -> Result<(u64, u64)> {
    let (low, high) = image.extent().context("the image has nothing that is loaded")?;
    Ok((low, high - low))
}

/// The least MiB of memory that a domain with `image` can have.
///
/// # Errors
/// When the image is too large for any.
pub(crate) fn least_memory(image: &Elf<'_>) -> Result<u64> {
    let (base, size) = extent(image)?;
    layout::least_memory(size, base).with_context(|| too_large(size))
}

/// The address at which `image` is best linked for a domain with `memory` MiB.
///
/// # Errors
/// When the image is too large for any.
pub(crate) fn best_base(image: &Elf<'_>, memory: u64) -> Result<u64> {
    let (base, size) = extent(image)?;
    let data = image.loads().filter(|segment| segment.is_writable()).map(|it| it.address).min();
    let front = data.map_or(size, |data| data - base);
    layout::best(size, front, memory).with_context(|| too_large(size))
}

fn too_large(size: u64) -> String {
    format!("the image takes {} MiB, and {} MiB are too little", size / layout::MIB, layout::MAX)
}
