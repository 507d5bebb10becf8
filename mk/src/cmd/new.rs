//! `cargo mk new`: an app that builds and runs at once.

use crate::project::{Project, read, write};
use crate::ui::{Ui, out};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf, absolute};
use toml_edit::{DocumentMut, Value};

/// Makes a new app
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo mk new demo\n  cargo mk new demo --path ../demo\n\nWithout --path \
it stands in apps/ and is a member of this workspace; with it, it is a\nrepository of its own."
)]
pub(crate) struct Args {
    /// The app's name: letters, digits and -
    name: String,
    /// The folder of its own that the app gets
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

/// Names that mean something else to Rust, to cargo or to Xenith.
const TAKEN: &[&str] = &[
    "abstract", "alloc", "as", "async", "await", "become", "bench", "box", "break", "build",
    "const", "continue", "core", "crate", "debug", "deps", "devices", "do", "doc", "dyn", "else",
    "enum", "examples", "extern", "final", "fn", "for", "help", "if", "impl", "in", "kernel",
    "lab", "let", "link", "loop", "macro", "match", "mk", "mod", "move", "mut", "override", "priv",
    "pub", "ref", "release", "return", "run", "self", "static", "std", "struct", "super", "test",
    "tests", "trait", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where",
    "while", "xen", "yield",
];

/// Runs the command.
///
/// # Errors
/// When the name cannot be used or there is something already.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = Project::find()?;
    check_name(&args.name)?;
    let folder = match &args.path {
        Some(path) => absolute(path).context("the current folder is gone")?,
        None => {
            ensure!(
                project.is_xenith(),
                "this workspace is not Xenith's: give the new app a folder of its own with --path"
            );
            let taken = project.guests.iter().find(|guest| guest.name == args.name);
            ensure!(taken.is_none(), "there is a guest {} already", args.name);
            project.root.join("apps").join(&args.name)
        }
    };
    let empty = fs::read_dir(&folder).map_or(!folder.exists(), |mut it| it.next().is_none());
    ensure!(empty, "{} exists and is not empty: choose another folder", folder.display());
    match args.path {
        Some(_) => repository(&project, &args.name, &folder)?,
        None => member(&project, &args.name, &folder)?,
    }
    ui.note(&format!("made {}", folder.display()));
    match &args.path {
        Some(path) => out(&format!("cd {} && cargo mk run\n", path.display())),
        None => out(&format!("cargo mk run {}\n", args.name)),
    }
    Ok(0)
}

/// Refuses what cannot be the name of a crate, a binary and a domain at once.
fn check_name(name: &str) -> Result<()> {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-')
        && name.len() <= 40;
    ensure!(
        plain,
        "{name:?} cannot be an app's name: it begins with a small letter, goes on with small \
         letters, digits and -, and has at most 40 characters"
    );
    ensure!(
        !TAKEN.contains(&name) && !name.starts_with("xenith"),
        "{name} cannot be an app's name: it means something else already"
    );
    Ok(())
}

/// A template with its words filled in.
fn fill(template: &str, name: &str) -> String {
    template.replace("CRATE", &name.replace('-', "_")).replace("NAME", name)
}

/// The files that every app has.
fn sources(name: &str, folder: &Path) -> Result<()> {
    write(&folder.join("src/lib.rs"), include_str!("../template/lib.rs.txt").as_bytes())?;
    let main = fill(include_str!("../template/main.rs.txt"), name);
    write(&folder.join("src/main.rs"), main.as_bytes())
}

/// An app in the workspace.
fn member(project: &Project, name: &str, folder: &Path) -> Result<()> {
    let manifest = project.root.join("Cargo.toml");
    let text = String::from_utf8(read(&manifest)?).context("Cargo.toml is not UTF-8")?;
    let text = with_member(&text, &format!("apps/{name}"))?;
    let cargo = fill(include_str!("../template/app.toml"), name);
    write(&folder.join("Cargo.toml"), cargo.as_bytes())?;
    sources(name, folder)?;
    write(&manifest, text.as_bytes())
}

