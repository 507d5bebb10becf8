//! `cargo mk inspect`: what an image holds and what is wrong with it.

use crate::image::drivers::Drivers;
use crate::image::elf::Elf;
use crate::image::redzone;
use crate::image::verify::verify;
use crate::image::{least_memory, manifest, notes};
use crate::project::{Project, read};
use crate::ui::{bytes, err, out, table};
use anyhow::{Context, Result, bail};
use console::style;
use object::elf;
use std::path::{Path, PathBuf};

/// Shows what an image holds, and what is wrong with it
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo mk inspect hello\n  cargo mk inspect some/image\n\nOf an app, it is the \
image that `cargo mk build` made last. The exit status is 1\nwhen the image must not be booted."
)]
pub(crate) struct Args {
    /// The image: an app, as it was built last, or any ELF file; without it, the app of the current
    /// folder
    #[arg(value_name = "APP|FILE")]
    image: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be read as an ELF file.
pub(crate) fn run(args: &Args) -> Result<u8> {
    let path = match &args.image {
        Some(file) if file.is_file() => file.clone(),
        image => of_app(image.as_deref())?,
    };
    let file = read(&path)?;
    let image = Elf::parse(&file).with_context(|| path.display().to_string())?;
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
    let twin = path.with_added_extension("debug");
    let twin = if image.symbols.is_empty() { std::fs::read(&twin).ok() } else { None };
    let linked = twin.as_deref().and_then(|it| Elf::parse(it).ok());
    let linked = linked.filter(|it| is_of(it, &image)).unwrap_or(image);
    if linked.symbols.is_empty() {
        out(
            "symbols       none, and so use of the red zone cannot be looked for: FILE.debug has them\n",
        );
    }
    for user in redzone::users(&linked) {
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

/// Whether `linked` is what `image` was made of: its code is the same.
fn is_of(linked: &Elf<'_>, image: &Elf<'_>) -> bool {
    let code = |elf: &Elf<'_>| -> Vec<_> {
        let segments = elf.segments.iter().filter(|it| it.flags & elf::PF_X.0 != 0);
        segments.map(|it| (it.address, it.data.to_vec())).collect()
    };
    code(linked) == code(image)
}

/// The image of an app's last build.
fn of_app(app: Option<&Path>) -> Result<PathBuf> {
    let given: Vec<_> = app.iter().map(|it| it.display().to_string()).collect();
    if given.iter().any(|it| it.contains('/')) {
        bail!("there is no file {}: an image is a file, or an app by its name", given.concat());
    }
    let project = Project::find()?;
    let guest = *project.choose(&given)?.first().context("no app")?;
    built(&project.image_folder(&guest.name), &guest.name)
}

/// The image of that name in its folder.
fn built(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    match path.is_file() {
        true => Ok(path),
        false => bail!("{name} is not built yet: `cargo mk build {name}` makes its image"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_those_of_the_same_code_alone() {
        let code = |flags, data| Elf {
            segments: vec![crate::image::elf::Segment { flags, data, ..Default::default() }],
            ..Elf::default()
        };
        let image = code(elf::PF_X.0, b"code");
        assert!(is_of(&code(elf::PF_X.0, b"code"), &image));
        assert!(!is_of(&code(elf::PF_X.0, b"cold"), &image));
        assert!(!is_of(&code(elf::PF_R.0, b"code"), &image));
    }

    #[test]
    fn an_app_s_image_is_there_or_the_error_says_how_to_make_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = built(folder.path(), "web").unwrap_err().to_string();
        assert!(error.contains("`cargo mk build web`"), "{error}");
        std::fs::write(folder.path().join("web"), "image").unwrap();
        assert_eq!(built(folder.path(), "web").unwrap(), folder.path().join("web"));
        let error = of_app(Some(Path::new("no/such"))).unwrap_err().to_string();
        assert!(error.contains("no file no/such"), "{error}");
    }
}
