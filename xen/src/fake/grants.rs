//! The guest's grant table, version 1, as Xen reads it (its common/grant_table.c)
//! when another domain maps a page or has bytes copied.
//!
//! Xen believes the guest; this one also looks for what the guest must never do
//! and panics: rules G4 and G8.

use super::frames::Frames;
use crate::DomId;
use crate::gnttab::GrantRef;
use crate::memory::{PAGE_SIZE, SharedPage};
use crate::public::grant_table::{
    ENTRIES, ENTRY_SIZE, GNTST_BAD_COPY_ARG, GNTST_BAD_GNTREF, GNTST_BAD_PAGE, GNTST_GENERAL_ERROR,
    GNTST_OKAY, GNTST_PERMISSION_DENIED, GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY,
    GTF_TYPE_MASK, GTF_WRITING, Place, RESERVED_ENTRIES,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the toolstack puts into an entry that is reserved and unused.
const NOTHING: u64 = 0;

/// A page in use by another domain.
#[derive(Clone, Copy, Debug)]
struct Active {
    mfn: u64,
    domain: DomId,
    readers: u32,
    writers: u32,
}

/// The table.
pub(super) struct Grants {
    frames: Vec<(u64, SharedPage)>,
    /// Frames that it may have.
    pub(super) limit: usize,
    active: BTreeMap<GrantRef, Active>,
    /// Pages that other domains granted to the guest.
    pub(super) shown: BTreeMap<(DomId, GrantRef), [u8; PAGE_SIZE]>,
    reserved: [u64; RESERVED_ENTRIES as usize],
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            limit: 64,
            active: BTreeMap::new(),
            shown: BTreeMap::new(),
            reserved: [NOTHING; RESERVED_ENTRIES as usize],
        }
    }
}

impl Grants {
    /// The table is that of a new domain.
    pub(super) fn renew(&mut self) {
        *self = Self { limit: self.limit, ..Self::default() };
    }

    /// `GNTTABOP_query_size`: frames now and at most.
    pub(super) fn query_size(&self, domain: DomId) -> Result<(u32, u32), i16> {
        if domain != DomId::SELF {
            return Err(GNTST_PERMISSION_DENIED);
        }
        Ok((self.frames.len().max(1) as u32, self.limit as u32))
    }

    /// `GNTTABOP_setup_table`: the frames of the table.
    pub(super) fn setup_table(
        &mut self,
        domain: DomId,
        count: usize,
        frames: &mut Frames,
    ) -> (i16, Vec<u64>) {
        if domain != DomId::SELF {
            return (GNTST_PERMISSION_DENIED, Vec::new());
        }
        if count > self.limit {
            return (GNTST_GENERAL_ERROR, Vec::new());
        }
        while self.frames.len() < count {
            let mfn = frames.make();
            self.frames.extend(frames.own(mfn).map(|page| (mfn, page)));
            if self.frames.len() == 1 {
                self.fill_reserved();
            }
        }
        (GNTST_OKAY, self.frames.iter().take(count).map(|frame| frame.0).collect())
    }

    /// The console's and xenstore's entries, as the domain builder makes them.
    fn fill_reserved(&mut self) {
        for entry in 0..2 {
            let word = u64::from(GTF_PERMIT_ACCESS) | (0x10 + entry as u64) << 32;
            self.frames[0].1.copy_in(entry * ENTRY_SIZE, &word.to_le_bytes());
            self.reserved[entry] = word;
        }
    }

    /// The frame of the table that holds entry `reference`, and where in it.
    fn entry(&self, reference: GrantRef) -> Option<(&SharedPage, usize)> {
        let (frame, entry) = (reference.0 as usize / ENTRIES, reference.0 as usize % ENTRIES);
        Some((&self.frames.get(frame)?.1, entry * ENTRY_SIZE))
    }

    /// Panics when the guest did to the table what it must not do.
    pub(super) fn check(&self) {
        let Some((_, first)) = self.frames.first() else { return };
        for (entry, &expected) in self.reserved.iter().enumerate() {
            assert!(
                first.load_u64(entry * ENTRY_SIZE) == expected,
                "rule G8: the guest touched reserved grant entry {entry}"
            );
        }
        for (&reference, active) in &self.active {
            let Some((page, at)) = self.entry(reference) else { continue };
            let flags = page.load_u16(at);
            let held = GTF_READING | if active.writers > 0 { GTF_WRITING } else { 0 };
            assert!(
                flags & held == held && flags & GTF_TYPE_MASK == GTF_PERMIT_ACCESS,
                "rule G4: the guest cleared grant {reference} while domain {} uses it",
                active.domain
            );
            assert!(
                u64::from(page.load_u32(at + 4)) == active.mfn,
                "rule G4: the guest changed the frame of grant {reference} while it is used"
            );
        }
    }

    /// Marks an entry as used by `domain`, if it allows that; the frame.
    fn pin(&mut self, reference: GrantRef, domain: DomId, write: bool) -> Result<u64, i16> {
        if reference.0 < RESERVED_ENTRIES {
            return Err(GNTST_BAD_GNTREF);
        }
        let (page, at) = self.entry(reference).ok_or(GNTST_BAD_GNTREF)?;
        let wanted = GTF_READING | if write { GTF_WRITING } else { 0 };
        loop {
            let flags = page.load_u16(at);
            if flags & GTF_TYPE_MASK != GTF_PERMIT_ACCESS {
                return Err(GNTST_BAD_GNTREF);
            }
            let denied = page.load_u16(at + 2) != domain.0 || write && flags & GTF_READONLY != 0;
            if denied {
                return Err(GNTST_PERMISSION_DENIED);
            }
            if page.compare_exchange_u16(at, flags, flags | wanted).is_ok() {
                break;
            }
        }
        let mfn = u64::from(page.load_u32(at + 4));
        let active =
            self.active.entry(reference).or_insert(Active { mfn, domain, readers: 0, writers: 0 });
        if write {
            active.writers += 1;
        } else {
            active.readers += 1;
        }
        Ok(mfn)
    }

