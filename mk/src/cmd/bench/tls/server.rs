//! The servers of one side, and one run of a client at one of them.

use super::load::{About, At, Effort};
use crate::cmd::build::Image;
use crate::disk;
use crate::ending::{is_up, text};
use crate::image::xl;
use anyhow::{Context, Result, bail, ensure};
use lab::{Guest, GuestSpec, Host, Linux};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// Where dom0 has what all of them serve, and shows it to Linux.
const FOLDER: &str = "/tmp/tls";
const PORT: u16 = 8098;
/// Makes it.
const FILES: &str = include_str!("files.sh");
const NGINX: &str = include_str!("nginx.conf");
/// MiB of a guest.
const OURS: u32 = 32;
const THEIRS: u32 = 256;
/// Time for a guest to come up, and for a client to be done.
const PATIENCE: Duration = Duration::from_secs(500);

/// Makes pages, keys and certificates in dom0.
///
/// # Errors
/// When it cannot.
pub(super) fn prepare(host: &Host) -> Result<()> {
    host.shell_within(FILES, PATIENCE)?.success()?;
    host.upload(NGINX.as_bytes(), &format!("{FOLDER}/nginx.conf"))
}

/// A guest that serves.
struct Server {
    domain: Guest,
    ip: String,
}

impl Server {
    /// Starts one of ours.
    fn ours(host: &Host, image: &Image, disks: &[&str], more: &str) -> Result<Self> {
        let names = ["xvda", "xvdb"].iter().zip(disks);
        let lines: Vec<_> =
            names.map(|(name, disk)| disk::line(name, true, &format!("{FOLDER}/{disk}"))).collect();
        let number = Arc::new(host.number()?);
        let ip = number.ip();
        let overrides = vec![
            format!("memory={OURS}"),
            format!("extra=\"ip={ip}/24 gateway=10.0.0.1{more}\""),
            xl::list("disk", &lines).context("no disk")?,
        ];
        let spec = GuestSpec { overrides, number: Some(number), ..GuestSpec::new(image.config()) };
        Self::up(host, &spec, ip)
    }

    fn up(host: &Host, spec: &GuestSpec, ip: String) -> Result<Self> {
        let mut domain = host.create(spec)?;
        let up = domain.wait_for(PATIENCE, &mut |it| is_up(&text(it)))?;
        ensure!(up, "{} does not come up:\n{}", domain.name(), text(domain.console()));
        Ok(Self { domain, ip })
    }
}

/// All servers of one side.
pub(super) struct Side {
    /// For each of [`At`], or one for all.
    servers: Vec<Server>,
    ours: bool,
}

impl Side {
    /// Starts ours: a guest for each.
    ///
    /// # Errors
    /// When one does not come up.
    pub(super) fn ours(host: &Host, [https, site]: [&Image; 2]) -> Result<Self> {
        let secure = |keys| Server::ours(host, https, &["www.tar", keys], " reload=100000");
        let plain = || Server::ours(host, site, &["www.tar"], "");
        Ok(Self {
            servers: vec![secure("p256.tar")?, secure("ed25519.tar")?, plain()?],
            ours: true,
        })
    }

    /// Starts Linux, whose nginx is all three.
    ///
    /// # Errors
    /// When it does not come up.
    pub(super) fn linux(host: &Host, linux: &Linux) -> Result<Self> {
        let number = Arc::new(host.number()?);
        let ip = number.ip();
        let overrides = vec![
            format!("memory={THEIRS}"),
            format!("extra=\"quiet mitigations=off lab.ip={ip}\""),
            "vif=[\"bridge=xenbr0\"]".into(),
        ];
        let spec = GuestSpec { overrides, number: Some(number), ..GuestSpec::new(linux.config()) };
        let mut server = Server::up(host, &spec, ip)?;
        // Its own nginx has the port of plain HTTP.
        let script = format!(
            "killall nginx; mkdir -p /run/tls; cd /run/tls; for it in p256.pem p256.key ed25519.pem \
             ed25519.key nginx.conf; do wget -q http://10.0.0.1:{PORT}/$it || break; done; \
             nginx -c /run/tls/nginx.conf\n"
        );
        let Server { domain, .. } = &mut server;
        domain.input()?.write_all(script.as_bytes())?;
        let done = domain.wait_for(PATIENCE, &mut |it| text(it).contains("linux: status "))?;
        let said = text(domain.console());
        ensure!(done && said.contains("linux: status 0"), "nginx does not start:\n{said}");
        Ok(Self { servers: vec![server], ours: false })
    }

