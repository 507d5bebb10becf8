//! Debian's packages without root: which ones the lab is made of, and fetching
//! them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::options::Progress;

/// What names the release's own Xen and kernel, whatever their versions are,
/// and the tools that neither brings: dom0's own, and what tests of networks and file systems take.
pub(crate) const ROOTS: [&str; 25] = [
    "xen-system-amd64",
    "linux-image-amd64",
    "xenstore-utils",
    "bsdutils",
    "busybox-static",
    "python3-minimal",
    "coreutils",
    "curl",
    "dash",
    "dnsmasq-base",
    "dosfstools",
    "e2fsprogs",
    "hping3",
    "iperf3",
    "iproute2",
    "iputils-ping",
    "mosquitto",
    "mosquitto-clients",
    "mount",
    "netcat-openbsd",
    "nftables",
    "nghttp2-client",
    "openssl",
    "tcpdump",
    "wrk",
];

/// Those of the packages that a package depends on that the lab needs, besides
/// libraries, by the start of their names. The interpreter is there for Xen's
/// own Python module, which alone tells a domain's exact processor time.
const FOLLOWED: [&str; 5] =
    ["xen-hypervisor-", "xen-utils-", "linux-image-", "python3.", "libpython3."];

/// One version of one package, as apt describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    size: u64,
    depends: Vec<String>,
    library: bool,
}

impl Package {
    /// How the file starts that `apt-get download` makes: an epoch's colon is
    /// escaped.
    fn file_start(&self) -> String {
        format!("{}_{}_", self.name, self.version.replace(':', "%3a"))
    }

    /// The package's file, if it is in `folder` and complete.
    fn file_in(&self, folder: &Path) -> Result<PathBuf> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(&self.file_start())
                && entry.metadata()?.len() == self.size
            {
                return Ok(entry.path());
            }
        }
        bail!("apt-get fetched no complete file of {} {}", self.name, self.version)
    }

    /// Whether the lab needs it, given that something it needs depends on it.
    pub(crate) fn is_needed(&self) -> bool {
        self.library || FOLLOWED.iter().any(|start| self.name.starts_with(start))
    }
}

/// Reads the stanzas that `apt-cache show` prints.
fn parse(text: &str) -> Vec<Package> {
    text.split("\n\n")
        .filter_map(|stanza| {
            let field = |name: &str| {
                stanza
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                    .map_or("", str::trim)
            };
            // "a (>= 1) | b, c:any" depends on a and c: the first alternative
            // is what a Debian machine has unless it chose otherwise.
            let names = |list: &str| {
                list.split(',')
                    .filter_map(|item| {
                        item.split(['|', '(', ':', ' ']).find(|word| !word.is_empty())
                    })
                    .map(String::from)
                    .collect::<Vec<_>>()
            };
            let mut depends = names(field("Pre-Depends"));
            depends.extend(names(field("Depends")));
            (!field("Package").is_empty()).then(|| Package {
                name: field("Package").into(),
                version: field("Version").into(),
                size: field("Size").parse().unwrap_or(0),
                depends,
                library: field("Section") == "libs",
            })
        })
        .collect()
}

/// apt with the machine's package lists, or with lists of our own.
pub(crate) struct Apt {
    options: Vec<String>,
    /// What it complained of while it fetched the lists.
    complaints: Vec<String>,
}

impl Apt {
    /// apt as it is set up on this machine. Reading its lists needs no root.
    fn machine() -> Apt {
        Apt {
            options: vec![
                // Its unprivileged user could not write below our folder.
                "-oAPT::Sandbox::User=root".into(),
                // What this machine has installed may be newer than anything that
                // its sources offer, and cannot be fetched then.
                "-oDir::State::status=/dev/null".into(),
            ],
            complaints: Vec::new(),
        }
    }

