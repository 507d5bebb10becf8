//! Says how much CPU time the domain took from its first instruction to its
//! first console byte, by Xen's own account.
//!
//! test: console-contains "bench: boot_ns="
//! test: no-verdict

#![no_std]
#![no_main]

use core::fmt::Write as _;
use devices::Console;
use embedded_io_async::Write;
use xen::hypercall::vcpu_op_get_runstate_info;
use xen::public::vcpu::RUNSTATE_RUNNING;

kernel::unikernel! {
    /// Says how much CPU time it took to boot.
    name: "bench_boot",
    memory: 1 MiB,
    devices: { console: Console },
    main: start,
}

async fn start(mut console: Console) -> Result<(), &'static str> {
    let info = vcpu_op_get_runstate_info(0).map_err(|_| "Xen does not tell the run state")?;
    let mut line = heapless::String::<64>::new();
    writeln!(line, "bench: boot_ns={}", info.time[RUNSTATE_RUNNING]).map_err(|_| "too long")?;
    console.write_all(line.as_bytes()).await.map_err(|_| "no console")
}
