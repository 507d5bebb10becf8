//! The manifest of an image: the ELF note that `xenith::unikernel!` writes.
//!
//! `kernel::manifest` defines the format; this is its only reader.

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

/// Owner of the note.
pub(crate) const OWNER: &[u8] = b"Xenith";
/// Type of the note.
pub(crate) const KIND: u32 = 1;

/// The stack of an app that asks for none, which the kernel's linker script makes.
const STACK_KIB: u64 = 64;

/// What an app is and needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The memory that the app asks for, in KiB.
    pub(crate) memory_kib: u64,
    /// How much of that is stack, in KiB.
    pub(crate) stack_kib: u64,
    /// What it was built from, if that is known.
    pub(crate) commit: Option<String>,
    /// The names and versions of the crates that are linked into it.
    pub(crate) crates: Vec<(String, String)>,
    /// What it does, a line each.
    pub(crate) about: Vec<String>,
    pub(crate) devices: Vec<Device>,
    pub(crate) args: Vec<Arg>,
}

/// A device that the app opens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Device {
    /// The name that the app gives it.
    pub(crate) field: String,
    /// Such as `console`.
    pub(crate) class: String,
    /// Which one of its class; empty for the first.
    pub(crate) id: String,
    /// What the domain's configuration has for it, if it is not something that all have.
    pub(crate) xl: Option<Xl>,
}

/// What a domain's configuration has for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Xl {
    /// The setting, which is a list, such as `vif`.
    pub(crate) setting: String,
    /// The id of the first device. A number means that ids are places in the list.
    pub(crate) first: String,
    /// The item in the list, with `{id}` for the id in there and `{name}` for the app's name.
    pub(crate) item: String,
}

/// An argument that the app takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Arg {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// As written in the source; without one it must be given.
    pub(crate) default: Option<String>,
    pub(crate) help: Vec<String>,
}

impl Manifest {
    /// The memory that the app asks for, in whole MiB.
    pub(crate) const fn memory_mib(&self) -> u64 {
        self.memory_kib.div_ceil(1024)
    }

    /// The settings of the domain's configuration that are about devices, in the order of
    /// the manifest.
    pub(crate) fn settings(&self) -> Vec<&str> {
        let mut settings = Vec::new();
        for xl in self.devices.iter().filter_map(|device| device.xl.as_ref()) {
            if !settings.contains(&&*xl.setting) {
                settings.push(&xl.setting);
            }
        }
        settings
    }

    /// What the domain needs in the list `setting` for all devices to find theirs: the ids,
    /// and the item of each. Those that are counted are counted from 0, up to the last one
    /// that a device names.
    pub(crate) fn items(&self, setting: &str) -> Vec<(String, String)> {
        let mut ids = Vec::new();
        let mut item = "";
        for device in &self.devices {
            let Some(xl) = device.xl.as_ref().filter(|xl| xl.setting == setting) else { continue };
            let id = if device.id.is_empty() { &xl.first } else { &device.id };
            match (xl.first.parse::<u8>(), id.parse::<u8>()) {
                (Ok(first), Ok(last)) => ids.extend((first..=last).map(|id| id.to_string())),
                _ => ids.push(id.clone()),
            }
            item = &xl.item;
        }
        ids.sort_by_key(|id| id.parse::<u8>().ok());
        ids.dedup();
        let item = |id: String| {
            let item = item.replace("{id}", &id).replace("{name}", &self.name);
            (id, item)
        };
        ids.into_iter().map(item).collect()
    }

    /// How many network interfaces the domain needs.
    pub(crate) fn vifs(&self) -> usize {
        self.items("vif").len()
    }

    /// The disks that the domain needs: the names of their devices, and what Xen calls them.
    pub(crate) fn disks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.devices.iter().filter_map(|Device { field, id, xl, .. }| {
            let xl = xl.as_ref().filter(|xl| xl.setting == "disk")?;
            Some((&**field, if id.is_empty() { &*xl.first } else { id }))
        })
    }

    /// Reads the description of the note.
    ///
    /// # Errors
    /// When anything in it is not as `kernel::manifest` defines it.
    pub(crate) fn parse(note: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(note).context("the manifest is not UTF-8")?;
        let text =
            text.strip_suffix('\n').context("the manifest is cut off: no line feed ends it")?;
        let mut lines = text.split('\n').zip(1..);
        let format = lines.next().and_then(|(line, _)| line.strip_prefix("xenith\t"));
        match format {
            Some("1") => {}
            Some(other) => bail!(
                "the manifest has format {other}, and this `cargo mk` reads format 1: use the one \
                 that belongs to the Xenith that built the image"
            ),
            None => bail!("the manifest does not begin with its format"),
        }
        let mut reader = Reader::default();
        for (line, number) in lines {
            reader
                .line(line)
                .with_context(|| format!("line {number} of the manifest: {line:?}"))?;
        }
        let Reader { name, version, memory, stack, commit, crates, about, devices, args } = reader;
        Ok(Self {
            name: name.context("the manifest has no name")?,
            version: version.context("the manifest has no version")?,
            memory_kib: memory.context("the manifest does not say how much memory")?,
            stack_kib: stack.unwrap_or(STACK_KIB),
            commit,
            crates,
            about,
            devices,
            args,
        })
    }
}

