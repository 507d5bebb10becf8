//! Builds guests with cargo: the target, the standard library's source, the
//! linker's arguments, and cargo's own words.

use crate::image::{crypto, layout};
use crate::link;
use crate::project::{Goal, Guest, Project, cargo, read};
use crate::provenance;
use crate::ui::{Ui, counted};
use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::Message;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

/// The profile of images. A workspace that has none of that name gets this one.
const PROFILE: &str = "xen";
const PROFILE_SETTINGS: &[&str] = &[
    "inherits='release'",
    "opt-level='z'",
    "lto='fat'",
    "codegen-units=1",
    "debug='line-tables-only'",
    "panic='abort'",
];

/// Crates whose panics do not name their file and line, which makes images smaller; a report's
/// return addresses say where one did.
const UNNAMED: &[&str] = &["smoltcp", "hashbrown", "heapless", "talc"];

/// Crates that each frame and each request goes through. Where size is all, LLVM moves values byte by
/// byte and makes hardly any function a part of another: in `httpd` that saves 11 KB and costs, by
/// `xenith-ip` alone, 3 500 instructions of 57 000 for a request on a new connection.
const FREQUENT: &[&str] = &["xenith-devices", "xenith-http", "xenith-ip"];

/// Passes of LLVM's for the crates of cryptography. With link-time optimisation LLVM vectorises when
/// it links, and does not for images that are optimised for size; so a block was combined with its
/// key stream byte by byte, which took more than half of what AES-GCM costs.
const VECTORISE: &str = "-Cpasses=function(loop-vectorize,slp-vectorizer,instcombine,early-cse)";

/// For crates whose calls are weighed as usual: what is called in a loop is worth no more than the rest,
/// as the largest function of P-256, which makes its table, runs once.
const EVEN: &str = "-Cllvm-args=--locally-hot-callsite-threshold=250";

/// What LLVM is told besides for small images, as it is not made for programs of state machines.
const LLVM: &[&str] = &[
    // A function becomes part of its only caller however large both are, as that is worth
    // 15 000 to it. With each instruction at eight times its cost, that ends at 375 of them,
    // and machines that contain others stay apart: all they do is near their own state.
    "--inline-instr-cost=40",
    "--inline-call-penalty=150",
    "--inline-threshold=250",
    // A table has 8 bytes for each state, also for the many that share a way.
    "--min-jump-table-entries=16",
    // Saves loads by more code.
    "--enable-pre=false",
    "--split-spill-mode=size",
    "--join-splitedges",
];

/// Names the linker of the guest target to cargo.
const LINKER: &str = "CARGO_TARGET_X86_64_UNKNOWN_XEN_LINKER";

/// How cargo is called for the guest target.
pub(crate) struct Guests<'a> {
    project: &'a Project,
    ui: &'a Ui,
    goal: Goal,
    /// The rustflags, separated by unit separators.
    flags: OsString,
    linker: PathBuf,
}

impl<'a> Guests<'a> {
    /// For guests of that goal. Makes sure that everything is there.
    ///
    /// # Errors
    /// When the standard library's source is missing and cannot be installed.
    pub(crate) fn new(project: &'a Project, goal: Goal, ui: &'a Ui) -> Result<Self> {
        let sysroot = sysroot(ui)?;
        let script = project.linker_script(layout::base(1))?;
        let mut flags = OsString::new();
        let mut flag = |parts: [&std::ffi::OsStr; 2]| {
            if !flags.is_empty() {
                flags.push("\x1f");
            }
            parts.iter().for_each(|part| flags.push(part));
        };
        flag(["-Clink-arg=-T".as_ref(), script.as_os_str()]);
        // The kernel is where that crate gets its bytes from.
        flag(["--cfg=".as_ref(), "getrandom_backend=\"custom\"".as_ref()]);
        // The kernel draws a block at a time, which is no work for wider registers.
        flag(["--cfg=".as_ref(), "chacha20_backend=\"sse2\"".as_ref()]);
        // What differs from machine to machine stays out of images.
        for (from, to) in project.remaps(&sysroot) {
            let mut remap = from.into_os_string();
            remap.push(format!("={to}"));
            flag(["--remap-path-prefix=".as_ref(), &remap]);
        }
        let linker = link::install(&project.out.join("link"))?;
        Ok(Self { project, ui, goal, flags, linker })
    }

