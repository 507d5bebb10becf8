//! What an image was built from: the commit, and the crates that are compiled
//! for it. `xenith::unikernel!` puts it into the manifest.

use crate::project::Project;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// An environment variable for each package with guests in it.
pub(crate) fn variables(project: &Project) -> Vec<(String, String)> {
    let commit = commit(&project.root).map(|id| format!("commit\t{id}\n")).unwrap_or_default();
    let packages = project.metadata.workspace_packages().into_iter();
    packages
        .map(|package| {
            let mut lines = commit.clone();
            if package.metadata.pointer("/xenith/crates").is_some_and(|it| it == true) {
                for (name, version) in crates(project, &package.name) {
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

/// The crates that the guest of `package` is built from, itself left out: cargo's tree for
/// it alone, as the features that its crates have may differ from those that all of the
/// workspace gives them. Nothing where cargo cannot tell.
fn crates(project: &Project, package: &str) -> BTreeSet<(String, String)> {
    let mut command = Command::new("cargo");
    command.current_dir(&project.root).env("RUSTC_BOOTSTRAP", "1");
    command.args(["tree", "--quiet", "-Zjson-target-spec", "--package", package, "--target"]);
    command.arg(project.target()).args(["--edges", "normal,no-proc-macro", "--prefix", "none"]);
    command.args(["--format", "{p}"]);
    let Ok(output) = command.output() else { return BTreeSet::new() };
    parse(&String::from_utf8_lossy(&output.stdout), package)
}

/// Reads cargo's tree: a name and a version a line, and where from.
fn parse(tree: &str, package: &str) -> BTreeSet<(String, String)> {
    let crates = tree.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?.strip_prefix('v')?))
    });
    let others = crates.filter(|(name, _)| *name != package);
    others.map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_holds_the_kernel_and_not_what_linux_needs() {
        let project = Project::find().unwrap();
        let crates = crates(&project, "hello");
        let has = |name: &str| crates.iter().any(|(it, _)| it == name);
        assert!(has("xenith-kernel") && has("xenith-xen") && has("talc"), "{crates:?}");
        assert!(!has("rustix") && !has("libc") && !has("hello"), "{crates:?}");
        assert!(!has("smoltcp") && !has("xenith-ip"), "{crates:?}");
    }

    #[test]
    fn a_folder_without_a_repository_has_no_commit() {
        assert_eq!(commit(Path::new("/")), None);
    }
}
