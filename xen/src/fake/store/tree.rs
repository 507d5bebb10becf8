//! The tree of nodes: values, permissions, and when each was last changed.

use crate::DomId;
use std::collections::BTreeMap;

/// The name of an error, as it stands in a message.
pub(super) type Error = &'static str;

/// The longest absolute path, and the longest relative one.
const ABSOLUTE: usize = 3072;
const RELATIVE: usize = 2048;

/// A node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Vec<u8>,
    /// The owner with what all others may, then what single domains may.
    pub(super) permissions: Vec<String>,
    pub(super) generation: u64,
}

/// A change that others may watch for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: String,
    /// Whether those who watch a node above do not hear of it, as when that is
    /// removed itself.
    pub(super) exact: bool,
}

/// What is to be changed.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Write(String, Vec<u8>),
    Mkdir(String),
    Remove(String),
    Permissions(String, Vec<String>),
}

#[derive(Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    clock: u64,
}

/// The path that `text` from domain `domain` means.
pub(super) fn absolute(text: &[u8], domain: DomId) -> Result<String, Error> {
    let text = std::str::from_utf8(text).map_err(|_| "EINVAL")?;
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_@".contains(&byte);
    let special = text.starts_with('@') && !text.contains('/');
    let limit = if text.starts_with('/') { ABSOLUTE } else { RELATIVE };
    let odd = text.is_empty()
        || text.len() > limit
        || !text.bytes().all(named)
        || text.contains("//")
        || text.len() > 1 && text.ends_with('/');
    if odd {
        return Err("EINVAL");
    }
    Ok(if text.starts_with('/') || special {
        text.into()
    } else {
        format!("/local/domain/{domain}/{text}")
    })
}

