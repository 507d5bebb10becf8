//! The start information, kept for the time after boot.

use super::heap;
use crate::command_line::{Unreadable, split};
use crate::machine::Stats;
use ::xen::memory::{Frames, PAGE_SIZE, SharedPage};
use ::xen::public::start_info;
use ::xen::start::{Channel, StartInfo};
use core::mem::offset_of;
use core::ptr::{NonNull, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicBool, Ordering};
use spin::{Mutex, MutexGuard, Once};

unsafe extern "Rust" {
    /// The text of the manifest that [`unikernel!`](crate::unikernel) writes.
    #[link_name = "__XENITH_MANIFEST"]
    static MANIFEST: &'static [u8];
}

/// Returns the text of the program's manifest.
pub(crate) fn manifest() -> &'static [u8] {
    // SAFETY: the macro defines it with this type, and nobody writes it.
    unsafe { MANIFEST }
}

static START_INFO: Once<StartInfo<'static>> = Once::new();

/// Keeps `start_info`.
pub(super) fn keep(info: StartInfo<'static>) {
    START_INFO.call_once(|| info);
}

/// Returns the address of `start_info`, in which the toolstack tells a new domain what is new.
pub(super) fn start_info() -> Option<NonNull<start_info>> {
    let line = START_INFO.get()?.cmd_line.as_ptr().addr();
    // Boot exposed the page as one that remains mapped.
    NonNull::new(with_exposed_provenance_mut(line - offset_of!(start_info, cmd_line)))
}

/// Returns the number of pages of the domain.
pub(super) fn pages() -> usize {
    START_INFO.get().map_or(0, |info| info.nr_pages as usize)
}

/// Returns the address of the page of `channel`, which the domain builder mapped.
pub(super) fn initial_page(frames: &Frames, channel: Channel) -> Option<NonNull<u8>> {
    NonNull::new(frames.address_of_frame(channel.mfn)? as *mut u8)
}

/// Makes xenstore usable, if the domain has one. Called at the first use and not at boot, so that
/// images without devices do not contain it.
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

/// Returns how memory is used now.
pub(crate) fn memory_stats() -> Stats {
    heap::stats(memory())
}

/// Returns the size of memory in bytes.
fn memory() -> usize {
    pages() * PAGE_SIZE
}

/// Returns the size of memory, and a lower bound of what is free, in bytes.
pub(crate) fn memory_left() -> (usize, usize) {
    (memory(), heap::left(memory()))
}

/// Returns the command line as given, without white space around it.
pub(crate) fn raw_arguments() -> &'static [u8] {
    START_INFO.get().map_or(&[][..], |info| info.cmd_line.trim_ascii())
}

/// A copy of the command line, which is split in place.
static COMMAND_LINE: Mutex<[u8; 1024]> = Mutex::new([0; 1024]);

/// Splits the command line into its items.
pub(crate) fn command_line() -> Result<impl Iterator<Item = &'static [u8]>, Unreadable> {
    if START_INFO.get().is_some_and(StartInfo::may_be_truncated) {
        return Err(Unreadable::Cut);
    }
    let given = raw_arguments();
    // Never unlocked: the arguments borrow from it.
    let (line, _) = MutexGuard::leak(COMMAND_LINE.lock()).split_at_mut(given.len());
    line.copy_from_slice(given);
    split(line)
}
