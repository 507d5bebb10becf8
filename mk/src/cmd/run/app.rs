//! One app of a run: what stands on the command line for it, and what `xl` is told of that.

use super::keys;
use super::publish::{self, Publish};
use crate::cmd::build::Image;
use crate::disk::{self, Given};
use crate::image::xl;
use crate::project::Project;
use anyhow::{Result, ensure};
use std::path::PathBuf;

/// One app of a run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct App {
    /// The app; without it, the app of the current folder
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Arguments for the app; `help` lists them
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) args: Vec<String>,
    /// Memory of the domain in MiB, instead of what the manifest says
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) memory: Option<u64>,
    #[command(flatten)]
    pub(crate) around: Around,
}

/// What an app has around it, wherever it comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Around {
    /// What the guest is called, instead of like its app: it is saved, moved and updated by that name, and
    /// other guests know it as NAME.lab. With --on xl that is what xl calls the domain, and an update
    /// there finds domains by the names of their apps alone
    #[arg(long, value_name = "NAME", value_parser = guest_name)]
    pub(super) name: Option<String>,
    /// Forwards a port of this machine to one of the guest; may be given several times.
    /// Without it, the port of an app with an argument `port` is forwarded from 127.0.0.1
    #[arg(long, value_name = "[ADDRESS:][PORT:]GUEST-PORT[/udp]", value_parser = publish::parse)]
    pub(super) publish: Vec<Publish>,
    /// Records the guest's frames in a file for tcpdump or Wireshark; those of a second
    /// interface go to FILE.1
    #[arg(long, value_name = "FILE")]
    pub(super) pcap: Option<PathBuf>,
    /// What a disk of the app is: a file or block device, a folder that is packed into a
    /// tar archive, or the size of an empty image, which stays below target/xenith/disks
    /// from run to run, or the root of a Linux program: Debian's packages with what they
    /// depend on, as debian:nginx,dash (NAME- leaves one out, ./FOLDER is laid over them).
    /// With ,ro behind it the guest cannot write; with ,4096 sectors are
    /// of that size
    #[arg(long, value_name = "NAME=FILE|FOLDER|SIZE|debian:PACKAGE,...", value_parser = disk::parse)]
    pub(super) disk: Vec<Given>,
}

impl App {
    /// The app, if there is one, and its arguments.
    pub(super) fn name_and_items(&self, project: &Project) -> (Vec<String>, Vec<String>) {
        project.name_and_items(self.app.as_ref(), &self.args)
    }
}

/// Reads the name of a guest.
fn guest_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || !text.chars().all(plain) || text.len() > LONGEST_NAME {
        return Err(format!(
            "a guest's name is up to {LONGEST_NAME} letters, digits, `.`, `_` and `-`, the first one a \
             letter or digit"
        ));
    }
    // Xen's tools take a number for a domain's.
    if text.parse::<u32>().is_ok() || text == "Domain-0" {
        return Err("Xen has another domain by that name".to_owned());
    }
    Ok(text.to_owned())
}

/// Most letters of a guest's name, of which a label of a name in the network is made (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 63;

/// The argument by which a guest with a terminal of its own is told the size of the user's.
const TERMINAL: &str = "terminal";

/// The lines by which `xl create` changes the configuration.
pub(super) fn overrides(
    image: &Image,
    items: &[String],
    memory: Option<u64>,
    name: Option<&str>,
) -> Result<Vec<String>> {
    let takes_size = image.manifest.args.iter().any(|arg| arg.name == TERMINAL);
    let size = keys::size().filter(|_| takes_size);
    let mut lines = lines(&with_size(items, size), memory)?;
    lines.extend(name.map(|name| format!("name={}", xl::quote(name))));
    Ok(lines)
}

/// The arguments, and the size of the terminal unless they say it.
fn with_size(items: &[String], size: Option<String>) -> Vec<String> {
    let mut items = items.to_vec();
    let said = |item: &String| item == "help" || item.starts_with(&format!("{TERMINAL}="));
    if !items.iter().any(said) {
        items.extend(size.map(|size| format!("{TERMINAL}={size}")));
    }
    items
}

/// The lines for these arguments and that memory.
pub(crate) fn lines(items: &[String], memory: Option<u64>) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if !items.is_empty() {
        lines.push(format!("extra={}", xl::quote(&xl::command_line(items)?)));
    }
    lines.extend(memory.map(|mib| format!("memory={mib}")));
    Ok(lines)
}

/// Refuses less memory than the domain builder can do with.
pub(crate) fn check_memory(image: &Image, memory: Option<u64>) -> Result<()> {
    let least = image.report.least_mib;
    if let Some(memory) = memory {
        ensure!(
            memory >= least,
            "{} cannot be started with {memory} MiB: its image needs at least {least}",
            image.name
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_a_name_that_xen_and_the_network_take() {
        for good in ["web", "web-2", "2nd", "a.b_c"] {
            assert_eq!(guest_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "7", "Domain-0", "a b", "a@b", "-a", ".", "\u{fc}", &"x".repeat(64)] {
            assert!(guest_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_reach_xl_and_the_guest_in_their_quotings() {
        let items = ["greeting=Hello World".to_owned(), "n=1".to_owned()];
        assert_eq!(
            lines(&items, Some(8)).unwrap(),
            [r#"extra="\"greeting=Hello World\" n=1""#, "memory=8"]
        );
        assert!(lines(&[], None).unwrap().is_empty());
        let size = || Some("24x80".to_owned());
        assert_eq!(with_size(&items, size())[2..], ["terminal=24x80"]);
        assert_eq!(with_size(&items, None), items);
        assert_eq!(with_size(&["terminal=1x2".into()], size()), ["terminal=1x2"]);
    }
}
