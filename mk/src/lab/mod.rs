//! Real Xen and a real Linux dom0 inside QEMU.
//!
//! ```text
//!   this machine                                    QEMU
//!   ------------                                    ----
//!   apt -> packages -> unpack -> image  --boots-->  Xen
//!                                                   |- dom0: Linux, xenstored, xenconsoled,
//!   Host -- TCP, forwarded -----------------------> |        the agent (dom0/agent), xl
//!   Guest -- one connection, one script ----------> |- domU: from `xl create` to its end
//!                                                   |        (dom0/guest)
//! ```
//!
//! | file | what it does |
//! | --- | --- |
//! | `apt` | finds out which Debian packages it takes, and fetches them without root |
//! | `unpack` | takes the few files out of them that are wanted |
//! | `initramfs` | makes dom0's file system of those and of `scripts/dom0/` |
//! | `modules` | the kernel's modules, in their order |
//! | `network` | the addresses of guests, and what leads to them |
//! | `image` | what QEMU boots, made once and kept |
//! | `linux` | Debian's kernel as a guest, to measure against |
//! | `qemu` | QEMU's command line and its life |
//! | `channel` | scripts in dom0, each on a connection of its own |
//! | `host` | a booted Xen |
//! | `guest` | a domU, from `xl create` on |
//! | `end` | how it ended |
//! | `capture` | its frames, in a file |
//! | `disk` | files of this machine as disks of dom0 |
//! | `probe` | the processor, stopped and looked at |
//! | `doctor` | what this machine lacks |

mod apt;
mod capture;
mod channel;
mod disk;
mod doctor;
mod end;
mod guest;
mod host;
mod image;
mod initramfs;
mod linux;
mod modules;
mod network;
mod probe;
mod qemu;
#[cfg(test)]
mod tests;
mod tools;
mod unpack;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use capture::Capture;
pub(crate) use channel::Output;
pub(crate) use disk::Disk;
pub(crate) use doctor::doctor;
pub(crate) use end::{End, Reason};
pub(crate) use guest::{Guest, GuestSpec, Input};
pub(crate) use host::Host;
pub(crate) use linux::{Linux, Purpose};
pub(crate) use network::{Forward, Number, Protocol, Vif};
pub(crate) use probe::{Probe, Registers};
pub(crate) use tools::tools;

/// Who hears how long steps go.
pub(crate) trait Progress: Sync {
    /// A step begins, and the one before it is done.
    fn step(&self, what: &str);
    /// How far the step is, of a total.
    fn bytes(&self, done: u64, total: u64);
    /// A line that should stay to be read.
    fn note(&self, line: &str);
}

/// How to boot a host.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The folder of what is made once and kept: `target/xenith/lab`.
    pub(crate) cache: PathBuf,
    /// The folder of this run, and of no other at the same time. `console.log`
    /// stays there.
    pub(crate) run: PathBuf,
    /// Memory for all guests together, in MiB. Only what they touch is taken
    /// from this machine.
    pub(crate) memory: u32,
    /// Whether each instruction takes one nanosecond of the machine's time, so
    /// that processor times count instructions. Everything takes longer then.
    pub(crate) icount: bool,
    /// Whether dom0 can tell exact processor times, which makes its file system
    /// twice as large.
    pub(crate) cpu_times: bool,
    /// Whether the machine can be stopped and looked at, see [`Probe`].
    pub(crate) debug: bool,
    /// Whether guests have a network: bridges, servers on them, and tools for
    /// tests. It takes a moment more to boot.
    pub(crate) network: bool,
    /// What leads from this machine to guests.
    pub(crate) forwards: Vec<Forward>,
    /// Files of this machine that dom0 has as disks (see [`Disk::in_dom0`]).
    pub(crate) disks: Vec<Disk>,
    /// More arguments for Xen.
    pub(crate) xen: Vec<String>,
    /// How long booting may take.
    pub(crate) boot_limit: Duration,
    /// How long the host may live: nothing runs for ever, whatever goes wrong.
    pub(crate) lifetime: Duration,
}

impl Options {
    /// The usual host.
    pub(crate) fn new(cache: impl Into<PathBuf>, run: impl Into<PathBuf>) -> Options {
        Options {
            cache: cache.into(),
            run: run.into(),
            memory: 1536,
            icount: false,
            cpu_times: false,
            debug: false,
            network: false,
            forwards: Vec::new(),
            disks: Vec::new(),
            xen: Vec::new(),
            boot_limit: Duration::from_secs(180),
            lifetime: Duration::from_secs(12 * 3600),
        }
    }
}

/// The address that the guest gets whose number is the one taken after `before`
/// others, on a host of no other guests.
pub(crate) fn address(before: u8) -> String {
    network::ip(0, network::NUMBERS.start + before)
}

/// This machine's distribution and release, in its own words.
fn release() -> String {
    fs::read_to_string("/etc/os-release")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("an unknown system")
        .trim_matches('"')
        .to_owned()
}
