//! A guest that serves, and one run of a client at it.

use super::load::{Effort, Load};
use crate::cmd::build::Image;
use crate::ending::{is_up, text};
use anyhow::{Context, Result, bail, ensure};
use lab::{Guest as Domain, GuestSpec, Host, Linux, Number};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The test guest whose streams are plain.
pub(super) const STREAMS: &str = "bench_net";
/// Time for a guest to come up, and for a client to be done.
const PATIENCE: Duration = Duration::from_secs(300);

/// One run of a client.
pub(super) struct Run {
    /// Nothing where the client is not that of the other side.
    pub(super) rate: Option<f64>,
    /// Processor time of the guest for each, in ns.
    pub(super) cost: f64,
}

/// A guest that serves.
pub(super) struct Server {
    pub(super) domain: Domain,
    pub(super) ip: String,
    /// Whether its bulk is plain streams.
    pub(super) plain: bool,
}

/// One of the two, as it is started.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    Xenith(&'a Image),
    Linux(&'a Linux),
}

impl Kind<'_> {
    /// With `more` arguments for ours.
    fn spec(self, host: &Host, mib: u64, more: &str) -> Result<(GuestSpec, String)> {
        let number: Arc<Number> = Arc::new(host.number()?);
        let ip = number.ip();
        let (config, extra) = match self {
            Kind::Xenith(image) => (image.config(), format!("ip={ip}/24 gateway=10.0.0.1{more}")),
            Kind::Linux(linux) => (linux.config(), format!("quiet mitigations=off lab.ip={ip}")),
        };
        let mut overrides = vec![format!("memory={mib}"), format!("extra=\"{extra}\"")];
        if matches!(self, Kind::Linux(_)) {
            overrides.push("vif=[\"bridge=xenbr0\"]".into());
        }
        Ok((GuestSpec { overrides, number: Some(number), ..GuestSpec::new(config) }, ip))
    }

    pub(super) fn start(self, host: &Host, mib: u64) -> Result<Server> {
        self.start_with(host, mib, "")
    }

    pub(super) fn start_with(self, host: &Host, mib: u64, more: &str) -> Result<Server> {
        let (spec, ip) = self.spec(host, mib, more)?;
        let mut domain = host.create(&spec)?;
        let up =
            domain.wait_for(PATIENCE, &mut |console| is_up(&String::from_utf8_lossy(console)))?;
        ensure!(up, "{} does not come up:\n{}", domain.name(), text(domain.console()));
        let plain = matches!(self, Kind::Xenith(image) if image.name == STREAMS);
        Ok(Server { domain, ip, plain })
    }

    /// Processor time in ns from unpausing it until the first answer.
    pub(super) fn first_answer(self, host: &Host, mib: u64, client: &str) -> Result<f64> {
        let (mut spec, ip) = self.spec(host, mib, "")?;
        spec.paused = true;
        let domain = host.create(&spec)?;
        let mac = &domain.vifs().first().context("no interface")?.mac;
        // Dom0 need not ask for its hardware address, which it would do each second.
        let script = format!(
            "/usr/sbin/ip neigh replace {ip} lladdr {mac} dev xenbr0 nud permanent\nIP={ip}\n\
             xl unpause {name}\n{client} >/dev/null\ncpu-time {id}\n/usr/sbin/ip neigh del {ip} dev xenbr0",
            name = domain.name(),
            id = domain.id(),
        );
        let output = host.shell_within(&script, PATIENCE)?.success()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.trim().parse().with_context(|| format!("dom0 said {said:?}"))
    }

    /// Whether it answers with this much memory.
    pub(super) fn answers(self, host: &Host, mib: u64) -> Result<bool> {
        let (spec, ip) = self.spec(host, mib, "")?;
        // With too little, `xl create` fails.
        let Ok(mut domain) = host.create(&spec) else { return Ok(false) };
        let limit = Duration::from_secs(40);
        let up = domain.wait_for(limit, &mut |it| is_up(&String::from_utf8_lossy(it)))?;
        let ask = format!("curl -sf -m 5 -o /dev/null http://{ip}/bytes/1024");
        Ok(up && host.shell(&ask)?.status == 0)
    }
}

impl Server {
    /// Lets a client at it.
    pub(super) fn run(&self, host: &Host, load: Load, effort: Effort) -> Result<Run> {
        let command = load.command(&self.ip, self.plain, effort);
        let script = format!(
            "before=$(cpu-time {id})\n{command}\nstatus=$?\nafter=$(cpu-time {id})\n\
             echo \"$before $after\" >&2\nexit $status",
            id = self.domain.id(),
        );
        let output = host.shell_within(&script, PATIENCE)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let times: Vec<f64> = output
            .stderr
            .lines()
            .last()
            .into_iter()
            .flat_map(|line| line.split(' '))
            .filter_map(|word| word.parse().ok())
            .collect();
        let read = match load {
            Load::BulkIn | Load::BulkOut if self.plain => {
                said.trim().parse::<f64>().ok().map(|bytes| (None, bytes / 1e6))
            }
            _ => load.read(&said).map(|(rate, count)| (Some(rate), count)),
        };
        let (Some((rate, count)), [before, after]) = (read, &times[..]) else {
            bail!("{command}: status {}: {said}{}", output.status, output.stderr);
        };
        ensure!(count > 0.0, "{command}: nothing was answered: {said}");
        Ok(Run { rate, cost: (after - before) / count })
    }

    /// What it counts itself.
    pub(super) fn metrics(&self, host: &Host) -> Result<BTreeMap<String, f64>> {
        let output = host.shell(&format!("curl -sf http://{}/metrics", self.ip))?.success()?;
        Ok(metrics(&String::from_utf8_lossy(&output.stdout)))
    }
}

/// Numbers in the text that Prometheus reads.
pub(super) fn metrics(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("xenith_")?.split_once(' '));
    lines.filter_map(|(name, value)| Some((name.into(), value.parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_by_name() {
        let read = metrics("# HELP xenith_a First.\nxenith_a 1\nxenith_b 2.5\nother 3\n");
        assert_eq!(read, [("a".to_owned(), 1.0), ("b".to_owned(), 2.5)].into());
    }
}
