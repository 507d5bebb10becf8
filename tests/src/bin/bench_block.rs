//! Reads or writes a disk in one way, and says what it took: what storage costs.
//!
//! test: disk disk=8M
//! test(read): args op=read bytes=65536 depth=4 count=100
//! test(flush): args op=flush bytes=4096 depth=1 count=10
//! test(random): args op=randwrite bytes=4096 depth=32 count=300
//! test: console-contains "bench: ops="
//! test: no-verdict
//! test(read,flush,random): not-in-check

#![no_std]
#![no_main]

extern crate alloc;

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use kernel::metrics::Source;
use kernel::println;
use kernel::task::spawn;
use kernel::time::Instant;
use tests::metric;
use xen::hypercall::{Counts, count, counts, vcpu_op_get_runstate_info};
use xen::public::vcpu::RUNSTATE_RUNNING;
use xenith::block::content::{self, Refused};
use xenith::block::{Block, Error, ErrorKind};

kernel::unikernel! {
    /// Measures a disk in one way.
    name: "bench_block",
    memory: 64 MiB,
    devices: { disk: xenith::Block("xvda") },
    args: {
        /// `read`, `write`, `randread`, `randwrite`, or `flush`: a write and a flush.
        op: &'static str = "read",
        /// Bytes of a request, in whole sectors.
        bytes: u32 = 4096,
        /// Requests under way at a time.
        depth: u32 = 1,
        /// Requests in all.
        count: u32 = 1000,
        /// Writes also where the disk holds something.
        overwrite: bool = false,
    },
    main: start,
}

/// What all of the requests share.
struct Work<B> {
    disk: B,
    op: &'static str,
    bytes: u32,
    /// How many requests there are room for on the disk.
    places: u64,
    left: Cell<u32>,
    next: Cell<u64>,
    random: Cell<u64>,
}

impl<B: Block> Work<B> {
    /// The first sector of the next request.
    fn sector(&self) -> u64 {
        let place = if self.op.starts_with("rand") {
            // The generator xorshift64, so that each run asks for the same places.
            let mut word = self.random.get();
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            self.random.set(word);
            word
        } else {
            self.next.replace(self.next.get() + 1)
        };
        place % self.places * u64::from(self.bytes / self.disk.info().sector_size)
    }

    /// Makes requests, one after the other, until all are made.
    async fn run(&self) -> Result<(), ErrorKind> {
        let mut buffer = vec![b'x'; self.bytes as usize];
        let kind = |error: B::Error| error.kind();
        while self.left.get() > 0 {
            self.left.set(self.left.get() - 1);
            let sector = self.sector();
            match self.op {
                "read" | "randread" => {
                    self.disk.read(sector, &mut buffer).await.map_err(kind)?;
                }
                _ => self.disk.write(sector, &buffer).await.map_err(kind)?,
            }
            if self.op == "flush" {
                self.disk.flush().await.map_err(kind)?;
            }
        }
        Ok(())
    }
}

/// CPU time of this domain so far, Xen's work for it included.
fn cpu_time() -> u64 {
    vcpu_op_get_runstate_info(0).map_or(0, |info| info.time[RUNSTATE_RUNNING])
}

async fn start<B: Block + Source + 'static>(
    disk: B,
    op: &'static str,
    bytes: u32,
    depth: u32,
    requests: u32,
    overwrite: bool,
) -> Result<(), Refused> {
    let info = disk.info();
    let sectors = u64::from(bytes / info.sector_size);
    if !["read", "write", "randread", "randwrite", "flush"].contains(&op) || sectors == 0 {
        return Err(Refused::Disk(ErrorKind::Unsupported));
    }
    if !op.ends_with("read") {
        let is_own = |_, piece: &[u8]| piece.iter().all(|&byte| matches!(byte, 0 | b'x'));
        content::may_write(&disk, overwrite, is_own).await?;
    }
    let places = (info.sectors / sectors).max(1);
    let (left, next, random) =
        (Cell::new(requests), Cell::new(0), Cell::new(88_172_645_463_325_252));
    let work = Rc::new(Work { disk, op, bytes, places, left, next, random });

    let copies = metric(&work.disk, "block_copied_bytes");
    let (begun, cpu, calls, kinds) = (Instant::now(), cpu_time(), count(), counts());
    let tasks: Vec<_> = (0..depth.max(1))
        .map(|_| {
            let work = work.clone();
            spawn(async move { work.run().await })
        })
        .collect();
    for task in tasks {
        task.await.map_err(Refused::Disk)?;
    }
    let (ns, cpu) = (begun.elapsed().as_nanos(), cpu_time() - cpu);
    let Counts { event_channel, grant_table, .. } = counts();
    println!("bench: ops={requests}");
    println!("bench: ns={ns}");
    println!("bench: cpu_ns={cpu}");
    println!("bench: hypercalls={}", count() - calls);
    println!("bench: notifications={}", event_channel - kinds.event_channel);
    let copies = metric(&work.disk, "block_copied_bytes") - copies;
    // Of each request's bytes.
    println!("bench: copies={}", copies / u64::from(bytes));
    println!("bench: grant_operations={}", grant_table - kinds.grant_table);
    Ok(())
}