/// The manifest as far as it was read.
#[derive(Default)]
struct Reader {
    name: Option<String>,
    version: Option<String>,
    memory: Option<u64>,
    stack: Option<u64>,
    commit: Option<String>,
    crates: Vec<(String, String)>,
    about: Vec<String>,
    devices: Vec<Device>,
    args: Vec<Arg>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<()> {
        let (key, rest) = line.split_once('\t').context("there is no tab after the first word")?;
        match key {
            "name" => {
                ensure!(is_name(rest), "a name is made of letters, digits and -_.+");
                once(&mut self.name, rest.to_owned())?;
            }
            "version" => once(&mut self.version, rest.to_owned())?,
            "memory" => once(&mut self.memory, memory(rest)?)?,
            "stack" => once(&mut self.stack, memory(rest)?)?,
            "commit" => once(&mut self.commit, rest.to_owned())?,
            "crate" => {
                let (name, version) = rest.split_once('\t').context("a crate has a version")?;
                ensure!(is_name(name), "a crate has a name");
                self.crates.push((name.to_owned(), version.to_owned()));
            }
            "about" => self.about.push(undoc(rest)),
            "device" => {
                let fields: Vec<_> = rest.split('\t').collect();
                let [field, class, id] = fields[..] else {
                    bail!("a device has three fields, not {}", fields.len());
                };
                ensure!(is_name(field) && is_name(class), "a device has a field and a class");
                let [field, class, id] = [field, class, id].map(str::to_owned);
                self.devices.push(Device { field, class, id, xl: None });
            }
            "xl" => {
                let fields: Vec<_> = rest.split('\t').collect();
                let [setting, first, item] = fields[..] else {
                    bail!("what a device has for xl has three fields, not {}", fields.len());
                };
                ensure!(is_name(setting) && is_name(first), "a setting and a first id are names");
                let [setting, first, item] = [setting, first, item].map(str::to_owned);
                let device = self.devices.last_mut().context("there is no device before it")?;
                ensure!(
                    first.parse::<u8>().is_err()
                        || device.id.is_empty()
                        || device.id.parse::<u8>().is_ok(),
                    "devices of class {} are counted: an id is a number up to 255",
                    device.class
                );
                once(&mut device.xl, Xl { setting, first, item })?;
            }
            "arg" => {
                let (name, kind) = rest.split_once('\t').context("an argument has a kind")?;
                ensure!(is_name(name), "an argument has a name");
                ensure!(self.args.iter().all(|arg| arg.name != name), "it stands twice");
                let (name, kind) = (name.to_owned(), kind.to_owned());
                self.args.push(Arg { name, kind, ..Arg::default() });
            }
            "default" => once(&mut self.arg()?.default, rest.to_owned())?,
            "help" => self.arg()?.help.push(undoc(rest)),
            _ => bail!("there is no such entry"),
        }
        Ok(())
    }

