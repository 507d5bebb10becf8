//! `cargo mk doctor`: what this machine lacks, and the command that mends it.

use crate::boot;
use crate::project::{Project, read};
use crate::ui::out;
use anyhow::Result;
use console::style;
use rustix::fs::statvfs;
use std::path::Path;
use std::process::Command;
use toml_edit::DocumentMut;

/// Tells what this machine lacks, and the command that mends it
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo mk doctor\n\nIt changes nothing. The exit status is 1 when \
something is missing."
)]
pub(crate) struct Args {}

/// Room for what is fetched, and for building some apps; `cargo mk check` builds all there is
/// for the host, for Xen and for the fuzzer.
const SPACE: u64 = 3 << 30;
const SPACE_TO_CHECK: u64 = 10 << 30;

/// Runs the command.
///
/// # Errors
/// When the workspace cannot be read.
pub(crate) fn run(_: &Args) -> Result<u8> {
    let project = Project::find()?;
    let mut wrong = 0;
    let mut show = |name: &str, found: Result<String, String>, mend: Option<&str>| {
        let (word, text) = match found {
            Ok(text) => (style("ok     ").green(), text),
            Err(text) => {
                wrong += 1;
                (style("missing").red(), text)
            }
        };
        out(&format!("{word}  {name:15} {text}\n"));
        if let Some(mend) = mend {
            out(&format!("         {:15} {}\n", "", style(mend).bold()));
        }
    };
    for Tool { name, command, mend } in TOOLS {
        let found = version(command);
        let mend = found.is_err().then_some(*mend);
        show(name, found, mend);
    }
    let toolchain = toolchain(&project);
    let mend = toolchain.is_err().then_some("rustup toolchain install");
    show("toolchain", toolchain, mend);
    let source = rust_src();
    let mend = source.is_err().then_some("rustup component add rust-src");
    show("rust-src", source, mend);
    show("disk space", space(&project.root), None);
    for check in lab::doctor(&boot::cache(&project)) {
        show(check.name, check.found, check.mend.as_deref());
    }
    Ok(u8::from(wrong > 0))
}

/// A program that is needed.
struct Tool {
    name: &'static str,
    command: &'static [&'static str],
    mend: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "rustup",
        command: &["rustup", "--version"],
        mend: "install it as https://rustup.rs says",
    },
    Tool {
        name: "clippy",
        command: &["cargo", "clippy", "--version"],
        mend: "rustup component add clippy",
    },
    Tool {
        name: "rustfmt",
        command: &["rustfmt", "--version"],
        mend: "rustup component add rustfmt",
    },
    Tool { name: "git", command: &["git", "--version"], mend: "apt-get install git" },
];

/// The first line that a program says of itself.
fn version(command: &[&str]) -> Result<String, String> {
    let [program, arguments @ ..] = command else { return Err("no command".to_owned()) };
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|_| format!("{program} is not installed"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next() {
        Some(line) if output.status.success() => Ok(line.to_owned()),
        _ => Err(format!("{} fails", command.join(" "))),
    }
}

/// The compiler, which must be the one that the workspace pins.
fn toolchain(project: &Project) -> Result<String, String> {
    let found = version(&["rustc", "--version"])?;
    let pinned = read(&project.root.join("rust-toolchain.toml"))
        .ok()
        .and_then(|text| String::from_utf8(text).ok()?.parse::<DocumentMut>().ok())
        .and_then(|document| Some(document.get("toolchain")?.get("channel")?.as_str()?.to_owned()));
    match pinned {
        Some(pinned) if !is_of(&found, &pinned) => {
            Err(format!("{found}, and the workspace pins {pinned}"))
        }
        _ => Ok(found),
    }
}

/// Whether a compiler may be of that channel: `stable`, `beta` or `nightly`, each maybe with a date, or a version, maybe
/// without its last number; behind all of them may stand a host. Others are names that people give.
fn is_of(compiler: &str, channel: &str) -> bool {
    let version = compiler.split(' ').nth(1).unwrap_or_default();
    let (number, kind) = version.split_once('-').unwrap_or((version, "stable"));
    let (name, rest) = channel.split_once('-').unwrap_or((channel, ""));
    if matches!(name, "stable" | "beta" | "nightly") {
        // As in 1.96.0-beta.3.
        return kind.split('.').next() == Some(name);
    }
    if !name.starts_with(|c: char| c.is_ascii_digit()) {
        return true;
    }
    let wanted = if rest.starts_with("beta") { "beta" } else { "stable" };
    let begins = number.strip_prefix(name).is_some_and(|it| it.is_empty() || it.starts_with('.'));
    begins && kind.split('.').next() == Some(wanted)
}

/// The standard library's source.
fn rust_src() -> Result<String, String> {
    let sysroot = version(&["rustc", "--print", "sysroot"])?;
    let source = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    match source.join("Cargo.lock").exists() {
        true => Ok("installed".to_owned()),
        false => Err(format!("{} is missing", source.display())),
    }
}

fn space(folder: &Path) -> Result<String, String> {
    let file_system = statvfs(folder).map_err(|error| error.to_string())?;
    let free = file_system.f_bavail * file_system.f_frsize;
    let text = format!(
        "{} MiB free; to fetch and build takes {} MiB, cargo mk check of Xenith {} MiB",
        free >> 20,
        SPACE >> 20,
        SPACE_TO_CHECK >> 20
    );
    if free < SPACE { Err(text) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_of_the_channel_that_is_pinned() {
        let [stable, beta, nightly] = ["1.95.0", "1.96.0-beta.3", "1.97.0-nightly"]
            .map(|version| format!("rustc {version} (59807616e 2026-04-14)"));
        let host = "x86_64-unknown-linux-gnu";
        for (compiler, channel, is) in [
            (&stable, "1.95.0", true),
            (&stable, "1.95", true),
            (&stable, "stable", true),
            (&stable, &format!("1.95.0-{host}"), true),
            (&stable, &format!("stable-{host}"), true),
            (&stable, "my-own", true),
            (&stable, "1.9", false),
            (&stable, "1.95.1", false),
            (&stable, "1.95.0-beta", false),
            (&stable, "beta", false),
            (&stable, "nightly-2026-05-01", false),
            (&beta, "beta", true),
            (&beta, "1.96.0-beta.3", true),
            (&beta, "stable", false),
            (&beta, "1.96", false),
            (&nightly, "nightly", true),
            (&nightly, "nightly-2026-05-01", true),
            (&nightly, "1.97.0", false),
        ] {
            assert_eq!(is_of(compiler, channel), is, "{compiler}, {channel}");
        }
    }
}
