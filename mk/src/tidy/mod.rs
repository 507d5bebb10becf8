//! Xenith's invariants that the compiler cannot check, each as a function from
//! text to findings.
//!
//! * [`circles`]: files of a crate that import each other
//! * [`examples`]: that each public trait has one
//! * [`layers`]: which crate may depend on which, and how crates are declared
//! * [`papers`]: README and the book say what is so
//! * [`rules`]: what drivers hold against their peers, each with a test, and the book's page of them
//! * [`source`]: where `unsafe`, `cfg`, the hypercall instruction and smoltcp may stand
//! * [`text`]: the length of files, and the names of machines in them

pub(crate) mod circles;
pub(crate) mod examples;
mod finding;
pub(crate) mod layers;
pub(crate) mod papers;
pub(crate) mod rules;
pub(crate) mod source;
pub(crate) mod text;

use crate::project::{Project, read};
use anyhow::{Context, Result, ensure};
pub(crate) use finding::Finding;
use std::collections::HashMap;
use std::process::Command;

/// Files that must be there.
const FILES: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "RELEASING.md",
    "SECURITY.md",
    "deny.toml",
];

/// Everything that is wrong with the workspace.
///
/// # Errors
/// When it is not Xenith's, or cannot be read.
pub(crate) fn tidy(project: &Project) -> Result<Vec<Finding>> {
    ensure!(
        project.is_xenith(),
        "these are the invariants of Xenith's own workspace: call it in there"
    );
    let mut findings = Vec::new();
    let (mut sources, mut texts) = (Vec::new(), HashMap::new());
    for &file in FILES {
        if !project.root.join(file).is_file() {
            findings.push(Finding::new(file, None, "the file is missing: write it"));
        }
    }
    findings.extend(layers::dependencies(&layers::crates(project)));
    for file in files(project)? {
        let Ok(content) = String::from_utf8(read(&project.root.join(&file))?) else { continue };
        findings.extend(text::machine_names(&file, &content));
        if file.ends_with("Cargo.toml") {
            findings.extend(layers::manifest(&file, &content));
        }
        if file.ends_with(".rs") {
            findings.extend(text::length(&file, &content));
            findings.extend(source::check(&file, &content));
            findings.extend(examples::check(&file, &content));
        }
        if is_text(&file) {
            sources.push((file.clone(), content.clone()));
        }
        texts.insert(file, content);
    }
    findings.extend(papers::check(&texts));
    let shown = std::fs::read_to_string(project.root.join(rules::PAGE)).unwrap_or_default();
    findings.extend(rules::check(pairs(&sources), &shown));
    findings.extend(circles::check(pairs(&sources)));
    Ok(findings)
}

/// Writes the pages of the book that are made from the sources.
///
/// # Errors
/// When the workspace is not Xenith's, or cannot be read or written.
pub(crate) fn write_pages(project: &Project) -> Result<()> {
    ensure!(project.is_xenith(), "only Xenith's own workspace has such pages: call it in there");
    let mut sources = Vec::new();
    for file in files(project)?.into_iter().filter(|file| is_text(file)) {
        let content = read(&project.root.join(&file))?;
        sources.push((file, String::from_utf8(content).unwrap_or_default()));
    }
    let path = project.root.join(rules::PAGE);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {folder:?}"))?;
    }
    std::fs::write(&path, rules::page(pairs(&sources)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Whether `file` may cite rules.
fn is_text(file: &str) -> bool {
    file.ends_with(".rs") || (file.ends_with(".md") && file != rules::PAGE)
}

/// Files and their contents, borrowed.
fn pairs(sources: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> + Clone {
    sources.iter().map(|(file, content)| (file.as_str(), content.as_str()))
}

/// The files that belong to the repository, from its folder, sorted.
fn files(project: &Project) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&project.root)
        .output()
        .context("cannot run git, which tells what belongs to the repository")?;
    ensure!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    let names = String::from_utf8(output.stdout).context("a file's name is not UTF-8")?;
    let mut files: Vec<_> = names.split_terminator('\0').map(str::to_owned).collect();
    files.retain(|file| project.root.join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}
