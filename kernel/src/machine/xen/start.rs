//! From Xen's first jump to the app and to the end: the boot order, top to bottom.
//!
//! A PV guest starts in 64-bit mode with paging on, events masked and no trap
//! table. `rsi` holds the address of `start_info`. The domain builder mapped
//! the image, the pfn-to-mfn list, `start_info`, the xenstore and console
//! pages, the page tables and a stack one after the other from
//! `XEN_ELFNOTE_VIRT_BASE` on.

use super::console;
use crate::args;
use crate::exit::Exit;
use crate::task::block_on;
use crate::time::Instant;
use ::xen::hypercall::{console_io_write, sched_op_poll, sched_op_shutdown, update_va_mapping};
use ::xen::memory::{Mfn, PAGE_SIZE, SharedPage, mfn_to_pfn};
use ::xen::public::{SHUTDOWN_crash, SHUTDOWN_poweroff, elfnote, start_info};
use ::xen::start::{Channel, StartInfo};
use ::xen::time::system_time;
use core::cell::UnsafeCell;
use core::ops::Range;
use core::ptr::NonNull;
use core::time::Duration;
use spin::{Mutex, MutexGuard, Once};

/// Bytes of the one stack.
const STACK: usize = 64 * 1024;

/// `UVMF_INVLPG`: flush the TLB's entry of that page on this CPU.
const UVMF_INVLPG: u64 = 2;

/// Present, writable, accessed, dirty, never executed.
const PAGE_DATA: u64 = 1 << 63 | 0x63;

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
    "lea rsp, [stack + {STACK}]",
    "xor ebp, ebp",
    "mov rdi, rsi",
    "call {boot}",
    "ud2",
    ".popsection",
    ".pushsection .bss.stack, \"aw\", @nobits",
    ".balign 16",
    "stack: .skip {STACK}",
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
    STACK = const STACK,
    boot = sym boot,
);

unsafe extern "C" {
    /// The address of pseudo-physical page 0, set by the linker.
    #[link_name = "virt_base"]
    static VIRT_BASE: u8;

    /// The lowest address of the stack.
    #[link_name = "stack"]
    static STACK_BOTTOM: u8;
}

unsafe extern "Rust" {
    /// What [`unikernel!`](crate::unikernel) makes of the app.
    #[link_name = "__xenith_app"]
    fn app() -> !;
}

/// What the rest of the kernel keeps of the start.
struct Boot {
    start_info: StartInfo<'static>,
    shared_info: SharedPage,
}

static BOOT: Once<Boot> = Once::new();

/// Everything that happens before the app.
///
/// # Safety
/// Called once, by the entry, with the address that Xen passed.
unsafe extern "C" fn boot(raw: *const start_info) -> ! {
    // 1. Believe start_info only after a look at every field.
    // SAFETY: Xen passes a page that it filled and that nobody writes again.
    let raw: &'static start_info = unsafe { &*raw };
    let start_info = StartInfo::new(raw).unwrap_or_else(|error| panic!("{error}"));

    // 2. Map the page that Xen shares with us: events and the clock.
    let shared_info = map_shared_info(start_info.shared_info);

    // 3. The console, if the domain has one.
    if let Some(channel) = start_info.console {
        console::open(channel, initial_page(&start_info, channel));
    }
    BOOT.call_once(|| Boot { start_info, shared_info });

    // 4. The app.
    // SAFETY: the macro defines it with this signature.
    unsafe { app() }
}

/// A page of the image that gives its place to the shared info page.
#[repr(C, align(4096))]
struct Place(UnsafeCell<[u8; PAGE_SIZE]>);

// SAFETY: only its address is used.
unsafe impl Sync for Place {}

