//! How a domain ended.

use std::fmt;
use std::time::Duration;

/// Says why a domain ended, in Xen's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It asked to be turned off.
    Poweroff,
    /// It asked to be started again.
    Reboot,
    /// It asked to be saved.
    Suspend,
    /// It crashed, by its own word or the hypervisor's.
    Crash,
    /// Its watchdog ran out.
    Watchdog,
    /// It asked for a soft reset.
    SoftReset,
    /// It gave a reason that Xen has no word for.
    Unknown,
    /// It was destroyed while it ran.
    Destroyed,
    /// Its memory went into a file; see [`Host::save`](super::Host::save).
    Saved,
}

impl Reason {
    /// Reads the flags that `xl list` prints, `r b p s REASON d`, or a word of `dom0/guest`.
    pub(crate) fn from_flags(flags: &str) -> Reason {
        match flags.as_bytes() {
            [_, _, _, b's', b'-', ..] => Reason::Poweroff,
            [_, _, _, b's', b'r', ..] => Reason::Reboot,
            [_, _, _, b's', b's', ..] => Reason::Suspend,
            [_, _, _, b's', b'c', ..] => Reason::Crash,
            [_, _, _, b's', b'w', ..] => Reason::Watchdog,
            [_, _, _, b's', b'S', ..] => Reason::SoftReset,
            [_, _, _, b's', ..] => Reason::Unknown,
            b"saved" => Reason::Saved,
            _ => Reason::Destroyed,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Poweroff => "poweroff",
            Reason::Reboot => "reboot",
            Reason::Suspend => "suspend",
            Reason::Crash => "crash",
            Reason::Watchdog => "watchdog",
            Reason::SoftReset => "soft reset",
            Reason::Unknown => "unknown reason",
            Reason::Destroyed => "destroyed",
            Reason::Saved => "saved",
        })
    }
}

/// Tells how a domain ended.
#[derive(Clone, Debug)]
pub struct End {
    /// Why.
    pub reason: Reason,
    /// All that it wrote to its console, as far as [`Guest::console`](super::Guest::console) has it.
    pub console: Vec<u8>,
    /// The hypervisor's lines about it, after a crash: its registers and stack.
    pub hypervisor_log: Vec<String>,
    /// The processor time that it took, exact where the host counts instructions and knows
    /// processor times.
    pub cpu_time: Option<Duration>,
}

/// The lines of the hypervisor's log that are about a domain. A line without a
/// domain's number is about the last domain that was named, and the line that
/// announces a crash about the next one.
pub(crate) fn about_domain(log: &str, id: u32) -> Vec<String> {
    let mut lines = Vec::new();
    let mut announcement = None;
    let mut current = false;
    for line in log.lines() {
        if line.contains("domain_crash") {
            announcement = Some(line);
            continue;
        }
        if let Some(named) = domain_of(line) {
            current = named == id;
        }
        if current {
            lines.extend(announcement.map(String::from));
            lines.push(line.trim_end().into());
        }
        announcement = None;
    }
    lines
}

/// The domain that a line of the hypervisor names: `d3v0 ...`, `(d3) ...` or
/// `Domain 3 (vcpu#0) ...`.
fn domain_of(line: &str) -> Option<u32> {
    let text = line.strip_prefix("(XEN) ").unwrap_or(line);
    let rest = ["Domain ", "(d", "d"].into_iter().find_map(|start| text.strip_prefix(start))?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_reasons() {
        for (flags, reason) in [
            ("---s--", Reason::Poweroff),
            ("---sr-", Reason::Reboot),
            ("---ss-", Reason::Suspend),
            ("---sc-", Reason::Crash),
            ("---sw-", Reason::Watchdog),
            ("---sS-", Reason::SoftReset),
            ("---s?-", Reason::Unknown),
            ("gone", Reason::Destroyed),
            ("saved", Reason::Saved),
        ] {
            assert_eq!(Reason::from_flags(flags), reason, "{flags}");
        }
    }

    #[test]
    fn the_log_is_cut_to_one_domain() {
        let log = "(XEN) Freed\n(XEN) d6v0 Unhandled: vec 6\n(XEN) domain_crash_sync called\n\
                   (XEN) Domain 6 (vcpu#0) crashed on cpu#0:\n(XEN) RIP: 6\n\
                   (XEN) domain_crash_sync called\n(XEN) Domain 12 (vcpu#0) crashed\n(XEN) RIP: 12";
        assert_eq!(
            about_domain(log, 6),
            [
                "(XEN) d6v0 Unhandled: vec 6",
                "(XEN) domain_crash_sync called",
                "(XEN) Domain 6 (vcpu#0) crashed on cpu#0:",
                "(XEN) RIP: 6",
            ]
        );
        assert_eq!(about_domain(log, 12).len(), 3);
        assert!(about_domain(log, 1).is_empty());
    }
}
