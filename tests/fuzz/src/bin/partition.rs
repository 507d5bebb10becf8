//! A disk that begins with a table of partitions, whose checksums are right: a partition
//! of it never reaches beyond the disk.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenith::block::Block;
use xenith::block::partition::Partition;
use xenith_fuzz::disk::disk;
use xenith_fuzz::on_machine;

/// Sectors of the disk.
const SECTORS: usize = 64;

/// The checksum of GPT, a bit at a time.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let shift = |crc: u32, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xEDB8_8320 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), shift);
    (!bytes.iter().fold(u32::MAX, byte)).to_le_bytes()
}

/// A number of a header.
fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

/// Makes what stands in sector 1 a header by its checksums.
fn mend(bytes: &mut [u8]) {
    let [start, count, size] = [72, 80, 84].map(|at| number(bytes, 512 + at));
    let length = count.checked_mul(size);
    let array = length.and_then(|length| bytes.get(start * 512..)?.get(..length));
    if let Some(sum) = array.map(checksum) {
        bytes[512 + 88..512 + 92].copy_from_slice(&sum);
    }
    let length = number(bytes, 512 + 12).clamp(92, 512);
    bytes[512 + 12..512 + 16].copy_from_slice(&(length as u32).to_le_bytes());
    bytes[512 + 16..512 + 20].fill(0);
    let sum = checksum(&bytes[512..512 + length]);
    bytes[512 + 16..512 + 20].copy_from_slice(&sum);
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, input)) = input.split_first() else { return };
    let mut bytes = vec![0; SECTORS * 512];
    // What matters of the first sector is at its end.
    let from = bytes[446..].iter_mut().zip(input);
    from.for_each(|(byte, from)| *byte = *from);
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    if choice & 1 == 1 {
        bytes[446 + 4] = 0xEE;
        bytes[512..520].copy_from_slice(b"EFI PART");
        bytes[512 + 24..512 + 32].copy_from_slice(&1_u64.to_le_bytes());
        bytes[512 + 76..512 + 80].fill(0);
        mend(&mut bytes);
    }
    on_machine(async {
        let Ok(partition) = Partition::open(disk(bytes), u32::from(choice >> 1)).await else {
            return;
        };
        let count = partition.info().sectors;
        assert!((1..SECTORS as u64).contains(&count));
        for sector in [0, count - 1] {
            partition.read(sector, &mut [0; 512]).await.expect("it is there");
        }
        assert!(partition.read(count, &mut [0; 512]).await.is_err());
        assert!(partition.write(u64::MAX, &[0; 512]).await.is_err());
    });
});
