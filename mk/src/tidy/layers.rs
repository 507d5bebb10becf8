//! How crates are declared and which may depend on which.

use super::Finding;
use crate::project::Project;
use toml_edit::{DocumentMut, Item};

/// The crate that re-exports the others, whose features choose which of them are compiled.
const FACADE: &str = "xenith";

/// The layer from which on a crate says nothing to Xen itself, but by what is below it.
const ABOVE_XEN: u64 = 3;

/// What a crate of the workspace is, by its folder and what its manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// In `apps` or `docs`: made of the facade, and of apps.
    App,
    /// In `tests`: may use all that guests are made of.
    Tests,
    /// In `mk`: tools for the host.
    Tool,
    /// Everything else: `[package.metadata.xenith] layer` says how high it stands.
    Layer(u64),
    /// The same, and it does not say.
    Nowhere,
}

/// A crate of the workspace and those of it that it depends on.
#[derive(Clone, Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) room: Room,
    /// Its manifest.
    pub(crate) file: String,
    pub(crate) uses: Vec<String>,
}

/// The crates of the workspace, with their dependencies of every kind.
pub(crate) fn crates(project: &Project) -> Vec<Crate> {
    let packages = project.metadata.workspace_packages();
    let root = &project.metadata.workspace_root;
    let crates = packages.iter().map(|package| {
        let file = package.manifest_path.strip_prefix(root);
        let file = file.unwrap_or(&package.manifest_path).to_string();
        let layer = package.metadata.pointer("/xenith/layer").and_then(|it| it.as_u64());
        let room = match file.split('/').next() {
            Some("apps" | "docs") => Room::App,
            Some("tests") => Room::Tests,
            Some("mk") => Room::Tool,
            _ => layer.map_or(Room::Nowhere, Room::Layer),
        };
        let all = package.dependencies.iter().map(|it| it.name.clone());
        let uses = all.filter(|it| packages.iter().any(|other| other.name.as_str() == *it));
        Crate { name: package.name.to_string(), room, file, uses: uses.collect() }
    });
    crates.collect()
}

/// Finds dependencies that do not point down.
pub(crate) fn dependencies(crates: &[Crate]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for it in crates {
        if it.room == Room::Nowhere {
            let what = format!(
                "{} has no layer: say `layer = N` in [package.metadata.xenith], one more than the \
                 highest that it uses",
                it.name
            );
            findings.push(Finding::new(&it.file, None, what));
        }
        for used in crates.iter().filter(|other| it.uses.contains(&other.name)) {
            if let Err(allowed) = may_use(it.room, used) {
                let what = format!(
                    "{} depends on {}: dependencies point down, and what it may use of this \
                     workspace is {allowed}",
                    it.name, used.name
                );
                findings.push(Finding::new(&it.file, None, what));
            }
        }
    }
    findings
}

/// Whether a crate in `room` may use `used`; else what it may.
fn may_use(room: Room, used: &Crate) -> Result<(), String> {
    let (may, allowed) = match (room, used.room) {
        (Room::App, to) => (used.name == FACADE || to == Room::App, FACADE.to_owned()),
        (Room::Tests, to) => (to != Room::Tool, "all that guests are made of".to_owned()),
        (Room::Tool, to) => (to == Room::Tool, "what stands in mk".to_owned()),
        (Room::Layer(from), Room::Layer(0)) if from >= ABOVE_XEN => {
            (false, format!("in layers 1 to {}", from - 1))
        }
        (Room::Layer(from), Room::Layer(to)) => (to < from, format!("in layers below {from}")),
        (Room::Layer(from), _) => (false, format!("in layers below {from}")),
        (Room::Nowhere, _) => (true, String::new()),
    };
    if may { Ok(()) } else { Err(allowed) }
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

    #[test]
    fn dependencies_point_down() {
        let krate = |name: &str, room| Crate {
            name: name.into(),
            room,
            file: "Cargo.toml".into(),
            uses: Vec::new(),
        };
        let all = [
            krate("xen", Room::Layer(0)),
            krate("kernel", Room::Layer(1)),
            krate("devices", Room::Layer(2)),
            krate("ip", Room::Layer(3)),
            krate("storage", Room::Layer(3)),
            krate(FACADE, Room::Layer(5)),
            krate("app", Room::App),
            krate("metrics", Room::App),
            krate("tests", Room::Tests),
            krate("mk", Room::Tool),
            krate("lab", Room::Tool),
        ];
        let found = |from: &str, to: &str| {
            let mut all = all.clone();
            all.iter_mut().find(|it| it.name == from).unwrap().uses.push(to.to_owned());
            dependencies(&all)
        };
        for (from, to) in [
            ("app", FACADE),
            ("app", "metrics"),
            ("devices", "xen"),
            ("ip", "devices"),
            ("tests", "xen"),
            ("tests", "app"),
            ("mk", "lab"),
        ] {
            assert_eq!(found(from, to), [], "{from} -> {to}");
        }
        for (from, to) in [
            ("app", "xen"),
            ("app", "kernel"),
            ("kernel", "devices"),
            ("xen", "kernel"),
            ("ip", "xen"),
            ("ip", "storage"),
            ("ip", "app"),
            ("mk", "kernel"),
            ("devices", "mk"),
            ("tests", "mk"),
        ] {
            assert_eq!(found(from, to).len(), 1, "{from} -> {to}");
        }
        assert!(found("ip", "xen")[0].what.ends_with("in layers 1 to 2"));
        let nowhere = dependencies(&[krate("new", Room::Nowhere)]);
        assert!(nowhere[0].what.contains("no layer"), "{nowhere:?}");
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