/// The path of the node above.
pub(super) fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// Whether `path` is `root` or below it.
pub(super) fn is_below(path: &str, root: &str) -> bool {
    root == "/" || path.strip_prefix(root).is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

impl Tree {
    /// The tree with what the toolstack makes for a domain.
    pub(super) fn new(domain: DomId) -> Self {
        let root = Node { value: Vec::new(), permissions: vec!["n0".into()], generation: 0 };
        let mut tree = Self { nodes: BTreeMap::from([("/".into(), root)]), clock: 0 };
        let home = format!("/local/domain/{domain}");
        let (owned, shown) = (vec![format!("n{domain}")], vec!["n0".into(), format!("r{domain}")]);
        for (name, value, permissions) in [
            ("", "", &shown),
            ("/domid", &domain.to_string(), &shown),
            ("/name", "guest", &shown),
            ("/control", "", &shown),
            ("/control/shutdown", "", &owned),
            ("/control/feature-poweroff", "", &owned),
            ("/control/feature-reboot", "", &owned),
            ("/data", "", &owned),
            ("/device", "", &shown),
        ] {
            let path = format!("{home}{name}");
            // Nothing can fail for dom0.
            let _ = tree.edit(&Edit::Write(path.clone(), value.into()), DomId::DOM0);
            let _ = tree.edit(&Edit::Permissions(path, permissions.clone()), DomId::DOM0);
        }
        tree
    }

    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(super) fn generation(&self, path: &str) -> Option<u64> {
        self.nodes.get(path).map(|node| node.generation)
    }

    /// The names right below `path`.
    pub(super) fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".into() } else { format!("{path}/") };
        let below = self.nodes.range(prefix.clone()..).map(|(path, _)| path);
        let below = below.map_while(|path| path.strip_prefix(&prefix));
        below.filter(|name| !name.is_empty() && !name.contains('/')).map(Into::into).collect()
    }

    /// How many nodes `domain` owns.
    pub(super) fn owned(&self, domain: DomId) -> usize {
        let owner = domain.to_string();
        let owns = |node: &&Node| node.permissions[0].get(1..) == Some(&owner);
        self.nodes.values().filter(owns).count()
    }

    /// Whether `domain` may do what `what` (`r` or `w`) says to `node`.
    pub(super) fn allows(node: &Node, domain: DomId, what: char) -> bool {
        let domain_text = domain.to_string();
        let owner = node.permissions[0].get(1..);
        if domain == DomId::DOM0 || owner == Some(&domain_text) {
            return true;
        }
        let own = node.permissions[1..].iter().find(|it| it.get(1..) == Some(&domain_text));
        let letter = own.unwrap_or(&node.permissions[0]).chars().next();
        letter == Some('b') || letter == Some(what)
    }

    /// The nearest node that is there: `path` or above it.
    pub(super) fn nearest<'a>(&self, mut path: &'a str) -> &'a str {
        while path != "/" && !self.nodes.contains_key(path) {
            path = parent(path);
        }
        path
    }

    /// The node that an edit looks at to see whether it may.
    pub(super) fn touched(&self, edit: &Edit) -> Vec<String> {
        match edit {
            Edit::Write(path, _) | Edit::Mkdir(path) => {
                vec![path.clone(), self.nearest(path).into()]
            }
            Edit::Remove(path) => vec![path.clone(), parent(path).into()],
            Edit::Permissions(path, _) => vec![path.clone()],
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn touch(&mut self, path: &str) {
        let generation = self.tick();
        if let Some(node) = self.nodes.get_mut(path) {
            node.generation = generation;
        }
    }

    /// Makes `path` and what is missing above it.
    fn make(&mut self, path: &str, domain: DomId) {
        if self.nodes.contains_key(path) {
            return;
        }
        let above = parent(path).to_owned();
        self.make(&above, domain);
        let mut permissions = self.nodes[&above].permissions.clone();
        if domain != DomId::DOM0 {
            permissions[0].replace_range(1.., &domain.to_string());
        }
        let generation = self.tick();
        self.nodes.insert(path.into(), Node { value: Vec::new(), permissions, generation });
        self.touch(&above);
    }

    /// Changes the tree on behalf of `domain`.
    pub(super) fn edit(&mut self, edit: &Edit, domain: DomId) -> Result<Vec<Change>, Error> {
        match edit {
            Edit::Write(path, _) | Edit::Mkdir(path) => {
                let nearest = &self.nodes[self.nearest(path)];
                if !Self::allows(nearest, domain, 'w') {
                    return Err("EACCES");
                }
                let is_new = !self.nodes.contains_key(path);
                self.make(path, domain);
                if let (Edit::Write(_, value), Some(node)) = (edit, self.nodes.get_mut(path)) {
                    node.value.clone_from(value);
                } else if !is_new {
                    return Ok(Vec::new());
                }
                self.touch(path);
                Ok(vec![Change { path: path.clone(), exact: false }])
            }
            Edit::Remove(path) => {
                let above = self.nodes.get(parent(path));
                if !self.nodes.contains_key(path) {
                    return if above.is_some() { Ok(Vec::new()) } else { Err("ENOENT") };
                }
                if path == "/" {
                    return Err("EINVAL");
                }
                if !Self::allows(&self.nodes[path], domain, 'w') {
                    return Err("EACCES");
                }
                let all = self.nodes.keys().filter(|it| is_below(it, path));
                let gone: Vec<String> = all.cloned().collect();
                for path in &gone {
                    self.nodes.remove(path);
                }
                self.touch(parent(path));
                let changes = gone.into_iter().map(|it| Change { exact: it != *path, path: it });
                Ok(changes.collect())
            }
            Edit::Permissions(path, permissions) => {
                let node = self.nodes.get_mut(path).ok_or("ENOENT")?;
                let owner = node.permissions[0].get(1..) == Some(&domain.to_string());
                if domain != DomId::DOM0 && !owner {
                    return Err("EACCES");
                }
                let fits = |it: &String| {
                    it.get(1..).is_some_and(|id| id.parse::<u16>().is_ok())
                        && it.starts_with(['n', 'r', 'w', 'b'])
                };
                if permissions.is_empty() || !permissions.iter().all(fits) {
                    return Err("EINVAL");
                }
                node.permissions.clone_from(permissions);
                self.touch(path);
                Ok(vec![Change { path: path.clone(), exact: false }])
            }
        }
    }
}
