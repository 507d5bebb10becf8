//! From Xen's first jump to the app and to the end: the boot order, top to bottom.
//!
//! A PV guest starts in 64-bit mode with paging on, events masked and no trap
//! table. `rsi` holds the address of `start_info`. The domain builder mapped
//! the image, the pfn-to-mfn list, `start_info`, the xenstore and console
//! pages, the page tables and a stack one after the other from
//! `XEN_ELFNOTE_VIRT_BASE` on.

use super::paging::{DATA, Layout, Paging};
use super::{console, heap, traps, watchdog};
use crate::args;
use crate::exit::Exit;
use crate::shutdown::Ending;
use crate::task::{Queue, Ready, block_on};
use crate::time::{Instant, Timers};
use ::xen::evtchn;
use ::xen::hypercall::{console_io_write, sched_op_shutdown};
use ::xen::memory::{Frames, PAGE_SIZE, SharedPage, mfn_to_pfn};
use ::xen::public::{
    SHUTDOWN_crash, SHUTDOWN_poweroff, elfnote, shared_info, start_info, vcpu_info,
};
use ::xen::start::{Channel, StartInfo};
use core::mem::offset_of;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use spin::{Mutex, MutexGuard, Once};

/// Bytes of the one stack.
const STACK: usize = 64 * 1024;

// The notes by which the domain builder starts us (public/elfnote.h), and the
// entry. Xen pushes nothing on our stack until a trap table is registered, but
// it may then do so at any instruction: there is no red zone in this image.
core::arch::global_asm!(
    ".macro xen_note type, value:vararg",
    ".pushsection .note.Xen, \"a\", @note",
    ".balign 4",
    ".long 4, 2f - 1f, \\type",
    ".asciz \"Xen\"",
    "1: \\value",
    "2: .balign 4",
    ".popsection",
    ".endm",
    "xen_note {ENTRY}, .quad _start",
    "xen_note {HYPERCALL_PAGE}, .quad hypercall_page",
    "xen_note {VIRT_BASE}, .quad virt_base",
    "xen_note {PADDR_OFFSET}, .quad virt_base",
    "xen_note {XEN_VERSION}, .asciz \"xen-3.0\"",
    "xen_note {GUEST_OS}, .asciz \"Xenith\"",
    "xen_note {GUEST_VERSION}, .asciz \"0.1\"",
    "xen_note {LOADER}, .asciz \"generic\"",
    "xen_note {FEATURES}, .asciz \"!writable_page_tables|pae_pgdir_above_4gb\"",
    ".pushsection .text.start, \"ax\", @progbits",
    ".global _start",
    "_start:",
    "cld",
    "mov rax, rsp",
    "lea rsp, [stack + {STACK}]",
    "xor ebp, ebp",
    "mov rdi, rsi",
    "mov rsi, rax",
    "call {boot}",
    "ud2",
    ".popsection",
    // Pages whose place in the address space is used, but not what is in them,
    // then the stack, which grows down to the first of them.
    ".pushsection .bss.pages, \"aw\", @nobits",
    ".balign {PAGE_SIZE}",
    "shared_info: .skip {PAGE_SIZE}",
    "scratch: .skip {PAGE_SIZE}",
    "stack_guard: .skip {PAGE_SIZE}",
    "stack: .skip {STACK}",
    ".size stack, {STACK}",
    ".popsection",
    ENTRY = const elfnote::XEN_ELFNOTE_ENTRY,
    HYPERCALL_PAGE = const elfnote::XEN_ELFNOTE_HYPERCALL_PAGE,
    VIRT_BASE = const elfnote::XEN_ELFNOTE_VIRT_BASE,
    PADDR_OFFSET = const elfnote::XEN_ELFNOTE_PADDR_OFFSET,
    XEN_VERSION = const elfnote::XEN_ELFNOTE_XEN_VERSION,
    GUEST_OS = const elfnote::XEN_ELFNOTE_GUEST_OS,
    GUEST_VERSION = const elfnote::XEN_ELFNOTE_GUEST_VERSION,
    LOADER = const elfnote::XEN_ELFNOTE_LOADER,
    FEATURES = const elfnote::XEN_ELFNOTE_FEATURES,
    PAGE_SIZE = const PAGE_SIZE,
    STACK = const STACK,
    boot = sym boot,
);

