//! Says how much CPU time the domain took from its first instruction to its
//! first console byte, and then until it was idle, by Xen's own account.
//!
//! test: console-contains "bench: boot_ns="
//! test: console-contains "bench: idle_ns="
//! test: no-verdict
//! test: not-in-check

#![no_std]
#![no_main]

use core::fmt::Write as _;
use core::time::Duration;
use embedded_io_async::Write;
use kernel::time::sleep;
use xen::hypercall::{count, vcpu_op_get_runstate_info};
use xen::public::vcpu::RUNSTATE_RUNNING;
use xenith::Console;

kernel::unikernel! {
    /// Says how much CPU time it took to boot.
    name: "bench_boot",
    memory: 1 MiB,
    devices: { console: Console },
    main: start,
}

/// CPU time of this domain so far, Xen's work for it included.
fn cpu_time() -> Result<u64, &'static str> {
    let info = vcpu_op_get_runstate_info(0).map_err(|_| "Xen does not tell the run state")?;
    Ok(info.time[RUNSTATE_RUNNING])
}

async fn start(mut console: Console) -> Result<(), &'static str> {
    let calls = count();
    let mut line = heapless::String::<128>::new();
    writeln!(line, "bench: boot_ns={}", cpu_time()?).map_err(|_| "too long")?;
    console.write_all(line.as_bytes()).await.map_err(|_| "no console")?;
    let written = cpu_time()?;
    // Long enough for the domain to be idle. Waking up counts as well: by the
    // console, when it has taken the line, and by the timer.
    sleep(Duration::from_millis(10)).await;
    let idle = cpu_time()?;
    line.clear();
    writeln!(line, "bench: line_ns={written}\nbench: idle_ns={idle}").map_err(|_| "too long")?;
    console.write_all(line.as_bytes()).await.map_err(|_| "no console")?;
    line.clear();
    writeln!(line, "bench: boot_hypercalls={calls}").map_err(|_| "too long")?;
    console.write_all(line.as_bytes()).await.map_err(|_| "no console")
}
