//! What Xen and the toolstack told the domain at its start, kept for those who ask later.

use super::heap;
use crate::command_line::{Unreadable, split};
use crate::machine::Stats;
use ::xen::memory::{Frames, PAGE_SIZE, SharedPage, mfn_to_pfn};
use ::xen::start::{Channel, StartInfo};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use spin::{Mutex, MutexGuard, Once};

unsafe extern "Rust" {
    /// The text of the manifest that [`unikernel!`](crate::unikernel) writes.
    #[link_name = "__XENITH_MANIFEST"]
    static MANIFEST: &'static [u8];
}

/// The text of the program's manifest.
pub(crate) fn manifest() -> &'static [u8] {
    // SAFETY: the macro defines it with this type, and nobody writes it.
    unsafe { MANIFEST }
}

static START_INFO: Once<StartInfo<'static>> = Once::new();

/// Keeps what the domain builder said.
pub(super) fn keep(info: StartInfo<'static>) {
    START_INFO.call_once(|| info);
}

/// The page behind `channel`, which the domain builder mapped below its page
/// tables and its stack.
pub(super) fn initial_page(frames: &Frames, channel: Channel) -> Option<NonNull<u8>> {
    let place = frames.address_of(mfn_to_pfn(channel.mfn)?)?;
    // In the table that was looked into, a frame of another domain has that one's number.
    (frames.frame(place) == channel.mfn.0).then_some(())?;
    NonNull::new(place as *mut u8)
}

/// Makes xenstore usable, if the domain has one. At the first use and not at
/// boot, because an app without devices has none for it.
pub(crate) fn open_store() {
    static OPENED: AtomicBool = AtomicBool::new(false);
    if OPENED.swap(true, Ordering::Relaxed) {
        return;
    }
    let Some(store) = START_INFO.get().and_then(|it| it.store) else { return };
    if let Some(page) = initial_page(&::xen::domain().frames, store) {
        // SAFETY: nothing else of ours is there, and it stays.
        ::xen::xenstore::attach(unsafe { SharedPage::new(page) }, store.port);
    }
}

/// Bytes of memory that the domain has.
pub(crate) fn memory_stats() -> Stats {
    heap::stats(memory())
}

fn memory() -> usize {
    START_INFO.get().map_or(0, |info| info.nr_pages as usize * PAGE_SIZE)
}

/// Bytes of memory that the domain has, and that are left at least.
pub(crate) fn memory_left() -> (usize, usize) {
    (memory(), heap::left(memory()))
}

/// The command line, but what surrounds it.
pub(crate) fn raw_arguments() -> &'static [u8] {
    START_INFO.get().map_or(&[][..], |info| info.cmd_line.trim_ascii())
}

/// Bytes of the command line, which is taken apart in place.
static COMMAND_LINE: Mutex<[u8; 1024]> = Mutex::new([0; 1024]);

/// The items of start_info's command line.
pub(crate) fn command_line() -> Result<impl Iterator<Item = &'static [u8]>, Unreadable> {
    if START_INFO.get().is_some_and(StartInfo::may_be_truncated) {
        return Err(Unreadable::Cut);
    }
    let given = raw_arguments();
    // Taken for good: the arguments are borrowed from it for ever.
    let (line, _) = MutexGuard::leak(COMMAND_LINE.lock()).split_at_mut(given.len());
    line.copy_from_slice(given);
    split(line)
}
