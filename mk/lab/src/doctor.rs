//! What this machine lacks for the lab, and what mends it.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{apt, host, image, qemu};

/// Reports one thing that the lab needs, or runs better with.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked for.
    pub name: &'static str,
    /// What was found, or what is wrong.
    pub found: Result<String, String>,
    /// The command that installs it, where one does.
    pub mend: Option<String>,
}

/// Checks everything that the lab needs of this machine, and changes nothing.
pub fn doctor(cache: &Path) -> Vec<Check> {
    let sudo = if rustix::process::geteuid().is_root() { "" } else { "sudo " };
    let program = |name, program: &str, install: &str| {
        let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        let found = match &output {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout);
                Ok(text.lines().next().unwrap_or(program).trim().to_owned())
            }
            Err(_) => Err(format!("{program} is not installed")),
        };
        let mend = (output.is_err() && !install.is_empty()).then(|| format!("{sudo}{install}"));
        Check { name, found, mend }
    };
    let fact = |name, found| Check { name, found, mend: None };
    let processor = match std::env::consts::ARCH {
        "x86_64" => Ok("x86-64".into()),
        other => Err(format!("{other}, and the lab runs Debian's x86-64 programs")),
    };
    let kvm = if host::kvm_may_work(cache) {
        "available, not tried yet"
    } else {
        "not available: QEMU emulates the processor, which is slower"
    };
    let prepared = if image::is_prepared(cache) {
        "ready"
    } else {
        "not fetched yet: the first run downloads 100 MB"
    };
    vec![
        fact("processor", processor),
        fact("system", Ok(apt::release())),
        program("apt", "apt-get", ""),
        program("dpkg-deb", "dpkg-deb", "apt-get install dpkg"),
        program("setpriv", "setpriv", "apt-get install util-linux"),
        program("QEMU", qemu::PROGRAM, qemu::INSTALL),
        fact("KVM", Ok(kvm.into())),
        fact("Xen and dom0", Ok(prepared.into())),
    ]
}
