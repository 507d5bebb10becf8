//! A store of keys with wrong bytes in it, which is used on: what it says is what was
//! set once, or nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use xenith::kv::keys::Keys;
use xenith::kv::{Error, Store};
use xenith_fuzz::disk::{disk, patched};
use xenith_fuzz::on_machine;

static BASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let disk = disk(vec![0; 18 << 12]);
    let own = disk.clone();
    on_machine(async {
        let keys = Keys::format(own).await.expect("it can be formatted");
        for number in 0..40_u8 {
            let value = vec![number; usize::from(number) * 50];
            keys.set(&[b'k', number % 7], &value).await.expect("there is room");
        }
    });
    disk.bytes()
});

fuzz_target!(|patches: &[u8]| {
    let bytes = patched(&BASE, patches);
    on_machine(async {
        let Ok(keys) = Keys::open(disk(bytes)).await else { return };
        for number in 0..7 {
            match keys.get(&[b'k', number]).await {
                Ok(Some(value)) => {
                    let first = value.first().copied().unwrap_or(0);
                    assert!(first % 7 == number && value.iter().all(|&byte| byte == first));
                }
                Ok(None) | Err(Error::Damaged) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let _ = keys.set(b"new", &[1; 5000]).await;
        let _ = keys.delete(b"k\x01").await;
    });
});
