//! Announces the domain's pfn-to-mfn list (p2m) to the toolstack, which saves, moves and dumps a
//! domain by it (`struct arch_shared_info`, `public/arch-x86/xen.h`).
//!
//! The announcement is a tree of frame numbers: its top page names middle pages, which name the
//! pages of the list. A middle page covers 1 GiB of memory, the tree 512 GiB. The other form, the
//! list's address in `p2m_vaddr`, is not used: Xen's tools up to 4.20 save 1 GiB by it and drop the
//! rest without an error, and those of 4.17 cannot dump a domain by it.

use crate::hypercall::virt_to_mfn;
use crate::memory::{PAGE_SIZE, Pages, SharedPage};
use crate::public::{arch_shared_info, shared_info};
use core::mem::offset_of;

/// Number of frame numbers in a page.
const ENTRIES: usize = PAGE_SIZE / 8;

const MAX_PFN: usize = offset_of!(shared_info, arch) + offset_of!(arch_shared_info, max_pfn);

const TOP: usize =
    offset_of!(shared_info, arch) + offset_of!(arch_shared_info, pfn_to_mfn_frame_list_list);

/// Owns the tree of a list.
#[derive(Debug)]
pub struct Tree {
    /// The top page, then the middle pages.
    pages: Pages,
    /// Address of the list.
    list: usize,
    /// Number of its entries.
    count: usize,
}

/// Returns the addresses of the pages from `first` on that hold `count` entries.
fn pages(first: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count.div_ceil(ENTRIES)).map(move |page| first + page * PAGE_SIZE)
}

impl Tree {
    /// Makes a tree for the list of `count` entries at address `list`. Returns `None` if there is
    /// no memory, if the list does not begin with a page, or if it is longer than a tree can be.
    #[must_use]
    pub fn new(list: usize, count: usize) -> Option<Self> {
        let middle = count.div_ceil(ENTRIES).div_ceil(ENTRIES);
        let fits = list.is_multiple_of(PAGE_SIZE) && (1..=ENTRIES).contains(&middle);
        Some(Self { pages: Pages::new(1 + middle).filter(|_| fits)?, list, count })
    }

    /// Writes the frames as they are now into the tree, and the tree into the shared info page. To
    /// be repeated in each domain: frames have other numbers there.
    pub fn announce(&mut self, page: &SharedPage) {
        let top = self.pages.base().as_ptr() as usize;
        let leaves = pages(self.list, self.count);
        self.fill(ENTRIES, leaves);
        let middle = pages(top + PAGE_SIZE, self.count.div_ceil(ENTRIES));
        self.fill(0, middle);
        page.store_u64(MAX_PFN, self.count as u64);
        page.store_u64(TOP, virt_to_mfn(top));
    }

    /// Writes the frames of the pages at `addresses` into the tree's entries from `first` on.
    fn fill(&mut self, first: usize, addresses: impl Iterator<Item = usize>) {
        let (entries, _) = self.pages.bytes_mut().as_chunks_mut::<8>();
        for (entry, address) in entries.iter_mut().skip(first).zip(addresses) {
            *entry = virt_to_mfn(address).to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, leaked_page};

    /// What the toolstack does: follows frames from the shared info page on.
    fn leaves(page: &SharedPage, fake: &Fake) -> Vec<u64> {
        let count = page.load_u64(MAX_PFN) as usize;
        let words = |frame: u64| {
            let mut bytes = [0; PAGE_SIZE];
            fake.read_frame(frame, &mut bytes);
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|word| u64::from_le_bytes(*word))
                .collect::<Vec<_>>()
        };
        let pages = count.div_ceil(ENTRIES);
        let middle = words(page.load_u64(TOP)).into_iter().take(pages.div_ceil(ENTRIES));
        middle.flat_map(words).take(pages).collect()
    }

    #[test]
    fn the_tree_leads_to_every_page_of_the_list() {
        let fake = Fake::new();
        for count in [1, 512, 513, 1024, 512 * 512, 512 * 512 + 1, 512 * 1025 + 7] {
            let list = Pages::new(count * 8 / PAGE_SIZE + 1).unwrap();
            let base = list.base().as_ptr() as usize;
            let mut tree = Tree::new(base, count).unwrap();
            let page = leaked_page();
            tree.announce(&page);
            let expected: Vec<u64> = pages(base, count).map(virt_to_mfn).collect();
            assert_eq!(leaves(&page, &fake), expected, "{count}");
        }
    }

    #[test]
    fn a_list_that_no_tree_can_hold_is_not_announced() {
        let _fake = Fake::new();
        assert!(Tree::new(PAGE_SIZE, 0).is_none());
        assert!(Tree::new(PAGE_SIZE + 8, 1).is_none());
        assert!(Tree::new(PAGE_SIZE, ENTRIES.pow(3) + 1).is_none());
    }
}
