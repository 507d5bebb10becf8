//! The machine that Xen runs on: QEMU's command line, and its life.

use std::fs::{File, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::disk;
use super::image::Image;
use super::network::{answers_datagrams, qemu_forwards};
use super::options::{Options, Progress};

/// The program, as Debian names it.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";

/// The command that installs it.
pub(crate) const INSTALL: &str = "apt-get install -y --no-install-recommends qemu-system-x86";

/// Dom0's memory in MiB. It holds only the tools and the images of guests, and
/// the kernel's start takes longer the more there is.
pub(crate) const DOM0_MEMORY: u32 = 512;

/// What Xen itself takes, in MiB: its own data, and what it keeps for each guest.
const XEN_MEMORY: u32 = 128;

/// What a host has in MiB besides the memory for guests ([`Options::memory`]): dom0's and Xen's own.
pub const HOST_MEMORY: u32 = DOM0_MEMORY + XEN_MEMORY;

/// Dom0's kernel arguments; no comma may stand here. Self-tests, write
/// protection of the kernel and speculation barriers cost a second in all under
/// emulation and guard nothing here. After a panic Xen ends the machine.
const LINUX: &str = "console=hvc0 quiet panic=1 mitigations=off rodata=off cryptomgr.notests";

/// What executes the machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accelerator {
    /// The processor itself.
    Kvm,
    /// QEMU's translator.
    Tcg,
    /// QEMU's translator, where each instruction takes one nanosecond of the
    /// machine's time and waiting takes none of ours.
    Icount,
}

/// QEMU's command line, whole. Files are named relative to the run's folder, so
/// that no path can hold a comma, a space or too many characters.
fn command_line(options: &Options, accelerator: Accelerator, port: u16) -> Vec<String> {
    // A Xen with SMAP switches it off and on at every hypercall, which ends a
    // translated block each time. QEMU 10 aborts when it counts instructions and
    // one of them programs the timer of an x2APIC.
    let emulated = "max,smap=off,x2apic=off";
    let accelerate: &[&str] = match accelerator {
        Accelerator::Kvm => &["-accel", "kvm", "-cpu", "host"],
        Accelerator::Tcg => &["-accel", "tcg,thread=multi", "-cpu", emulated],
        Accelerator::Icount => {
            &["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", emulated]
        }
    };
    let memory = options.memory + HOST_MEMORY;
    let more: String = options.xen.iter().map(|word| format!(" {word}")).collect();
    let rest = [
        // One processor: with two, emulated boots stop dead now and then.
        ("-smp", "1".into()),
        ("-m", memory.to_string()),
        ("-display", "none".into()),
        ("-monitor", "none".into()),
        ("-kernel", "xen".into()),
        // A comma separates multiboot modules, a space a module from its line.
        ("-initrd", format!("linux {LINUX},initramfs")),
        (
            "-append",
            // The ring holds many crashes, each of which prints 4 KiB. Dom0's
            // maximum keeps its kernel from preparing for all of the memory.
            // QEMU executes XSAVE and XRSTOR without a look at CR0.TS, by which
            // Xen, if lazy, learns that a domain wants its FPU registers back:
            // then programs of dom0 get other ones' registers, and crash.
            format!(
                "console=com1 com1=115200,8n1 loglvl=all guest_loglvl=all conring_size=256k \
                 dom0_mem={DOM0_MEMORY}M,max:{DOM0_MEMORY}M dom0_max_vcpus=1 \
                 spec-ctrl=no,eager-fpu bootscrub=off{more}"
            ),
        ),
        ("-serial", "file:console.log".into()),
        ("-serial", "unix:shell,server=on,wait=off".into()),
        ("-fw_cfg", "name=opt/xenith/token,file=token".into()),
        (
            "-netdev",
            // Restricted: dom0 and its guests reach nothing of this machine. QEMU
            // drops what answers datagrams then, so where those are forwarded it
            // is dom0 that lets only answers out (scripts/dom0/publish).
            format!(
                "user,id=net,ipv6=off,restrict={},hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:1{}",
                if answers_datagrams(&options.forwards) { "off" } else { "on" },
                qemu_forwards(&options.forwards)
            ),
        ),
        ("-device", "virtio-net-pci,netdev=net,romfile=".into()),
    ];
    let debug: &[&str] = match options.debug {
        true => &["-gdb", "unix:debug,server=on,wait=off"],
        false => &[],
    };
    ["-nodefaults", "-no-user-config", "-no-reboot", "-vga", "none"]
        .into_iter()
        .chain(accelerate.iter().chain(debug).copied())
        .map(String::from)
        .chain(rest.into_iter().flat_map(|(key, value)| [key.into(), value]))
        .chain(disk::qemu_arguments(&options.disks, accelerator != Accelerator::Icount))
        .collect()
}

/// The files of the run's folder that are nobody's when QEMU has ended.
const FILES: [&str; 6] = ["token", "shell", "debug", "xen", "linux", "initramfs"];

