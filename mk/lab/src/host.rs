//! A booted Xen host.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;

use super::channel::{Channel, Output, quote, random, store};
use super::disk;
use super::guest::{Guest, GuestSpec};
use super::image;
use super::network::{self, Number, Numbers, publish};
use super::options::{Options, Progress};
use super::probe::Probe;
use super::qemu::{self, Accelerator, Qemu, tail};
use super::terminal::{LEAVE, Raw};

/// How long a script in dom0 may take when its caller sets no limit.
const SCRIPT_LIMIT: Duration = Duration::from_secs(60);

/// Bytes a second that reach dom0 even where this machine does much else.
const SLOWEST: usize = 4 << 20;

/// How long a machine may take to boot that has hardware to run on.
const KVM_LIMIT: Duration = Duration::from_secs(20);

/// How long a booting machine may say nothing. The longest silence of one that
/// comes up is two seconds; one that stays silent has stalled.
const SILENCE: Duration = Duration::from_secs(60);

/// How often an interactive shell's end is looked for while nobody types.
const POLL: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Represents a booted Xen in QEMU, with a Linux dom0 that takes orders. The machine ends
/// when this value and those of all its guests are dropped, and with the thread that
/// booted it, however that ends.
pub struct Host {
    channel: Arc<Channel>,
    names: Mutex<HashMap<String, u32>>,
    numbers: Numbers,
    network: bool,
    /// Open, so that no other run uses them.
    disks: Vec<File>,
}

impl Host {
    /// Boots a host. The first call fetches packages and builds dom0's file system, which
    /// stay in [`Options::cache`].
    ///
    /// # Errors
    /// When QEMU is missing and cannot be installed, packages cannot be fetched, or dom0
    /// does not come up; the error then shows the end of the console.
    pub fn boot(options: &Options, progress: &dyn Progress) -> Result<Host> {
        qemu::ensure_installed(progress)?;
        let image = image::prepare(&options.cache, progress)?;
        fs::create_dir_all(&options.run)
            .with_context(|| format!("cannot make {}", options.run.display()))?;
        let disks = disk::check(&options.disks)?;
        network::check(&options.forwards)?;
        let boot = |accelerator, limit| Host::start(options, &image, accelerator, limit, progress);
        let mut host = if options.icount {
            boot(Accelerator::Icount, options.boot_limit)?
        } else {
            let kvm = || boot(Accelerator::Kvm, KVM_LIMIT.min(options.boot_limit));
            let tcg = || boot(Accelerator::Tcg, options.boot_limit);
            let mark = options.cache.join(KVM_FAILED);
            boot_by(kvm_may_work(&options.cache).then_some(kvm), tcg, &mark, progress)?
        };
        host.disks = disks;
        Ok(host)
    }

    fn start(
        options: &Options,
        image: &image::Image,
        accelerator: Accelerator,
        limit: Duration,
        progress: &dyn Progress,
    ) -> Result<Host> {
        let mut ports = 5;
        let mut boots = 2;
        let qemu = loop {
            progress.step("starting Xen in QEMU");
            let token = random()?;
            let qemu = Qemu::start(options, image, accelerator, &token)?;
            // The others were free, and stay taken if they are not.
            let own = format!("127.0.0.1:{}-", qemu.port);
            let port_taken = || {
                qemu.trouble()
                    .is_some_and(|why| why.contains("host forwarding") && why.contains(&own))
            };
            match wait_for_boot(&qemu, Instant::now() + limit, progress) {
                Ok(Boot::Ready) => break Channel::new(qemu, token),
                Ok(Boot::Stalled(why)) => {
                    boots -= 1;
                    // QEMU's translator stalls now and then; a processor does not.
                    if accelerator == Accelerator::Kvm {
                        return Err(KvmBroken { why, surely: false }.into());
                    }
                    ensure!(boots > 0, why);
                    let kept = qemu.keep_logs()?;
                    progress.note(&format!(
                        "dom0 did not come up and is started again; the console is kept in {}",
                        kept.display()
                    ));
                }
                Err(_) if ports > 1 && port_taken() => ports -= 1,
                Err(error) => return Err(error),
            }
        };
        let host = Host {
            channel: qemu,
            names: Mutex::default(),
            numbers: Numbers::default(),
            network: options.network,
            disks: Vec::new(),
        };
        let first = if options.forwards.is_empty() { ":" } else { &publish(&options.forwards) };
        host.shell(first)?.success().context("dom0 does not run commands")?;
        Ok(host)
    }

