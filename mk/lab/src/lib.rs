//! Boots real Xen and a real Linux dom0 inside QEMU, creates guests there with the real
//! `xl`, and tells how they ended: a Xen host for the tests of any project with guests.
//!
//! Nothing has to be installed but Debian 12 or 13 and its QEMU, and nothing
//! runs as root. Xen and dom0 are made once, of the distribution's packages, and kept in a
//! folder; a boot takes a few seconds with KVM and 10 to 20 without.
//!
//! ```no_run
//! use lab::{GuestSpec, Host, Options, Progress, Reason};
//! use std::time::Duration;
//!
//! struct Quiet;
//!
//! impl Progress for Quiet {
//!     fn step(&self, _: &str) {}
//!     fn bytes(&self, _: u64, _: u64) {}
//!     fn note(&self, line: &str) {
//!         eprintln!("{line}");
//!     }
//! }
//!
//! # fn main() -> anyhow::Result<()> {
//! // What is made once goes to the first folder, what this run leaves to the second.
//! let host = Host::boot(&Options::new("target/lab", "target/run"), &Quiet)?;
//! // `guest.xl` is what `xl create` takes; it may name a kernel beside it.
//! let mut guest = host.create(&GuestSpec::new("guest.xl"))?;
//! let end = guest.wait(Duration::from_secs(60), &mut |bytes| drop(bytes))?;
//! let end = end.expect("the guest ends within a minute");
//! assert_eq!(end.reason, Reason::Poweroff);
//! assert!(String::from_utf8_lossy(&end.console).contains("Hello, world!"));
//! assert_eq!(host.shell("xl list | wc -l")?.success()?.stdout, b"2\n");
//! host.shutdown()?;
//! # Ok(())
//! # }
//! ```
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
//! | `initramfs` | makes dom0's file system of those and of the scripts in `dom0/` |
//! | `programs` | Debian's programs, and who gets each |
//! | `modules` | the kernel's modules, in their order |
//! | `network` | the addresses of guests, and what leads to them |
//! | `options` | the description of a host |
//! | `image` | what QEMU boots, made once and kept |
//! | `linux` | Debian's kernel as a guest, to measure against |
//! | `root` | Debian's packages as the root of a guest that runs programs of Linux |
//! | `qemu` | QEMU's command line and its life |
//! | `channel` | scripts in dom0, each on a connection of its own |
//! | `host` | a booted Xen |
//! | `guest` | a domU, from `xl create` on |
//! | `input` | what is typed at its console |
//! | `events` | what dom0 tells of it meanwhile |
//! | `suspend` | into a file and out of it, and to another domain |
//! | `end` | how it ended |
//! | `capture` | its frames, in a file |
//! | `disk` | files of this machine as disks of dom0 |
//! | `probe` | the processor, stopped and looked at |
//! | `terminal` | this machine's terminal, while keys go elsewhere |
//! | `doctor` | what this machine lacks |

#![forbid(unsafe_code)]
// They panic when nobody reads any more.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod apt;
mod capture;
mod channel;
mod disk;
mod doctor;
mod end;
mod events;
mod guest;
mod host;
mod image;
mod initramfs;
mod input;
mod linux;
mod modules;
mod network;
mod options;
mod probe;
mod programs;
mod qemu;
mod root;
mod suspend;
pub mod terminal;
mod tools;
mod unpack;
mod update;

/// Tries something for some seconds until it goes well. What another thread forks has the files and locks of
/// all tests, until it has become its program.
#[cfg(test)]
pub(crate) fn soon<T, E>(mut attempt: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    for _ in 0..1000 {
        if let Ok(done) = attempt() {
            return Ok(done);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    attempt()
}

pub use capture::Capture;
pub use channel::Output;
pub use disk::Disk;
pub use doctor::{Check, doctor};
pub use end::{End, Reason};
pub use guest::{Guest, GuestSpec};
pub use host::Host;
pub use initramfs::UPDATE;
pub use input::Input;
pub use linux::{Linux, Purpose};
pub use network::{Forward, Number, Protocol, Vif, address};
pub use options::{Options, Progress};
pub use probe::{Probe, Registers};
pub use qemu::HOST_MEMORY;
pub use root::root;
pub use suspend::{Move, Saving};
pub use tools::tools;