/// A running QEMU. It ends with this value, and with this process, however that
/// ends.
pub(crate) struct Qemu {
    folder: PathBuf,
    /// The port of this machine that leads to dom0's agent.
    pub(crate) port: u16,
    end: Arc<OnceLock<ExitStatus>>,
    orders: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Qemu {
    /// Starts QEMU in the run's folder, where `token` is for dom0 to read.
    pub(crate) fn start(
        options: &Options,
        image: &Image,
        accelerator: Accelerator,
        token: &str,
    ) -> Result<Qemu> {
        let folder = fs::canonicalize(&options.run)?;
        // Whoever reads the token or reaches the shell's socket is root in dom0.
        // That is for no other user of this machine, and thus the token is not
        // on the command line either, which they can read.
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        let python = options.cpu_times || accelerator == Accelerator::Icount;
        for name in FILES.iter().chain(&["console.log"]) {
            remove(&folder.join(name))?;
        }
        for (name, target) in [("xen", image.xen()), ("linux", image.linux())] {
            symlink(fs::canonicalize(target)?, folder.join(name))?;
        }
        for (index, disk) in options.disks.iter().enumerate() {
            remove(&folder.join(disk::link(index)))?;
            symlink(fs::canonicalize(&disk.path)?, folder.join(disk::link(index)))?;
        }
        let mut initramfs = File::create(folder.join("initramfs"))?;
        for part in image.initramfs(options.network, python) {
            io::copy(&mut File::open(part)?, &mut initramfs)?;
        }
        fs::write(folder.join("token"), token)?;
        File::create(folder.join("console.log"))?;
        let messages = File::create(folder.join("qemu.log"))?;

        // QEMU takes the port a moment after we found it free.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        // The kernel kills QEMU when the thread ends that started it, and thus
        // at the latest when we end. setpriv asks for that, because doing it
        // ourselves takes unsafe code between fork and exec. In a process group
        // of its own, QEMU misses the terminal's Ctrl-C, which we may survive.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", PROGRAM])
            .args(command_line(options, accelerator, port))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(messages.try_clone()?)
            .stderr(messages)
            .process_group(0);
        let end = Arc::new(OnceLock::new());
        let (orders, inbox) = mpsc::channel::<()>();
        let (started, start) = mpsc::channel();
        let deadline = options.lifetime.map(|lifetime| Instant::now() + lifetime);
        let ended = Arc::clone(&end);
        let keeper = thread::Builder::new().name("qemu".into()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            drop(started.send(Ok(())));
            loop {
                let order = inbox.recv_timeout(Duration::from_millis(20));
                if let Ok(Some(status)) = child.try_wait() {
                    let _ = ended.set(status);
                    return;
                }
                let over = deadline.is_some_and(|deadline| Instant::now() > deadline);
                if order != Err(RecvTimeoutError::Timeout) || over {
                    drop(child.kill());
                }
            }
        })?;
        start.recv()?.context("cannot run setpriv, of Debian's util-linux")?;
        Ok(Qemu { folder, port, end, orders: Some(orders), keeper: Some(keeper) })
    }

    /// Xen's and dom0's console.
    pub(crate) fn console_log(&self) -> PathBuf {
        self.folder.join("console.log")
    }

    /// A path to a socket of this run that is short, as it must be, wherever the
    /// folder.
    pub(crate) fn socket(&self, name: &str) -> Result<Socket> {
        let folder = File::open(&self.folder)?;
        let path = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()).into();
        Ok(Socket { path, _folder: folder })
    }

    /// Puts the console aside, where the next start does not overwrite it.
    pub(crate) fn keep_logs(&self) -> Result<PathBuf> {
        let kept = self.folder.join("console.failed.log");
        fs::rename(self.console_log(), &kept)?;
        fs::rename(self.folder.join("qemu.log"), self.folder.join("qemu.failed.log"))?;
        Ok(kept)
    }

    /// Whether QEMU stopped to execute for good, and how.
    pub(crate) fn trouble(&self) -> Option<String> {
        let messages = fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
        if let Some(status) = self.end.get() {
            let how = format!("QEMU ended ({status})");
            return Some(if messages.is_empty() {
                how
            } else {
                format!("{how}:\n{}", messages.trim())
            });
        }
        let line = messages.lines().find(|line| line.contains(KVM_STOPPED))?;
        Some(format!("QEMU stopped: {line}"))
    }

    /// Whether the next start would meet that as well: `Some(true)` whatever else this machine does, and
    /// `Some(false)` perhaps.
    pub(crate) fn is_broken(&self) -> Option<bool> {
        let messages = fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
        is_broken(self.end.get(), &messages)
    }

    /// Waits until QEMU has ended by itself.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        while self.end.get().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        self.end.get().is_some()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(keeper) = self.keeper.take() {
            drop(keeper.join());
        }
        for name in FILES {
            drop(remove(&self.folder.join(name)));
        }
    }
}

/// Where a socket is, for as long as this value lives.
pub(crate) struct Socket {
    pub(crate) path: PathBuf,
    _folder: File,
}

/// What QEMU says where KVM stops the machine, and keeps QEMU, as it meets an instruction that it cannot
/// execute.
const KVM_STOPPED: &str = "KVM internal error";

