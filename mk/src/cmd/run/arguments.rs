//! What of an app's arguments can be known to be wrong before there is a guest to say so.

use crate::alike::meant;
use crate::image::manifest::{Arg, Manifest};

/// The item that asks for help and starts nothing.
const HELP: &str = "help";

/// The kind of an argument that can only be switched off: that is a word to the guest, which knows
/// no other value of it and takes it any number of times.
const OFF: &str = "off";

/// Checks arguments against the manifest: their form, their names, that none is missing or given
/// twice, and numbers. Whether another value is one of its kind, the guest says.
///
/// # Errors
/// With what is wrong, in the guest's words, and what may have been meant.
pub(super) fn check(manifest: &Manifest, items: &[String]) -> Result<(), String> {
    if items.iter().any(|item| item == HELP) {
        return Ok(());
    }
    let app = &manifest.name;
    let end = format!("\n`cargo mk run {app} help` lists all of them");
    let mut given: Vec<&str> = Vec::new();
    for item in items {
        let Some((name, value)) = item.split_once('=') else {
            return Err(format!("argument {item} is not of the form key=value{end}"));
        };
        let Some(arg) = manifest.args.iter().find(|arg| arg.name == name) else {
            let meant = meant(manifest.args.iter().map(|arg| &*arg.name), name)
                .map(|it| format!("; did you mean {it}?"));
            return Err(format!("{app} has no argument {name}{}{end}", meant.unwrap_or_default()));
        };
        if arg.kind == OFF {
            if value != OFF {
                return Err(format!(
                    "{item}: {name} is on unless it is switched off, by {name}={OFF}, which is all that it \
                     takes{end}"
                ));
            }
            continue;
        }
        if given.contains(&name) && !arg.kind.contains("any number of times") {
            return Err(format!("argument {name} is given twice"));
        }
        if out_of_range(arg, value) {
            return Err(format!("{name}={value}: not a {}", arg.kind));
        }
        given.push(name);
    }
    let missing =
        manifest.args.iter().find(|it| it.default.is_none() && !given.contains(&&*it.name));
    match missing {
        Some(Arg { name, kind, help, .. }) => {
            let help = help.first().map(|line| format!(" {line}")).unwrap_or_default();
            Err(format!("{app} needs the argument {name}=<{kind}>:{help}{end}"))
        }
        None => Ok(()),
    }
}

/// Whether the argument is a number within bounds, and `value` is not.
fn out_of_range(arg: &Arg, value: &str) -> bool {
    let bounds = arg.kind.strip_prefix("number from ").and_then(|it| it.split_once(" to "));
    let number = |text: &str| text.parse::<i128>().ok();
    let Some((least, most)) = bounds.and_then(|(a, b)| number(a).zip(number(b))) else {
        return false;
    };
    !number(value).is_some_and(|it| (least..=most).contains(&it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let arg = |name: &str, kind: &str, default: Option<&str>| Arg {
            name: name.into(),
            kind: kind.into(),
            default: default.map(str::to_owned),
            help: vec!["What.".into()],
        };
        let args = vec![
            arg("run", "text", None),
            arg("port", "number from 0 to 65535", Some("80")),
            arg("header", "text, any number of times", Some("none")),
            arg("strace", "text", Some("")),
            arg("avx", "off", Some("on")),
        ];
        Manifest { name: "app".into(), args, ..Manifest::default() }
    }

    #[test]
    fn what_is_wrong_is_known_before_there_is_a_guest() {
        let check = |items: &[&str]| {
            check(&manifest(), &items.iter().map(|&it| it.to_owned()).collect::<Vec<_>>())
        };
        for good in [
            &["run=a b", "port=0", "header=1", "header=2"][..],
            &["help"],
            &["wrong", "help"],
            &["avx=off", "run=a", "avx=off"],
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for (items, says) in [
            (&[][..], "app needs the argument run=<text>: What.\n"),
            (&["run=a", "b"], "argument b is not of the form key=value\n"),
            (&["run=a", "strce=1"], "app has no argument strce; did you mean strace?\n"),
            (&["run=a", "xyz=1"], "app has no argument xyz\n"),
            (&["run=a", "run=b"], "argument run is given twice"),
            (&["run=a", "port=65536"], "port=65536: not a number from 0 to 65535"),
            (
                &["run=a", "avx=on"],
                "avx=on: avx is on unless it is switched off, by avx=off, which",
            ),
            (&["run=a", "avx="], "avx=: avx is on unless it is switched off, by avx=off, which"),
            (&["run=a", "port="], "port=: not a number from 0 to 65535"),
        ] {
            let error = check(items).unwrap_err();
            assert!(error.starts_with(says), "{items:?}: {error}");
        }
    }
}
