//! `cargo mk build`: from an app to the image that Xen boots, and its configuration.

use crate::guest::Guests;
use crate::image::drivers::Drivers;
use crate::image::elf::Elf;
use crate::image::manifest::Manifest;
use crate::image::report::Report;
use crate::image::verify::verify;
use crate::image::{crypto, manifest, pack, redzone, xl};
use crate::project::{Goal, Guest, Project, read, write};
use crate::symbols::Symbols;
use crate::ui::{Ui, out};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Builds images
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk build hello\n\nThe image and its configuration are then \
in target/xenith/hello; on a Xen host\n`xl create -c hello.xl` starts it. With --verbose\nall modules of devices are named that it holds."
)]
pub(crate) struct Args {
    /// Apps or test guests; without any, the app of the current folder
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// Builds all apps of the workspace
    #[arg(long, conflicts_with = "apps")]
    all: bool,
    #[command(flatten)]
    optimize: Optimize,
}

/// How to build.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Optimize {
    /// What images are optimised for, instead of what the app's Cargo.toml says in
    /// metadata.xenith.optimize
    #[arg(long = "optimize", value_enum, value_name = "GOAL")]
    goal: Option<Goal>,
}

impl Optimize {
    /// What the app says.
    pub(crate) const fn usual() -> Self {
        Self { goal: None }
    }

    /// Whether that is what the app says.
    pub(crate) const fn is_usual(&self) -> bool {
        self.goal.is_none()
    }

    /// The project, whose guests are to be built so.
    ///
    /// # Errors
    /// Those of [`Project::find`].
    pub(crate) fn project(&self) -> Result<Project> {
        Ok(Project::find()?.optimized(self.goal))
    }
}

/// An image that is ready to boot.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) name: String,
    /// Where its files are.
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Manifest,
    pub(crate) report: Report,
}

impl Image {
    /// The file that Xen boots.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// The configuration for `xl`.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join(format!("{}.xl", self.name))
    }

    /// The same with symbols.
    pub(crate) fn debug(&self) -> PathBuf {
        self.folder.join(format!("{}.debug", self.name))
    }

    /// What stands at its addresses.
    ///
    /// # Errors
    /// When the file with symbols was lost.
    pub(crate) fn symbols(&self, project: &Project) -> Result<Symbols> {
        Symbols::read(&self.debug(), &project.root)
    }
}

/// Runs the command.
///
/// # Errors
/// When an app is unknown, does not compile, or its image is not sound.
pub(crate) fn run(args: &Args, ui: &Ui) -> Result<u8> {
    let project = args.optimize.project()?;
    let guests: Vec<_> =
        if args.all { project.apps().collect() } else { project.choose(&args.apps)? };
    for image in images(&project, &guests, ui)? {
        out(&format!(
            "{}\n{}\n",
            image.folder.display(),
            image.report.shown(&image.manifest, ui.is_verbose())
        ));
    }
    Ok(0)
}

/// Builds the images of `guests`.
///
/// # Errors
/// When one does not compile or is not sound.
pub(crate) fn images(project: &Project, guests: &[&Guest], ui: &Ui) -> Result<Vec<Image>> {
    let names: Vec<_> = guests.iter().map(|guest| &*guest.name).collect();
    ui.step(&format!("building {}", names.join(", ")));
    let mut groups: BTreeMap<Goal, Vec<&Guest>> = BTreeMap::new();
    for &guest in guests {
        groups.entry(guest.goal).or_default().push(guest);
    }
    let mut images: BTreeMap<&str, Image> = BTreeMap::new();
    for (goal, group) in groups {
        let mut files = Guests::new(project, goal, ui)?.build(&group)?;
        for guest in group {
            let Some(file) = files.remove(&guest.name) else { continue };
            let linked = read(&file)?;
            let elf = Elf::parse(&linked).with_context(|| file.display().to_string())?;
            images.insert(&guest.name, finish(project, guest, &elf, &linked)?);
        }
    }
    ui.done();
    for image in images.values() {
        if let Some(text) = image.report.too_large() {
            ui.warn(&text);
        }
    }
    Ok(guests.iter().filter_map(|guest| images.remove(&*guest.name)).collect())
}

/// The image of the last build of a guest, if all of it is there. Its source may have changed since.
pub(crate) fn last(project: &Project, guest: &Guest) -> Option<Image> {
    let (name, folder) = (guest.name.clone(), project.image_folder(&guest.name));
    let report = serde_json::from_slice(&read(&folder.join("report.json")).ok()?).ok()?;
    let linked = read(&folder.join(format!("{name}.debug"))).ok()?;
    let manifest = manifest(&Elf::parse(&linked).ok()?).ok()?;
    let image = Image { name, folder, manifest, report };
    (image.file().is_file() && image.config().is_file()).then_some(image)
}

/// Verifies what was linked and writes the image's files.
fn finish(project: &Project, guest: &Guest, elf: &Elf<'_>, linked: &[u8]) -> Result<Image> {
    let name = &guest.name;
    let manifest = manifest(elf).with_context(|| name.clone())?;
    let drivers = Drivers::of(&project.metadata)?;
    let mut wrong = verify(elf, Some((&manifest, &drivers)));
    wrong.extend(crypto::unlisted(&project.metadata, elf));
    if !wrong.is_empty() {
        bail!("the image of {name} must not be booted:\n  {}", wrong.join("\n  "));
    }
    let mut packed = pack::pack(elf)?;
    if !redzone::users(elf).is_empty() {
        redzone::mark(elf, &mut packed)?;
    }
    // What is booted is what was looked at, not what it was made from.
    let wrong = verify(&Elf::parse(&packed)?, None);
    ensure!(wrong.is_empty(), "{name}: packing broke the image: {}", wrong.join("; "));
    let report = Report::new(elf, &packed, &manifest, &drivers, (guest.goal, guest.limit))?;
    if report.asked_mib < report.least_mib {
        bail!(
            "the manifest of {name} asks for {} MiB of memory, and its image needs at least {} MiB: \
             write `memory: {} MiB`",
            report.asked_mib,
            report.least_mib,
            report.least_mib
        );
    }
    let image = Image { name: name.clone(), folder: project.image_folder(name), manifest, report };
    write(&image.file(), &packed)?;
    write(&image.debug(), linked)?;
    write(&image.config(), xl::config(&image.manifest, name).as_bytes())?;
    write(&image.folder.join("manifest.json"), &serde_json::to_vec_pretty(&image.manifest)?)?;
    write(&image.folder.join("report.json"), &serde_json::to_vec_pretty(&image.report)?)?;
    Ok(image)
}
