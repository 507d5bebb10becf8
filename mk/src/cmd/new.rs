//! `cargo mk new`: an app that builds and runs at once.

use crate::project::{Project, read, write};
use crate::ui::{Ui, out, typed};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Component, Path, PathBuf, absolute};
use toml_edit::{DocumentMut, Value};

/// Makes a new app
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo mk new demo\n  cargo mk new demo --path ../demo\n  cargo xenith new demo --path \
demo --xenith https://github.com/xenith-os/xenith\n\nWithout --path it stands in apps/ and is a \
member of Xenith's own workspace; with it, it is a\nrepository of its own."
)]
pub(crate) struct Args {
    /// The app's name: small letters, digits and -, at first a letter; 40 characters at most
    name: String,
    /// The folder of its own that the app gets
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// What that repository depends on: a folder with Xenith in it, the address of a git
    /// repository, with #COMMIT behind it for one of its commits, or a released version.
    /// Without it, the Xenith of the current folder, else the release of this tool
    #[arg(long, value_name = "FOLDER|URL|VERSION", requires = "path")]
    xenith: Option<String>,
}

/// Where a repository gets Xenith from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Folder(PathBuf),
    Git { url: String, commit: Option<String> },
    Release(String),
}

impl Source {
    /// Reads what a user wrote.
    fn parse(text: &str) -> Result<Self> {
        if text.contains("://") || text.starts_with("git@") {
            let (url, commit) = text.split_once('#').map_or((text, None), |(a, b)| (a, Some(b)));
            let commit = commit.map(str::to_owned);
            // Git's own way to write it, which is no URL, and cargo takes none but those.
            let short = url.split_once(':').filter(|_| !url.contains("://"));
            let url = short.map_or_else(
                || url.to_owned(),
                |(host, path)| format!("ssh://{host}/{}", path.trim_start_matches('/')),
            );
            return Ok(Self::Git { url, commit });
        }
        let is_number = |part: &str| part.parse::<u64>().is_ok();
        if text.splitn(3, '.').take(2).all(is_number) && !Path::new(text).exists() {
            return Ok(Self::Release(text.to_owned()));
        }
        let folder = Path::new(text).canonicalize().ok();
        folder.filter(|it| it.join("kernel/Cargo.toml").is_file()).map(Self::Folder).with_context(
            || {
                format!(
                    "{text} is neither a folder with Xenith in it, nor the address of a git \
                     repository such as https://..., nor a version such as {VERSION}"
                )
            },
        )
    }

    /// The Xenith of this workspace, else the release of this tool.
    fn usual(project: Option<&Project>) -> Self {
        match project.filter(|project| project.from_folder) {
            Some(project) => Self::Folder(project.xenith.clone()),
            None => Self::Release(VERSION.to_owned()),
        }
    }

    /// The keys of a dependency on the crate in that folder of Xenith.
    fn keys(&self, folder: &str) -> Result<String> {
        let quoted = |text: &str| Value::from(text).to_string();
        Ok(match self {
            Self::Folder(xenith) => {
                let path = xenith.join(folder);
                let path = path.to_str().context("the path of Xenith is not UTF-8")?;
                format!("path = {}", quoted(path))
            }
            Self::Git { url, commit: None } => format!("git = {}", quoted(url)),
            Self::Git { url, commit: Some(commit) } => {
                format!("git = {}, rev = {}", quoted(url), quoted(commit))
            }
            Self::Release(version) => format!("version = {}", quoted(version)),
        })
    }

    /// The words that `cargo mk` stands for in the repository, and how one gets them.
    fn mk(&self) -> Result<(String, String)> {
        let install = |from: &str| {
            let how = format!("`cargo mk` is `cargo xenith` of `cargo install {from}`.");
            Ok(("\"xenith\"".to_owned(), how))
        };
        match self {
            Self::Folder(xenith) => {
                let manifest = xenith.join("Cargo.toml");
                let manifest = manifest.to_str().context("the path of Xenith is not UTF-8")?;
                let words = ["run", "--manifest-path", manifest];
                let words = words.into_iter().chain(["--package", "xenith-mk", "--"]);
                let how = "Xenith is used from the folder that `Cargo.toml` and \
                           `.cargo/config.toml` name.";
                Ok((toml_edit::Array::from_iter(words).to_string(), how.to_owned()))
            }
            Self::Git { url, commit: None } => install(&format!("--git {url} xenith-mk")),
            Self::Git { url, commit: Some(commit) } => {
                install(&format!("--git {url} --rev {commit} xenith-mk"))
            }
            Self::Release(version) => install(&format!("xenith-mk@{version}")),
        }
    }
}

