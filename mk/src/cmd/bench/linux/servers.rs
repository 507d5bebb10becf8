//! `cargo mk bench linux --servers`: Debian's redis and nginx as a guest, beside the same files in
//! Linux as a guest of the same host.
//!
//! Both have one root of Debian's packages; on Linux its servers run by chroot(8). Clients are in
//! dom0 and take turns: redis-benchmark, of that root too, and wrk. Rates are of a host in real
//! time, and costs of one where a nanosecond is an instruction.

use super::super::hosts::Hosts;
use super::super::versus::{Aim, Better, Report, Row, Sample, number};
use crate::boot;
use crate::cmd::build::Image;
use crate::disk;
use crate::disk::debian::Packages;
use crate::ending::text;
use crate::image::xl;
use crate::project::Project;
use crate::ui::Ui;
use anyhow::{Context, Result, bail, ensure};
use lab::{Guest, GuestSpec, Host, Linux, Purpose};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What the root is made of.
const PACKAGES: &str = "debian:redis-server,redis-tools,nginx,iproute2-,dash";
/// Starts the servers that are its arguments, each with one process that serves.
const SERVE: &str = "\
printf '%01024d' 0 >/tmp/1k
printf 'worker_processes 1; events { } http { access_log off; keepalive_requests 1000000; \
server { listen 80; root /tmp; } }' >/tmp/nginx.conf
for it; do
case $it in
redis) redis-server --protected-mode no --save '' --loglevel warning & ;;
nginx) nginx -c /tmp/nginx.conf -g 'daemon off;' & ;;
esac
done
wait
";
/// Where the archive is in dom0, and what it holds, for the client.
pub(super) const ARCHIVE: &str = "/tmp/bench/root.tar";
const ROOT: &str = "/tmp/bench/root";
/// What asks a server at `$IP` whether it serves.
pub(super) const ASK_REDIS: &str = "echo PING | nc -w 1 $IP 6379 | grep -q PONG";
pub(super) const ASK_NGINX: &str = "curl -sf -m 2 -o /dev/null http://$IP/1k";
/// MiB of each guest.
const MIB: u64 = 256;
/// Time for a guest to come up, and for a client to be done.
const PATIENCE: Duration = Duration::from_secs(500);