/// The workspace's manifest with one more member, in its place.
fn with_member(manifest: &str, member: &str) -> Result<String> {
    let mut document: DocumentMut = manifest.parse().context("Cargo.toml")?;
    let members = document
        .get_mut("workspace")
        .and_then(|workspace| workspace.get_mut("members"))
        .and_then(|members| members.as_array_mut())
        .context("Cargo.toml lists no members")?;
    let names: Vec<_> = members.iter().filter_map(Value::as_str).collect();
    if names.contains(&member) {
        bail!("{member} is a member of the workspace already");
    }
    let at = names.iter().position(|&other| other > member).unwrap_or(names.len());
    let mut value = Value::from(member);
    if let Some(neighbour) = members.get(0) {
        *value.decor_mut() = neighbour.decor().clone();
    }
    members.insert_formatted(at, value);
    Ok(document.to_string())
}

/// An app in a repository of its own.
fn repository(project: &Project, name: &str, folder: &Path) -> Result<()> {
    let xenith = project.xenith.to_str().context("the path of Xenith is not UTF-8")?;
    let workspace = String::from_utf8(read(&project.xenith.join("Cargo.toml"))?)?;
    let workspace: DocumentMut = workspace.parse().context("Cargo.toml of Xenith")?;
    let dependencies = &workspace["workspace"]["dependencies"];
    let version = dependencies.get("embedded-io-async").and_then(|it| it.as_str()).unwrap_or("0.7");
    let repository = &workspace["workspace"]["package"]["repository"];
    let repository = repository.as_str().unwrap_or("https://xenproject.org");
    let cargo = fill(include_str!("../template/repository.toml"), name)
        .replace("VERSION", version)
        .replace("PATH", xenith);
    write(&folder.join("Cargo.toml"), cargo.as_bytes())?;
    sources(name, folder)?;
    let readme = fill(include_str!("../template/README.md.txt"), name);
    let readme = readme.replace("REPOSITORY", repository);
    write(&folder.join("README.md"), readme.as_bytes())?;
    let alias = ["run", "--quiet", "--manifest-path", &format!("{xenith}/Cargo.toml")];
    let alias: Vec<_> = alias.into_iter().chain(["--package", "xenith-mk", "--"]).collect();
    let alias = toml_edit::Array::from_iter(alias);
    write(&folder.join(".cargo/config.toml"), format!("[alias]\nmk = {alias}\n").as_bytes())?;
    write(&folder.join(".gitignore"), b"/target\n")?;
    let toolchain = read(&project.xenith.join("rust-toolchain.toml"))?;
    write(&folder.join("rust-toolchain.toml"), &toolchain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["demo", "my-app2"] {
            check_name(name).unwrap();
        }
        for name in ["", "Demo", "2fast", "a_b", "a/b", "../x", "a-", "test", "xenith-x", "fn"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name(&"a".repeat(41)).is_err());
    }

    #[test]
    fn members_stay_in_order() {
        let before =
            "[workspace]\nmembers = [\n    \"apps/hello\",\n    \"apps/noop\",\n    \"mk\",\n]\n";
        let after = with_member(before, "apps/demo").unwrap();
        assert_eq!(after, before.replace("[\n", "[\n    \"apps/demo\",\n"));
        let after = with_member(before, "apps/zoo").unwrap();
        assert_eq!(after, before.replace("    \"mk\"", "    \"apps/zoo\",\n    \"mk\""));
        assert!(with_member(before, "mk").is_err());
        assert!(with_member("[package]", "mk").is_err());
    }

    #[test]
    fn templates_are_filled_in() {
        let main = fill(include_str!("../template/main.rs.txt"), "my-app");
        assert!(main.contains("main: my_app::start") && main.contains("name: \"my-app\""));
    }
}