// Where the linker and the assembly above put things.
unsafe extern "C" {
    #[link_name = "virt_base"]
    static VIRT_BASE: u8;
    #[link_name = "rodata_start"]
    static RODATA: u8;
    #[link_name = "data_start"]
    static DATA_START: u8;
    #[link_name = "shared_info"]
    static SHARED_INFO: u8;
    #[link_name = "scratch"]
    static SCRATCH: u8;
    #[link_name = "image_end"]
    static IMAGE_END: u8;
    #[link_name = "stack_guard"]
    static STACK_GUARD: u8;
    #[link_name = "stack"]
    static STACK_BOTTOM: u8;
}

unsafe extern "Rust" {
    /// What [`unikernel!`](crate::unikernel) makes of the app.
    #[link_name = "__xenith_app"]
    fn app() -> !;

    /// The text of its manifest.
    #[link_name = "__XENITH_MANIFEST"]
    static MANIFEST: &'static [u8];
}

/// The text of the program's manifest.
pub(crate) fn manifest() -> &'static [u8] {
    // SAFETY: the macro defines it with this type, and nobody writes it.
    unsafe { MANIFEST }
}

static START_INFO: Once<StartInfo<'static>> = Once::new();
static QUEUE: Queue = Queue::new();
static READY: Ready = Ready::new();
static TIMERS: Timers = Timers::new();

/// Everything that happens before the app. `stack` is the end of the stack
/// that the domain builder made, the last thing that it put into memory.
///
/// # Safety
/// Called once, by the entry, with what Xen passed.
unsafe extern "C" fn boot(raw: *const start_info, stack: usize) -> ! {
    // 1. Exceptions end in a report from here on.
    traps::open();

    // 2. Believe start_info only after a look at every field.
    // SAFETY: Xen passes a page that it filled and that nobody writes again.
    let raw: &'static start_info = unsafe { &*raw };
    let start_info = StartInfo::new(raw).unwrap_or_else(|error| panic!("{error}"));

    // 3. The console, if the domain has one: whatever fails now can say so.
    let virt_base = &raw const VIRT_BASE as usize;
    let (list, pages) = (start_info.mfn_list as *const u64, start_info.nr_pages as usize);
    // SAFETY: start_info says so, and all our memory lies in that order.
    let frames = unsafe { Frames::new(list, virt_base, pages) };
    let mut console = 0;
    if let Some(channel) = start_info.console {
        let place = initial_page(&frames, channel);
        console = place.map_or(0, |place| place.as_ptr() as usize);
        // SAFETY: nothing else of ours is there, and it stays.
        console::open(channel, place.map(|place| unsafe { SharedPage::new(place) }));
    }

    // 4. Every page gets the protection that it should have, and one of them becomes
    // the page that Xen shares with us: events and the clock.
    let layout = Layout {
        virt_base,
        rodata: &raw const RODATA as usize,
        data: &raw const DATA_START as usize,
        guard: &raw const STACK_GUARD as usize,
        shared_info: &raw const SHARED_INFO as usize,
        scratch: &raw const SCRATCH as usize,
        end: &raw const IMAGE_END as usize,
        kept: [&raw const *raw as usize, console],
    };
    // SAFETY: start_info says so, and it is Xen's own.
    let mut paging = unsafe { Paging::new(layout, list, pages, start_info.pt_base as usize) };
    // SAFETY: these pages were not used yet.
    unsafe { paging.protect(start_info.shared_info | DATA) }
        .unwrap_or_else(|error| panic!("cannot protect memory: {error}"));
    let shift = paging.shift();
    // SAFETY: as before, where memory is from here on.
    let frames = unsafe { Frames::new(paging.mfn_list(), virt_base + shift, pages) };
    ::xen::attach(shared_info_page(), frames);

    // 5. Memory behind what the domain builder made is the heap.
    // SAFETY: nothing else is there, and nothing was allocated yet.
    unsafe { heap::open(paging, stack.next_multiple_of(PAGE_SIZE) + shift) };
    START_INFO.call_once(|| start_info);
    console::open_events();

    // 6. The app.
    // SAFETY: the macro defines it with this signature.
    unsafe { app() }
}

