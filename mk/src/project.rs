//! The workspace that `cargo mk` was called in, as cargo sees it.

use crate::alike::meant;
use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The package that all guests are built from.
const KERNEL: &str = "xenith-kernel";
/// The package that apps depend on, which re-exports the kernel.
const FACADE: &str = "xenith";
/// The folders of Xenith with packages that run on this machine alone.
const HOST: [&str; 2] = ["mk", "tests/replay"];
/// The package whose binaries are test guests.
const TESTS: &str = "xenith-tests";

/// A workspace with apps.
pub(crate) struct Project {
    pub(crate) metadata: Metadata,
    /// The folder of the kernel's workspace: Xenith itself, where the kernel is not one of
    /// many packages from a registry.
    pub(crate) xenith: PathBuf,
    /// The folder of the kernel, which has what it takes to link with it.
    kernel: PathBuf,
    /// Whether that is a folder of the user's, and neither a registry's nor of git's.
    pub(crate) from_folder: bool,
    /// The folder of this workspace.
    pub(crate) root: PathBuf,
    /// Where images and everything else of `cargo mk` go.
    pub(crate) out: PathBuf,
    pub(crate) guests: Vec<Guest>,
}

/// What an image is optimised for.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    clap::ValueEnum,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Goal {
    /// The smallest image
    #[default]
    Size,
    /// The fewest instructions, in a larger image whose limit does not count
    Speed,
}

/// A binary that can be built as a guest.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) name: String,
    pub(crate) package: String,
    /// The package's folder.
    pub(crate) folder: PathBuf,
    /// The file with its `main`.
    pub(crate) source: PathBuf,
    /// Whether it is a test guest.
    pub(crate) test: bool,
    /// What its image is optimised for.
    pub(crate) goal: Goal,
    /// The most bytes that its image may have.
    pub(crate) limit: Option<u64>,
}

/// Whether a package is built from Xenith's crates.
fn uses_xenith(package: &Package) -> bool {
    package.dependencies.iter().any(|it| [KERNEL, FACADE].contains(&it.name.as_str()))
}

impl Project {
    /// Asks cargo about the workspace around the current folder.
    ///
    /// # Errors
    /// When there is none, or it has nothing to do with Xenith.
    pub(crate) fn find() -> Result<Self> {
        // The first time, cargo fetches the index and packages, and says so.
        Self::read(MetadataCommand::new().verbose(true))
    }

