//! What clients in dom0 do to a server by TLS, and what they say of it.

use super::super::versus::Aim;
use anyhow::{Context, Result, ensure};

/// How much is measured.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    pub(super) rounds: usize,
    /// Seconds of new connections.
    pub(super) seconds: u32,
    /// Requests on each kept connection.
    pub(super) requests: u32,
    /// MiB of a body's bytes.
    pub(super) mib: u32,
}

pub(super) const FULL: Effort = Effort { rounds: 3, seconds: 2, requests: 60, mib: 8 };
pub(super) const QUICK: Effort = Effort { rounds: 1, seconds: 1, requests: 30, mib: 4 };
/// Enough to see that it works.
pub(super) const BRIEF: Effort = Effort { rounds: 1, seconds: 1, requests: 5, mib: 1 };

/// Connections that are kept.
const KEPT: u32 = 10;
/// Bytes of a small page and of a large one.
const SMALL: u32 = 1 << 10;
const LARGE: u32 = 1 << 20;

/// The cipher of handshakes and requests, which both servers take from the client.
const AES: &str = "TLS_AES_128_GCM_SHA256";
const CHACHA: &str = "TLS_CHACHA20_POLY1305_SHA256";

/// A server of the three that each side has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// By TLS, with a P-256 key.
    P256,
    /// By TLS, with an Ed25519 key.
    Ed25519,
    /// Without TLS.
    Plain,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Connects, asks for 1 KiB, ends.
    Connect,
    /// The same, each time going on with the session of the one before.
    Resume,
    /// Asks for 1 KiB again and again.
    Keep,
    /// Asks for 1 MiB by a cipher.
    Mib(&'static str),
}

/// What is known of a load.
#[derive(Clone, Copy)]
pub(super) struct About {
    pub(super) at: At,
    pub(super) load: Load,
    /// Of what the cost is, and how many of these a second, where that is told.
    pub(super) each: &'static str,
    pub(super) rate: Option<&'static str>,
    pub(super) aim: Option<Aim>,
}

const fn about(at: At, load: Load, each: &'static str) -> About {
    About { at, load, each, rate: None, aim: None }
}

impl About {
    const fn most(self, instructions: f64) -> Self {
        Self { aim: Some(Aim::Figure(instructions)), ..self }
    }

    const fn rate(self, what: &'static str) -> Self {
        Self { rate: Some(what), ..self }
    }
}

/// The requests on kept connections, by TLS and without.
pub(super) const KEEP: About = about(At::P256, Load::Keep, "request of 1 KiB, kept connection")
    .rate("requests of 1 KiB, kept connections");
pub(super) const PLAIN: About = about(At::Plain, Load::Keep, "request of 1 KiB without TLS");

pub(super) const LOADS: [About; 7] = [
    about(At::P256, Load::Connect, "connection, full handshake, P-256")
        .most(2.5e6)
        .rate("connections, full handshake, P-256"),
    about(At::Ed25519, Load::Connect, "connection, full handshake, Ed25519")
        .most(1.6e6)
        .rate("connections, full handshake, Ed25519"),
    about(At::P256, Load::Resume, "connection, resumed").most(1.3e6).rate("connections, resumed"),
    about(At::P256, Load::Mib(AES), "MiB by AES-128-GCM").most(9e6),
    about(At::P256, Load::Mib(CHACHA), "MiB by ChaCha20-Poly1305"),
    KEEP,
    PLAIN,
];

impl Load {
    /// The client's commands at `address`. `mark` stands before what counts and after it; where
    /// there are three, what is between the first two is to be subtracted.
    pub(super) fn script(self, address: &str, plain: bool, effort: Effort) -> String {
        let scheme = if plain { "http" } else { "https" };
        let Effort { seconds, requests, mib, .. } = effort;
        match self {
            Self::Connect | Self::Resume => {
                let way = if self == Self::Resume { "reuse" } else { "new" };
                format!(
                    "mark\nopenssl s_time -connect {address} -{way} -tls1_3 -ciphersuites {AES} \
                     -www /bytes/{SMALL} -time {seconds}\nmark\n"
                )
            }
            // h2load says of each connection's requests whether they were answered.
            Self::Keep => {
                let load = |each: u32| {
                    let all = each * KEPT;
                    format!(
                        "h2load --h1 -n {all} -c {KEPT} {scheme}://{address}/bytes/{SMALL} >said\n\
                         grep -q ' {all} succeeded' said || {{ cat said; exit 1; }}\nmark\n"
                    )
                };
                format!("mark\n{}{}", load(1), load(1 + requests))
            }
            Self::Mib(cipher) => {
                let load = |count: u32| {
                    format!(
                        "curl -sSfk --http1.1 --tlsv1.3 --tls13-ciphers {cipher} -o /dev/null \
                         '{scheme}://{address}/bytes/{LARGE}?[1-{count}]'\nmark\n"
                    )
                };
                format!("mark\n{}{}", load(1), load(1 + mib))
            }
        }
    }

    /// How many there were of what is to be counted.
    ///
    /// # Errors
    /// When the client does not say so, or has met something else.
    pub(super) fn count(self, said: &str, effort: Effort) -> Result<f64> {
        let count = match self {
            Self::Keep => effort.requests * KEPT,
            Self::Mib(_) => effort.mib,
            Self::Connect | Self::Resume => {
                let line = said.lines().find(|line| line.contains(" connections in "));
                let count = line.and_then(|line| line.split(' ').next()).context("no number")?;
                let count: u32 = count.parse()?;
                // A letter for each connection, and an r for one that goes on with a session.
                let is_mark =
                    |line: &&str| !line.is_empty() && line.chars().all(|c| c == 'r' || c == '*');
                let resumed = said.lines().find(is_mark).unwrap_or_default().matches('r').count();
                let wanted = if self == Self::Resume { count as usize } else { 0 };
                ensure!(resumed == wanted, "{resumed} of {count} connections were resumed");
                // The one that the first goes on with is not counted.
                if self == Self::Resume { count + 1 } else { count }
            }
        };
        ensure!(count > 0, "there were none");
        Ok(f64::from(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_were_not_resumed_are_an_error() {
        let said = |marks: &str| {
            format!("Collecting connection statistics\n{marks}\n\n4 connections in 0.02s; 1\n")
        };
        assert_eq!(Load::Connect.count(&said("****"), QUICK).unwrap(), 4.0);
        assert_eq!(Load::Resume.count(&said("rrrr"), QUICK).unwrap(), 5.0);
        let error = |load: Load, marks| load.count(&said(marks), QUICK).unwrap_err().to_string();
        assert_eq!(error(Load::Resume, "r*r*"), "2 of 4 connections were resumed");
        assert_eq!(error(Load::Connect, "*r**"), "1 of 4 connections were resumed");
        assert!(Load::Connect.count("connect: refused\n", QUICK).is_err());
    }

    #[test]
    fn what_is_asked_for_is_what_is_counted() {
        let script = Load::Keep.script("10.0.0.2:80", true, QUICK);
        assert_eq!(script.matches("mark").count(), 3);
        assert!(script.contains("-n 10 -c 10 http://10.0.0.2:80/bytes/1024 "), "{script}");
        assert!(script.contains("-n 310 -c 10 "), "{script}");
        assert_eq!(Load::Keep.count("", QUICK).unwrap(), 300.0);
        let script = Load::Mib(AES).script("10.0.0.2:443", false, QUICK);
        assert!(script.contains("https://10.0.0.2:443/bytes/1048576?[1-5]'"), "{script}");
    }
}