    /// Runs a shell script in dom0, for a minute at most. A status other than 0 is no error:
    /// see [`Output::success`].
    ///
    /// # Errors
    /// When dom0 cannot be reached, or the script takes longer.
    pub fn shell(&self, script: &str) -> Result<Output> {
        self.shell_within(script, SCRIPT_LIMIT)
    }

    /// Runs a shell script in dom0, for `limit` at most.
    ///
    /// # Errors
    /// Those of [`Host::shell`].
    pub fn shell_within(&self, script: &str, limit: Duration) -> Result<Output> {
        self.channel.run(script, &[], limit)
    }

    /// Writes a file of dom0, and the folders that lead to it.
    ///
    /// # Errors
    /// When dom0 cannot be reached or has no room for it.
    pub fn upload(&self, bytes: &[u8], path: &str) -> Result<()> {
        let folder = Path::new(path).parent().and_then(Path::to_str).unwrap_or("/");
        let script = format!("mkdir -p {}\n{}", quote(folder), store(bytes.len(), path));
        self.channel
            .run(&script, bytes, upload_limit(bytes.len()))?
            .success()
            .with_context(|| format!("cannot upload {path}"))?;
        Ok(())
    }

    /// Creates a domU with `xl create`, and returns when it runs (or is paused).
    ///
    /// # Errors
    /// When a file cannot be read, or with what `xl` says.
    pub fn create(&self, spec: &GuestSpec) -> Result<Guest> {
        let fresh_name = |name: &str| self.fresh_name(name);
        Guest::create(&self.channel, spec, fresh_name, || self.numbers.take(), self.network)
    }

    /// Reserves a number, and with it addresses, for a guest that is created later.
    ///
    /// # Errors
    /// When all are taken.
    pub fn number(&self) -> Result<Number> {
        self.numbers.take()
    }

    /// Says whether the machine has ended, such as after a panic of dom0's kernel.
    pub fn has_ended(&self) -> bool {
        self.channel.qemu.trouble().is_some()
    }

    /// The way to dom0.
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// A name that no guest of this host had yet: the same, then with a number.
    fn fresh_name(&self, name: &str) -> String {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let count = names.entry(name.into()).or_default();
        *count += 1;
        match *count {
            1 => name.into(),
            count => format!("{name}-{count}"),
        }
    }

    /// Returns the file of Xen's and dom0's console, where messages of the boot and panics
    /// stand.
    pub fn console_log(&self) -> PathBuf {
        self.channel.qemu.console_log()
    }

    /// Connects to the debugger interface, which [`Options::debug`] asked for.
    ///
    /// # Errors
    /// When it was not asked for.
    pub fn probe(&self) -> Result<Probe> {
        Probe::connect(&self.channel.qemu.socket("debug")?)
            .context("cannot connect to QEMU's debugger")
    }

    /// Connects this terminal to a shell in dom0, until Ctrl-] or the shell's end.
    ///
    /// # Errors
    /// When standard input is no terminal, or dom0 is gone.
    pub fn interact(&self) -> Result<()> {
        let path = self.channel.qemu.socket("shell")?;
        let mut shell =
            UnixStream::connect(&path.path).context("cannot connect to dom0's shell")?;
        let _raw = Raw::new(false).context("a shell needs a terminal")?;
        if let Ok(size) = tcgetwinsize(io::stdin()) {
            let (rows, columns) = (size.ws_row, size.ws_col);
            writeln!(shell, "stty rows {rows} cols {columns}; clear")?;
        }
        let mut output = shell.try_clone()?;
        let shown = thread::spawn(move || -> io::Result<()> {
            let mut buffer = [0; 4096];
            loop {
                let count = output.read(&mut buffer)?;
                let text = until_leave(&buffer[..count]);
                io::stdout().write_all(text)?;
                io::stdout().flush()?;
                if text.len() < count || count == 0 {
                    return Ok(());
                }
            }
        });
        pass_keys(&io::stdin(), &mut shell, || shown.is_finished())?;
        shell.shutdown(Shutdown::Both)?;
        drop(shown.join());
        // Where nobody reads it any more, nothing is left to put in order.
        let _ = io::stdout().write_all(b"\r\n");
        Ok(())
    }

