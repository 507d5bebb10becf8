//! A tar archive, whose headers have the right checksums.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenith::fs::tar::Tar;
use xenith_fuzz::disk::{disk, seal, walk};
use xenith_fuzz::on_machine;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    bytes.chunks_exact_mut(512).for_each(seal);
    on_machine(async {
        if let Ok(tar) = Tar::open(disk(bytes)).await {
            walk(&tar).await;
        }
    });
});
