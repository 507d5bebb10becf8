//! How crates are declared and which may depend on which.

use super::Finding;
use crate::project::Project;
use toml_edit::{DocumentMut, Item};

/// The crate that re-exports the others, whose features choose which of them are compiled.
const FACADE: &str = "xenith";

/// Each layer and those that it may use. Apps are all that stand in `apps/`.
const LAYERS: &[(&str, &[&str])] = &[
    ("xenith-xen", &[]),
    ("xenith-kernel", &["xenith-xen"]),
    ("xenith-devices", &["xenith-kernel", "xenith-xen"]),
    ("xenith-ip", &["xenith-devices", "xenith-kernel"]),
    ("xenith-storage", &["xenith-devices", "xenith-kernel"]),
    ("xenith-http", &["xenith-devices", "xenith-ip", "xenith-kernel"]),
    (FACADE, &["xenith-devices", "xenith-http", "xenith-ip", "xenith-kernel", "xenith-storage"]),
    ("apps", &[FACADE]),
    ("xenith-book", &["apps", FACADE]),
    ("xenith-tests", &["apps", FACADE, "xenith-kernel", "xenith-xen"]),
    ("xenith-lab", &[]),
    ("xenith-mk", &["xenith-lab"]),
];

/// One crate of the workspace that depends on another.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// The manifest that says so.
    pub(crate) file: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The dependencies between the workspace's crates, of every kind. A crate
/// without any depends on itself here, so that it is looked at as well.
pub(crate) fn edges(project: &Project) -> Vec<Edge> {
    let packages = project.metadata.workspace_packages();
    let layer = |name: &str| {
        let package = packages.iter().find(|package| package.name.as_str() == name);
        let in_apps = package.is_some_and(|package| {
            package.manifest_path.starts_with(project.metadata.workspace_root.join("apps"))
        });
        if in_apps { "apps".to_owned() } else { name.to_owned() }
    };
    let mut edges = Vec::new();
    for package in &packages {
        let file = package.manifest_path.strip_prefix(&project.metadata.workspace_root);
        let file = file.unwrap_or(&package.manifest_path).to_string();
        let from = layer(&package.name);
        edges.push(Edge { file: file.clone(), from: from.clone(), to: from.clone() });
        for dependency in &package.dependencies {
            if packages.iter().any(|it| it.name.as_str() == dependency.name) {
                let (file, from, to) = (file.clone(), from.clone(), layer(&dependency.name));
                edges.push(Edge { file, from, to });
            }
        }
    }
    edges
}

/// Finds dependencies that do not point down.
pub(crate) fn dependencies(edges: &[Edge]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Edge { file, from, to } in edges {
        match LAYERS.iter().find(|(layer, _)| layer == from) {
            None => findings.push(Finding::new(
                file,
                None,
                format!("{from} has no layer: give it one in mk/src/tidy/layers.rs"),
            )),
            Some((_, below)) if from != to && !below.contains(&to.as_str()) => {
                let allowed = if below.is_empty() { "none".to_owned() } else { below.join(", ") };
                let what = format!(
                    "{from} depends on {to}: dependencies point down, and what it may use of this \
                     workspace is {allowed}"
                );
                findings.push(Finding::new(file, None, what));
            }
            Some(_) => {}
        }
    }
    findings
}

/// Checks a `Cargo.toml`.
pub(crate) fn manifest(file: &str, content: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |line: Option<usize>, what: &str| findings.push(Finding::new(file, line, what));
    let document: DocumentMut = match content.parse() {
        Ok(document) => document,
        Err(error) => return vec![Finding::new(file, None, error.to_string())],
    };
    let line_of =
        |text: &str| content.lines().position(|line| line.contains(text)).map(|at| at + 1);
    if let Some(members) = document.get("workspace").and_then(|it| it.get("members")) {
        let names = members.as_array().into_iter().flatten().filter_map(|name| name.as_str());
        for name in names.filter(|name| name.contains(['*', '?', '['])) {
            find(line_of(name), "a pattern: members of the workspace are listed by name");
        }
    }
    if document.get("package").is_none() {
        return findings;
    }
    let lints = document.get("lints").and_then(|it| it.get("workspace")).and_then(Item::as_bool);
    if lints != Some(true) {
        find(None, "the workspace's lints are not on: add `workspace = true` below `[lints]`");
    }
    let name = document.get("package").and_then(|it| it.get("name")).and_then(Item::as_str);
    if name == Some(FACADE) {
        return findings;
    }
    if document.get("features").is_some() {
        find(line_of("[features]"), "there are no Cargo features in Xenith: a type is the switch");
    }
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    for (key, value) in tables.iter().filter_map(|it| document.get(it)?.as_table()).flatten() {
        if value.get("optional").and_then(Item::as_bool) == Some(true) {
            find(line_of(key), "an optional dependency is a Cargo feature, and there are none");
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Vec<Finding> {
        dependencies(&[Edge { file: "Cargo.toml".into(), from: from.into(), to: to.into() }])
    }

    #[test]
    fn dependencies_point_down() {
        assert_eq!(edge("apps", "xenith"), []);
        assert_eq!(edge("xenith-devices", "xenith-xen"), []);
        assert_eq!(edge("xenith-tests", "xenith-xen"), []);
        for (from, to) in [
            ("apps", "xenith-xen"),
            ("xenith-kernel", "xenith-devices"),
            ("xenith-xen", "xenith-kernel"),
            ("xenith-mk", "xenith-kernel"),
            ("xenith-devices", "xenith-mk"),
        ] {
            assert_eq!(edge(from, to).len(), 1, "{from} -> {to}");
        }
        assert!(edge("xenith-new", "xenith-xen")[0].what.contains("no layer"));
    }

    #[test]
    fn manifests_are_checked() {
        let good = "[package]\nname = 'a'\n[dependencies]\nb = '1'\n[lints]\nworkspace = true\n";
        assert_eq!(manifest("Cargo.toml", good), []);
        let wrong = |content: &str| manifest("Cargo.toml", content)[0].to_string();
        assert!(wrong("[package]\nname = 'a'\n").contains("lints are not on"));
        let features = good.to_owned() + "[features]\nx = []\n";
        assert!(wrong(&features).starts_with("Cargo.toml:7: there are no Cargo features"));
        assert_eq!(manifest("Cargo.toml", &features.replace("'a'", "'xenith'")), []);
        let optional = good.replace("'1'", "{ version = '1', optional = true }");
        assert!(wrong(&optional).starts_with("Cargo.toml:4: an optional dependency"));
        let glob = "[workspace]\nmembers = ['apps/*']\n";
        assert!(wrong(glob).contains("Cargo.toml:2: a pattern"));
        assert!(!manifest("Cargo.toml", "[[").is_empty());
    }
}
