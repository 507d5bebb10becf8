//! What an image was built from: the commit, and the crates that are compiled
//! for it. `kernel::unikernel!` puts it into the manifest.

use crate::project::Project;
use cargo_metadata::{DependencyKind, Metadata, Package, PackageId, TargetKind};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

/// What the guest target is, for the conditions of dependencies.
const TARGET: &[&str] = &[
    "target_os=\"xen\"",
    "target_arch=\"x86_64\"",
    "target_pointer_width=\"64\"",
    "target_endian=\"little\"",
    "panic=\"abort\"",
];

/// An environment variable for each package with guests in it.
pub(crate) fn variables(project: &Project) -> Vec<(String, String)> {
    let commit = commit(&project.root).map(|id| format!("commit\t{id}\n")).unwrap_or_default();
    let packages = project.metadata.workspace_packages().into_iter();
    packages
        .map(|package| {
            let mut lines = commit.clone();
            if package.metadata.pointer("/xenith/crates").is_some_and(|it| it == true) {
                for (name, version) in crates(&project.metadata, &package.id) {
                    lines += &format!("crate\t{name}\t{version}\n");
                }
            }
            (format!("XENITH_BUILD_{}", package.name), lines)
        })
        .collect()
}

/// The short name of the commit that is checked out, with a `+` when files
/// differ from it. Nothing where there is no git or no repository.
fn commit(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let id = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if changed { id + "+" } else { id })
}

/// The crates that are compiled for the guest of package `root`, itself left out.
fn crates(metadata: &Metadata, root: &PackageId) -> BTreeSet<(String, String)> {
    let packages: HashMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let nodes: HashMap<_, _> =
        metadata.resolve.iter().flat_map(|it| &it.nodes).map(|node| (&node.id, node)).collect();
    let target: Vec<_> =
        TARGET.iter().filter_map(|it| cargo_platform::Cfg::from_str(it).ok()).collect();
    let (mut found, mut open, mut seen) = (BTreeSet::new(), vec![root], BTreeSet::new());
    while let Some(id) = open.pop() {
        for dependency in nodes.get(id).iter().flat_map(|node| &node.deps) {
            let linked = dependency.dep_kinds.iter().any(|kind| {
                kind.kind == DependencyKind::Normal
                    && kind
                        .target
                        .as_ref()
                        .is_none_or(|it| it.matches("x86_64-unknown-xen", &target))
            });
            let Some(package) = packages.get(&dependency.pkg) else { continue };
            let runs_on_the_host =
                package.targets.iter().any(|target| target.kind.contains(&TargetKind::ProcMacro));
            if linked && !runs_on_the_host && seen.insert(&dependency.pkg) {
                found.insert((package.name.to_string(), package.version.to_string()));
                open.push(&dependency.pkg);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_holds_the_kernel_and_not_what_linux_needs() {
        let project = Project::find().unwrap();
        let package = |name: &str| {
            let mut packages = project.metadata.packages.iter();
            packages.find(|package| package.name.as_str() == name).unwrap()
        };
        let crates = crates(&project.metadata, &package("hello").id);
        let has = |name: &str| crates.iter().any(|(it, _)| it == name);
        assert!(has("xenith-kernel") && has("xenith-xen") && has("talc"), "{crates:?}");
        assert!(!has("rustix") && !has("libc") && !has("hello"), "{crates:?}");
    }

    #[test]
    fn a_folder_without_a_repository_has_no_commit() {
        assert_eq!(commit(Path::new("/")), None);
    }
}
