//! Which devices' code an image holds, told by its symbols.

use super::elf::Elf;
use super::manifest::Manifest;
use std::collections::BTreeSet;

/// Modules whose code may be in the image only if the manifest names a device of
/// one of these classes. Other modules of the crate are libraries over these: a
/// stack for IP, which a program can have over something else than Xen's network,
/// comes with an interface as a rule.
const CLASSES: &[(&str, &[&str])] = &[
    ("block", &["block"]),
    ("console", &["console"]),
    ("ip::stack", &["ip", "net"]),
    ("net::netfront", &["ip", "net"]),
];

/// Modules of the device crates that symbols of `image` come from, by their paths in
/// `xenith`, such as `net::netfront`. Code that was inlined everywhere leaves no symbol.
pub(crate) fn modules(image: &Elf<'_>) -> BTreeSet<String> {
    let names = image.symbols.iter().map(|symbol| {
        // Plain, without the hashes of crates.
        format!("{:#}", rustc_demangle::demangle(symbol.name))
    });
    names.flat_map(|name| modules_in(&name)).collect()
}

/// Crates of devices, and the path of each in `xenith`, which apps see.
const CRATES: &[(&str, &str)] = &[
    ("xenith_devices::", ""),
    ("xenith_http::", "http::"),
    ("xenith_ip::", "ip::"),
    ("xenith_storage::", ""),
];

/// The modules of the device crates that a symbol's name mentions.
fn modules_in(name: &str) -> Vec<String> {
    CRATES.iter().flat_map(|(krate, prefix)| modules_of(name, krate, prefix)).collect()
}

/// The modules of one crate that a symbol's name mentions, with `prefix`.
fn modules_of(name: &str, krate: &str, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, krate) in name.match_indices(krate) {
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
        found.push(format!("{prefix}{}", modules.join("::")));
    }
    found
}

/// Finds code of device classes that the manifest does not name.
pub(crate) fn unnamed(image: &Elf<'_>, manifest: &Manifest, wrong: &mut Vec<String>) {
    for module in modules(image) {
        let inside = |start: &str| {
            module.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let Some((_, classes)) = CLASSES.iter().find(|(start, _)| inside(start)) else { continue };
        if !manifest.devices.iter().any(|device| classes.contains(&&*device.class)) {
            wrong.push(format!(
                "code of xenith::{module} is in the image, and the manifest names no device of \
                 class {}",
                classes.join(" or ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::elf::Symbol;
    use super::super::manifest::Device;
    use super::*;

    #[test]
    fn modules_are_read_from_names() {
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
    }

    #[test]
    fn code_of_a_class_must_be_named() {
        let symbol = Symbol {
            name: "_RNvNtNtCs1_14xenith_devices3net8netfront7connect",
            function: true,
            ..Symbol::default()
        };
        let image = Elf { symbols: vec![symbol], ..Elf::default() };
        let mut wrong = Vec::new();
        let mut manifest = Manifest::default();
        unnamed(&image, &manifest, &mut wrong);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].contains("xenith::net::netfront"), "{wrong:?}");
        let [field, class, id] = ["net", "net", "0"].map(str::to_owned);
        manifest.devices.push(Device { field, class, id });
        wrong.clear();
        unnamed(&image, &manifest, &mut wrong);
        assert!(wrong.is_empty());
        // What both can be used over is nobody's.
        let symbol = |name| Symbol { name, function: true, ..Symbol::default() };
        let names =
            ["_RNvNtNtCs1_14xenith_devices3net8loopback4make", "_RNvNtCs1_9xenith_ip5stack3run"];
        let image = Elf { symbols: names.map(symbol).into(), ..Elf::default() };
        unnamed(&image, &Manifest::default(), &mut wrong);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].contains("xenith::ip::stack"), "{wrong:?}");
    }
}