/// What a client does to a server.
#[derive(Clone, Copy)]
enum Load {
    /// redis-benchmark: which test, and how many requests are sent at once.
    Redis(&'static str, u32),
    /// wrk: more of its arguments.
    Web(&'static str),
}

const LOADS: [(&str, Load); 6] = [
    ("redis SET, 50 clients", Load::Redis("set", 1)),
    ("redis SET, 50 clients, 16 at once", Load::Redis("set", 16)),
    ("redis GET, 50 clients", Load::Redis("get", 1)),
    (BRIEF, Load::Redis("get", 16)),
    ("nginx, 1 KiB, kept connections", Load::Web("")),
    ("nginx, 1 KiB, new connections", Load::Web("-H 'Connection: close'")),
];
/// What is measured in brief, of ours alone.
const BRIEF: &str = "redis GET, 50 clients, 16 at once";

impl Load {
    /// The client's command, which prints the requests a second and their number.
    fn command(self, ip: &str, few: bool) -> String {
        match self {
            Self::Redis(test, at_once) => {
                let requests = if few { 2_000 } else { 10_000 } * at_once;
                format!(
                    "chroot {ROOT} redis-benchmark -h {ip} -c 50 -n {requests} -t {test} \
                     -P {at_once} --csv | tail -1 | cut -d '\"' -f 4\necho {requests}"
                )
            }
            Self::Web(more) => {
                let seconds = if few { 2 } else { 5 };
                format!(
                    "wrk -t1 -c10 -d{seconds}s {more} http://{ip}:80/1k >/tmp/bench/said\n\
                     sed -n 's/^Requests.sec: *//p' /tmp/bench/said\n\
                     sed -n 's/^ *\\([0-9]*\\) requests in.*/\\1/p' /tmp/bench/said\n\
                     ! grep 'Non-2xx' /tmp/bench/said"
                )
            }
        }
    }
}

/// A guest that serves.
pub(super) struct Server {
    pub(super) domain: Guest,
    pub(super) ip: String,
}

impl Server {
    /// Lets a client at it: its requests a second, and the guest's processor time for each in ns.
    fn run(&self, host: &Host, load: Load, few: bool) -> Result<[f64; 2]> {
        let (id, command) = (self.domain.id(), load.command(&self.ip, few));
        let script = format!("set -e\ncpu-time {id}\n{command}\ncpu-time {id}");
        let output = host.shell_within(&script, PATIENCE)?.success()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        figures(&said).with_context(|| format!("{command} said {said:?}"))
    }

    /// Waits until it answers what is `asked`.
    fn wait(mut self, host: &Host, asked: &[&str]) -> Result<Self> {
        let (ip, asked) = (&self.ip, asked.join(" && "));
        let script = format!(
            "IP={ip}\nfor i in $(seq 200); do {{ {asked}; }} && exit 0; sleep 0.3; done; exit 1"
        );
        if host.shell_within(&script, PATIENCE)?.status != 0 {
            // Takes what it has printed until now.
            self.domain.wait_for(Duration::from_secs(1), &mut |_| false)?;
            bail!("{} does not serve:\n{}", self.domain.name(), text(self.domain.console()));
        }
        Ok(self)
    }
}

/// Reads what [`Server::run`] has a client print: processor time, requests a second, their number,
/// processor time.
fn figures(said: &str) -> Option<[f64; 2]> {
    let all: Vec<f64> = said.lines().map(str::parse).collect::<Result<_, _>>().ok()?;
    let [before, rate, count, after] = all[..] else { return None };
    (rate > 0.0 && count > 0.0 && after > before).then(|| [rate, (after - before) / count])
}

/// Measures both.
///
/// # Errors
/// When packages cannot be fetched, or a guest does not serve.
pub(super) fn rows(
    project: &Project,
    image: &Image,
    report: &Report,
    hosts: &mut Hosts<'_>,
) -> Result<Vec<Row>> {
    let ui = hosts.ui;
    let folder = tempfile::tempdir()?;
    let archive = archive(project, folder.path(), ui)?;
    let linux = match report.brief {
        true => None,
        false => Some(Linux::prepare(&boot::cache(project), Purpose::Net, ui)?),
    };
    let mut options = boot::options(project)?;
    (options.network, options.cpu_times) = (true, true);
    let mut rows = Vec::new();
    let clocks: &[bool] = match (report.counted, report.brief) {
        (true, _) => &[true],
        (_, true) => &[false],
        _ => &[false, true],
    };
    for &counted in clocks {
        options.icount = counted;
        rows.extend(hosts.with(&options, |host| {
            unpack(host, &archive)?;
            ui.step("starting redis and nginx in both guests");
            let asked = [ASK_REDIS, ASK_NGINX];
            let ours = xenith(host, image, MIB, "sh /serve redis nginx")?.wait(host, &asked)?;
            let theirs = linux.as_ref().map(|it| on_linux(host, it)?.wait(host, &asked));
            measure(host, (&ours, theirs.transpose()?.as_ref()), report, counted, ui)
        })?);
    }
    Ok(rows)
}

/// Makes the root's archive in `folder`.
pub(super) fn archive(project: &Project, folder: &Path, ui: &Ui) -> Result<std::path::PathBuf> {
    let over = folder.join("over");
    fs::create_dir(&over)?;
    fs::write(over.join("serve"), SERVE)?;
    let packages = Packages::parse(PACKAGES).context("no packages")?;
    packages.archive_with(project, folder.join("root.tar"), vec![over], ui)
}

/// Brings it to dom0, and unpacks it there for clients.
fn unpack(host: &Host, archive: &Path) -> Result<()> {
    host.upload(&fs::read(archive)?, ARCHIVE)?;
    let script = format!("rm -rf {ROOT}; mkdir {ROOT}; tar xf {ARCHIVE} -C {ROOT}");
    host.shell_within(&script, PATIENCE)?.success()?;
    Ok(())
}

/// Lets the clients at both, in turns.
fn measure(
    host: &Host,
    (ours, theirs): (&Server, Option<&Server>),
    report: &Report,
    counted: bool,
    ui: &Ui,
) -> Result<Vec<Row>> {
    let runs = if counted || report.quick { 1 } else { 3 };
    let wanted = |what: &str| report.wants(what) && (!report.brief || what == BRIEF);
    let mut rows = Vec::new();
    for (what, load) in LOADS.iter().filter(|(what, _)| wanted(what)) {
        ui.step(what);
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..runs {
            for (server, sample) in [Some(ours), theirs].into_iter().zip(&mut samples) {
                let Some(server) = server else { continue };
                let [rate, cost] = server.run(host, *load, counted || report.quick)?;
                ui.note(&format!("{what}: {} a second, {} ns each", number(rate), number(cost)));
                sample.push(if counted { cost } else { rate });
            }
        }
        let [xenith, linux] = samples.map(Sample::of);
        let (what, unit, better) = if counted {
            (format!("guest instructions a request: {what}"), "instr.", Better::Less)
        } else {
            ((*what).to_owned(), "1/s", Better::More)
        };
        let aim = Some(Aim::Ratio(1.0));
        rows.push(Row { what, unit, better, xenith, linux, aim });
    }
    Ok(rows)
}

/// Starts ours, whose disk is the archive.
pub(super) fn xenith(host: &Host, image: &Image, mib: u64, run: &str) -> Result<Server> {
    let number = Arc::new(host.number()?);
    let ip = number.ip();
    let extra = format!("ip={ip}/24 gateway=10.0.0.1 run=\"{run}\"");
    let overrides = vec![
        format!("memory={mib}"),
        format!("extra={}", xl::quote(&extra)),
        xl::list("disk", &[disk::line("xvda", true, ARCHIVE)]).context("no disk")?,
    ];
    let spec = GuestSpec { overrides, number: Some(number), ..GuestSpec::new(image.config()) };
    Ok(Server { domain: host.create(&spec)?, ip })
}

/// Starts Linux, which fetches the archive from dom0.
fn on_linux(host: &Host, linux: &Linux) -> Result<Server> {
    let number = Arc::new(host.number()?);
    let ip = number.ip();
    let overrides = vec![
        format!("memory={MIB}"),
        format!("extra=\"quiet mitigations=off lab.ip={ip}\""),
        "vif=[\"bridge=xenbr0\"]".into(),
    ];
    let spec = GuestSpec { overrides, number: Some(number), ..GuestSpec::new(linux.config()) };
    let mut domain = host.create(&spec)?;
    let listening =
        domain.wait_for(PATIENCE, &mut |it| String::from_utf8_lossy(it).contains("listening"))?;
    ensure!(listening, "Linux does not come up:\n{}", text(domain.console()));
    host.shell("httpd -p 8099 -h /tmp/bench")?.success()?;
    // Its own nginx has the port.
    let script = "killall nginx; mkdir /r && wget -q -O - http://10.0.0.1:8099/root.tar | \
                  tar x -C /r && mount -o bind /dev /r/dev && mount -t proc proc /r/proc && \
                  (chroot /r sh /serve redis nginx &)\n";
    domain.input()?.write_all(script.as_bytes())?;
    Ok(Server { domain, ip })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_failed_has_no_figures() {
        assert_eq!(figures("1000\n250.5\n10\n3000\n"), Some([250.5, 200.0]));
        for said in ["", "1000\n250.5\n3000\n", "1000\n0\n10\n3000\n", "1000\nx\n1\n2\n3000\n"] {
            assert_eq!(figures(said), None, "{said}");
        }
    }
}
