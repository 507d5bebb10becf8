//! Gives out numbers, each of which is on the disk before it is told, and is replaced by a new image
//! meanwhile: none is given out twice.
//!
//! test: disk disk=8M
//! test: client counted.sh
//! test: client-then destroy
//! test: no-verdict
//! test: timeout 480

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use core::cell::Cell;
use serde::{Deserialize, Serialize};
use tests::Verdict;
use xenith::block::blkfront::Blkfront;
use xenith::http::{Exchange, Server, Status};
use xenith::kv::Store as _;
use xenith::kv::keys::Keys;
use xenith::{Ip, ip, update};

/// All that the next image has to know is on the disk.
#[derive(Serialize, Deserialize)]
pub struct Kept;

impl update::State for Kept {
    const VERSION: u32 = 1;
}

kernel::unikernel! {
    /// Gives out numbers.
    name: "counted",
    memory: 8 MiB,
    devices: { disk: Blkfront, ip: Ip("0") },
    update: Kept,
    main: start,
}

async fn start(disk: Blkfront, ip: Ip) -> Verdict {
    let _: Option<Kept> = update::inherited();
    update::keep(|| Kept);
    let Ok(numbers) = Keys::open_or_format(disk).await else { return Verdict::Fail("no store") };
    let mut last = 0;
    let mut each = |key: &[u8], _| {
        let number = core::str::from_utf8(key).ok().and_then(|key| key.parse::<u32>().ok());
        last = last.max(number.unwrap_or(0));
    };
    if numbers.list(b"", &mut each).await.is_err() {
        return Verdict::Fail("the store cannot be read");
    }
    let last = Cell::new(last);
    let handler = async move |exchange: &mut Exchange<'_>| {
        let number = last.get() + 1;
        last.set(number);
        let text = format!("{number}\n");
        match numbers.set(text.trim_end().as_bytes(), b"given out").await {
            Ok(()) => exchange.respond(Status::OK, &[], text.as_bytes()).await,
            Err(_) => exchange.respond(Status::INTERNAL, &[], b"").await,
        }
    };
    kernel::println!("listening");
    match Server::new(handler).serve(&ip, ip::any(80)).await {
        Ok(()) => Verdict::Pass,
        Err(_) => Verdict::Fail("the network is down"),
    }
}
