//! A FAT file system with wrong bytes in it, which is changed as well.

#![no_main]

use devices::kv::Files;
use devices::kv::fat::Fat;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use xenith_fuzz::disk::{disk, patched, walk};
use xenith_fuzz::on_machine;

static BASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let disk = disk(vec![0; 128 << 10]);
    let own = disk.clone();
    on_machine(async {
        let fat = Fat::format(own).await.expect("it can be formatted");
        fat.create_folder(b"folder").await.expect("there is room");
        fat.write(b"folder/a long name", 0, &[5; 9000]).await.expect("there is room");
        fat.write(b"short", 0, &[6; 3000]).await.expect("there is room");
    });
    disk.bytes()
});

fuzz_target!(|patches: &[u8]| {
    let bytes = patched(&BASE, patches);
    on_machine(async {
        let Ok(fat) = Fat::open(disk(bytes)).await else { return };
        walk(&fat).await;
        let _ = fat.write(b"new", 0, &[1; 3000]).await;
        let _ = fat.truncate(b"folder/a long name", 100).await;
        let _ = fat.rename(b"short", b"folder/other").await;
        let _ = fat.remove(b"folder/a long name").await;
        let _ = fat.create_folder(b"folder/inner").await;
    });
});
