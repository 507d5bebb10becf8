//! A FAT file system with wrong bytes in it, which is changed as well.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use xenith::fs::Files;
use xenith::fs::fat::Fat;
use xenith_fuzz::disk::{disk, few_clusters, patched, walk};
use xenith_fuzz::on_machine;

/// A FAT12 of ours, and a FAT32 of few clusters.
static BASES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let ours = disk(vec![0; 128 << 10]);
    let own = ours.clone();
    on_machine(async { Fat::format(own).await.map(|_| ()).expect("it can be formatted") });
    [ours.bytes(), few_clusters()].map(filled)
});

fn filled(bytes: Vec<u8>) -> Vec<u8> {
    let disk = disk(bytes);
    let own = disk.clone();
    on_machine(async {
        let fat = Fat::open(own).await.expect("it was made");
        fat.create_folder(b"folder").await.expect("there is room");
        fat.write(b"folder/a long name", 0, &[5; 9000]).await.expect("there is room");
        fat.write(b"short", 0, &[6; 3000]).await.expect("there is room");
    });
    disk.bytes()
}

fuzz_target!(|patches: &[u8]| {
    let Some((first, patches)) = patches.split_first() else { return };
    let bytes = patched(&BASES[usize::from(first % 2)], patches);
    on_machine(async {
        let Ok(fat) = Fat::open(disk(bytes)).await else { return };
        walk(&fat).await;
        let _ = fat.write(b"new", 0, &[1; 3000]).await;
        let _ = fat.truncate(b"folder/a long name", 100).await;
        let _ = fat.rename(b"short", "folder/\u{e9}".as_bytes()).await;
        let _ = fat.write(b"folder/a longer name than before", 0, &[2; 5000]).await;
        let _ = fat.remove(b"folder/a long name").await;
        let _ = fat.create_folder(b"folder/inner").await;
    });
});