    /// The machine's sources, with package lists below `cache`: for a machine
    /// whose lists are missing or too old, which only root could mend.
    fn own(cache: &Path, progress: &dyn Progress) -> Result<Apt> {
        let state = std::path::absolute(cache.join("apt"))?;
        fs::create_dir_all(state.join("lists/partial"))?;
        fs::create_dir_all(state.join("cache/archives/partial"))?;
        let mut apt = Apt::machine();
        for (key, path) in [("State::lists", "lists"), ("Cache", "cache")] {
            let path = state.join(path);
            let path = path.to_str().context("the target folder's path is not UTF-8")?;
            apt.options.push(format!("-oDir::{key}={path}/"));
        }
        progress.step("fetching Debian's package lists");
        apt.complaints = apt.run(apt.command("apt-get").arg("update"), progress)?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Runs apt-get, showing its progress, and returns what it complains of. A
    /// source that it cannot reach is no failure to it, only a complaint.
    fn run(&self, command: &mut Command, progress: &dyn Progress) -> Result<Vec<String>> {
        let mut child = command
            .args(["-oAPT::Status-Fd=2", "-q"])
            .stderr(Stdio::piped())
            .spawn()
            .context(NOT_DEBIAN)?;
        let mut complaints = Vec::new();
        for line in BufReader::new(child.stderr.take().expect("piped")).lines() {
            let line = line?;
            match percent(&line) {
                Some(done) => progress.bytes(done, 1000),
                None if line.starts_with("E:") || line.starts_with("W:") => complaints.push(line),
                None => {}
            }
        }
        ensure!(
            child.wait()?.success(),
            "apt-get failed (is there a network?):\n{}",
            complaints.join("\n")
        );
        Ok(complaints)
    }

    /// The candidate versions of those of the named packages that there are.
    fn show<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Package>> {
        let output = self
            .command("apt-cache")
            .args(["show", "--no-all-versions"])
            .args(names)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .output()
            .context(NOT_DEBIAN)?;
        Ok(parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Those of these names, and what follows from them. Libraries too come from the
    /// same release and not from this machine, which may have other versions or none.
    fn resolve(&self, wish: &Wanted<'_>) -> Result<Vec<Package>> {
        let mut wanted = self.show(wish.names.iter().copied())?;
        let missing: Vec<_> = wish
            .names
            .iter()
            .copied()
            .filter(|root| !wanted.iter().any(|package| package.name == *root))
            .collect();
        ensure!(
            missing.is_empty(),
            "apt knows no packages of these names: {} (`apt-cache search` finds names)",
            missing.join(" ")
        );
        let mut seen: BTreeSet<String> = wanted.iter().map(|root| root.name.clone()).collect();
        loop {
            let next: BTreeSet<String> = wanted
                .iter()
                .flat_map(|package| &package.depends)
                .filter(|name| !seen.contains(*name))
                .cloned()
                .collect();
            if next.is_empty() {
                break;
            }
            let found = self.show(next.iter().map(String::as_str))?;
            wanted.extend(found.into_iter().filter(|package| (wish.follows)(package)));
            seen.extend(next);
        }
        wanted.sort_by(|a, b| a.name.cmp(&b.name));
        wanted.dedup_by(|a, b| a.name == b.name);
        Ok(wanted)
    }

    /// Fetches into `folder` what is not there yet.
    fn download(&self, packages: &[Package], folder: &Path, progress: &dyn Progress) -> Result<()> {
        let missing: Vec<_> =
            packages.iter().filter(|package| package.file_in(folder).is_err()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let size: u64 = missing.iter().map(|package| package.size).sum();
        progress.step(&format!(
            "downloading {} Debian packages ({} MB)",
            missing.len(),
            size / 1_000_000
        ));
        self.run(
            self.command("apt-get")
                .arg("download")
                .args(missing.iter().map(|p| format!("{}={}", p.name, p.version)))
                .current_dir(folder),
            progress,
        )
        .map(drop)
        .context("cannot download Debian's packages")
    }
}

/// What is to be fetched.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The names of packages.
    pub(crate) names: &'a [&'a str],
    /// Whether a package is needed that one that is needed depends on.
    pub(crate) follows: &'a dyn Fn(&Package) -> bool,
    /// What they are for, as in "looking ... among Debian's packages".
    pub(crate) what: &'a str,
}

/// Fetches the packages that are wanted into `folder`, and says which file is which.
pub(crate) fn fetch(
    cache: &Path,
    folder: &Path,
    wanted: &Wanted<'_>,
    progress: &dyn Progress,
) -> Result<Vec<(Package, PathBuf)>> {
    let from = |apt: &Apt| -> Result<Vec<(Package, PathBuf)>> {
        progress.step(&format!("looking {} among Debian's packages", wanted.what));
        let packages = apt.resolve(wanted)?;
        apt.download(&packages, folder, progress)?;
        packages
            .into_iter()
            .map(|package| package.file_in(folder).map(|file| (package, file)))
            .collect()
    };
    // The machine's lists first: they are there as a rule, and then one fetch
    // is spared. When they are missing or name versions that the archive has
    // replaced since, new ones mend it.
    from(&Apt::machine()).or_else(|_| {
        let apt = Apt::own(cache, progress)?;
        from(&apt).map_err(|error| match &apt.complaints[..] {
            [] if RELEASES.iter().any(|it| release().starts_with(it)) => error,
            [] => error.context(format!(
                "the lab is made from the packages of Debian 12 or 13, and this is {}",
                release()
            )),
            some => {
                error.context(format!("apt-get failed (is there a network?):\n{}", some.join("\n")))
            }
        })
    })
}

/// The names of the releases that the lab can be made from.
const RELEASES: [&str; 2] = ["Debian GNU/Linux 12", "Debian GNU/Linux 13"];

/// The error for a machine without apt.
const NOT_DEBIAN: &str = "cannot run apt: the lab needs Debian 12 or 13";

/// How far apt says that it is, in tenths of a percent.
fn percent(line: &str) -> Option<u64> {
    let percent: f64 = line.strip_prefix("dlstatus:")?.split(':').nth(1)?.parse().ok()?;
    Some((percent * 10.0) as u64)
}

/// This machine's distribution and release, in its own words.
pub(crate) fn release() -> String {
    fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("an unknown system")
        .trim_matches('"')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_parsed() {
        let packages = parse(
            "Package: xen-utils-4.17\nVersion: 4.17.5+72-1\nSection: admin\nSize: 1372500\n\
             Depends: libc6 (>= 2.35), python3:any, a | b\nPre-Depends: dpkg (>= 1)\n\
             Description: tools\n Depends: not this\n\nPackage: zlib1g\nVersion: 1:1.2\nSection: libs\n",
        );
        assert_eq!(packages.len(), 2);
        assert_eq!(packages[0].depends, ["dpkg", "libc6", "python3", "a"]);
        assert_eq!(packages[0].size, 1_372_500);
        assert!(packages[0].is_needed());
        assert!(packages[1].library && packages[1].depends.is_empty());
        assert_eq!(packages[1].file_start(), "zlib1g_1%3a1.2_");
    }

    #[test]
    fn progress_lines_are_parsed() {
        assert_eq!(percent("dlstatus:3:47.5159:Retrieving file 3 of 9"), Some(475));
        assert_eq!(percent("E: Unable to fetch"), None);
    }
}