/// KVM's own word, or QEMU's assertion about what KVM told it, are sure. A processor that was reset, as by a
/// triple fault, ends QEMU well. A machine that is slow, or one whose QEMU was killed for its memory, proves
/// nothing.
fn is_broken(end: Option<&ExitStatus>, messages: &str) -> Option<bool> {
    let aborted = end.is_some_and(|end| end.signal() == Some(Signal::ABORT.as_raw()));
    let surely = aborted || messages.contains(KVM_STOPPED);
    (surely || end.is_some_and(ExitStatus::success)).then_some(surely)
}

/// What the kernel of dom0 prints first when it ends, or before it does. The reports that follow
/// are longer than what is shown of a log.
const FIRST_WORDS: [&str; 5] =
    ["invoked oom-killer", "Kernel panic", "BUG: ", "Oops: ", "general protection fault"];

/// How many lines are shown from the first word of an end on, and of a log's end.
const SHOWN: [usize; 2] = [12, 25];

/// The last lines of a log, after those where dom0's kernel begins to say why it ends.
pub(crate) fn tail(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    shown(&String::from_utf8_lossy(&text))
}

fn shown(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let (before, end) = lines.split_at(lines.len().saturating_sub(SHOWN[1]));
    let starts = |line: &&str| FIRST_WORDS.iter().any(|word| line.contains(word));
    let mut shown = Vec::new();
    if let Some(first) = before.iter().position(starts) {
        shown.extend(before[first..].iter().take(SHOWN[0]));
        shown.push(&"[...]");
    }
    shown.extend(end);
    shown.into_iter().copied().collect::<Vec<_>>().join("\n")
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// QEMU's version, if it is installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new(PROGRAM).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.lines().next()?.to_owned())
}

/// Sees to it that QEMU is installed.
pub(crate) fn ensure_installed(progress: &dyn Progress) -> Result<()> {
    if version().is_some() {
        return Ok(());
    }
    ensure!(rustix::process::geteuid().is_root(), "QEMU is not installed; type: sudo {INSTALL}");
    progress.note(&format!("QEMU is not installed: {INSTALL}"));
    progress.step("installing QEMU");
    let apt = |words: &str| -> Result<bool> {
        let mut words = words.split(' ');
        let output = Command::new(words.next().expect("a program"))
            .args(words)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()
            .context("cannot run apt-get: the lab needs Debian 12 or 13")?;
        Ok(output.status.success())
    };
    // A fresh machine has no package lists, an old one has stale ones.
    let installed = apt(INSTALL)? || (apt("apt-get update")? && apt(INSTALL)?);
    ensure!(
        installed && version().is_some(),
        "QEMU could not be installed; type this to see why: {INSTALL}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_says_first_is_shown_before_the_end() {
        let mut lines: Vec<_> = (0..100).map(|line| format!("line {line}\r")).collect();
        assert!(shown(&lines.join("\n")).starts_with("line 75\nline 76"));
        lines[20] = "[   1.0] sh invoked oom-killer: order=0".into();
        let text = shown(&lines.join("\n"));
        let text: Vec<_> = text.lines().collect();
        assert_eq!(text[0], "[   1.0] sh invoked oom-killer: order=0");
        assert_eq!((text[11], text[12], text[13]), ("line 31", "[...]", "line 75"));
        assert_eq!((text.len(), text[37]), (38, "line 99"));
        // Where it stands among the last lines anyway, it is not shown twice.
        lines[20] = String::new();
        lines[90] = "Kernel panic - not syncing".into();
        assert_eq!(shown(&lines.join("\n")).lines().count(), 25);
    }

    #[test]
    fn a_kvm_that_cannot_run_xen_is_told_from_a_machine_that_is_busy() {
        for (end, messages, broken) in [
            (None, "", None),
            (None, "KVM internal error. Suberror: 1", Some(true)),
            // Exit statuses, SIGABRT, SIGKILL.
            (Some(0), "", Some(false)),
            (Some(1 << 8), "failed to initialize kvm: Device or resource busy", None),
            (Some(6), "Assertion `ret == cpu->kvm_msr_buf->nmsrs' failed.", Some(true)),
            (Some(9), "", None),
        ] {
            let end = end.map(ExitStatus::from_raw);
            assert_eq!(is_broken(end.as_ref(), messages), broken, "{end:?} {messages}");
        }
    }

    #[test]
    fn the_command_line_has_no_stray_commas() {
        let mut options = Options::new("cache", "run");
        options.xen.push("sched=credit".into());
        let line = command_line(&options, Accelerator::Icount, 4711);
        let after = |key: &str| &line[line.iter().position(|word| word == key).expect(key) + 1];
        // Dom0's arguments end at the comma before its file system.
        assert_eq!(after("-initrd").matches(',').count(), 1);
        assert!(after("-initrd").ends_with(",initramfs"));
        assert!(after("-append").ends_with(" sched=credit"));
        assert!(after("-netdev").contains("127.0.0.1:4711-"));
        assert_eq!(after("-icount"), "shift=0,sleep=off");
    }
}