    /// The same where it is no mistake that there is none: nothing is shown of it.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub(crate) fn find_quietly() -> Result<Self> {
        Self::read(&MetadataCommand::new())
    }

    fn read(command: &MetadataCommand) -> Result<Self> {
        let metadata = command.exec().map_err(|error| match error {
            cargo_metadata::Error::CargoMetadata { stderr } => {
                let what = "cargo cannot read this workspace: call `cargo mk` inside one with \
                            Xenith apps";
                anyhow::anyhow!("{}", format!("{what}\n{stderr}").trim_end())
            }
            error => anyhow::Error::new(error).context("cargo metadata"),
        })?;
        let kernel = metadata
            .packages
            .iter()
            .find(|package| package.name.as_str() == KERNEL)
            .with_context(|| format!("no package of this workspace depends on {FACADE}"))?;
        let (kernel, from_folder) = (folder(kernel), kernel.source.is_none());
        let xenith = kernel.parent().unwrap_or(&kernel).to_owned();
        let guests = metadata
            .workspace_packages()
            .into_iter()
            .filter(|package| uses_xenith(package))
            .flat_map(guests_of)
            .collect::<Result<_>>()?;
        let this = Self {
            xenith,
            kernel,
            from_folder,
            root: metadata.workspace_root.clone().into(),
            out: metadata.target_directory.join("xenith").into(),
            guests,
            metadata,
        }
        .optimized(None);
        for file in [this.link_script(), this.target()] {
            let what = "the package of Xenith's kernel is incomplete: fetch it again";
            ensure!(file.is_file(), "{} is missing: {what}", file.display());
        }
        Ok(this)
    }

    /// The same, with all guests optimised for `goal` if there is one.
    pub(crate) fn optimized(mut self, goal: Option<Goal>) -> Self {
        for guest in &mut self.guests {
            guest.goal = goal.unwrap_or(guest.goal);
            guest.limit = guest.limit.filter(|_| guest.goal == Goal::Size);
        }
        self
    }

    /// The linker script of the kernel.
    pub(crate) fn link_script(&self) -> PathBuf {
        self.kernel.join("link.ld")
    }

    /// The guest target's specification.
    pub(crate) fn target(&self) -> PathBuf {
        let path = self.kernel.join("targets/x86_64-unknown-xen.json");
        // One name for it whatever leads there: cargo builds anew when it changes.
        path.canonicalize().unwrap_or(path)
    }

    /// The apps, without the test guests.
    pub(crate) fn apps(&self) -> impl Iterator<Item = &Guest> {
        self.guests.iter().filter(|guest| !guest.test)
    }

    /// The packages of this workspace that are compiled for guests.
    pub(crate) fn guest_packages(&self) -> impl Iterator<Item = &str> {
        let packages = self.metadata.workspace_packages().into_iter();
        packages.map(|package| (package.name.as_str(), package)).filter_map(|(name, package)| {
            let own = self.is_xenith();
            let host = HOST.iter().any(|it| folder(package).starts_with(self.root.join(it)));
            let guest = if own { !host } else { uses_xenith(package) };
            guest.then_some(name)
        })
    }

    /// The packages of this workspace that are published.
    pub(crate) fn published(&self) -> impl Iterator<Item = &str> {
        let packages = self.metadata.workspace_packages().into_iter();
        let published = packages.filter(|it| it.publish.as_ref().is_none_or(|to| !to.is_empty()));
        published.map(|package| package.name.as_str())
    }

    /// Whether the workspace is Xenith itself.
    pub(crate) fn is_xenith(&self) -> bool {
        self.root == self.xenith
    }

    /// The folder of the image of the guest of that name.
    pub(crate) fn image_folder(&self, name: &str) -> PathBuf {
        self.out.join(name)
    }

    /// The guests of those names; with none, the one in whose folder we are.
    ///
    /// # Errors
    /// When there is no such guest, with a list of those that are.
    pub(crate) fn choose(&self, names: &[String]) -> Result<Vec<&Guest>> {
        if names.is_empty() {
            return Ok(vec![self.here()?]);
        }
        let mut chosen: Vec<&Guest> = Vec::new();
        for name in names {
            let guest = self.guests.iter().find(|guest| guest.name == *name);
            let guest =
                guest.with_context(|| format!("there is no app {name}{}", self.instead(name)))?;
            if chosen.iter().all(|other| other.name != guest.name) {
                chosen.push(guest);
            }
        }
        Ok(chosen)
    }

    /// The app that is named, if one is, and its arguments: the first word is the app unless it can only
    /// be an argument.
    pub(crate) fn name_and_items(
        &self,
        app: Option<&String>,
        args: &[String],
    ) -> (Vec<String>, Vec<String>) {
        let (mut app, mut items): (Vec<_>, _) = (app.into_iter().cloned().collect(), args.to_vec());
        let is_item = |word: &String| {
            let known = self.guests.iter().any(|guest| guest.name == *word);
            !known && (word.contains('=') || word == "help")
        };
        if app.first().is_some_and(is_item) {
            items.insert(0, app.remove(0));
        }
        (app, items)
    }

    /// The app of a guest: of several of one app, all but the first have a number behind its name.
    pub(crate) fn app_of<'a>(&self, guest: &'a str) -> &'a str {
        app_of(guest, |name| self.guests.iter().any(|guest| guest.name == name))
    }

    fn here(&self) -> Result<&Guest> {
        let here = std::env::current_dir().context("the current folder is gone")?;
        let mut guests = self.apps().filter(|guest| here.starts_with(&guest.folder));
        match (guests.next(), guests.next()) {
            (Some(guest), None) => Ok(guest),
            _ => bail!("which app is meant? Name one of these:\n{}", self.list()),
        }
    }

    /// What may be meant by the name of no app, for a message.
    fn instead(&self, name: &str) -> String {
        match meant(self.guests.iter().map(|guest| &*guest.name), name) {
            Some(other) => format!("; did you mean {other}?"),
            None => format!("\n{}", self.list()),
        }
    }

    /// All guests, for a message.
    fn list(&self) -> String {
        let names = |test| {
            let guests = self.guests.iter().filter(|guest| guest.test == test);
            guests.map(|guest| &*guest.name).collect::<Vec<_>>().join(" ")
        };
        let mut text = format!("apps: {}", names(false));
        if self.guests.iter().any(|guest| guest.test) {
            text += &format!("\ntest guests: {}", names(true));
        }
        text
    }

    /// A copy of the linker script that knows the address for most images,
    /// `base`; one on the linker's command line goes before it. Its name
    /// changes with its content, so that cargo links again when it was edited.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(crate) fn linker_script(&self, base: u64) -> Result<PathBuf> {
        let mut text = format!("PROVIDE(virt_base = {base:#x});\n").into_bytes();
        text.extend(read(&self.link_script())?);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let copy = self.out.join(format!("link/{:016x}.ld", hasher.finish()));
        if !copy.exists() {
            write(&copy, &text)?;
        }
        Ok(copy)
    }

    /// Folders whose names should not stand in an image, and what to say instead.
    pub(crate) fn remaps(&self, sysroot: &Path) -> Vec<(PathBuf, &'static str)> {
        let mut folders: Vec<PathBuf> = self
            .metadata
            .packages
            .iter()
            .filter(|package| package.source.is_some())
            .filter_map(|package| folder(package).parent().map(Path::to_owned))
            .collect();
        folders.sort();
        folders.dedup();
        let mut remaps: Vec<_> = folders.into_iter().map(|it| (it, "crates")).collect();
        remaps.push((sysroot.join("lib/rustlib/src/rust"), "rust"));
        remaps.push((self.xenith.clone(), "xenith"));
        remaps
    }
}

