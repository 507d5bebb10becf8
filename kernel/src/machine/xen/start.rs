//! Boots: everything from the entry to the app, in order.
//!
//! A PV guest starts in 64-bit mode with paging on, events masked and no trap
//! table. `rsi` holds the address of `start_info`. The domain builder mapped
//! the image, the pfn-to-mfn list, `start_info`, the xenstore and console
//! pages, the page tables and a stack one after the other from
//! `XEN_ELFNOTE_VIRT_BASE` on.

use super::paging::{DATA, Layout, Paging};
use super::{clock, console, heap, info, traps};
use ::xen::memory::{Frames, PAGE_SIZE, SharedPage};
use ::xen::public::{elfnote, start_info};
use ::xen::start::StartInfo;
use core::ptr::NonNull;

// The notes for the domain builder (public/elfnote.h), and the entry. Once the
// trap table is registered, Xen may push a frame at any instruction, so this
// image must not use a red zone.
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
    "lea rsp, [stack_end]",
    "xor ebp, ebp",
    "mov rdi, rsi",
    "mov rsi, rax",
    "call {boot}",
    "ud2",
    ".popsection",
    // Pages of which only the addresses are used. The linker script puts the stack, which grows
    // down to the last of them, behind.
    ".pushsection .bss.pages, \"aw\", @nobits",
    ".balign {PAGE_SIZE}",
    "shared_info: .skip {PAGE_SIZE}",
    "scratch: .skip {PAGE_SIZE}",
    "stack_guard: .skip {PAGE_SIZE}",
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
    boot = sym boot,
);

// Symbols of the linker script and of the assembly above.
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
    /// The app, as [`unikernel!`](crate::unikernel) defines it.
    #[link_name = "__xenith_app"]
    fn app() -> !;
}

/// Boots, and runs the app. `stack` is the end of the stack that the domain builder made, which is
/// the last of what it put into memory.
///
/// # Safety
/// Called once, by the entry, with what Xen passed.
unsafe extern "C" fn boot(raw: *const start_info, stack: usize) -> ! {
    // 1. From here on, exceptions are reported.
    traps::open();

    // 2. Check start_info before using any field.
    // SAFETY: Xen passes a page that it filled. What is kept of it, the command line, nobody writes
    // again.
    let raw: &'static start_info = unsafe { &*raw };
    let start_info = StartInfo::new(raw).unwrap_or_else(|error| panic!("{error}"));

    // 3. Open the console, if the domain has one, so that errors from here on are printed.
    let virt_base = &raw const VIRT_BASE as usize;
    let (list, pages) = (start_info.mfn_list as *const u64, start_info.nr_pages as usize);
    // SAFETY: as start_info says; the domain builder maps memory in the order of the list.
    let frames = unsafe { Frames::new(list, virt_base, pages) };
    let mut console = 0;
    if let Some(channel) = start_info.console {
        let page = info::initial_page(&frames, channel);
        console = page.map_or(0, |page| page.as_ptr() as usize);
        // SAFETY: no reference points into it, and it remains mapped.
        console::open(channel, page.map(|page| unsafe { SharedPage::new(page) }));
    }

    // 4. Protect memory, and map the shared info page: events and the clocks.
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
    // SAFETY: as start_info says.
    let mut paging = unsafe { Paging::new(layout, list, pages, start_info.pt_base as usize) };
    // SAFETY: nothing has used these pages.
    unsafe { paging.protect(start_info.shared_info | DATA) }
        .unwrap_or_else(|error| panic!("cannot protect memory: {error}"));
    let shift = paging.shift();
    // SAFETY: as before, at the addresses at which memory is used from here on.
    let frames = unsafe { Frames::new(paging.mfn_list(), virt_base + shift, pages) };
    ::xen::attach(shared_info_page(), frames);
    clock::go_on();

    // 5. Open the heap on the memory after what the domain builder made.
    // SAFETY: nothing uses that memory, and nothing has been allocated.
    unsafe { heap::open(paging, stack.next_multiple_of(PAGE_SIZE) + shift) };
    info::keep(start_info);
    console::open_events();

    // 6. Run the app.
    // SAFETY: the macro defines it with this signature.
    unsafe { app() }
}

fn shared_info_page() -> SharedPage {
    let base = (&raw const SHARED_INFO).cast_mut();
    // SAFETY: mapped above, permanently.
    unsafe { SharedPage::new(NonNull::new(base).unwrap_or(NonNull::dangling())) }
}

/// Defines what boot calls in the end: the app.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    ($note:path, $start:path $(, $stack:expr)?) => {
        $(
            // In place of the stack that the linker script makes, which finds it by the section.
            #[used]
            #[unsafe(link_section = ".bss.stack")]
            static STACK: [u8; $stack] = [0; $stack];
        )?

        #[unsafe(no_mangle)]
        static __XENITH_MANIFEST: &[u8] = $note.text();

        #[unsafe(no_mangle)]
        fn __xenith_app() -> ! {
            $start()
        }
    };
}
