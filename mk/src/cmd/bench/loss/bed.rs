//! Where a run takes place: a server, a cable and a client, each end in a network namespace of
//! its own. All of it is made anew for each run, so that no connection, route metric or neighbor
//! of one run is there in the next.

use super::cable::{Cable, Did};
use super::link::Faults;
use super::priority::{Urgency, raise};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, gettid, move_into_link_name_space};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tappers::{Interface, Tap};

/// The server's address.
pub(super) const SERVER: &str = "10.0.0.2";
/// The end of the cable in a namespace.
const END: &str = "cable0";
/// The tap that our stack is the other side of.
const TAP: &str = "tap0";
/// What Linux sends by on both ends: its default may be another, and a namespace may not choose
/// just any as its own default.
const CONTROL: &str = "congctl cubic";
/// Frames that Linux keeps for the other side of a tap: more than a window has, so that none is
/// lost where the cable does not lose it.
const QUEUE: &str = "txqueuelen 10000";
/// How long a server may take to come up.
const START: Duration = Duration::from_secs(20);

/// A network namespace: gone with this, and whatever is in it.
struct Space {
    file: File,
    /// Who keeps it.
    keeper: Ended,
}

/// A process that is ended with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Space {
    fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo; exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = Ended(command.spawn().context("cannot run unshare")?);
        // A line comes from within.
        let mut said = [0];
        let output = keeper.0.stdout.as_mut().context("no output")?;
        output.read_exact(&mut said).context("cannot make a network namespace")?;
        let file = File::open(format!("/proc/{}/ns/net", keeper.0.id()))?;
        let space = Self { file, keeper };
        // Neither chatter of IPv6 nor what an earlier connection was like.
        space.within(|| {
            for (key, value) in [
                ("ipv6/conf/all/disable_ipv6", "1"),
                ("ipv6/conf/default/disable_ipv6", "1"),
                ("ipv4/tcp_no_metrics_save", "1"),
            ] {
                let path = format!("/proc/sys/net/{key}");
                if Path::new(&path).exists() {
                    fs::write(&path, value).with_context(|| format!("cannot write {path}"))?;
                }
            }
            anyhow::Ok(())
        })??;
        space.ip("link set lo up")?;
        Ok(space)
    }

    /// Does something on a thread in this namespace; so are threads and processes that it starts.
    fn within<T: Send>(&self, what: impl FnOnce() -> T + Send) -> Result<T> {
        let network = Some(LinkNameSpaceType::Network);
        let inside = || {
            move_into_link_name_space(self.file.as_fd(), network)
                .context("cannot enter a network namespace")?;
            Ok(what())
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| anyhow::anyhow!("a thread panicked"))?
    }

    /// Runs `ip` with these words.
    fn ip(&self, words: &str) -> Result<()> {
        let output = self.within(|| Command::new("ip").args(words.split(' ')).output())?;
        let output = output.context("cannot run ip, of iproute2")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ip {words}: {}", error.trim());
        Ok(())
    }

    /// Makes an end of the cable.
    fn end(&self) -> Result<Tap> {
        let tap = self.within(|| Tap::new_named(Interface::new(END)?))?;
        let tap = tap.context("cannot open a tap")?;
        self.ip(&format!("link set {END} {QUEUE} up"))?;
        Ok(tap)
    }

    /// Gives an interface of Linux an address in a network of 24 bits.
    fn address(&self, interface: &str, address: &str) -> Result<()> {
        let (network, _) = address.rsplit_once('.').context("no address")?;
        self.ip(&format!("address add {address}/24 dev {interface} noprefixroute"))?;
        self.ip(&format!("route add {network}.0/24 dev {interface} src {address} {CONTROL}"))
    }

    /// Waits until the bridge carries frames for our stack. Linux may see up to a second late that
    /// somebody opened the tap, and drops until then what comes, such as the question for who has
    /// the address, which is asked again after a second.
    fn wait_for_tap(&self) -> Result<()> {
        let begun = Instant::now();
        let look = || Command::new("ip").args(["-d", "link", "show", "dev", TAP]).output();
        loop {
            let said = self.within(look)?.context("cannot run ip, of iproute2")?;
            if String::from_utf8_lossy(&said.stdout).contains("state forwarding") {
                return Ok(());
            }
            ensure!(begun.elapsed() < START, "the bridge does not forward to {TAP}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Frames that Linux dropped on its way to the other side of a tap.
    fn dropped(&self) -> Result<u64> {
        let text = self.within(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        let dropped = |line: &str| {
            let (name, counts) = line.trim().split_once(':')?;
            let count = counts.split_whitespace().nth(11)?.parse::<u64>().ok()?;
            [END, TAP].contains(&name).then_some(count)
        };
        Ok(text.lines().filter_map(dropped).sum())
    }
}

/// What serves, and how.
#[derive(Clone, Copy)]
pub(super) struct Program<'a> {
    pub(super) path: &'a Path,
    pub(super) arguments: &'a [&'a str],
    /// On our stack, not on Linux's sockets.
    pub(super) ours: bool,
}

/// A server, a cable and a client.
pub(super) struct Bed {
    /// Ended first: it is in the namespaces that go after it.
    server: Option<Ended>,
    pub(super) cable: Cable,
    here: Space,
    there: Space,
    _router: Option<Space>,
}

impl Bed {
    /// Makes it, with the server listening if there is one. Where it is `narrow` there is a router
    /// before the client, and a link of so many bytes behind it.
    pub(super) fn new(
        program: Option<Program<'_>>,
        faults: Faults,
        seed: u64,
        narrow: Option<u32>,
    ) -> Result<Self> {
        let (there, here) = (Space::new()?, Space::new()?);
        let far = there.end()?;
        if program.is_some_and(|program| program.ours) {
            there.ip(&format!("tuntap add {TAP} mode tap"))?;
            there.ip("link add br0 type bridge forward_delay 0 mcast_snooping 0")?;
            there.ip(&format!("link set {END} master br0"))?;
            there.ip(&format!("link set {TAP} {QUEUE} master br0 up"))?;
            there.ip("link set br0 up")?;
        } else {
            there.address(END, SERVER)?;
            if narrow.is_some() {
                there.ip(&format!("route add 10.0.1.0/24 via 10.0.0.1 {CONTROL}"))?;
            }
        }
        let (near, router) = match narrow {
            None => {
                let near = here.end()?;
                here.address(END, "10.0.0.1")?;
                (near, None)
            }
            Some(mtu) => {
                let router = Space::new()?;
                let near = router.end()?;
                router.address(END, "10.0.0.1")?;
                let client = here.keeper.0.id();
                router.ip(&format!("link add narrow0 type veth peer name wide0 netns {client}"))?;
                router.ip(&format!("link set narrow0 mtu {mtu} up"))?;
                here.ip("link set wide0 up")?;
                router.address("narrow0", "10.0.1.1")?;
                here.address("wide0", "10.0.1.2")?;
                here.ip(&format!("route add default via 10.0.1.1 {CONTROL}"))?;
                router.within(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
                (near, Some(router))
            }
        };
        let cable = Cable::new([near, far], faults, seed)?;
        let server = program.map(|program| start(program, &there)).transpose()?;
        if program.is_some_and(|program| program.ours) {
            there.wait_for_tap()?;
        }
        Ok(Self { server, cable, here, there, _router: router })
    }

    /// Does what a client does.
    pub(super) fn client<T: Send>(&self, what: impl FnOnce() -> T + Send) -> Result<T> {
        self.here.within(|| {
            raise(gettid(), Urgency::End);
            what()
        })
    }

    /// Does what a server does, where there is no process for it.
    pub(super) fn server<T: Send>(&self, what: impl FnOnce() -> T + Send) -> Result<T> {
        self.there.within(what)
    }

    /// Memory of the server's process, in bytes.
    pub(super) fn memory(&self) -> Result<u64> {
        let id = self.server.as_ref().context("no server")?.0.id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    /// Takes it away: what the cable did, and how many frames Linux dropped before it.
    pub(super) fn end(self) -> Result<(Did, u64)> {
        let Self { server, cable, here, there, _router } = self;
        let dropped = here.dropped()? + there.dropped()?;
        drop(server);
        Ok((cable.end()?, dropped))
    }
}

/// Starts the server, and waits until it listens.
fn start(program: Program<'_>, there: &Space) -> Result<Ended> {
    let mut command = Command::new(program.path);
    command.args(program.arguments);
    // Read by `devices`, net/tap.rs there.
    command.env("XENITH_NET", if program.ours { TAP } else { "" });
    if program.ours {
        command.args([&format!("ip={SERVER}/24"), "gateway=10.0.0.1"]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = there.within(|| command.spawn())?;
    let mut server = Ended(child.with_context(|| format!("cannot run {command:?}"))?);
    raise(Pid::from_child(&server.0), Urgency::End);
    let output = server.0.stdout.take().context("no output")?;
    let (sender, receiver) = mpsc::channel();
    // It ends with the process, whose output is read so that it never waits.
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens any more once it listens.
            let _ = sender.send(line);
        }
    });
    let mut said = String::new();
    while let Ok(line) = receiver.recv_timeout(START) {
        if line.contains("listening on port") {
            return Ok(server);
        }
        said = said + &line + "\n";
    }
    bail!("{} does not listen:\n{said}", program.path.display())
}
