//! An ext4 file system with files, without checksums, and with wrong bytes in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use xenith::fs::ext4::Ext4;
use xenith_fuzz::disk::{disk, made, patched, walk};
use xenith_fuzz::on_machine;

static BASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/src/bin");
    let arguments = ["-q", "-F", "-t", "ext4", "-O", "^metadata_csum", "-d", source];
    made("mke2fs", &arguments, 1 << 20)
});

fuzz_target!(|patches: &[u8]| {
    on_machine(async {
        if let Ok(files) = Ext4::open(disk(patched(&BASE, patches))).await {
            walk(&files).await;
        }
    });
});
