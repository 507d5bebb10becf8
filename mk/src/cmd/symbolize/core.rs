//! What was in a domain that `xl dump-core` wrote to a file.

use crate::dump::Dump;
use crate::dump::tasks::{Phase, Task, tasks};
use crate::image::elf::Elf;
use crate::project::read;
use crate::symbols::Symbols;
use crate::ui::{bytes, counted};
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;

/// The kernel's counters of its heap, by the names that it gives them for this
/// (`machine/xen/heap.rs`).
const BYTES: &str = "heap_given_bytes";
const BLOCKS: &str = "heap_given_blocks";
const FAILURES: &str = "heap_failures";

/// Tells of the domain in the dump `core`, which is called `name`, and of whose image the file `debug`
/// has the symbols.
///
/// # Errors
/// When it is no dump of a PV guest, or of another build.
pub(crate) fn report(core: &[u8], name: &str, debug: &Path, symbols: &Symbols) -> Result<String> {
    let image = read(debug)?;
    let image = Elf::parse(&image).with_context(|| debug.display().to_string())?;
    let what = || name.to_owned();
    let core = Elf::parse(core).with_context(what)?;
    let base = address(&image, "virt_base")
        .with_context(|| format!("{} does not say where its memory begins", debug.display()))?;
    let dump = Dump::new(&core, base).with_context(what)?;
    ensure!(
        is_of(&dump, &image),
        "{name} is of another build than {}: its constants are others",
        debug.display()
    );
    let mut text = String::new();
    let (count, there) = dump.counts();
    let _ = writeln!(text, "memory: {}, {there} of them in the file", counted(count, "page"));
    text += &place(&dump, &image, symbols);
    let all = tasks(&dump, symbols, &constants(&image));
    text += &listed(&all, symbols);
    text += &heap(&dump, &image);
    Ok(text)
}

/// Where the vCPU was.
fn place(dump: &Dump<'_>, image: &Elf<'_>, symbols: &Symbols) -> String {
    if dump.registers.user {
        let rip = dump.registers.rip;
        return format!("\nthe vCPU was in a program that the kernel ran, at {rip:#x}\n");
    }
    let mut text = "\nthe vCPU was at\n".to_owned();
    let page = address(image, "hypercall_page").unwrap_or(0);
    for (number, at) in dump.stack(|at| at.wrapping_sub(page) < 4096).into_iter().enumerate() {
        // Behind a call: the call itself is before that.
        let call = if number == 0 { at } else { at.saturating_sub(1) };
        let places = symbols.places(call);
        let name = places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", in ");
        let _ = writeln!(text, "  {at:#x} {name}");
    }
    text
}

/// The address of a symbol.
fn address(image: &Elf<'_>, name: &str) -> Option<u64> {
    image.symbols.iter().find(|symbol| symbol.name == name).map(|symbol| symbol.address)
}

/// Where the constants of an image are.
fn constants(image: &Elf<'_>) -> Range<u64> {
    let found = image.loads().find(|it| !it.is_executable() && !it.is_writable() && it.size > 0);
    found.map_or(0..0, |segment| segment.address..segment.end() & !7)
}

/// Whether the constants in memory are those of the image.
fn is_of(dump: &Dump<'_>, image: &Elf<'_>) -> bool {
    let constants = constants(image);
    constants.clone().step_by(8).all(|at| {
        let own = image.bytes_at(at, 8).and_then(|bytes| bytes.first_chunk());
        own.is_none_or(|own| dump.word(at) == Some(u64::from_le_bytes(*own)))
    })
}

/// The tasks, those first that ran or were about to.
fn listed(tasks: &[Task], symbols: &Symbols) -> String {
    let mut text = format!("\n{}, told by what polls each\n", counted(tasks.len(), "task"));
    let mut tasks: Vec<_> = tasks.iter().collect();
    tasks.sort_by_key(|task| task.phase);
    for Task { future, size, poll, phase } in tasks {
        let phase = match phase {
            Phase::Runs => "runs",
            Phase::Ready => "is woken",
            Phase::Waits => "waits",
        };
        let name = symbols.symbol(*poll).unwrap_or("?");
        let _ = writeln!(text, "  {phase:8} {name} ({} bytes at {future:#x})", bytes(*size));
    }
    text
}

/// What the kernel counts of its heap.
fn heap(dump: &Dump<'_>, image: &Elf<'_>) -> String {
    let value = |name| dump.word(address(image, name)?);
    match [BYTES, BLOCKS, FAILURES].map(value) {
        [Some(given), Some(blocks), Some(failures)] => format!(
            "\nheap: {} bytes in {} blocks are given out, with those in lists of free ones; {} \
             allocations failed\n",
            bytes(given),
            bytes(blocks),
            bytes(failures)
        ),
        _ => "\nheap: this build does not say where its counters are\n".to_owned(),
    }
}
