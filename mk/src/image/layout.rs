//! Where an image is linked, which decides the least memory that stock `xl`
//! can build its domain with.
//!
//! The domain builder maps the image and after it the pfn-to-mfn list, the
//! `start_info`, xenstore and console pages, the page tables, the boot stack,
//! and 512 KiB of slack. It rounds the end of that up to 4 MiB of virtual
//! address, and refuses when the whole of it, from the link address on, is
//! more than the domain's memory. So an image linked X MiB below a multiple of
//! 4 MiB needs X MiB, as long as everything fits into X.
//!
//! At boot the kernel narrows what was mapped: page by page in the 2 MiB that hold
//! code, by one bit in others. So where the domain has the memory for it, the code
//! ends where other 2 MiB begin, and boot costs what the code's pages cost.

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;
/// Bytes of a MiB.
pub(crate) const MIB: u64 = 1 << 20;

/// The end of the initial mapping is a multiple of this.
const ROUNDING: u64 = 4 * MIB;
/// `start_info`, xenstore and console.
const SPECIAL_PAGES: u64 = 3;
const STACK_PAGES: u64 = 1;
const SLACK_PAGES: u64 = 512 * 1024 / PAGE;

/// The most MiB that an image may need to be mapped.
pub(crate) const MAX: u64 = 1024;

/// What an image is mapped with that needs 1 MiB. Each page less is one less to
/// protect at boot, and images of up to 200 KiB need no more than this.
const SMALLEST: u64 = 768 * 1024;

/// The link address with which the initial mapping is `mib` MiB, or a little
/// less than 1 MiB. It is never below 1 MiB, so that page 0 stays unmapped and
/// a null pointer faults.
pub(crate) const fn base(mib: u64) -> u64 {
    let size = if mib == 1 { SMALLEST } else { mib * MIB };
    (size + MIB).next_multiple_of(ROUNDING) - size
}

/// The address at which an image is best linked that has `image` bytes, of them
/// `front` before the first that may be written, for a domain with `memory` MiB:
/// the one that makes boot cheapest, else that which needs the least memory.
pub(crate) fn best(image: u64, front: u64, memory: u64) -> Option<u64> {
    let front = front.next_multiple_of(PAGE);
    let apart = (front + MIB).next_multiple_of(2 * MIB) - front;
    let least = least_memory(image, apart);
    if front <= MIB && least.is_some_and(|it| it <= memory) {
        return Some(apart);
    }
    // The kernel makes one new table for code and constants, with the three pages behind them. Where
    // there are more of these, each page is protected by itself, and what may be written stands apart.
    let boots = |&mib: &u64| boots_from(image, base(mib), mib);
    let in_one_table = |&mib: &u64| base(mib) % (2 * MIB) + front + 4 * PAGE <= 2 * MIB;
    let together = (1..=MAX).filter(in_one_table).find(boots).map(base);
    together.or_else(|| least.map(|_| apart))
}

/// The least memory, in MiB, of a domain whose image of `image` bytes is
/// linked at `base`.
pub(crate) fn least_memory(image: u64, base: u64) -> Option<u64> {
    (1..=MAX).find(|&mib| boots_from(image, base, mib))
}

/// Whether the domain can be built with `memory` MiB and with any more. The
/// list grows with the memory; from 4 MiB more on, though, there is room for
/// the mapping to be 4 MiB larger.
fn boots_from(image: u64, base: u64, memory: u64) -> bool {
    image <= memory * MIB
        && (memory..memory + 4)
            .all(|memory| initial_mapping(image, base, memory).end <= memory * MIB)
}

/// What the domain builder maps, in bytes from the link address on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// What it puts there, slack included.
    pub(crate) used: u64,
    /// Where it ends.
    pub(crate) end: u64,
}

/// The initial mapping of a domain with `memory` MiB.
pub(crate) fn initial_mapping(image: u64, base: u64, memory: u64) -> Mapping {
    let list = (memory * MIB / PAGE * 8).div_ceil(PAGE);
    let pages = image.div_ceil(PAGE) + list + SPECIAL_PAGES + STACK_PAGES + SLACK_PAGES;
    let mut end = base;
    loop {
        end = (end + 1).next_multiple_of(ROUNDING);
        let used = (pages + page_tables(base, end)) * PAGE;
        if base + used <= end {
            return Mapping { used, end: end - base };
        }
    }
}