/// The release of this tool.
const VERSION: &str = env!("CARGO_PKG_VERSION");

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
    // A repository of its own can be made anywhere.
    let project = Project::find_quietly();
    check_name(&args.name)?;
    let folder = match &args.path {
        Some(path) => normal(path)?,
        None => {
            let project = project.as_ref().ok().filter(|project| project.is_xenith());
            let project = project.context(
                "this is not Xenith's own workspace: give the new app a folder of its own with \
                 --path",
            )?;
            let taken = project.guests.iter().find(|guest| guest.name == args.name);
            ensure!(taken.is_none(), "there is an app {} already", args.name);
            project.root.join("apps").join(&args.name)
        }
    };
    let empty = fs::read_dir(&folder).map_or(!folder.exists(), |mut it| it.next().is_none());
    ensure!(empty, "{} exists and is not empty: choose another folder", folder.display());
    match args.path {
        Some(_) => {
            let source = match &args.xenith {
                Some(text) => Source::parse(text)?,
                None => Source::usual(project.as_ref().ok()),
            };
            repository(&source, &args.name, &folder)?;
        }
        None => member(&project?, &args.name, &folder)?,
    }
    let member = if args.path.is_none() { ", and added it to Cargo.toml" } else { "" };
    ui.note(&format!("made {}{member}", folder.display()));
    match &args.path {
        Some(_) => out(&format!("cd {} && cargo mk run\n", typed(&folder))),
        None => out(&format!("cargo mk run {}\n", args.name)),
    }
    Ok(0)
}

/// The absolute path without `.` and `..`: of what is there, as the file system resolves it,
/// so that a link on the way does not lead elsewhere.
fn normal(path: &Path) -> Result<PathBuf> {
    let path = absolute(path).context("the current folder is gone")?;
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            component => {
                normal.push(component);
                // A folder that is yet to be made is what it is called.
                if let Ok(real) = normal.canonicalize() {
                    normal = real;
                }
            }
        }
    }
    Ok(normal)
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
fn repository(source: &Source, name: &str, folder: &Path) -> Result<()> {
    let (mk, how) = source.mk()?;
    let cargo = fill(include_str!("../template/repository.toml"), name)
        .replace("FROM-XENITH", &source.keys("devices/xenith")?);
    write(&folder.join("Cargo.toml"), cargo.as_bytes())?;
    sources(name, folder)?;
    let readme = fill(include_str!("../template/README.md.txt"), name);
    let readme = readme.replace("REPOSITORY", env!("CARGO_PKG_REPOSITORY")).replace("HOW", &how);
    write(&folder.join("README.md"), readme.as_bytes())?;
    write(&folder.join(".cargo/config.toml"), format!("[alias]\nmk = {mk}\n").as_bytes())?;
    write(&folder.join(".gitignore"), b"/target\n")?;
    let toolchain = include_bytes!("../../embed/rust-toolchain.toml");
    write(&folder.join("rust-toolchain.toml"), toolchain)
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
    fn a_folder_has_one_name_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().canonicalize().unwrap();
        fs::create_dir_all(here.join("a/b")).unwrap();
        std::os::unix::fs::symlink(here.join("a/b"), here.join("link")).unwrap();
        for (written, path) in [("x/../demo", "demo"), ("link/../demo", "a/demo"), ("./a/.", "a")] {
            assert_eq!(normal(&here.join(written)).unwrap(), here.join(path), "{written}");
        }
    }

    #[test]
    fn a_repository_gets_xenith_from_where_it_is_told() {
        let keys = |text: &str| Source::parse(text).unwrap().keys("devices").unwrap();
        assert_eq!(keys("0.1.0"), "version = \"0.1.0\"");
        assert_eq!(keys("https://a/b"), "git = \"https://a/b\"");
        assert_eq!(keys("https://a/b#12ab"), "git = \"https://a/b\", rev = \"12ab\"");
        // Cargo takes URLs alone.
        assert_eq!(keys("git@host:a/b.git"), "git = \"ssh://git@host/a/b.git\"");
        assert_eq!(keys("git@host:/a#1"), "git = \"ssh://git@host/a\", rev = \"1\"");
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
        let here = here.to_str().unwrap();
        assert_eq!(keys(here), format!("path = \"{here}/devices\""));
        for wrong in ["", "/", "one.two", "../nowhere"] {
            let error = Source::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("neither a folder with Xenith in it"), "{error}");
        }
    }

    #[test]
    fn the_template_names_the_versions_of_the_workspace() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let workspace: DocumentMut = fs::read_to_string(file).unwrap().parse().unwrap();
        let template = include_str!("../template/repository.toml");
        let template = template.replace("FROM-XENITH", "a = 1");
        let template: DocumentMut = template.parse().unwrap();
        let (here, there) = (
            workspace["workspace"]["dependencies"]["embedded-io-async"].as_str(),
            template["dependencies"]["embedded-io-async"].as_str(),
        );
        assert_eq!(here.unwrap(), there.unwrap());
        let edition = workspace["workspace"]["package"]["edition"].as_str();
        assert_eq!(edition, template["package"]["edition"].as_str());
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
