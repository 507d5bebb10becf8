//! Debian's programs that the lab has besides Xen's and Python, and who gets each.

/// Who gets a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Every dom0: `initramfs` says how.
    Dom0,
    /// A dom0 with a network for guests, and with what tests take: servers, clients, and
    /// looks at networks and disks.
    Network,
    /// Linux as a guest, which also has some of the others: `linux` says which.
    Linux,
}

/// The programs by their names, which stand in `/usr/bin` or `/usr/sbin` as the release
/// pleases.
pub(crate) const PROGRAMS: [(&str, For); 30] = [
    ("bridge", For::Network),
    ("busybox", For::Dom0),
    ("curl", For::Network),
    ("dash", For::Network),
    ("dnsmasq", For::Network),
    ("e2fsck", For::Network),
    ("fio", For::Linux),
    ("fsck.fat", For::Network),
    ("h2load", For::Network),
    ("hping3", For::Network),
    ("ip", For::Network),
    ("iperf3", For::Network),
    ("losetup", For::Network),
    ("mke2fs", For::Network),
    ("mkfs.fat", For::Network),
    ("mosquitto", For::Network),
    ("mosquitto_pub", For::Network),
    ("mosquitto_sub", For::Network),
    ("nc.openbsd", For::Network),
    ("nft", For::Network),
    ("nginx", For::Linux),
    ("openssl", For::Network),
    ("ping", For::Network),
    ("script", For::Network),
    ("ss", For::Network),
    ("tc", For::Network),
    ("tcpdump", For::Network),
    ("timeout", For::Network),
    ("wrk", For::Network),
    ("xenstore", For::Dom0),
];

/// Whether the lab has a program of that name.
pub(crate) fn is_wanted(name: &str) -> bool {
    PROGRAMS.iter().any(|(program, _)| *program == name)
}

/// The programs for `whom`.
pub(crate) fn programs_for(whom: For) -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().filter(move |(_, it)| *it == whom).map(|(program, _)| *program)
}
