//! The files of the machine.

use crate::system::System;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use kernel::memory::{Stats, stats};
use kernel::time::{Instant, wall_clock};

/// Files whose text never changes.
const FIXED: &[(&str, &str)] = &[
    ("cmdline", "\n"),
    ("devices", "Character devices:\n  1 mem\n  5 tty\n136 pts\n\nBlock devices:\n"),
    (
        "filesystems",
        "nodev\tproc\nnodev\tsysfs\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tdevpts\nnodev\toverlay\n",
    ),
    ("modules", ""),
    ("partitions", "major minor  #blocks  name\n\n"),
    ("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    ("version", "Linux version 6.1.0-xenith (xenith) #1 Xenith\n"),
    ("sys/fs/aio-max-nr", "65536\n"),
    ("sys/fs/file-max", "1048576\n"),
    ("sys/fs/inotify/max_queued_events", "16384\n"),
    ("sys/fs/inotify/max_user_instances", "128\n"),
    ("sys/fs/inotify/max_user_watches", "65536\n"),
    ("sys/fs/nr_open", "1048576\n"),
    ("sys/fs/pipe-max-size", "1048576\n"),
    ("sys/fs/protected_hardlinks", "0\n"),
    ("sys/fs/protected_symlinks", "0\n"),
    ("sys/fs/suid_dumpable", "0\n"),
    ("sys/kernel/cap_last_cap", "40\n"),
    ("sys/kernel/core_pattern", "\n"),
    ("sys/kernel/dmesg_restrict", "1\n"),
    ("sys/kernel/keys/root_maxkeys", "0\n"),
    ("sys/kernel/ngroups_max", "65536\n"),
    ("sys/kernel/osrelease", "6.1.0-xenith\n"),
    ("sys/kernel/ostype", "Linux\n"),
    ("sys/kernel/overflowgid", "65534\n"),
    ("sys/kernel/overflowuid", "65534\n"),
    ("sys/kernel/perf_event_paranoid", "4\n"),
    ("sys/kernel/pid_max", "32768\n"),
    ("sys/kernel/pty/max", "256\n"),
    ("sys/kernel/random/entropy_avail", "256\n"),
    ("sys/kernel/random/poolsize", "256\n"),
    ("sys/kernel/randomize_va_space", "2\n"),
    ("sys/kernel/seccomp/actions_avail", "\n"),
    ("sys/kernel/threads-max", "32768\n"),
    ("sys/kernel/version", "#1 Xenith\n"),
    ("sys/kernel/yama/ptrace_scope", "3\n"),
    ("sys/net/core/rmem_default", "212992\n"),
    ("sys/net/core/rmem_max", "212992\n"),
    ("sys/net/core/somaxconn", "4096\n"),
    ("sys/net/core/wmem_default", "212992\n"),
    ("sys/net/core/wmem_max", "212992\n"),
    ("sys/net/ipv4/ip_forward", "0\n"),
    ("sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    ("sys/net/ipv4/ip_unprivileged_port_start", "1024\n"),
    ("sys/net/ipv4/tcp_max_syn_backlog", "4096\n"),
    ("sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
    ("sys/net/ipv4/tcp_syncookies", "1\n"),
    ("sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n"),
    ("sys/net/ipv6/conf/all/disable_ipv6", "0\n"),
    ("sys/net/ipv6/conf/default/disable_ipv6", "0\n"),
    ("sys/net/ipv6/conf/lo/disable_ipv6", "0\n"),
    ("sys/vm/max_map_count", "65530\n"),
    ("sys/vm/min_free_kbytes", "0\n"),
    ("sys/vm/nr_hugepages", "0\n"),
    ("sys/vm/overcommit_memory", "0\n"),
    ("sys/vm/overcommit_ratio", "50\n"),
    ("sys/vm/swappiness", "0\n"),
];

/// Adds them.
pub(super) fn add(system: &Rc<System>) {
    let proc = &system.proc;
    for &(path, text) in FIXED {
        proc.add_fixed(path, text);
    }
    proc.add("meminfo", || memory().into_bytes());
    proc.add("cpuinfo", || cpu().into_bytes());
    let began = Instant::now();
    proc.add("uptime", move || {
        let up = hundredths(began);
        // How long the processor idled is not counted.
        format!("{}.{:02} 0.00\n", up / 100, up % 100).into_bytes()
    });
    let here = Rc::downgrade(system);
    proc.add("loadavg", move || {
        let all = here.upgrade().map_or_else(Vec::new, |it| super::process::all(&it));
        let last = all.last().copied().unwrap_or(0);
        format!("0.00 0.00 0.00 1/{} {last}\n", all.len()).into_bytes()
    });
    let here = Rc::downgrade(system);
    proc.add("stat", move || {
        let count = here.upgrade().map_or(0, |it| super::process::all(&it).len());
        let (up, time) = (hundredths(began), wall_clock().as_secs());
        let boot = time.saturating_sub(up / 100);
        format!(
            "cpu  {up} 0 0 0 0 0 0 0 0 0\ncpu0 {up} 0 0 0 0 0 0 0 0 0\nintr 0\nctxt 0\n\
             btime {boot}\nprocesses {count}\nprocs_running 1\nprocs_blocked 0\n"
        )
        .into_bytes()
    });
    let here = Rc::downgrade(system);
    proc.add("net/pnp", move || {
        let network = here.upgrade().and_then(|it| it.network().ok());
        let servers = network.map_or_else(Vec::new, |it| it.servers());
        servers.iter().map(|it| format!("nameserver {it}\n")).collect::<String>().into_bytes()
    });
    proc.add("vmstat", || {
        let free = free(&stats()) / 4096;
        format!("nr_free_pages {free}\npgfault 0\npgmajfault 0\n").into_bytes()
    });
    proc.add("sys/fs/file-nr", || b"64\t0\t1048576\n".to_vec());
    let boot = uuid();
    proc.add("sys/kernel/random/boot_id", move || boot.clone().into_bytes());
    proc.add("sys/kernel/random/uuid", || uuid().into_bytes());
    let proc_mounts = Rc::downgrade(system);
    proc.add_process("mounts", 0o444, move |_| Some(mounts(&*proc_mounts.upgrade()?)));
    let proc_mounts = Rc::downgrade(system);
    proc.add_process("mountinfo", 0o444, move |_| Some(mount_info(&*proc_mounts.upgrade()?)));
    let proc_mounts = Rc::downgrade(system);
    proc.add("mounts", move || proc_mounts.upgrade().map_or_else(Vec::new, |it| mounts(&it)));
}

/// Time since then, in hundredths of a second (`USER_HZ`).
fn hundredths(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis() / 10).unwrap_or(u64::MAX)
}

fn free(stats: &Stats) -> usize {
    stats.total.saturating_sub(stats.mapped) + stats.heap.saturating_sub(stats.allocated)
}

fn memory() -> String {
    let stats = stats();
    let (total, free) = (stats.total / 1024, free(&stats) / 1024);
    let mut text = String::new();
    for (name, value) in [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", total - free.min(total)),
        ("Inactive", 0),
        ("Active(anon)", total - free.min(total)),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", total - free.min(total)),
        ("Mapped", 0),
        ("Shmem", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("PageTables", 0),
        ("CommitLimit", total),
        ("Committed_AS", total - free.min(total)),
        ("VmallocTotal", 0),
        ("VmallocUsed", 0),
    ] {
        let name = format!("{name}:");
        let _ = writeln!(text, "{name:<16}{value:>8} kB");
    }
    text.push_str(
        "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n",
    );
    text
}

/// What the processor says of itself (CPUID).
fn cpu() -> String {
    use core::arch::x86_64::{__cpuid, CpuidResult};
    let CpuidResult { eax: most, ebx, ecx, edx } = __cpuid(0);
    let bytes = |words: &[u32]| -> Vec<u8> {
        words
            .iter()
            .flat_map(|it| it.to_le_bytes())
            .filter(|&it| (0x20..0x7f).contains(&it))
            .collect()
    };
    let vendor = bytes(&[ebx, edx, ecx]);
    let one = if most >= 1 { __cpuid(1) } else { __cpuid(0) };
    let (family, model) = (one.eax >> 8 & 0xf, one.eax >> 4 & 0xf);
    let family = if family == 15 { family + (one.eax >> 20 & 0xff) } else { family };
    let model = if family >= 6 { model | one.eax >> 12 & 0xf0 } else { model };
    let mut name = Vec::new();
    if __cpuid(0x8000_0000).eax >= 0x8000_0004 {
        for leaf in 0x8000_0002..=0x8000_0004 {
            let CpuidResult { eax, ebx, ecx, edx } = __cpuid(leaf);
            name.extend(bytes(&[eax, ebx, ecx, edx]));
        }
    }
    const EDX: [&str; 32] = [
        "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "", "sep", "mtrr",
        "pge", "mca", "cmov", "pat", "pse36", "pn", "clflush", "", "dts", "acpi", "mmx", "fxsr",
        "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe",
    ];
    const ECX: [&str; 32] = [
        "pni",
        "pclmulqdq",
        "dtes64",
        "monitor",
        "ds_cpl",
        "vmx",
        "smx",
        "est",
        "tm2",
        "ssse3",
        "cid",
        "sdbg",
        "fma",
        "cx16",
        "xtpr",
        "pdcm",
        "",
        "pcid",
        "dca",
        "sse4_1",
        "sse4_2",
        "x2apic",
        "movbe",
        "popcnt",
        "tsc_deadline_timer",
        "aes",
        "xsave",
        "",
        "avx",
        "f16c",
        "rdrand",
        "hypervisor",
    ];
    let mut flags = String::new();
    for (word, names) in [(one.edx, EDX), (one.ecx, ECX)] {
        let set =
            names.iter().enumerate().filter(|&(bit, it)| word >> bit & 1 != 0 && !it.is_empty());
        for (_, name) in set {
            let _ = write!(flags, " {name}");
        }
    }
    format!(
        "processor\t: 0\nvendor_id\t: {}\ncpu family\t: {family}\nmodel\t\t: {model}\n\
         model name\t: {}\nstepping\t: {}\ncpu MHz\t\t: 1000.000\ncache size\t: 1024 KB\n\
         physical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\napicid\t\t: 0\n\
         fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {most}\nwp\t\t: yes\nflags\t\t:{flags}\n\
         bogomips\t: 2000.00\nclflush size\t: 64\ncache_alignment\t: 64\n\
         address sizes\t: 46 bits physical, 48 bits virtual\n\n",
        String::from_utf8_lossy(&vendor),
        String::from_utf8_lossy(&name).trim(),
        one.eax & 0xf,
    )
}

/// A random number as RFC 9562 has it (version 4), and a line feed.
fn uuid() -> String {
    let mut bytes = [0; 16];
    // Without randomness it is no secret, and nobody may take it for one.
    let _ = kernel::entropy::fill(&mut bytes);
    bytes[6] = bytes[6] & 0xf | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        let _ = write!(text, "{dash}{byte:02x}");
    }
    text.push('\n');
    text
}

/// Writes a path so that it is one word (fstab(5)).
fn word(path: &[u8], to: &mut Vec<u8>) {
    for &byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => to.extend(format!("\\{byte:03o}").as_bytes()),
            _ => to.push(byte),
        }
    }
}

fn mounts(system: &System) -> Vec<u8> {
    let mut text = Vec::new();
    system.tree.mounts(|path, mount| {
        text.extend(mount.kind.as_bytes());
        text.push(b' ');
        word(path, &mut text);
        text.extend(format!(" {} rw,relatime 0 0\n", mount.kind).as_bytes());
    });
    text
}

fn mount_info(system: &System) -> Vec<u8> {
    let (mut text, mut number) = (Vec::new(), 0);
    system.tree.mounts(|path, mount| {
        number += 1;
        let parent = i32::from(number > 1);
        let device = mount.root.id().0;
        text.extend(format!("{number} {parent} 0:{device} / ").as_bytes());
        word(path, &mut text);
        let kind = mount.kind;
        text.extend(format!(" rw,relatime - {kind} {kind} rw\n").as_bytes());
    });
    text
}
