//! From Xen's first jump to the app: the boot order, top to bottom.
//!
//! A PV guest starts in 64-bit mode with paging on, events masked and no trap
//! table. `rsi` holds the address of `start_info`. The domain builder mapped
//! the image, the pfn-to-mfn list, `start_info`, the xenstore and console
//! pages, the page tables and a stack one after the other from
//! `XEN_ELFNOTE_VIRT_BASE` on.

use super::paging::{DATA, Layout, Paging};
use super::report::STACK;
use super::{console, heap, info, traps};
use ::xen::memory::{Frames, PAGE_SIZE, SharedPage};
use ::xen::public::{elfnote, start_info};
use ::xen::start::StartInfo;
use core::ptr::NonNull;

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
}

unsafe extern "Rust" {
    /// What [`unikernel!`](crate::unikernel) makes of the app.
    #[link_name = "__xenith_app"]
    fn app() -> !;
}

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
        let place = info::initial_page(&frames, channel);
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
    info::keep(start_info);
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

/// Starts the app: what the entry calls when the machine is up.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    ($note:path, $start:path) => {
        #[unsafe(no_mangle)]
        static __XENITH_MANIFEST: &[u8] = $note.text();

        #[unsafe(no_mangle)]
        fn __xenith_app() -> ! {
            $start()
        }
    };
}
