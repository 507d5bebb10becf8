//! A tar archive, whose headers have the right checksums.
//!
//! check-seconds: 60

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenith::fs::tar::Tar;
use xenith_fuzz::disk::{disk, walk};
use xenith_fuzz::on_machine;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    for header in bytes.chunks_exact_mut(512) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    }
    on_machine(async {
        if let Ok(tar) = Tar::open(disk(bytes)).await {
            walk(&tar).await;
        }
    });
});
