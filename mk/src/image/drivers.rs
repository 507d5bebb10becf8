//! Which devices' code an image holds, told by its symbols.

use super::elf::Elf;
use super::manifest::Manifest;
use anyhow::{Context, Result};
use cargo_metadata::Metadata;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The crates of devices, as each says it in `[package.metadata.xenith]`.
#[derive(Debug, Default)]
pub(crate) struct Drivers(Vec<Crate>);

/// One of them.
#[derive(Debug)]
struct Crate {
    /// What its symbols begin with: the name of its library, such as `xenith_ip::`.
    name: String,
    said: Said,
}

/// What a crate says.
#[derive(Debug, Deserialize)]
struct Said {
    /// Where `xenith`, which apps see, has its modules: `ip`, or nothing for the root.
    path: String,
    /// Modules whose code may be in the image only if the manifest names a device of that
    /// class, beside the front ends of Xen's. Other modules are libraries over these.
    #[serde(default)]
    drivers: BTreeMap<String, String>,
    /// The module that is a terminal with a line discipline of its own, if there is one: where its
    /// code is in an image, the guest wants each key as it is typed.
    #[serde(default)]
    terminal: Option<String>,
}

impl Drivers {
    /// Those of a workspace and of what it is built from.
    ///
    /// # Errors
    /// When what a crate says makes no sense.
    pub(crate) fn of(metadata: &Metadata) -> Result<Self> {
        let said = metadata.packages.iter().filter_map(|package| {
            let said = package.metadata.get("xenith")?;
            said.get("path")?;
            let library = package.targets.iter().find(|target| target.is_lib())?;
            let name = format!("{}::", library.name);
            let said = Said::deserialize(said).with_context(|| {
                format!("{}: metadata.xenith is not as expected", package.manifest_path)
            });
            Some(said.map(|said| Crate { name, said }))
        });
        said.collect::<Result<_>>().map(Self)
    }

    /// Modules that symbols of `image` come from, by their paths in `xenith`, such as
    /// `net::netfront`. Code that was inlined everywhere leaves no symbol.
    pub(crate) fn modules(&self, image: &Elf<'_>) -> BTreeSet<String> {
        let names = image.symbols.iter().map(|symbol| {
            // Plain, without the hashes of crates.
            format!("{:#}", rustc_demangle::demangle(symbol.name))
        });
        names.flat_map(|name| self.modules_in(&name)).collect()
    }

    /// The modules that a symbol's name mentions.
    fn modules_in(&self, name: &str) -> Vec<String> {
        let crates = self.0.iter();
        crates.flat_map(|Crate { name: krate, said }| modules_of(name, krate, &said.path)).collect()
    }

    /// Whether one of these modules is a terminal with a line discipline of its own.
    pub(crate) fn has_terminal(&self, modules: &BTreeSet<String>) -> bool {
        let terminal = |Crate { said, .. }: &Crate| Some(join(&said.path, said.terminal.as_ref()?));
        self.0.iter().filter_map(terminal).any(|it| modules.iter().any(|all| inside(all, &it)))
    }

    /// Finds code of drivers of classes that the manifest does not name.
    pub(crate) fn unnamed(&self, image: &Elf<'_>, manifest: &Manifest, wrong: &mut Vec<String>) {
        let drivers: Vec<_> = self
            .0
            .iter()
            .flat_map(|it| it.said.drivers.iter().map(|driver| (&*it.said.path, driver)))
            .map(|(path, (module, class))| (join(path, module), class))
            .collect();
        for module in self.modules(image) {
            let said = drivers.iter().find(|(start, _)| inside(&module, start));
            let Some(class) = said.map(|(_, class)| &***class).or_else(|| front_end(&module))
            else {
                continue;
            };
            if manifest.devices.iter().all(|device| device.class != class) {
                wrong.push(format!(
                    "code of xenith::{module} is in the image, and the manifest names no device \
                     of class {class}"
                ));
            }
        }
    }
}

/// The class of a module that is a front end of Xen's by its name, such as `net::netfront`:
/// the folder that it stands in.
fn front_end(module: &str) -> Option<&str> {
    let (class, rest) = module.split_once("::")?;
    rest.split("::").next()?.ends_with("front").then_some(class)
}