    /// A call of cargo's `subcommand` for the guest target.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(cargo());
        command
            .arg(subcommand)
            .arg("--target")
            .arg(self.project.target())
            // A target of our own and a standard library for it are unstable
            // in cargo, and nothing else of what this allows is used. Builds
            // for the host go without.
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["-Zjson-target-spec", "-Zbuild-std=core,alloc"])
            .arg("-Zbuild-std-features=compiler-builtins-mem,optimize_for_size")
            .env("CARGO_ENCODED_RUSTFLAGS", &self.flags)
            .env(LINKER, &self.linker)
            .envs(provenance::variables(self.project))
            .env_remove("RUSTFLAGS");
        command.arg("-Zprofile-rustflags");
        for (package, flags) in self.profile_flags() {
            let package = package.map(|name| format!("package.{name}.")).unwrap_or_default();
            let setting = format!("profile.{PROFILE}.{package}rustflags={flags:?}");
            command.args(["--config", &setting]);
        }
        let fast = crypto::FAST.iter().map(|package| (package, "3"));
        let frequent = FREQUENT.iter().map(|package| (package, "'s'"));
        for (package, level) in fast.chain(frequent).filter(|_| self.goal == Goal::Size) {
            let setting = format!("profile.{PROFILE}.package.{package}.opt-level={level}");
            command.args(["--config", &setting]);
        }
        if !has_profile(&self.project.root) {
            for setting in PROFILE_SETTINGS {
                command.args(["--config", &format!("profile.{PROFILE}.{setting}")]);
            }
        }
        if self.goal == Goal::Speed {
            command.args(["--config", &format!("profile.{PROFILE}.opt-level=3")]);
        }
        command
    }

    /// The flags of the compiler for all packages, and then for those that have others.
    fn profile_flags(&self) -> Vec<(Option<&'static str>, Vec<String>)> {
        let is_small = self.goal == Goal::Size;
        let llvm =
            LLVM.iter().filter(|_| is_small).map(|argument| format!("-Cllvm-args={argument}"));
        let common: Vec<String> = llvm.collect();
        let with = |flag: &str| [&common[..], &[flag.into()]].concat();
        let mut all: Vec<_> = vec![(None, common.clone())];
        all.extend(UNNAMED.iter().map(|&name| (Some(name), with("-Zlocation-detail=none"))));
        if is_small {
            all.extend(crypto::FAST.iter().map(|&name| {
                let is_inlined = crypto::INLINED.contains(&name);
                let flags = match is_inlined {
                    true => vec![VECTORISE.into(), EVEN.into()],
                    false => with(VECTORISE),
                };
                (Some(name), flags)
            }));
        }
        all
    }

    /// Builds `guests`, each linked at the address that is best for it, and gives their ELF files.
    ///
    /// # Errors
    /// When one does not compile; cargo has said why.
    pub(crate) fn build(&self, guests: &[&Guest]) -> Result<HashMap<String, PathBuf>> {
        let mut packages: BTreeMap<&str, Vec<&Guest>> = BTreeMap::new();
        for &guest in guests {
            packages.entry(&guest.package).or_default().push(guest);
        }
        let mut files = HashMap::new();
        // One after the other, as what one package asks of a crate is not for the others.
        for (package, guests) in packages {
            let mut command = self.cargo("build");
            command.args(["--package", package]);
            command.args(guests.iter().flat_map(|it| ["--bin", &it.name]));
            files.extend(self.run(command, &guests)?);
        }
        Ok(files)
    }

    /// Runs cargo and collects the binaries that it made.
    fn run(&self, command: Command, guests: &[&Guest]) -> Result<HashMap<String, PathBuf>> {
        // Before what may follow a `--`.
        let mut with = Command::new(command.get_program());
        let mut arguments = command.get_args();
        with.args(arguments.next());
        with.args(["--profile", PROFILE]).args(messages(self.ui));
        with.args(arguments);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => with.env(name, value),
                None => with.env_remove(name),
            };
        }
        with.current_dir(&self.project.root);
        let names: Vec<_> = guests.iter().map(|guest| &*guest.name).collect();
        compile(with, &names, self.ui)
    }
}

/// Runs a build of cargo's with JSON messages, shows which crates it has compiled, and gives
/// the binaries that it made, which have those `names`.
///
/// # Errors
/// When something does not compile; cargo has said why.
pub(crate) fn compile(
    mut command: Command,
    names: &[&str],
    ui: &Ui,
) -> Result<HashMap<String, PathBuf>> {
    ui.command(&command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let what = names.join(", ");
    let mut compiled = 0;
    let mut files = HashMap::new();
    thread::scope(|scope| -> Result<()> {
        scope.spawn(|| relay(stderr, ui));
        for message in Message::parse_stream(BufReader::new(stdout.context("no output")?)) {
            let Message::CompilerArtifact(artifact) = message? else { continue };
            if !artifact.fresh {
                compiled += 1;
                let crates = counted(compiled, "crate");
                ui.detail(format!("building {what}: {crates}, {}", artifact.target.name));
            }
            if let Some(file) = artifact.executable {
                files.insert(artifact.target.name, PathBuf::from(file));
            }
        }
        Ok(())
    })?;
    let status = child.wait().context("cannot wait for cargo")?;
    ensure!(status.success(), "{what}: the build failed; the compiler's errors stand above");
    for name in names {
        ensure!(files.contains_key(*name), "cargo did not say where it put {name}");
    }
    Ok(files)
}

/// What [`compile`] needs cargo to be told.
pub(crate) const fn messages(ui: &Ui) -> [&'static str; 5] {
    let color = if ui.is_terminal() { "always" } else { "never" };
    ["--quiet", "--color", color, "--message-format", "json-render-diagnostics"]
}

/// Passes cargo's words on to the user, line by line.
fn relay(from: Option<impl Read>, ui: &Ui) {
    for line in from.into_iter().flat_map(|from| BufReader::new(from).split(b'\n')).flatten() {
        ui.note(&String::from_utf8_lossy(&line));
    }
}

/// Whether the workspace at `root` defines the profile itself.
fn has_profile(root: &Path) -> bool {
    let text = read(&root.join("Cargo.toml")).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().any(|line| line.trim() == format!("[profile.{PROFILE}]"))
}

/// The compiler's folder, with the standard library's source in it.
fn sysroot(ui: &Ui) -> Result<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .context("cannot run rustc: install the toolchain with rustup")?;
    ensure!(output.status.success(), "rustc --print sysroot failed");
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end());
    let source = sysroot.join("lib/rustlib/src/rust/library/Cargo.lock");
    if source.exists() {
        return Ok(sysroot);
    }
    ui.note("the source of the standard library is missing: rustup component add rust-src");
    let mut install = Command::new("rustup");
    install.args(["component", "add", "rust-src"]);
    ui.command(&install);
    let status = install.status();
    if !status.is_ok_and(|status| status.success()) || !source.exists() {
        bail!(
            "guests need the source of the standard library, and it could not be installed. With \
             rustup: `rustup component add rust-src`. Without: put the source of this compiler's \
             version into {}",
            sysroot.join("lib/rustlib/src/rust").display()
        );
    }
    Ok(sysroot)
}
