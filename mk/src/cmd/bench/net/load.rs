//! What clients in dom0 do to a guest, and what they say of it.

use super::super::versus::{Aim, Better};

/// How much is measured.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    /// How often in real time, and how often where instructions are counted.
    pub(super) rounds: usize,
    pub(super) counted: usize,
    pub(super) mib: u32,
    pub(super) seconds: u32,
    pub(super) pings: u32,
    /// How exactly the least memory of Linux is found, in MiB.
    pub(super) step: u64,
}

pub(super) const FULL: Effort =
    Effort { rounds: 5, counted: 3, mib: 128, seconds: 4, pings: 500, step: 4 };
pub(super) const QUICK: Effort =
    Effort { rounds: 2, counted: 1, mib: 32, seconds: 1, pings: 100, step: 16 };
/// Enough to see that it works.
pub(super) const BRIEF: Effort =
    Effort { rounds: 1, counted: 1, mib: 4, seconds: 1, pings: 20, step: 64 };

impl Effort {
    /// Counted instructions hardly vary, and take their time.
    pub(super) const fn when_counted(self) -> Self {
        let most = QUICK;
        Self {
            mib: if self.mib < most.mib { self.mib } else { most.mib },
            seconds: most.seconds,
            pings: if self.pings < most.pings { self.pings } else { most.pings },
            ..self
        }
    }
}

/// What a client does to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Load {
    BulkIn,
    BulkOut,
    BigBody,
    NewConnection,
    KeepAlive,
    Ping,
}

/// What is known of a load.
pub(super) struct About {
    pub(super) load: Load,
    pub(super) what: &'static str,
    /// The rate's unit and which ones are good, and of what the cost is.
    pub(super) unit: &'static str,
    pub(super) better: Better,
    pub(super) each: &'static str,
    pub(super) rate_aim: Option<Aim>,
    pub(super) cost_aim: Option<Aim>,
}

pub(super) const LOADS: [About; 6] = [
    About {
        load: Load::BulkIn,
        what: "TCP bulk in",
        unit: "MB/s",
        better: Better::More,
        each: "MB in",
        rate_aim: Some(Aim::Ratio(1.0)),
        cost_aim: Some(Aim::Ratio(0.5)),
    },
    About {
        load: Load::BulkOut,
        what: "TCP bulk out",
        unit: "MB/s",
        better: Better::More,
        each: "MB out",
        rate_aim: Some(Aim::Ratio(1.0)),
        cost_aim: Some(Aim::Ratio(0.5)),
    },
    About {
        load: Load::BigBody,
        what: "HTTP bodies of 1 MiB",
        unit: "MB/s",
        better: Better::More,
        each: "MB by HTTP",
        rate_aim: Some(Aim::Ratio(1.0)),
        cost_aim: Some(Aim::Ratio(0.5)),
    },
    About {
        load: Load::NewConnection,
        what: "HTTP 1 KiB, new connections",
        unit: "1/s",
        better: Better::More,
        each: "request, new connection",
        rate_aim: None,
        cost_aim: Some(Aim::Figure(50e3)),
    },
    About {
        load: Load::KeepAlive,
        what: "HTTP 1 KiB, keep-alive",
        unit: "1/s",
        better: Better::More,
        each: "request, keep-alive",
        rate_aim: None,
        cost_aim: Some(Aim::Figure(19.2e3)),
    },
    About {
        load: Load::Ping,
        what: "ping, round trip",
        unit: "us",
        better: Better::Less,
        each: "ping",
        rate_aim: Some(Aim::Ratio(1.0)),
        cost_aim: Some(Aim::Figure(9e3)),
    },
];

impl Load {
    /// The client's command. Where streams are plain, nc is what makes them.
    pub(super) fn command(self, ip: &str, plain: bool, effort: Effort) -> String {
        let Effort { mib, seconds, pings, .. } = effort;
        let wrk = |connections: u32, bytes: u32, more: &str| {
            format!("wrk -t1 -c{connections} -d{seconds}s {more} http://{ip}:80/bytes/{bytes}")
        };
        let bytes = u64::from(mib) << 20;
        match self {
            // busybox's head knows no M.
            Load::BulkIn if plain => {
                format!("head -c {bytes} /dev/zero | nc.openbsd -N {ip} 9 && echo {bytes}")
            }
            Load::BulkOut if plain => format!("nc.openbsd -d {ip} 19 | head -c {bytes} | wc -c"),
            Load::BulkIn => format!("iperf3 -J -c {ip} -n {mib}M"),
            Load::BulkOut => format!("iperf3 -J -R -c {ip} -n {mib}M"),
            Load::BigBody => wrk(1, 1 << 20, ""),
            Load::NewConnection => wrk(10, 1 << 10, "-H 'Connection: close'"),
            Load::KeepAlive => wrk(10, 1 << 10, ""),
            // Not the shell's own; and not as fast as it can, which spins.
            Load::Ping => format!("/usr/sbin/ping -q -i 0.01 -c {pings} {ip}"),
        }
    }

    /// The rate, and how many of what it costs there were.
    pub(super) fn read(self, said: &str) -> Option<(f64, f64)> {
        match self {
            Load::BulkIn | Load::BulkOut => {
                let json: serde_json::Value = serde_json::from_str(said).ok()?;
                let sum = json.pointer("/end/sum_received")?;
                let bytes = sum.get("bytes")?.as_f64()?;
                Some((sum.get("bits_per_second")?.as_f64()? / 8e6, bytes / 1e6))
            }
            Load::BigBody | Load::NewConnection | Load::KeepAlive => {
                let words = |end: &str| said.lines().find(|line| line.contains(end));
                let count: f64 = words(" requests in ")?.split_whitespace().next()?.parse().ok()?;
                let rate =
                    words("Requests/sec:")?.split_whitespace().nth(1)?.parse::<f64>().ok()?;
                let scale = if self == Load::BigBody { 1.048_576 } else { 1.0 };
                Some((rate * scale, count * scale))
            }
            Load::Ping => {
                let line = said.lines().find_map(|line| line.strip_prefix("rtt "))?;
                let average: f64 = line.split(" = ").nth(1)?.split('/').nth(1)?.parse().ok()?;
                let sent = said.lines().find(|line| line.contains(" received"))?;
                let count = sent.split(", ").nth(1)?.split(' ').next()?.parse().ok()?;
                Some((average * 1000.0, count))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_say_is_read() {
        let wrk = "Running 1s test @ http://10.0.0.2/bytes/1024\n  2000 requests in 1.00s, 2.4MB \
                   read\nRequests/sec:   1990.50\nTransfer/sec:      2.39MB\n";
        assert_eq!(Load::KeepAlive.read(wrk), Some((1990.5, 2000.0)));
        let ping = "200 packets transmitted, 199 received, 0.5% packet loss, time 4ms\n\
                    rtt min/avg/max/mdev = 0.041/0.052/0.130/0.006 ms, ipg/ewma 0.06/0.05 ms\n";
        assert_eq!(Load::Ping.read(ping), Some((52.0, 199.0)));
        let iperf = r#"{"end":{"sum_received":{"bytes":32000000,"bits_per_second":8e8}}}"#;
        assert_eq!(Load::BulkIn.read(iperf), Some((100.0, 32.0)));
        assert_eq!(Load::BulkOut.read("{}"), None);
        assert_eq!(Load::Ping.read("connect: Network is unreachable"), None);
    }
}