    /// Powers the machine off in order, where dropping it pulls the plug.
    ///
    /// # Errors
    /// When dom0 does not power off within 10 s.
    pub fn shutdown(self) -> Result<()> {
        // The connection breaks before an answer could come.
        drop(self.channel.open("poweroff -f")?);
        ensure!(
            self.channel.qemu.wait(Duration::from_secs(10)),
            "dom0 did not turn the machine off; its console is in {}",
            self.console_log().display()
        );
        Ok(())
    }
}

/// Passes on what is typed, until the key that leaves, or until `over`. It is read from the descriptor:
/// what [`io::Stdin`] had in its buffer, nobody would be woken for.
fn pass_keys(from: &impl AsFd, to: &mut impl Write, over: impl Fn() -> bool) -> io::Result<()> {
    let mut buffer = [0; 256];
    while !over() {
        let mut ready = [PollFd::new(from, PollFlags::IN)];
        if poll(&mut ready, Some(&POLL))? == 0 {
            continue;
        }
        let count = rustix::io::read(from, &mut buffer)?;
        let typed = until_leave(&buffer[..count]);
        to.write_all(typed)?;
        if typed.len() < count || count == 0 {
            break;
        }
    }
    Ok(())
}

/// The file of the cache that says in which boot of this machine KVM failed.
const KVM_FAILED: &str = "kvm-failed";

/// The file of the cache that says in which boot of this machine KVM may have failed.
const KVM_DOUBTED: &str = "kvm-doubted";

/// Says that KVM cannot run Xen here, by the console of one that it did not.
#[derive(Debug)]
struct KvmBroken {
    why: String,
    /// Whether nothing else can be the reason, as where a machine that is busy may be.
    surely: bool,
}

impl fmt::Display for KvmBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Error for KvmBroken {}

/// Boots by KVM where there is one, else by QEMU's translator. What fails by both says nothing about KVM;
/// that KVM is broken is kept in `mark` for as long as this machine runs: at once where that is sure, else
/// when the next boot by it fails as well.
fn boot_by<T>(
    kvm: Option<impl FnOnce() -> Result<T>>,
    tcg: impl FnOnce() -> Result<T>,
    mark: &Path,
    progress: &dyn Progress,
) -> Result<T> {
    let Some(kvm) = kvm else { return tcg() };
    // /dev/kvm proves little: nested in another virtual machine it can fail at any
    // instruction. A boot proves it.
    let doubted = mark.with_file_name(KVM_DOUBTED);
    let error = match kvm() {
        Ok(host) => {
            let _ = fs::remove_file(doubted);
            return Ok(host);
        }
        Err(error) => error,
    };
    let text = format!("{error:#}");
    let why = text.lines().next().unwrap_or_default();
    progress.note(&format!("Xen does not boot by KVM ({why}); trying without"));
    let host = tcg()?;
    // Others share the mark: that this machine was busy once shall cost nobody KVM.
    let broken = error.downcast_ref::<KvmBroken>();
    let again = || fs::read_to_string(&doubted).is_ok_and(|boot| boot == this_boot());
    if broken.is_some_and(|it| !it.surely) && !again() {
        // Without it, the next boot tries it again, and that is all.
        let _ = fs::write(&doubted, this_boot());
    } else if broken.is_some() {
        match fs::write(mark, this_boot()) {
            Ok(()) => progress.note(&format!(
                "KVM does not run Xen on this machine and is left alone until it boots again, or {} is \
                 removed",
                mark.display()
            )),
            // The next boot tries it again, and that is all.
            Err(error) => progress.note(&format!("cannot write {}: {error}", mark.display())),
        }
    }
    Ok(host)
}

/// What names this boot of this machine.
fn this_boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Whether there is a KVM to try that has not failed before.
pub(crate) fn kvm_may_work(cache: &Path) -> bool {
    let failed = fs::read_to_string(cache.join(KVM_FAILED)).unwrap_or_default();
    File::options().read(true).write(true).open("/dev/kvm").is_ok()
        && (failed.is_empty() || failed != this_boot())
}

/// What became of a boot.
enum Boot {
    /// Dom0 obeys.
    Ready,
    /// QEMU runs, and dom0 does not come up. Why we think so.
    Stalled(String),
}