fn shared_info_page() -> SharedPage {
    let base = (&raw const SHARED_INFO).cast_mut();
    // SAFETY: mapped a moment ago, for good.
    unsafe { SharedPage::new(NonNull::new(base).unwrap_or(NonNull::dangling())) }
}

/// The page behind `channel`, which the domain builder mapped below its page
/// tables and its stack.
fn initial_page(frames: &Frames, channel: Channel) -> Option<NonNull<u8>> {
    let place = frames.place(mfn_to_pfn(channel.mfn)?)?;
    // In the table that was looked into, a frame of another domain has that one's number.
    (frames.frame(place) == channel.mfn.0).then_some(())?;
    NonNull::new(place as *mut u8)
}

/// Makes xenstore usable, if the domain has one. At the first use and not at
/// boot, because an app without devices has none for it.
pub fn open_store() {
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

/// Runs the app and ends the domain.
pub fn start(run: impl Future<Output = Exit>) -> ! {
    let exit = block_on(run);
    ENDING.finish();
    end(console::Sink::Lossy, exit)
}

/// Ends the domain: with a crash code and a line that says so unless all is well.
pub(super) fn end(sink: console::Sink, exit: Exit) -> ! {
    crate::machine::last_line(sink, exit);
    end_for(if exit == Exit::SUCCESS { REASON.load(Ordering::Relaxed) } else { SHUTDOWN_crash })
}

/// Ends the domain for a `SHUTDOWN_*` reason.
pub(crate) fn end_for(reason: u32) -> ! {
    watchdog::stop();
    console::drain();
    sched_op_shutdown(reason)
}

/// What the domain ends for when all is well.
static REASON: AtomicU32 = AtomicU32::new(SHUTDOWN_poweroff);

/// Says what the domain ends for when all is well.
pub(crate) fn set_reason(reason: u32) {
    REASON.store(reason, Ordering::Relaxed);
}

static ENDING: Ending = Ending::new();

/// How far the machine is from its end.
pub(crate) fn ending() -> &'static Ending {
    &ENDING
}

/// The tasks that are ready.
pub(crate) fn queue() -> &'static Queue {
    &QUEUE
}

/// Whether the app's own future was woken.
pub(crate) fn ready() -> &'static Ready {
    &READY
}

/// The timers that run.
pub(crate) fn timers() -> &'static Timers {
    &TIMERS
}

/// Looks for events without waiting.
pub(crate) fn look() {
    watchdog::turn();
    evtchn::scan();
}

/// Waits until an event comes or `deadline` has come.
pub(crate) fn idle(deadline: Option<Instant>) {
    watchdog::turn();
    evtchn::wait_until(deadline.map_or(0, |deadline| deadline.as_nanos().max(1)));
}

/// Bytes of memory that the domain has.
pub(crate) fn memory_stats() -> crate::memory::Stats {
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
pub(crate) fn command_line() -> Result<impl Iterator<Item = &'static [u8]>, args::Error> {
    if START_INFO.get().is_some_and(StartInfo::may_be_cut) {
        return Err(args::Error::Cut);
    }
    let given = raw_arguments();
    // Taken for good: the arguments are borrowed from it for ever.
    let (line, _) = MutexGuard::leak(COMMAND_LINE.lock()).split_at_mut(given.len());
    line.copy_from_slice(given);
    args::split(line)
}

/// The addresses of the stack.
pub(super) fn stack() -> Range<usize> {
    let bottom = (&raw const STACK_BOTTOM) as usize;
    bottom..bottom + STACK
}

/// The address that the last page fault was about (`vcpu_info.arch.cr2`).
pub(super) fn fault_address() -> u64 {
    let cr2 = offset_of!(shared_info, vcpu_info) + offset_of!(vcpu_info, arch);
    ::xen::attached().map_or(0, |domain| domain.shared_info.load_u64(cr2))
}

/// Prints last words where nothing else can: on the hypervisor's own console.
pub(super) fn emergency(text: &[u8]) {
    // There is nobody left to tell if this fails as well.
    let _ = console_io_write(text);
}

/// Starts the app: what the entry calls when the machine is up.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    ($note:path, $run:path) => {
        #[unsafe(no_mangle)]
        static __XENITH_MANIFEST: &[u8] = $note.text();

        #[unsafe(no_mangle)]
        fn __xenith_app() -> ! {
            $crate::machine::start($run())
        }
    };
}