fn map_shared_info(machine_address: u64) -> SharedPage {
    static PLACE: Place = Place(UnsafeCell::new([0; PAGE_SIZE]));
    let base = NonNull::from(&PLACE).cast::<u8>();
    let entry = machine_address | PAGE_DATA;
    // SAFETY: nothing uses the page that was there.
    unsafe { update_va_mapping(base.as_ptr() as u64, entry, UVMF_INVLPG) }
        .unwrap_or_else(|error| panic!("cannot map the shared info page: {error}"));
    // SAFETY: mapped a moment ago, for good.
    unsafe { SharedPage::new(base) }
}

/// The page behind `channel`, which the domain builder mapped.
fn initial_page(start_info: &StartInfo<'_>, channel: Channel) -> Option<SharedPage> {
    let pfn = mfn_to_pfn(channel.mfn)?;
    if pfn.0 >= start_info.nr_pages {
        return None;
    }
    let list = start_info.mfn_list as *const u64;
    // SAFETY: the list has nr_pages entries.
    let entry = unsafe { list.add(pfn.0 as usize) };
    // SAFETY: the list is mapped and only we write it.
    if Mfn(unsafe { entry.read() }) != channel.mfn {
        return None;
    }
    let base = (&raw const VIRT_BASE).wrapping_add(pfn.0 as usize * PAGE_SIZE);
    // SAFETY: the domain builder maps this page below its page tables and its
    // stack, and nothing else of ours is there.
    Some(unsafe { SharedPage::new(NonNull::new(base.cast_mut())?) })
}

/// Runs the app and ends the domain.
pub fn start(run: impl Future<Output = Exit>) -> ! {
    end(console::Sink::Lossy, block_on(run))
}

/// Ends the domain: with a crash code and a line that says so unless all is well.
pub(super) fn end(sink: console::Sink, exit: Exit) -> ! {
    crate::machine::last_line(sink, exit);
    console::drain();
    sched_op_shutdown(if exit == Exit::SUCCESS { SHUTDOWN_poweroff } else { SHUTDOWN_crash })
}

/// System time in ns, or 0 before the clock is there.
pub(crate) fn monotonic() -> u64 {
    BOOT.get().map_or(0, |boot| system_time(&boot.shared_info))
}

/// Waits until the console or the clock may have something new.
pub(crate) fn idle(deadline: Option<Instant>) {
    let Some(boot) = BOOT.get() else { return };
    let mut ports = [0];
    let count = console::port(|port| {
        // An event that came since the last wait is news already.
        if port.take_pending(&boot.shared_info) {
            return false;
        }
        ports[0] = port.number();
        true
    });
    match count {
        Some(false) => {}
        _ => {
            let deadline = deadline.map_or(0, |deadline| deadline.as_nanos().max(1));
            let ports = &mut ports[..usize::from(count.is_some())];
            // A wait that fails is a wait that was short: the caller looks again.
            let _ = sched_op_poll(ports, deadline);
        }
    }
}

/// Bytes of the command line, which is taken apart in place.
static COMMAND_LINE: Mutex<[u8; 1024]> = Mutex::new([0; 1024]);

/// The items of start_info's command line.
pub(crate) fn command_line() -> Result<impl Iterator<Item = &'static [u8]>, args::Error> {
    let given = BOOT.get().map_or(&[][..], |boot| boot.start_info.cmd_line);
    // Taken for good: the arguments are borrowed from it for ever.
    let (line, _) = MutexGuard::leak(COMMAND_LINE.lock()).split_at_mut(given.len());
    line.copy_from_slice(given);
    args::split(line)
}

/// System time in ns, `duration` from now.
pub(super) fn now_plus(duration: Duration) -> u64 {
    Instant::now().saturating_add(duration).as_nanos().max(1)
}

/// The addresses of the stack.
pub(super) fn stack_bounds() -> Range<usize> {
    let bottom = (&raw const STACK_BOTTOM) as usize;
    bottom..bottom + STACK
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
    ($name:literal, $run:path) => {
        #[unsafe(no_mangle)]
        fn __xenith_app() -> ! {
            $crate::machine::start($run())
        }
    };
}
