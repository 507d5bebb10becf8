//! A compressed file system with wrong bytes in it: of the checksum that it has, the fuzzer gets rid.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use xenith::fs::erofs::Erofs;
use xenith_fuzz::disk::{disk, patched, walk};
use xenith_fuzz::on_machine;

/// The feature that says that there is a checksum.
const SUMMED: usize = 1024 + 8;

static BASE: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let sealed = include_bytes!("../../../../devices/storage/src/tests/images/sealed.img");
    let legacy = include_bytes!("../../../../devices/storage/src/tests/images/legacy.img");
    [&sealed[..], &legacy[..]].map(|image| {
        let mut bytes = image.to_vec();
        bytes[SUMMED] &= !1;
        bytes
    })
});

fuzz_target!(|input: (bool, &[u8])| {
    let (legacy, patches) = input;
    on_machine(async {
        let bytes = patched(&BASE[usize::from(legacy)], patches);
        if let Ok(files) = Erofs::open(disk(bytes)).await {
            walk(&files).await;
        }
    });
});