    /// Takes the marks of one use away again.
    fn unpin(&mut self, reference: GrantRef, write: bool) {
        self.check();
        let Some(active) = self.active.get_mut(&reference) else { return };
        if write {
            active.writers -= 1;
        } else {
            active.readers -= 1;
        }
        let mut clear = if active.writers == 0 { GTF_WRITING } else { 0 };
        if active.writers + active.readers == 0 {
            clear |= GTF_READING;
            self.active.remove(&reference);
        }
        if let Some((page, at)) = self.entry(reference) {
            loop {
                let flags = page.load_u16(at);
                if page.compare_exchange_u16(at, flags, flags & !clear).is_ok() {
                    break;
                }
            }
        }
    }

    /// `GNTTABOP_map_grant_ref` by `domain`: the page. It is in use until [`Self::unmap`].
    pub(super) fn map(
        &mut self,
        reference: GrantRef,
        domain: DomId,
        write: bool,
        frames: &Frames,
    ) -> Result<SharedPage, i16> {
        let mfn = self.pin(reference, domain, write)?;
        frames.page(mfn).ok_or_else(|| {
            self.unpin(reference, write);
            GNTST_BAD_PAGE
        })
    }

    /// `GNTTABOP_unmap_grant_ref`.
    pub(super) fn unmap(&mut self, reference: GrantRef, write: bool) {
        self.unpin(reference, write);
    }

    /// `GNTTABOP_copy` out of the guest's page.
    pub(super) fn copy_from(
        &mut self,
        reference: GrantRef,
        domain: DomId,
        offset: usize,
        to: &mut [u8],
        frames: &Frames,
    ) -> Result<(), i16> {
        if offset + to.len() > PAGE_SIZE {
            return Err(GNTST_BAD_COPY_ARG);
        }
        let page = self.map(reference, domain, false, frames)?;
        page.copy_out(offset, to);
        self.unmap(reference, false);
        Ok(())
    }

    /// `GNTTABOP_copy` into the guest's page.
    pub(super) fn copy_to(
        &mut self,
        reference: GrantRef,
        domain: DomId,
        offset: usize,
        from: &[u8],
        frames: &Frames,
    ) -> Result<(), i16> {
        if offset + from.len() > PAGE_SIZE {
            return Err(GNTST_BAD_COPY_ARG);
        }
        let page = self.map(reference, domain, true, frames)?;
        page.copy_in(offset, from);
        self.unmap(reference, true);
        Ok(())
    }

    /// `GNTTABOP_copy` of a page that another domain granted: its status.
    pub(super) fn copy_shown(&self, from: &Place, length: usize, to: &SharedPage) -> i16 {
        let reference = u32::try_from(from.page).map(GrantRef);
        let key = reference.map(|reference| (DomId(from.domid), reference));
        let Some(page) = key.ok().and_then(|key| self.shown.get(&key)) else {
            return GNTST_BAD_GNTREF;
        };
        let Some(bytes) = page.get(..length) else { return GNTST_BAD_COPY_ARG };
        to.copy_in(0, bytes);
        GNTST_OKAY
    }

    /// `GNTTABOP_copy` to a page that another domain granted: its status.
    pub(super) fn copy_to_shown(&mut self, from: &SharedPage, to: &Place, length: usize) -> i16 {
        let reference = u32::try_from(to.page).map(GrantRef);
        let key = reference.map(|reference| (DomId(to.domid), reference));
        let Some(page) = key.ok().and_then(|key| self.shown.get_mut(&key)) else {
            return GNTST_BAD_GNTREF;
        };
        let Some(bytes) = page.get_mut(..length) else { return GNTST_BAD_COPY_ARG };
        from.copy_out(0, bytes);
        GNTST_OKAY
    }

    /// The guest gives back frame `mfn`: panics when it is still lent.
    pub(super) fn freed(&self, mfn: u64) {
        self.check();
        for (reference, active) in &self.active {
            assert!(
                active.mfn != mfn,
                "rule G4: the guest freed a page while domain {} uses it by grant {reference}",
                active.domain
            );
        }
        for reference in self.lent() {
            let frame = self.entry(reference).map(|(page, at)| u64::from(page.load_u32(at + 4)));
            assert!(
                frame != Some(mfn),
                "rule G4: the guest freed a page that grant {reference} lends"
            );
        }
    }

    /// The entries that the guest made and did not take back.
    pub(super) fn lent(&self) -> BTreeSet<GrantRef> {
        let all = RESERVED_ENTRIES..(self.frames.len() * ENTRIES) as u32;
        let valid = |reference: &GrantRef| {
            self.entry(*reference).is_some_and(|(page, at)| page.load_u16(at) & GTF_TYPE_MASK != 0)
        };
        all.map(GrantRef).filter(valid).collect()
    }

    /// The entries that another domain uses now.
    pub(super) fn used(&self) -> BTreeSet<GrantRef> {
        self.active.keys().copied().collect()
    }
}