/// Whether `module` is `start`, or within it.
fn inside(module: &str, start: &str) -> bool {
    module.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// A module's path behind that of its crate.
fn join(path: &str, module: &str) -> String {
    if path.is_empty() { module.to_owned() } else { format!("{path}::{module}") }
}

/// The modules of one crate that a symbol's name mentions, behind `prefix`.
fn modules_of(name: &str, krate: &str, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    let begins =
        |at: usize| !name[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
    for (at, krate) in name.match_indices(krate).filter(|(at, _)| begins(*at)) {
        let path = &name[at + krate.len()..];
        let end = path.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let modules: Vec<_> = path[..end.unwrap_or(path.len())]
            .split("::")
            .take_while(|part| part.starts_with(|c: char| c.is_ascii_lowercase()))
            .collect();
        // What stands before a type is a module; before anything else it may be
        // a function in one.
        let before_type = path
            .split("::")
            .nth(modules.len())
            .is_some_and(|part| part.starts_with(|c: char| c.is_ascii_uppercase()));
        let count = match modules.len() {
            0 => continue,
            1 => 1,
            count if before_type => count,
            count => count - 1,
        };
        let modules = &modules[..count];
        found.push(join(prefix, &modules.join("::")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::elf::Symbol;
    use super::super::manifest::Device;
    use super::*;

    fn drivers() -> Drivers {
        let krate = |name: &str, path: &str, drivers: &[(&str, &str)]| {
            let drivers = drivers.iter().map(|&(it, class)| (it.to_owned(), class.to_owned()));
            let said = Said {
                path: path.to_owned(),
                drivers: drivers.collect(),
                terminal: (name == "linux::").then(|| "tty".to_owned()),
            };
            Crate { name: name.to_owned(), said }
        };
        let own = [("console", "console")];
        Drivers(vec![
            krate("xenith_devices::", "", &own),
            krate("xenith_ip::", "ip", &[("stack", "net")]),
            krate("linux::", "linux", &[]),
        ])
    }

    #[test]
    fn modules_are_read_from_names() {
        let modules_in = |name| drivers().modules_in(name);
        assert_eq!(
            modules_in("<xenith_devices::console::Console as embedded_io_async::Write>::write_all"),
            ["console"]
        );
        assert_eq!(
            modules_in("hello::start::<xenith_devices::net::netfront::Netfront>"),
            ["net::netfront"]
        );
        assert_eq!(modules_in("xenith_devices::net::netfront::connect"), ["net::netfront"]);
        assert_eq!(modules_in("xenith_kernel::time::now"), [""; 0]);
        assert_eq!(modules_in("xenith_devices::Device"), [""; 0]);
        // A crate, and not a module of another one.
        assert_eq!(modules_in("<linux::tty::Terminal>::typed"), ["linux::tty"]);
        assert_eq!(modules_in("xenith_kernel::machine::linux::console::read"), [""; 0]);
    }

    #[test]
    fn a_terminal_is_known_by_its_module() {
        let has = |modules: &[&str]| {
            drivers().has_terminal(&modules.iter().map(|&it| it.to_owned()).collect())
        };
        assert!(has(&["console", "linux::tty::pty"]));
        assert!(!has(&["console", "linux::ttyx", "tty"]));
    }

    #[test]
    fn code_of_a_class_must_be_named() {
        let symbol = Symbol {
            name: "_RNvNtNtCs1_14xenith_devices3net8netfront7connect",
            function: true,
            ..Symbol::default()
        };
        let drivers = drivers();
        let image = Elf { symbols: vec![symbol], ..Elf::default() };
        let mut wrong = Vec::new();
        let mut manifest = Manifest::default();
        drivers.unnamed(&image, &manifest, &mut wrong);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].contains("xenith::net::netfront"), "{wrong:?}");
        manifest.devices.push(Device { class: "net".into(), ..Device::default() });
        wrong.clear();
        drivers.unnamed(&image, &manifest, &mut wrong);
        assert!(wrong.is_empty());
        // What both can be used over is nobody's.
        let symbol = |name| Symbol { name, function: true, ..Symbol::default() };
        let names =
            ["_RNvNtNtCs1_14xenith_devices3net8loopback4make", "_RNvNtCs1_9xenith_ip5stack3run"];
        let image = Elf { symbols: names.map(symbol).into(), ..Elf::default() };
        drivers.unnamed(&image, &Manifest::default(), &mut wrong);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].contains("xenith::ip::stack"), "{wrong:?}");
    }

    #[test]
    fn crates_say_which_modules_are_drivers() {
        let metadata = cargo_metadata::MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .no_deps()
            .exec()
            .unwrap();
        let said = Drivers::of(&metadata).unwrap().0;
        let of = |name: &str| &said.iter().find(|it| it.name == name).unwrap().said;
        assert_eq!(of("xenith_devices::").drivers["console"], "console");
        assert_eq!((&*of("xenith_ip::").path, &*of("xenith_ip::").drivers["stack"]), ("ip", "net"));
        assert!(of("xenith_storage::").drivers.is_empty());
        assert_eq!(of("linux::").terminal.as_deref(), Some("tty"));
    }
}
