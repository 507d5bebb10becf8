//! The files of the machine.

use crate::system::System;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
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
    ("diskstats", ""),
    ("modules", ""),
    ("partitions", "major minor  #blocks  name\n\n"),
    ("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
    (
        "tty/drivers",
        "/dev/tty             /dev/tty        5       0 system:/dev/tty\n\
         /dev/console         /dev/console    5       1 system:console\n\
         /dev/ptmx            /dev/ptmx       5       2 system\n\
         pty_slave            /dev/pts      136 0-255 pty:slave\n",
    ),
    ("version", "Linux version 6.1.0-xenith (xenith) #1 Xenith\n"),
    ("sys/fs/aio-max-nr", "65536\n"),
    ("sys/fs/aio-nr", "0\n"),
    ("sys/fs/epoll/max_user_watches", "65536\n"),
    ("sys/fs/inotify/max_queued_events", "16384\n"),
    ("sys/fs/inotify/max_user_instances", "128\n"),
    ("sys/fs/inotify/max_user_watches", "65536\n"),
    ("sys/fs/nr_open", "1048576\n"),
    ("sys/fs/pipe-max-size", "1048576\n"),
    ("sys/fs/pipe-user-pages-hard", "0\n"),
    ("sys/fs/pipe-user-pages-soft", "16384\n"),
    ("sys/fs/protected_hardlinks", "0\n"),
    ("sys/fs/protected_symlinks", "0\n"),
    ("sys/fs/suid_dumpable", "0\n"),
    ("sys/kernel/cap_last_cap", "40\n"),
    ("sys/kernel/core_pattern", "core\n"),
    ("sys/kernel/core_uses_pid", "0\n"),
    ("sys/kernel/ctrl-alt-del", "0\n"),
    ("sys/kernel/dmesg_restrict", "1\n"),
    ("sys/kernel/keys/root_maxkeys", "0\n"),
    ("sys/kernel/ngroups_max", "65536\n"),
    ("sys/kernel/osrelease", "6.1.0-xenith\n"),
    ("sys/kernel/ostype", "Linux\n"),
    ("sys/kernel/overflowgid", "65534\n"),
    ("sys/kernel/overflowuid", "65534\n"),
    ("sys/kernel/panic", "0\n"),
    ("sys/kernel/perf_event_paranoid", "4\n"),
    ("sys/kernel/pid_max", "4194304\n"),
    ("sys/kernel/printk", "7\t4\t1\t7\n"),
    ("sys/kernel/pty/max", "256\n"),
    ("sys/kernel/random/entropy_avail", "256\n"),
    ("sys/kernel/random/poolsize", "256\n"),
    ("sys/kernel/randomize_va_space", "2\n"),
    ("sys/kernel/seccomp/actions_avail", "\n"),
    ("sys/kernel/shmmni", "4096\n"),
    ("sys/kernel/tainted", "0\n"),
    ("sys/kernel/threads-max", "32768\n"),
    ("sys/kernel/version", "#1 Xenith\n"),
    ("sys/kernel/yama/ptrace_scope", "3\n"),
    ("sys/net/core/netdev_max_backlog", "1000\n"),
    ("sys/net/core/optmem_max", "20480\n"),
    ("sys/net/core/rmem_default", "212992\n"),
    ("sys/net/core/rmem_max", "212992\n"),
    ("sys/net/core/somaxconn", "4096\n"),
    ("sys/net/core/wmem_default", "212992\n"),
    ("sys/net/core/wmem_max", "212992\n"),
    ("sys/net/ipv4/conf/all/forwarding", "0\n"),
    ("sys/net/ipv4/ip_default_ttl", "64\n"),
    ("sys/net/ipv4/ip_forward", "0\n"),
    ("sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
    ("sys/net/ipv4/ip_nonlocal_bind", "0\n"),
    ("sys/net/ipv4/ip_unprivileged_port_start", "0\n"),
    ("sys/net/ipv4/ping_group_range", "0\t2147483647\n"),
    ("sys/net/ipv4/tcp_fastopen", "0\n"),
    ("sys/net/ipv4/tcp_keepalive_intvl", "75\n"),
    ("sys/net/ipv4/tcp_keepalive_probes", "9\n"),
    ("sys/net/ipv4/tcp_keepalive_time", "7200\n"),
    ("sys/net/ipv4/tcp_max_syn_backlog", "4096\n"),
    ("sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
    ("sys/net/ipv4/tcp_syn_retries", "6\n"),
    ("sys/net/ipv4/tcp_syncookies", "1\n"),
    ("sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n"),
    ("sys/net/ipv6/conf/all/disable_ipv6", "0\n"),
    ("sys/net/ipv6/conf/default/disable_ipv6", "0\n"),
    ("sys/net/ipv6/conf/lo/disable_ipv6", "0\n"),
    ("sys/net/ipv6/bindv6only", "0\n"),
    ("sys/net/ipv6/conf/all/forwarding", "0\n"),
    ("sys/net/unix/max_dgram_qlen", "64\n"),
    ("sys/vm/max_map_count", "65530\n"),
    ("sys/vm/min_free_kbytes", "0\n"),
    ("sys/vm/mmap_min_addr", "65536\n"),
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
    let here = Rc::downgrade(system);
    proc.add("meminfo", move || {
        here.upgrade().map_or_else(String::new, |it| memory(&it)).into_bytes()
    });
    proc.add("cpuinfo", || cpu().into_bytes());
    for (path, name) in [("sys/kernel/hostname", true), ("sys/kernel/domainname", false)] {
        let here = Rc::downgrade(system);
        proc.add(path, move || {
            let Some(system) = here.upgrade() else { return Vec::new() };
            let name = if name { &system.host_name } else { &system.domain_name };
            [&**name.borrow(), b"\n"].concat()
        });
    }
    let here = Rc::downgrade(system);
    proc.add("uptime", move || {
        let Some(system) = here.upgrade() else { return Vec::new() };
        let Times { up, idle, .. } = Times::of(&system);
        format!("{}.{:02} {}.{:02}\n", up / 100, up % 100, idle / 100, idle % 100).into_bytes()
    });
    let here = Rc::downgrade(system);
    let load = RefCell::new(Load::default());
    proc.add("loadavg", move || {
        let Some(system) = here.upgrade() else { return Vec::new() };
        let running: usize = system.processes().map(|it| it.running()).sum();
        let last = system.processes().last().map_or(0, |it| it.id);
        let threads = system.threads();
        let load = load.borrow_mut().after(&Times::of(&system));
        format!("{load} {running}/{threads} {last}\n").into_bytes()
    });
    let here = Rc::downgrade(system);
    proc.add("stat", move || {
        let Some(system) = here.upgrade() else { return Vec::new() };
        let (count, time) = (system.process_count(), wall_clock().as_secs());
        let Times { up, user, kernel, idle } = Times::of(&system);
        let boot = time.saturating_sub(up / 100);
        format!(
            "cpu  {user} 0 {kernel} {idle} 0 0 0 0 0 0\ncpu0 {user} 0 {kernel} {idle} 0 0 0 0 0 0\n\
             intr 0\nctxt 0\nbtime {boot}\nprocesses {count}\nprocs_running 1\n\
             procs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"
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
        format!(
            "nr_free_pages {free}\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\n\
             pgmajfault 0\n"
        )
        .into_bytes()
    });
    proc.add("sys/fs/file-max", || format!("{}\n", crate::file::most_open()).into_bytes());
    let ram = Rc::downgrade(&system.ram);
    proc.add("sys/fs/file-nr", move || {
        let open = ram.upgrade().map_or(0, |it| it.opens.get());
        format!("{open}\t0\t{}\n", crate::file::most_open()).into_bytes()
    });
    let boot = uuid();
    proc.add("sys/kernel/random/boot_id", move || boot.clone().into_bytes());
    proc.add("sys/kernel/random/uuid", || uuid().into_bytes());
    let proc_mounts = Rc::downgrade(system);
    proc.add_process("mounts", 0o444, move |_, _| Some(mounts(&*proc_mounts.upgrade()?)));
    let proc_mounts = Rc::downgrade(system);
    proc.add_process("mountinfo", 0o444, move |_, _| Some(mount_info(&*proc_mounts.upgrade()?)));
    let proc_mounts = Rc::downgrade(system);
    proc.add("mounts", move || proc_mounts.upgrade().map_or_else(Vec::new, |it| mounts(&it)));
}

/// Where the processor's time went, in hundredths of a second (`USER_HZ`).
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    up: u64,
    /// Of threads, with the calls that they made.
    user: u64,
    /// Of the kernel beside that, such as what it does for the network.
    kernel: u64,
    idle: u64,
}

impl Times {
    fn of(system: &System) -> Self {
        let hundredths = |ns: u64| ns / 10_000_000;
        let up = hundredths(Instant::now().as_nanos().saturating_sub(system.booted.as_nanos()));
        let user = hundredths(system.ran.get()).min(up);
        // Xen knows for how long the domain had a processor.
        let busy = kernel::user::ran().map_or(user, hundredths).clamp(user, up);
        Self { up, user, kernel: busy - user, idle: up - busy }
    }
}

/// The load of the last 1, 5 and 15 minutes, as 11 bits of a fraction: how much of the time the
/// processor was busy. How many threads wait for it is not counted. It is brought forward when
/// somebody asks, by Linux's formula (include/linux/sched/loadavg.h).
#[derive(Default)]
struct Load {
    parts: [u64; 3],
    seen: Times,
}

impl Load {
    /// What is left of the old load after 5 seconds.
    const KEPT: [u64; 3] = [1884, 2014, 2037];
    const ONE: u64 = 1 << 11;
    /// Steps of 5 seconds after which nothing is left of the old load.
    const MOST: u64 = 2000;

    fn after(&mut self, now: &Times) -> String {
        let steps = now.up.saturating_sub(self.seen.up) / 500;
        if steps > 0 {
            let idle = now.idle.saturating_sub(self.seen.idle);
            let time = now.up - self.seen.up;
            let busy = Self::ONE * time.saturating_sub(idle) / time;
            for (part, kept) in self.parts.iter_mut().zip(Self::KEPT) {
                for _ in 0..steps.min(Self::MOST) {
                    *part = (*part * kept + busy * (Self::ONE - kept)) / Self::ONE;
                }
            }
            self.seen = *now;
        }
        let [one, five, fifteen] = self
            .parts
            .map(|it| format!("{}.{:02}", it / Self::ONE, it % Self::ONE * 100 / Self::ONE));
        format!("{one} {five} {fifteen}")
    }
}

fn free(stats: &Stats) -> usize {
    stats.total.saturating_sub(stats.mapped) + stats.heap.saturating_sub(stats.allocated)
}

fn memory(system: &System) -> String {
    let stats = stats();
    let (total, free) = (stats.total / 1024, free(&stats) / 1024);
    // Files in memory count as cached, as those of tmpfs do on Linux.
    let (shared, cached) = (system.budget.used() / 1024, system.ram.cached() / 1024);
    let mut text = String::new();
    for (name, value) in [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free + cached),
        ("Buffers", 0),
        ("Cached", cached + shared),
        ("SwapCached", 0),
        ("Active", total - free.min(total)),
        ("Inactive", 0),
        ("Active(anon)", total - free.min(total)),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", total - free.min(total)),
        ("Mapped", 0),
        ("Shmem", shared),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("KernelStack", 0),
        ("PageTables", 0),
        ("NFS_Unstable", 0),
        ("Bounce", 0),
        ("WritebackTmp", 0),
        ("CommitLimit", total),
        ("Committed_AS", total - free.min(total)),
        ("VmallocTotal", 0),
        ("VmallocUsed", 0),
        ("VmallocChunk", 0),
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
