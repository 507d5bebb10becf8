//! Machine frames: the guest's pages get numbers when they are first used in a grant, those that
//! the hypervisor makes for the guest at once.

use super::leak;
use crate::memory::{PAGE_SIZE, SharedPage};
use std::collections::BTreeMap;
use std::ptr::{NonNull, with_exposed_provenance_mut};

/// The first number. No domain has frames below it.
const FIRST: u64 = 0x1000;

/// Assigns frame numbers to pages.
#[derive(Default)]
pub(super) struct Frames {
    /// By the address of the page.
    numbers: BTreeMap<usize, u64>,
    addresses: BTreeMap<u64, usize>,
    /// Those that the hypervisor made.
    own: BTreeMap<u64, NonNull<u8>>,
    /// How many numbers are taken. None is ever used twice, so that a stale one is found.
    count: u64,
}

impl Frames {
    fn next(&mut self) -> u64 {
        self.count += 1;
        FIRST + self.count - 1
    }

    /// Returns the frame of the guest's page at `address`.
    pub(super) fn number(&mut self, address: usize) -> u64 {
        assert!(address.is_multiple_of(PAGE_SIZE), "rule G1: {address:#x} is inside a page");
        if let Some(&mfn) = self.numbers.get(&address) {
            return mfn;
        }
        let mfn = self.next();
        self.numbers.insert(address, mfn);
        self.addresses.insert(mfn, address);
        mfn
    }

    /// Returns the frame of the page at `address`, if it has one.
    pub(super) fn known(&self, address: usize) -> Option<u64> {
        self.numbers.get(&address).copied()
    }

    /// Gives all of the guest's pages other numbers, as they have in a new domain.
    pub(super) fn renumber(&mut self) {
        self.numbers.clear();
        self.addresses.clear();
    }

    /// Notes that the guest freed the page at `address`.
    pub(super) fn forget(&mut self, address: usize) {
        if let Some(mfn) = self.numbers.remove(&address) {
            self.addresses.remove(&mfn);
        }
    }

    /// Makes a frame of zeros for the guest.
    pub(super) fn make(&mut self) -> u64 {
        let mfn = self.next();
        self.own.insert(mfn, leak());
        mfn
    }

    /// Returns a frame that the hypervisor made.
    pub(super) fn own(&self, mfn: u64) -> Option<SharedPage> {
        self.address_of(mfn).map(leaked)
    }

    /// Returns the address of a frame that the hypervisor made.
    pub(super) fn address_of(&self, mfn: u64) -> Option<NonNull<u8>> {
        self.own.get(&mfn).copied()
    }

    /// Returns all pages that the hypervisor made.
    pub(super) fn into_own(self) -> impl Iterator<Item = NonNull<u8>> {
        self.own.into_values()
    }

    /// Returns frame `mfn`, if the guest has it.
    pub(super) fn page(&self, mfn: u64) -> Option<SharedPage> {
        let &address = self.addresses.get(&mfn)?;
        let base = NonNull::new(with_exposed_provenance_mut(address))?;
        // SAFETY: the guest said that there is a page, and would have said
        // that it is gone: `page_freed` panics while anyone uses it.
        Some(unsafe { SharedPage::new(base) })
    }
}

/// Makes a handle to a leaked page.
pub(super) fn leaked(base: NonNull<u8>) -> SharedPage {
    // SAFETY: aligned, and leaked, so it stays mapped.
    unsafe { SharedPage::new(base) }
}
