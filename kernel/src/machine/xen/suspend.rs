//! Suspends the domain, and goes on as the same or as another one.
//!
//! The toolstack saves a suspended domain's memory, page tables and registers, and writes each
//! frame as a pseudo-physical page. So before that nothing may be mapped or named that is not a page
//! of the domain's own; and in the new domain all that is known by frames and ports is known by
//! others. What the steps below do not name is memory, or registers of the vCPU with what Xen keeps
//! for it (entries, trap table, segments), and comes back as it was.

use super::{clock, console, heap, info, user, watchdog, xstate};
use crate::machine::line;
use ::xen::hypercall::sched_op_suspend;
use ::xen::memory::{Mfn, Pfn, mfn_to_pfn};
use ::xen::p2m::Tree;
use ::xen::public::start_info;
use ::xen::{PortNumber, timer, upcall};
use core::ptr::NonNull;
use spin::Mutex;

/// The tree that the toolstack finds the domain's frames by.
static TREE: Mutex<Option<Tree>> = Mutex::new(None);

/// Tells the toolstack where the domain's frames are, without which it neither suspends nor dumps
/// the domain. Returns whether that could be told.
pub(crate) fn offer_suspend() -> bool {
    let list = heap::with_paging(|paging| paging.mfn_list() as usize).unwrap_or(0);
    *TREE.lock() = Tree::new(list, info::pages());
    announce()
}

fn announce() -> bool {
    let mut tree = TREE.lock();
    tree.as_mut().map(|tree| tree.announce(&::xen::domain().shared_info)).is_some()
}

/// The two frames of `start_info` that the toolstack takes for pages of a suspended domain.
fn channels(start: NonNull<start_info>) -> [*mut u64; 2] {
    let start = start.as_ptr();
    // SAFETY: mapped, and only an address is made.
    let store = unsafe { &raw mut (*start).store_mfn };
    // SAFETY: as above.
    let console = unsafe { &raw mut (*start).console.domU.mfn };
    [store, console]
}

/// Replaces the frames of the channels that there are by what `convert` makes of them.
fn convert(start: NonNull<start_info>, convert: impl Fn(u64) -> u64) {
    for field in channels(start) {
        // SAFETY: the page is mapped, writable, and nobody refers to these fields.
        let frame = unsafe { field.read_volatile() };
        if frame != 0 {
            // SAFETY: as above.
            unsafe { field.write_volatile(convert(frame)) };
        }
    }
}

/// What the toolstack tells a new domain.
struct New {
    /// Machine address of the shared info page.
    shared_info: u64,
    store: PortNumber,
    console: PortNumber,
}

impl New {
    /// Reads the fields, and not all of the page.
    fn read(start: NonNull<start_info>) -> Self {
        let start = start.as_ptr();
        // SAFETY: mapped, and only an address is made.
        let shared_info = unsafe { &raw const (*start).shared_info };
        // SAFETY: as above.
        let store = unsafe { &raw const (*start).store_evtchn };
        // SAFETY: as above.
        let console = unsafe { &raw const (*start).console.domU.evtchn };
        // SAFETY: mapped, and only the toolstack writes it, while the domain is suspended.
        let shared_info = unsafe { shared_info.read_volatile() };
        // SAFETY: as above.
        let store = PortNumber(unsafe { store.read_volatile() });
        // SAFETY: as above.
        let console = PortNumber(unsafe { console.read_volatile() });
        Self { shared_info, store, console }
    }
}

/// Suspends the domain. Returns whether it is still the same one; `None` if it was not suspended.
/// A foreign frame, which is why, is named on the console.
pub(crate) fn suspend() -> Option<bool> {
    let start = info::start_info()?;
    let tables = heap::with_paging(|paging| paging.tables())??;
    let frame = heap::with_paging(|paging| paging.frame_at(start.addr().get()))?;
    user::suspend().ok()?;

    // 1. No event may come: its handler would find no shared info page.
    let page = &::xen::domain().shared_info;
    let (masked, timed) = (upcall::is_masked(page), timer::is_open());
    upcall::mask(page);

    // 2. Name pages instead of frames, and unmap what is Xen's.
    convert(start, |frame| mfn_to_pfn(Mfn(frame)).map_or(0, |page| page.0));
    ::xen::suspend::prepare();
    // SAFETY: nothing accesses it until it is mapped below.
    let _ = heap::with_paging(|paging| unsafe { paging.map_shared_info(0) });

    // 3. Look whether that was all.
    let foreign = heap::with_paging(|paging| paging.foreign())?;
    let same = match foreign {
        Some(_) => true,
        // SAFETY: nothing of Xen's is mapped, and what follows expects another domain. Xen refuses
        // no suspension; it would be as one that is cancelled.
        None => unsafe { sched_op_suspend(frame.0) }.unwrap_or(true),
    };

    // 4. The page tables are needed for all that follows.
    if !same {
        heap::with_paging(|paging| paging.set_tables(tables))?;
    }
    let new = New::read(start);
    // SAFETY: the frame is the domain's shared info page.
    heap::with_paging(|paging| unsafe { paging.map_shared_info(new.shared_info) })?
        .unwrap_or_else(|error| panic!("cannot map the shared info page: {error}"));
    let granting = if same {
        let frames = &::xen::domain().frames;
        let frame = |page| frames.address_of(Pfn(page)).map_or(0, |address| frames.frame(address));
        convert(start, frame);
        ::xen::suspend::cancel()
    } else {
        renew(&new, timed)
    };
    if let Err(error) = granting {
        line(format_args!("the grant table begins empty: {error}"));
    }
    if !masked {
        upcall::unmask(page);
    }
    if let Some((address, frame)) = foreign {
        let frame = frame.0;
        line(format_args!("not suspended: frame {frame:#x}, mapped at {address:#x}, is not ours"));
        return None;
    }
    Some(same)
}

/// Goes on as another domain, of which `new` tells what is new.
fn renew(new: &New, timed: bool) -> Result<(), ::xen::gnttab::Error> {
    clock::go_on();
    announce();
    let granting = ::xen::suspend::renew(new.store);
    console::reattach(new.console);
    xstate::resume();
    watchdog::resume();
    user::resume(timed);
    granting
}
