//! `cargo mk inspect`: what an image holds and what is wrong with it.

use crate::image::drivers::Drivers;
use crate::image::elf::Elf;
use crate::image::redzone;
use crate::image::verify::verify;
use crate::image::{least_memory, manifest, notes};
use crate::project::{Project, read};
use crate::ui::{bytes, err, out, table};
use anyhow::{Context, Result};
use console::style;
use object::elf;
use std::path::PathBuf;

/// Shows what an image holds, and what is wrong with it
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk inspect target/xenith/hello/hello\n\nThe exit status is 1 \
when the image must not be booted."
)]
pub(crate) struct Args {
    /// The image: a file that `cargo mk build` made, or any ELF file
    file: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be read as an ELF file.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let file = read(&args.file).context(
        "an image is a file, such as target/xenith/hello/hello once `cargo mk build hello` made it",
    )?;
    let image = Elf::parse(&file).with_context(|| args.file.display().to_string())?;
    let manifest = manifest(&image);
    segments(&image);
    notes_of(&image);
    // Whose code an image holds is known where the crates are that it was built from.
    let drivers = Project::find_quietly().ok().map(|it| Drivers::of(&it.metadata)).transpose()?;
    let mut wrong = verify(&image, manifest.as_ref().ok().zip(drivers.as_ref()));
    match manifest {
        Ok(manifest) => out(&format!("manifest\n{}\n\n", serde_json::to_string_pretty(&manifest)?)),
        Err(error) => wrong.push(format!("{error:#}")),
    }
    match least_memory(&image) {
        Ok(mib) => out(&format!("least memory  {mib} MiB\n")),
        Err(error) => wrong.push(format!("{error:#}")),
    }
    if image.symbols.is_empty() {
        out(
            "symbols       none, and so use of the red zone cannot be looked for: FILE.debug has them\n",
        );
    }
    for user in redzone::users(&image) {
        out(&format!("red zone      {user}: with it, the kernel starts no watchdog\n"));
    }
    for line in &wrong {
        err(&format!("{} {line}\n", style("wrong:").for_stderr().red().bold()));
    }
    if wrong.is_empty() {
        out(&format!("{}\n", style("nothing is wrong with it").green()));
    }
    Ok(u8::from(!wrong.is_empty()))
}

fn segments(image: &Elf<'_>) {
    let mut rows = vec![["segment", "flags", "address", "file", "memory"].map(str::to_owned)];
    for segment in &image.segments {
        let kind = match elf::ProgramType(segment.kind) {
            elf::PT_LOAD => "LOAD".to_owned(),
            elf::PT_NOTE => "NOTE".to_owned(),
            elf::PT_GNU_STACK => "GNU_STACK".to_owned(),
            other => format!("{:#x}", other.0),
        };
        let flag = |bit: elf::ProgramFlags, c| if segment.flags & bit.0 == 0 { '-' } else { c };
        let flags = [flag(elf::PF_R, 'r'), flag(elf::PF_W, 'w'), flag(elf::PF_X, 'x')];
        rows.push([
            kind,
            flags.iter().collect(),
            format!("{:#x}", segment.address),
            bytes(segment.data.len() as u64),
            bytes(segment.size),
        ]);
    }
    out(&format!("{}\n", table(&rows, &[2, 3, 4])));
}

fn notes_of(image: &Elf<'_>) {
    let mut rows = vec![["note", "value"].map(str::to_owned)];
    for note in &image.notes {
        let name = match note.owner == notes::OWNER {
            true => notes::NAMES.get(note.kind as usize).copied(),
            false => None,
        };
        let owner = String::from_utf8_lossy(note.owner);
        let kind = name.map_or_else(|| note.kind.to_string(), str::to_owned);
        let value = match name {
            Some(_) => notes::shown(note.kind, note.description),
            None => format!("{} bytes", note.description.len()),
        };
        rows.push([format!("{owner} {kind}"), value]);
    }
    out(&format!("{}\n", table(&rows, &[])));
}
