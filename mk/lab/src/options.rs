//! The description of a host, and the receiver of its progress.

use std::path::PathBuf;
use std::time::Duration;

use super::disk::Disk;
use super::network::Forward;

/// Receives the progress of long steps.
///
/// # Example
/// ```
/// use lab::Progress;
///
/// /// Prints what is done, and nothing of how far it is.
/// struct Steps;
///
/// impl Progress for Steps {
///     fn step(&self, what: &str) {
///         println!("{what} ...");
///     }
///
///     fn bytes(&self, _done: u64, _total: u64) {}
///
///     fn note(&self, line: &str) {
///         println!("{line}");
///     }
/// }
/// ```
pub trait Progress: Sync {
    /// Tells that a step begins, and that the one before it is done.
    fn step(&self, what: &str);
    /// Tells how many bytes of a total the step has done.
    fn bytes(&self, done: u64, total: u64);
    /// Shows a line that should stay to be read.
    fn note(&self, line: &str);
}

/// Describes the host to boot.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of what is made once and kept: `target/xenith/lab`.
    pub cache: PathBuf,
    /// The folder of this run, and of no other at the same time. `console.log`
    /// stays there.
    pub run: PathBuf,
    /// Memory for all guests together, in MiB. Only what they touch is taken
    /// from this machine.
    pub memory: u32,
    /// Whether each instruction takes one nanosecond of the machine's time, so
    /// that processor times count instructions. Everything takes longer then.
    pub icount: bool,
    /// Whether dom0 can tell exact processor times, which makes its file system
    /// twice as large.
    pub cpu_times: bool,
    /// Whether the machine can be stopped and looked at, see [`Probe`](super::Probe).
    pub debug: bool,
    /// Whether guests have a network: bridges, servers on them, and tools for
    /// tests. It takes a moment more to boot.
    pub network: bool,
    /// What leads from this machine to guests.
    pub forwards: Vec<Forward>,
    /// Files of this machine that dom0 has as disks (see [`Disk::in_dom0`]).
    pub disks: Vec<Disk>,
    /// More arguments for Xen.
    pub xen: Vec<String>,
    /// How long booting may take.
    pub boot_limit: Duration,
    /// How long the host may live, if not for as long as it is wanted: no test runs for ever,
    /// whatever goes wrong.
    pub lifetime: Option<Duration>,
}

impl Options {
    /// Describes the usual host: 1.5 GiB for guests, no network, no disks, 3 minutes to boot.
    pub fn new(cache: impl Into<PathBuf>, run: impl Into<PathBuf>) -> Options {
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
            lifetime: Some(Duration::from_secs(12 * 3600)),
        }
    }
}