/// Follows the console until dom0 says that it is ready.
fn wait_for_boot(qemu: &Qemu, deadline: Instant, progress: &dyn Progress) -> Result<Boot> {
    let path = qemu.console_log();
    let mut log = File::open(&path)?;
    let mut text = Vec::new();
    let mut heard = Instant::now();
    loop {
        if log.read_to_end(&mut text)? > 0 {
            heard = Instant::now();
        }
        // The last line may be half there, and waits for its end.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = text.drain(..whole).collect();
        for line in String::from_utf8_lossy(&lines).lines() {
            if line.contains("*** Building a PV Dom0") {
                progress.step("booting Linux as dom0");
            }
            // Dom0's own lines (see `scripts/dom0/init`).
            match line.trim_end().strip_prefix("lab: ") {
                Some("ready") => return Ok(Boot::Ready),
                Some(failed) if failed.starts_with("failed") => bail!("dom0 {failed}"),
                Some(step) => progress.step(&format!("dom0: {step}")),
                None => {}
            }
        }
        let end = |why| format!("{why}\nthe end of {}:\n{}", path.display(), tail(&path));
        if let Some(trouble) = qemu.trouble() {
            let why = end(trouble);
            return Err(match qemu.is_broken() {
                Some(surely) => KvmBroken { why, surely }.into(),
                None => anyhow!(why),
            });
        }
        if heard.elapsed() > SILENCE || Instant::now() > deadline {
            return Ok(Boot::Stalled(end("dom0 did not come up in time".into())));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// How long it may take to write so many bytes.
const fn upload_limit(bytes: usize) -> Duration {
    SCRIPT_LIMIT.saturating_add(Duration::from_secs((bytes / SLOWEST) as u64))
}

/// What stands before the byte that leaves an interactive shell, from either side.
fn until_leave(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == LEAVE).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    impl Progress for Silent {
        fn step(&self, _: &str) {}
        fn bytes(&self, _: u64, _: u64) {}
        fn note(&self, _: &str) {}
    }

    #[test]
    fn only_a_broken_kvm_is_held_against_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join(KVM_FAILED);
        let ends = |surely| {
            move || -> Result<u8> { Err(KvmBroken { why: "QEMU stopped".into(), surely }.into()) }
        };
        let (broken, silent) = (ends(true), ends(false));
        let fails = || -> Result<u8> { bail!("no such disk") };
        let works = || Ok(1);
        // By both, not at all, and for another reason, as when it takes too long.
        assert!(boot_by(Some(broken), fails, &mark, &Silent).is_err());
        assert_eq!(boot_by(Some(works), fails, &mark, &Silent).expect("KVM works"), 1);
        assert_eq!(boot_by(Some(fails), works, &mark, &Silent).expect("TCG works"), 1);
        assert!(!mark.exists());
        assert_eq!(boot_by(Some(broken), works, &mark, &Silent).expect("TCG works"), 1);
        assert_eq!(fs::read_to_string(&mark).expect("a mark"), this_boot());
        // What may be for another reason is, if it is so twice in a row.
        fs::remove_file(&mark).expect("it is there");
        for (boot, marked) in [(true, false), (false, false), (true, false), (true, true)] {
            let booted = match boot {
                true => boot_by(Some(silent), works, &mark, &Silent),
                false => boot_by(Some(works), fails, &mark, &Silent),
            };
            assert_eq!((booted.expect("it boots"), mark.exists()), (1, marked));
        }
        // Where it cannot be written, the host has come up all the same.
        let nowhere = folder.path().join("none").join(KVM_FAILED);
        assert_eq!(boot_by(Some(broken), works, &nowhere, &Silent).expect("TCG works"), 1);
    }

    #[test]
    fn all_that_is_pasted_arrives_at_once() {
        let (mut typing, typed) = UnixStream::pair().expect("a pair");
        typing.write_all(&[b'x'; 5000]).expect("room");
        let begun = Instant::now();
        let mut got = Vec::new();
        let late = || begun.elapsed() > Duration::from_secs(2);
        typing.write_all(&[LEAVE, b'y']).expect("room");
        pass_keys(&typed, &mut got, late).expect("it is passed on");
        assert_eq!(got, [b'x'; 5000]);
        assert!(!late());
    }

    #[test]
    fn what_is_long_may_take_longer() {
        assert_eq!(upload_limit(1000), SCRIPT_LIMIT);
        assert_eq!(upload_limit(600 << 20), SCRIPT_LIMIT + Duration::from_secs(150));
    }
}