fn app_of(guest: &str, is_known: impl Fn(&str) -> bool) -> &str {
    let twin = guest
        .rsplit_once('-')
        .filter(|(app, number)| number.parse::<u32>().is_ok() && !is_known(guest) && is_known(app));
    twin.map_or(guest, |(app, _)| app)
}

/// The folder of a package.
fn folder(package: &Package) -> PathBuf {
    package.manifest_path.parent().map_or_else(PathBuf::new, |it| it.as_std_path().to_owned())
}

fn guests_of(package: &Package) -> Vec<Result<Guest>> {
    let bins = package.targets.iter().filter(|target| target.is_bin());
    bins.map(|target| {
        known_settings(package)?;
        Ok(Guest {
            name: target.name.clone(),
            package: package.name.to_string(),
            folder: folder(package),
            source: target.src_path.clone().into(),
            test: package.name.as_str() == TESTS,
            goal: goal(package)?,
            limit: limit(package)?,
        })
    })
    .collect()
}

/// Settings that an app may have in `[package.metadata.xenith]`.
const SETTINGS: [&str; 3] = ["crates", "optimize", "size"];

/// Refuses settings that mean nothing, such as misspelt ones.
fn known_settings(package: &Package) -> Result<()> {
    let settings = package.metadata.get("xenith").and_then(|it| it.as_object());
    let unknown = settings.into_iter().flatten().find(|(key, _)| !SETTINGS.contains(&key.as_str()));
    if let Some((key, _)) = unknown {
        bail!(
            "{}: there is no setting metadata.xenith.{key}; there are {}",
            package.manifest_path,
            SETTINGS.join(", ")
        );
    }
    Ok(())
}

/// `[package.metadata.xenith] optimize = "speed"`: what images are optimised for.
fn goal(package: &Package) -> Result<Goal> {
    let Some(goal) = package.metadata.pointer("/xenith/optimize") else {
        return Ok(Goal::default());
    };
    Goal::deserialize(goal).with_context(|| {
        let path = &package.manifest_path;
        format!("{path}: metadata.xenith.optimize should be \"size\" or \"speed\"")
    })
}

/// `[package.metadata.xenith] size = "24 KiB"`: the most that an image may have.
fn limit(package: &Package) -> Result<Option<u64>> {
    let Some(size) = package.metadata.pointer("/xenith/size") else { return Ok(None) };
    let kib = size.as_str().and_then(|it| it.strip_suffix(" KiB")).and_then(|it| it.parse().ok());
    let kib: u64 = kib.with_context(|| {
        format!(
            "{}: metadata.xenith.size should be a whole number of KiB, such as \"24 KiB\"",
            package.manifest_path
        )
    })?;
    Ok(Some(kib * 1024))
}

/// cargo as the user called it.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Refuses a file to be written whose folder is not there, before long work is done for it.
///
/// # Errors
/// When there is no such folder, or the file is one.
pub(crate) fn has_place(file: &Path) -> Result<()> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "there is no folder {} for it", folder.display());
    ensure!(!file.is_dir(), "it is a folder: name a file in it");
    Ok(())
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read, with its name.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file and the folders above it, in one step: it is never half there.
///
/// # Errors
/// When it cannot be written, with its name.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let part = path.with_extension(format!("part{}", std::process::id()));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&part, content))
        .and_then(|()| fs::rename(&part, path))
        .inspect_err(|_| drop(fs::remove_file(&part)))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_where_there_is_a_folder_for_it() {
        assert!(has_place(Path::new("new.saved")).is_ok());
        assert!(has_place(Path::new("/new.saved")).is_ok());
        let error = |file: &str| has_place(Path::new(file)).unwrap_err().to_string();
        assert!(error("/no/such/new.saved").contains("there is no folder /no/such"));
        assert!(error("/").contains("it is a folder"));
    }

    #[test]
    fn a_guest_with_a_number_is_of_the_app_before_it() {
        let known = |name: &str| ["httpd", "net-2"].contains(&name);
        for (guest, app) in [
            ("httpd", "httpd"),
            ("httpd-2", "httpd"),
            ("net-2", "net-2"),
            ("net-2-3", "net-2"),
            ("httpd-x", "httpd-x"),
            ("other-2", "other-2"),
        ] {
            assert_eq!(app_of(guest, known), app, "{guest}");
        }
    }
}