/// Page tables that cover the addresses from `start` to `end`: one at level 4,
/// then one for each 512 GiB, 1 GiB and 2 MiB.
fn page_tables(start: u64, end: u64) -> u64 {
    let tables = |shift: u32| ((end - 1) >> shift) - (start >> shift) + 1;
    1 + tables(39) + tables(30) + tables(21)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapping_ends_at_a_multiple_of_4_mib_and_spares_page_0() {
        let bases = [0x34_0000, 0x20_0000, 0x10_0000, 0x40_0000, 0x30_0000];
        assert_eq!([1, 2, 3, 4, 5].map(base), bases);
        for mib in 1..100 {
            let size = if mib == 1 { SMALLEST } else { mib * MIB };
            assert!(base(mib).is_multiple_of(PAGE) && base(mib) >= MIB);
            assert!((base(mib) + size).is_multiple_of(ROUNDING));
        }
    }

    #[test]
    fn page_tables_are_counted() {
        // Levels 4, 3, 2 and one table for the 2 MiB around.
        assert_eq!(page_tables(0x30_0000, 0x40_0000), 4);
        assert_eq!(page_tables(0x20_0000, 0x40_0000), 4);
        assert_eq!(page_tables(0x10_0000, 0x40_0000), 5);
        assert_eq!(page_tables(0, 1 << 30), 3 + 512);
    }

    #[test]
    fn a_small_image_needs_1_mib_and_a_larger_one_no_less_than_its_size() {
        let best = |image| best(image, 0, 0);
        assert_eq!(best(100 << 10), Some(base(1)));
        // 192 pages less 128 of slack, 3 special ones, 1 of stack, 4 of page
        // tables and 2 for the list of a domain with 4 MiB.
        let most = (192 - 128 - 3 - 1 - 4 - 2) * PAGE;
        assert_eq!(best(most), Some(base(1)));
        assert_eq!(best(most + 1), Some(base(2)));
        assert_eq!(best(MIB), Some(base(2)));
        assert_eq!(best(3 * MIB), Some(base(4)));
        assert_eq!(best(1 << 40), None);
    }

    #[test]
    fn code_ends_at_2_mib_where_there_is_the_memory_for_it() {
        let (image, front) = (300 << 10, (240 << 10) - 5);
        assert_eq!(best(image, front, 2), Some(base(2)));
        assert_eq!(best(image, front, 3), Some(2 * MIB - (240 << 10)));
        assert_eq!(least_memory(image, 2 * MIB - (240 << 10)), Some(3));
        // What is behind the code is too much for one slot.
        assert_eq!(best(2 * MIB, front, 4), Some(base(3)));
        // Page 0 and more below it stay unmapped.
        assert!(best(3 * MIB, 2 * MIB, 64).is_some_and(|base| base >= MIB));
    }

    #[test]
    fn code_is_in_the_2_mib_that_an_image_begins_in() {
        // 3 MiB would be enough, with the end of the code behind the first 2 MiB of addresses.
        let (image, front) = (3 * MIB / 2 + MIB / 4, 5 * MIB / 4);
        assert_eq!(least_memory(image, base(3)), Some(3));
        assert_eq!(best(image, front, 16), Some(base(4)));
        assert_eq!(best(image, MIB - 4 * PAGE, 0), Some(base(3)));
    }

    #[test]
    fn what_may_be_written_stands_apart_from_code_for_which_one_table_is_too_small() {
        for front in [2 * MIB - 3 * PAGE, 2 * MIB, 3 * MIB + 5, 9 * MIB] {
            let base = best(front + MIB / 2, front, 4).unwrap();
            assert!(base >= MIB, "{front}");
            assert_eq!((base + front.next_multiple_of(PAGE)) % (2 * MIB), 0, "{front}");
        }
    }

    #[test]
    fn an_image_at_a_multiple_of_4_mib_needs_4_mib_whatever_its_size() {
        assert_eq!(least_memory(100 << 10, 0), Some(4));
        assert_eq!(least_memory(100 << 10, 0x40_0000), Some(4));
        assert_eq!(least_memory(100 << 10, 0x30_0000), Some(1));
        assert_eq!(least_memory(MIB, 0x30_0000), Some(5));
    }

    #[test]
    fn whatever_fits_fits_at_every_memory_from_the_least_on() {
        for image in (0..(20 * MIB)).step_by(50_000) {
            let base = best(image, 0, 0).unwrap();
            let mib = least_memory(image, base).unwrap();
            for memory in (mib..mib + 9).chain([512, 4096]) {
                let mapping = initial_mapping(image, base, memory);
                assert!(
                    mapping.used <= mapping.end && mapping.end <= memory * MIB,
                    "{image} {memory}"
                );
            }
        }
    }
}