    fn arg(&mut self) -> Result<&mut Arg> {
        self.args.last_mut().context("there is no argument before it")
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<()> {
    ensure!(place.replace(value).is_none(), "it stands twice");
    Ok(())
}

/// Whether `text` can be a file's, a domain's or a key's name everywhere.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
}

/// A doc comment's line without the space that stands before it.
fn undoc(line: &str) -> String {
    line.strip_prefix(' ').unwrap_or(line).to_owned()
}

/// KiB of such as `8 MiB`.
fn memory(text: &str) -> Result<u64> {
    let (number, unit) = text.split_once(' ').context("memory is a number and a unit")?;
    let unit = match unit {
        "KiB" => 1,
        "MiB" => 1024,
        "GiB" => 1024 * 1024,
        _ => bail!("memory is in KiB, MiB or GiB, not in {unit}"),
    };
    let number: u64 =
        number.replace('_', "").parse().with_context(|| format!("{number} is not a number"))?;
    number.checked_mul(unit).filter(|&kib| kib > 0).context("memory is out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "xenith\t1\nname\thttpd\nversion\t0.1.0\nmemory\t8 MiB\ncommit\tabc\n\
        crate\tspin\t0.12.3\nabout\t Serves.\n\
        about\t  Twice.\ndevice\tconsole\tconsole\t\ndevice\tdisk\tblock\txvdb\n\
        xl\tdisk\txvda\tvdev={id},{name}\narg\tport\t\
        number from 0 to 65535\ndefault\t80\nhelp\t Where\tto.\narg\troot\ttext\n";

    #[test]
    fn everything_is_read() {
        let manifest = Manifest::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((&*manifest.name, &*manifest.version), ("httpd", "0.1.0"));
        assert_eq!((manifest.memory_kib, manifest.memory_mib()), (8192, 8));
        assert_eq!(manifest.stack_kib, 64);
        assert_eq!(manifest.commit.as_deref(), Some("abc"));
        assert_eq!(manifest.crates, [("spin".to_owned(), "0.12.3".to_owned())]);
        assert_eq!(manifest.about, ["Serves.", " Twice."]);
        assert_eq!(manifest.devices.len(), 2);
        assert_eq!((&*manifest.devices[1].class, &*manifest.devices[1].id), ("block", "xvdb"));
        assert_eq!(manifest.settings(), ["disk"]);
        assert_eq!(manifest.items("disk"), [("xvdb".into(), "vdev=xvdb,httpd".into())]);
        assert_eq!((manifest.items("vif"), manifest.vifs()), (Vec::new(), 0));
        assert_eq!(manifest.disks().collect::<Vec<_>>(), [("disk", "xvdb")]);
        assert_eq!(manifest.args[0].default.as_deref(), Some("80"));
        assert_eq!(manifest.args[0].help, ["Where\tto."]);
        assert_eq!(
            manifest.args[1],
            Arg { name: "root".into(), kind: "text".into(), ..Arg::default() }
        );
    }

    #[test]
    fn mistakes_are_named() {
        let error = |from: &str, to: &str| {
            let text = GOOD.replace(from, to);
            format!("{:#}", Manifest::parse(text.as_bytes()).expect_err(to))
        };
        for (from, to, expected) in [
            ("xenith\t1", "xenith\t2", "has format 2"),
            ("xenith\t1\n", "", "does not begin with its format"),
            ("name\thttpd\n", "", "has no name"),
            ("httpd", "../x", "line 2 of the manifest"),
            ("version\t0.1.0\n", "", "has no version"),
            ("memory\t8 MiB\n", "", "does not say how much memory"),
            ("8 MiB", "8 MB", "not in MB"),
            ("8 MiB", "0 MiB", "out of range"),
            ("8 MiB", "99999999999999999 GiB", "out of range"),
            ("8 MiB", "x MiB", "x is not a number"),
            ("about\t Serves.", "stack\t1 page", "not in page"),
            ("\tblock\t", "\t", "three fields, not 2"),
            ("\txvda\tvdev", "\t0\tvdev", "devices of class block are counted"),
            ("\tvdev={id},", "", "three fields, not 2"),
            ("device\tdisk\tblock\txvdb\n", "xl\ta\tb\tc\n", "it stands twice"),
            ("about\t Serves.", "xl\ta\tb\tc", "no device before it"),
            ("about\t Serves.", "name\tx", "it stands twice"),
            ("arg\troot", "arg\tport", "it stands twice"),
            ("about\t Serves.", "help\tx", "no argument before it"),
            ("about\t Serves.", "color\tred", "no such entry"),
            ("about\t Serves.", "", "no tab"),
        ] {
            let error = error(from, to);
            assert!(error.contains(expected), "{to:?}: {error}");
        }
        let error = Manifest::parse(&GOOD.as_bytes()[..GOOD.len() - 1]).unwrap_err().to_string();
        assert!(error.contains("cut off"), "{error}");
        assert!(Manifest::parse(b"\xff\n").is_err());
    }

    #[test]
    fn devices_that_are_counted_need_all_before_them() {
        let device =
            |id: &str| format!("device\td{id}\tnet\t{id}\nxl\tvif\t0\tbridge=xenbr{{id}}\n");
        let manifest = |ids: &[&str]| {
            let devices: String = ids.iter().map(|id| device(id)).collect();
            Manifest::parse((GOOD.to_owned() + &devices).as_bytes()).unwrap()
        };
        let items = manifest(&["2", "", "0"]).items("vif");
        let items: Vec<_> = items.iter().map(|(id, item)| (&**id, &**item)).collect();
        assert_eq!(items, [("0", "bridge=xenbr0"), ("1", "bridge=xenbr1"), ("2", "bridge=xenbr2")]);
        assert_eq!(manifest(&[""]).vifs(), 1);
        assert_eq!(manifest(&["1"]).settings(), ["disk", "vif"]);
    }

    #[test]
    fn an_app_says_how_large_its_stack_is() {
        let text = GOOD.replace("commit", "stack\t256 KiB\ncommit");
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap().stack_kib, 256);
    }

    #[test]
    fn units_are_what_they_say() {
        assert_eq!(memory("512 KiB").unwrap(), 512);
        assert_eq!(memory("1_024 MiB").unwrap(), 1 << 20);
        assert_eq!(memory("2 GiB").unwrap(), 2 << 20);
    }
}