    /// Where a server is.
    fn find(&self, at: At) -> Result<(&Server, String)> {
        let (index, port) = match (at, self.ours) {
            (At::P256, true) => (0, 443),
            (At::Ed25519, true) => (1, 443),
            (At::Plain, true) => (2, 80),
            (At::P256, false) => (0, 443),
            (At::Ed25519, false) => (0, 444),
            (At::Plain, false) => (0, 80),
        };
        let server = self.servers.get(index).context("no such server")?;
        Ok((server, format!("{}:{port}", server.ip)))
    }

    /// Asks for each page once, so that files and tables of curves are in memory.
    ///
    /// # Errors
    /// When a server does not answer.
    pub(super) fn warm(&self, host: &Host) -> Result<()> {
        for at in [At::P256, At::Ed25519, At::Plain] {
            let (server, address) = self.find(at)?;
            let scheme = if at == At::Plain { "http" } else { "https" };
            let ask = format!(
                "curl -sSfk --retry 5 --retry-connrefused -o /dev/null {scheme}://{address}/bytes"
            );
            let asked =
                host.shell_within(&format!("{ask}/1024 && {ask}/1048576"), PATIENCE)?.success();
            asked.with_context(|| format!("{at:?}:\n{}", text(server.domain.console())))?;
        }
        Ok(())
    }

    /// Lets a client at it.
    ///
    /// # Errors
    /// When the client fails.
    pub(super) fn run(&self, host: &Host, about: &About, effort: Effort) -> Result<Run> {
        let About { at, load, .. } = *about;
        let (server, address) = self.find(at)?;
        let commands = load.script(&address, at == At::Plain, effort);
        let script = format!(
            "set -e\ncd {FOLDER}\n\
             mark() {{ echo \"mark $(cpu-time {id}) $(cut -d ' ' -f 1 /proc/uptime)\"; }}\n{commands}",
            id = server.domain.id(),
        );
        let output = host.shell_within(&script, PATIENCE)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status != 0 {
            bail!("{commands}: status {}: {said}{}", output.status, output.stderr);
        }
        let count = load.count(&said, effort).with_context(|| format!("{commands} said {said}"))?;
        spent(&said, count).with_context(|| format!("{commands} said {said}"))
    }
}

/// One run of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// A second.
    pub(super) rate: f64,
    /// Processor time of the guest for each, in ns.
    pub(super) cost: f64,
}

/// What is between the last two marks, without what is between those before.
fn spent(said: &str, count: f64) -> Option<Run> {
    let mark = |line: &str| {
        let (cpu, uptime) = line.strip_prefix("mark ")?.split_once(' ')?;
        Some([cpu.parse::<f64>().ok()?, uptime.trim().parse().ok()?])
    };
    let marks: Vec<[f64; 2]> = said.lines().filter_map(mark).collect();
    let between = |index: usize| match marks[..] {
        [first, last] => Some(last[index] - first[index]),
        [first, middle, last] => Some(last[index] - 2.0 * middle[index] + first[index]),
        _ => None,
    };
    let (cost, seconds) = (between(0)? / count, between(1)?);
    Some(Run { rate: count / seconds.max(0.01), cost })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_marks_is_spent() {
        let run = |rate, cost| Some(Run { rate, cost });
        assert_eq!(spent("mark 100 1.50\nhello\nmark 500 2.00\n", 4.0), run(8.0, 100.0));
        // Handshakes and the like are in both, and so in neither.
        assert_eq!(spent("mark 0 1.00\nmark 100 1.50\nmark 300 3.00\n", 2.0), run(2.0, 50.0));
        assert_eq!(spent("mark 0 1.00\n", 2.0), None);
    }
}
