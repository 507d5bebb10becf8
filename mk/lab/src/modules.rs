//! Dom0's kernel modules: which there are, and the order in which they load.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::{Object, ObjectSection};

use super::unpack::{decompress, read};

/// The modules that the packages brought.
pub(crate) struct Modules<'a> {
    tree: &'a Path,
    scratch: &'a Path,
    builtin: BTreeSet<String>,
    there: BTreeMap<String, PathBuf>,
}

/// One module, as it says of itself.
pub(crate) struct Module {
    /// With underscores, as the kernel has it.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The modules that it needs.
    pub(crate) needs: Vec<String>,
    /// Other names that the kernel asks for it by.
    pub(crate) aliases: Vec<String>,
    /// The kernel that it is for.
    pub(crate) version: String,
}

impl<'a> Modules<'a> {
    /// Looks through the tree; `scratch` is a folder to work in.
    pub(crate) fn of(tree: &'a Path, scratch: &'a Path) -> Result<Modules<'a>> {
        let builtin = String::from_utf8(read(tree, "modules/builtin")?)?
            .lines()
            .filter_map(|line| Some(plain(line.rsplit('/').next()?.strip_suffix(".ko")?)))
            .collect();
        let mut there = BTreeMap::new();
        for entry in fs::read_dir(tree.join("modules"))? {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            if let Some((name, _)) = file.split_once(".ko") {
                there.insert(plain(name), path.clone());
            }
        }
        Ok(Modules { tree, scratch, builtin, there })
    }

    /// Whether the kernel has it in itself.
    pub(crate) fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(name)
    }

    /// These modules and those that they need, each after what it needs, without
    /// those that are `done`, which then has them all.
    pub(crate) fn ordered(
        &self,
        names: &[&str],
        done: &mut BTreeSet<String>,
    ) -> Result<Vec<Module>> {
        let mut order: Vec<Module> = Vec::new();
        let mut open: Vec<_> = names.iter().rev().map(|name| (plain(name), false)).collect();
        let mut waiting = BTreeMap::new();
        // Depth first, so that what a module needs stands before it.
        while let Some((name, needs_done)) = open.pop() {
            if self.is_builtin(&name) || done.contains(&name) {
                continue;
            }
            if needs_done {
                let module = waiting.remove(&name).context("a kernel module depends on itself")?;
                order.push(module);
                done.insert(name);
                continue;
            }
            let module = self.load(&name)?;
            open.push((name.clone(), true));
            open.extend(module.needs.iter().map(|need| (need.clone(), false)));
            waiting.insert(name, module);
        }
        Ok(order)
    }

    fn load(&self, name: &str) -> Result<Module> {
        let path = self
            .there
            .get(name)
            .with_context(|| format!("Debian's kernel package did not bring the module {name}"))?;
        let bytes = decompress(read(self.tree, path)?, self.scratch)?;
        let file = object::File::parse(&*bytes)?;
        let information = file
            .section_by_name(".modinfo")
            .context("a kernel module has no .modinfo section")?
            .data()?;
        let information = String::from_utf8_lossy(information).into_owned();
        let fields = |key: &'static str| {
            let fields = information.split('\0');
            fields.filter_map(move |field| field.strip_prefix(key)?.strip_prefix('='))
        };
        let needs = fields("depends").flat_map(|list| list.split(','));
        let needs = needs.filter(|need| !need.is_empty()).map(plain).collect();
        let version = fields("vermagic").next().and_then(|magic| magic.split(' ').next());
        Ok(Module {
            name: name.into(),
            needs,
            aliases: fields("alias").map(String::from).collect(),
            version: version.context("a kernel module does not name its kernel's version")?.into(),
            bytes,
        })
    }
}

/// A file's name may have hyphens where the kernel's has underscores.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}
