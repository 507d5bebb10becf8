//! The domain's configuration for `xl`, made from the manifest, and the two
//! quotings of its command line: `xl`'s own and the guest's.

use super::manifest::{Arg, Manifest};
use anyhow::{Result, ensure};
use std::fmt::Write;

/// Bytes that a PV guest's command line may have. The field for it has 1024, a zero byte
/// included. libxenguest cuts what does not fit, so the kernel refuses a line that fills it
/// (`kernel::args::MAX_BYTES`).
const COMMAND_LINE: usize = 1022;

/// The file that `xl create` takes, for an image `file` in the same folder.
pub(crate) fn config(manifest: &Manifest, file: &str) -> String {
    let Manifest { name, version, .. } = manifest;
    let mut text = format!("# {name} {version}");
    let mut about = manifest.about.iter();
    if let Some(line) = about.next() {
        text += &format!(": {line}");
    }
    text.push('\n');
    for line in about {
        text += format!("# {line}").trim_end();
        text.push('\n');
    }
    text += &format!(
        "#\n# Made by `cargo mk build` from the image's manifest. `xl` looks for the kernel in the\n\
         # folder that it is called in:\n#     xl create -c {file}.xl\n\n\
         name = {}\ntype = \"pv\"\nkernel = {}\nmemory = {}\nvcpus = 1\n\n\
         # The kernel reads the time stamp counter only through Xen's clock, which is right on\n\
         # every processor and after migration; emulating it would cost a trap at each look.\n\
         tsc_mode = \"native\"\n",
        quote(name),
        quote(file),
        manifest.memory_mib(),
    );
    devices(&mut text, manifest);
    text += "\n# A domain that fails crashes, with its last words on its console. \"restart\" starts it\n\
             # again; \"preserve\" keeps it as it was for a look, until `xl destroy`.\n\
             on_poweroff = \"destroy\"\non_reboot = \"restart\"\non_crash = \"destroy\"\n\n";
    arguments(&mut text, &manifest.args);
    text
}

/// What a user has to know of a list of devices.
fn about(setting: &str) -> &'static str {
    match setting {
        "vif" => {
            "One network interface each; the bridges are your host's. Without mac=, xl makes an\n\
             # address up at each start."
        }
        "disk" => "The target is a file or a block device of your host.",
        _ => "What of your host it is for each device.",
    }
}

/// The lists of devices.
fn devices(text: &mut String, manifest: &Manifest) {
    for setting in manifest.settings() {
        let items: Vec<_> = manifest.items(setting).iter().map(|(_, item)| quote(item)).collect();
        *text += &format!("\n# {}\n{setting} = [{}]\n", about(setting), items.join(", "));
    }
}

/// The arguments, as comments and as a line to fill in.
fn arguments(text: &mut String, args: &[Arg]) {
    if args.is_empty() {
        *text += "# It takes no arguments.\n";
        return;
    }
    *text += "# Arguments, as extra = \"key=value key=value\":\n";
    for Arg { name, kind, default, help } in args {
        let default = match default {
            Some(default) => format!("{default} if not given"),
            None => "must be given".to_owned(),
        };
        let _ = writeln!(text, "#   {name}=<{kind}>, {default}");
        for line in help {
            let _ = writeln!(text, "#       {line}");
        }
    }
    *text +=
        &format!("# Together they may have {COMMAND_LINE} bytes; extra = \"help\" lists them.\n");
    // What must be given, or else the first one as an example.
    let mut required: Vec<_> = args.iter().filter(|arg| arg.default.is_none()).collect();
    if required.is_empty() {
        required.extend(args.first());
    }
    let sample: Vec<_> = required.iter().map(|arg| format!("{}=...", arg.name)).collect();
    let _ = writeln!(text, "# extra = {}", quote(&sample.join(" ")));
}

/// The setting `name` that is a list of strings, unless there are none.
pub(crate) fn list(name: &str, items: &[String]) -> Option<String> {
    let items: Vec<_> = items.iter().map(|item| quote(item)).collect();
    (!items.is_empty()).then(|| format!("{name}=[{}]", items.join(", ")))
}

/// `text` as a string of `xl`'s configuration language.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            c if c.is_ascii_control() => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The guest's command line that has `items`, each as it is.
///
/// # Errors
/// When an item cannot stand in a command line or they are too long together.
pub(crate) fn command_line(items: &[String]) -> Result<String> {
    let words: Vec<_> = items.iter().map(|item| word(item)).collect();
    let line = words.join(" ");
    ensure!(!line.contains('\0'), "an argument holds a zero byte");
    ensure!(
        line.len() <= COMMAND_LINE,
        "the arguments are {} bytes long; a domain's command line has room for {COMMAND_LINE}",
        line.len()
    );
    Ok(line)
}

/// The items of a guest's command line, as `kernel::args` splits it: of what [`command_line`] makes,
/// those it is made of.
pub(crate) fn items(line: &str) -> Vec<String> {
    let (mut items, mut item) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for c in line.chars() {
        match c {
            _ if escaped => {
                escaped = false;
                item.push(c);
            }
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ' ' | '\t' | '\n' if !quoted => items.push(std::mem::take(&mut item)),
            c => item.push(c),
        }
    }
    items.push(item);
    items.retain(|item| !item.is_empty());
    items
}

