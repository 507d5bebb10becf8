//! Pages that are granted to whoever is first to see them.

use super::{Grant, GrantRef, make_room};
use crate::DomId;
use crate::generation::Generation;
use crate::memory::{PAGE_SIZE, Pages};
use crate::public::grant_table::GTF_READONLY;
use alloc::vec::Vec;
use core::cell::OnceCell;

/// Owns pages whose bytes do not change any more, and grants them read-only to the first peer
/// that is to see them: all of a page, also of the last one, whose rest is zeros.
#[derive(Debug)]
pub struct ShownPages {
    /// Without references, until it is dropped.
    grant: Grant,
    length: usize,
    shown: OnceCell<Shown>,
}

/// Whom pages are shown to.
#[derive(Debug)]
struct Shown {
    peer: DomId,
    references: Vec<GrantRef>,
    generation: Generation,
}

impl ShownPages {
    /// Copies `bytes` into pages. Returns `None` if there is no memory.
    #[must_use]
    pub fn copy(bytes: &[u8]) -> Option<Self> {
        let mut pages = Pages::new(bytes.len().div_ceil(PAGE_SIZE))?;
        pages.bytes_mut().get_mut(..bytes.len())?.copy_from_slice(bytes);
        let generation = Generation::current();
        let (references, peer) = (Vec::new(), DomId::SELF);
        let grant = Grant { pages: Some(pages), references, peer, generation };
        Some(Self { grant, length: bytes.len(), shown: OnceCell::new() })
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let all = self.grant.pages.as_ref().map_or(&[][..], Pages::bytes);
        all.get(..self.length).unwrap_or_default()
    }

    /// Returns the references by which `peer` sees the pages, in order, and grants them to it if
    /// nobody sees them yet. Returns `None` if another peer does, or did in a former domain, or if
    /// they cannot be granted.
    pub fn show(&self, peer: DomId) -> Option<&[GrantRef]> {
        if self.shown.get().is_none() {
            let (references, generation) = (self.permit(peer)?, Generation::current());
            // Nobody else was here meanwhile.
            let _ = self.shown.set(Shown { peer, references, generation });
        }
        let seen = self.shown.get().filter(|it| it.peer == peer && it.generation.is_current());
        let count = self.grant.pages.as_ref()?.count();
        seen.map(|it| it.references.as_slice()).filter(|it| it.len() == count)
    }

    fn permit(&self, peer: DomId) -> Option<Vec<GrantRef>> {
        make_room(peer).ok()?;
        let pages = self.grant.pages.as_ref()?;
        let mut references = Vec::new();
        references.try_reserve_exact(pages.count()).ok()?;
        let mut table = crate::domain().grants.lock();
        for page in pages.addresses() {
            let Ok(reference) = table.permit(peer, GTF_READONLY, page.as_ptr() as usize) else {
                // Nobody has heard of these references, but somebody may have guessed them.
                references.retain(|&reference| !table.revoke(reference));
                if !references.is_empty() {
                    let generation = Generation::current();
                    let _ = self.shown.set(Shown { peer, references, generation });
                }
                return None;
            };
            references.push(reference);
        }
        Some(references)
    }
}

impl Drop for ShownPages {
    fn drop(&mut self) {
        if let Some(Shown { peer, references, generation }) = self.shown.take() {
            (self.grant.peer, self.grant.references) = (peer, references);
            self.grant.generation = generation;
        }
    }
}
