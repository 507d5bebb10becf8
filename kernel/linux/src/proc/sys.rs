//! The files of `/sys` that programs ask for: how many processors there are.

use crate::system::System;

/// Files whose text never changes.
const FIXED: &[(&str, &str)] = &[
    ("devices/system/cpu/cpu0/online", "1\n"),
    ("devices/system/cpu/cpu0/topology/core_id", "0\n"),
    ("devices/system/cpu/cpu0/topology/physical_package_id", "0\n"),
    ("devices/system/cpu/cpu0/topology/thread_siblings", "1\n"),
    ("devices/system/cpu/cpu0/topology/thread_siblings_list", "0\n"),
    ("devices/system/cpu/kernel_max", "0\n"),
    ("devices/system/cpu/offline", "\n"),
    ("devices/system/cpu/online", "0\n"),
    ("devices/system/cpu/possible", "0\n"),
    ("devices/system/cpu/present", "0\n"),
    ("devices/system/node/node0/cpulist", "0\n"),
    ("devices/system/node/online", "0\n"),
    ("devices/system/node/possible", "0\n"),
    ("kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"),
    ("kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n"),
    (
        "kernel/mm/transparent_hugepage/shmem_enabled",
        "always within_size advise [never] deny force\n",
    ),
];

/// Adds them.
pub(super) fn add(system: &System) {
    for &(path, text) in FIXED {
        system.sys.add_fixed(path, text);
    }
}