/// One item in the grammar of `kernel::args`.
fn word(item: &str) -> String {
    let plain = !item.is_empty() && !item.contains([' ', '\t', '\n', '"', '\\']);
    if plain {
        return item.to_owned();
    }
    let mut quoted = String::from('"');
    for c in item.chars() {
        if c == '"' || c == '\\' {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{Device, Xl};
    use super::*;

    fn manifest() -> Manifest {
        let device = |field: &str, class: &str, id: &str, xl: &[&str; 3]| Device {
            field: field.into(),
            class: class.into(),
            id: id.into(),
            xl: Some(xl.map(str::to_owned))
                .filter(|[setting, ..]| !setting.is_empty())
                .map(|[setting, first, item]| Xl { setting, first, item }),
        };
        const VIF: &[&str; 3] = &["vif", "0", "bridge=xenbr{id}"];
        const DISK: &[&str; 3] =
            &["disk", "xvda", "format=raw,vdev={id},access=rw,target={name}-{id}.img"];
        Manifest {
            name: "httpd".into(),
            version: "0.1.0".into(),
            memory_kib: 8192,
            stack_kib: 64,
            commit: None,
            crates: Vec::new(),
            about: vec!["Serves files.".into(), String::new(), "Well.".into()],
            devices: vec![
                device("console", "console", "", &[""; 3]),
                device("out", "net", "1", VIF),
                device("net", "net", "0", VIF),
                device("disk", "block", "xvdb", DISK),
                device("gpu", "gpu", "", &["pci", "any", "{id}"]),
            ],
            args: vec![
                Arg {
                    name: "port".into(),
                    kind: "number".into(),
                    default: Some("80".into()),
                    help: vec!["Where.".into()],
                },
                Arg { name: "root".into(), kind: "text".into(), ..Arg::default() },
            ],
        }
    }

    #[test]
    fn a_command_line_is_split_as_it_was_made() {
        let given =
            ["run=sh -c 'sleep 9'", "env=A=1 B=\"x\\y\"", "port=8", "\t"].map(str::to_owned);
        let line = command_line(&given).unwrap();
        assert_eq!(items(&line), given);
        assert_eq!(command_line(&items(&line)).unwrap(), line);
        assert_eq!(items(r#"run="a b"  c\ d "" "#), ["run=a b", "c d"]);
        assert!(items(" ").is_empty());
    }

    #[test]
    fn the_configuration_says_all_that_the_manifest_does() {
        let text = config(&manifest(), "httpd");
        for line in [
            "# httpd 0.1.0: Serves files.",
            "# Well.",
            "name = \"httpd\"",
            "type = \"pv\"",
            "kernel = \"httpd\"",
            "memory = 8",
            "vcpus = 1",
            "vif = [\"bridge=xenbr0\", \"bridge=xenbr1\"]",
            "disk = [\"format=raw,vdev=xvdb,access=rw,target=httpd-xvdb.img\"]",
            "on_crash = \"destroy\"",
            "#   port=<number>, 80 if not given",
            "#       Where.",
            "#   root=<text>, must be given",
            "# What of your host it is for each device.",
            "pci = [\"any\"]",
            "# extra = \"root=...\"",
        ] {
            assert!(text.lines().any(|it| it == line), "no line {line:?} in:\n{text}");
        }
    }

    #[test]
    fn an_app_without_devices_has_no_lines_for_them() {
        let manifest = Manifest { name: "noop".into(), memory_kib: 1, ..Manifest::default() };
        let text = config(&manifest, "noop");
        assert!(!text.contains("vif") && !text.contains("disk"), "{text}");
        assert!(text.contains("memory = 1\n") && text.contains("no arguments"), "{text}");
    }

    #[test]
    fn text_is_quoted_for_xl() {
        assert_eq!(quote("a \"b\" \\ 'c'"), r#""a \"b\" \\ 'c'""#);
        assert_eq!(quote("a\nb\tc\x1b"), r#""a\nb\tc\x1b""#);
    }

    #[test]
    fn items_are_quoted_for_the_guest() {
        let line = |items: &[&str]| {
            command_line(&items.iter().map(|&it| it.to_owned()).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(line(&["a=1", "b=2"]), "a=1 b=2");
        assert_eq!(line(&["greeting=Hello World"]), "\"greeting=Hello World\"");
        assert_eq!(line(&["a=\"b\\"]), r#""a=\"b\\""#);
        assert_eq!(line(&[""]), "\"\"");
        assert_eq!(line(&[]), "");
    }

    #[test]
    fn a_command_line_has_an_end() {
        assert!(command_line(&["x".repeat(1022)]).is_ok());
        let error = command_line(&["x".repeat(1023)]).unwrap_err().to_string();
        assert!(error.contains("1023 bytes long") && error.contains("1022"), "{error}");
        assert!(command_line(&["a=\0".into()]).is_err());
    }
}
