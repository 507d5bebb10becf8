//! A hypervisor for host tests, one per test thread.
//!
//! It is what [`crate::hypercall`] calls when the target is not Xen: it decodes
//! the same numbers and structures, so everything above runs unchanged.

// The ABI's names are kept as they are.
#![allow(non_upper_case_globals)]

use crate::Domain;
use crate::memory::SharedPage;
use crate::public::{
    EVTCHNOP_close, EVTCHNOP_send, SCHEDOP_shutdown, evtchn_close, evtchn_send, sched_shutdown,
    shared_info, vcpu_info,
};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::ptr::NonNull;
use xen_sys::{__HYPERVISOR_console_io, __HYPERVISOR_event_channel_op, __HYPERVISOR_sched_op};

const ENOSYS: i64 = -38;
const EPERM: i64 = -1;

#[derive(Default)]
struct State {
    notifications: BTreeMap<u32, u64>,
    closed: Vec<u32>,
    console: Option<Vec<u8>>,
}

thread_local! {
    static DOMAIN: Cell<Option<&'static Domain>> = const { Cell::new(None) };
    static TSC: Cell<u64> = const { Cell::new(0) };
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// The handle to this thread's fake hypervisor, which lives as long as it.
#[derive(Debug)]
pub struct Fake(());

impl Fake {
    /// Starts a hypervisor for this thread.
    ///
    /// # Panics
    /// When this thread has one already.
    #[must_use]
    pub fn new() -> Self {
        STATE.with_borrow_mut(|state| {
            assert!(state.is_none(), "this thread has a hypervisor already");
            *state = Some(State::default());
        });
        // Leaked like its page: a domain lives until the end.
        DOMAIN.set(Some(Box::leak(Box::new(Domain::new(
            leaked_page(),
            crate::memory::Frames::NONE,
        )))));
        Self(())
    }

    /// Makes `port` pending, as its other end does.
    ///
    /// # Panics
    /// When there is no such port.
    pub fn raise(&self, port: u32) {
        let page = &crate::domain().shared_info;
        let (word, bit) = ((port / 64) as usize, 1 << (port % 64));
        page.set_bits(offset_of!(shared_info, evtchn_pending) + word * 8, bit);
        if page.load_u64(offset_of!(shared_info, evtchn_mask) + word * 8) & bit == 0 {
            let vcpu = offset_of!(shared_info, vcpu_info);
            page.set_bits(vcpu + offset_of!(vcpu_info, evtchn_pending_sel), 1 << word);
        }
    }

    /// The ports that the guest closed, in order.
    #[must_use]
    pub fn closed(&self) -> Vec<u32> {
        with(|state| state.closed.clone())
    }

    /// Allows `CONSOLEIO_write`, as a Xen built for debugging does.
    pub fn allow_console_io(&self) {
        with(|state| state.console = Some(Vec::new()));
    }

    /// What the guest printed with `CONSOLEIO_write`.
    #[must_use]
    pub fn console_io(&self) -> Vec<u8> {
        with(|state| state.console.clone().unwrap_or_default())
    }

    /// How often the guest notified the other end of `port`.
    #[must_use]
    pub fn notifications(&self, port: u32) -> u64 {
        with(|state| state.notifications.get(&port).copied().unwrap_or(0))
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        STATE.set(None);
        DOMAIN.set(None);
    }
}

/// This thread's domain, if it has a hypervisor.
#[must_use]
pub fn attached() -> Option<&'static Domain> {
    DOMAIN.get()
}

/// Sets this thread's time stamp counter, which stands still otherwise.
pub fn set_tsc(ticks: u64) {
    TSC.set(ticks);
}

pub(crate) fn rdtsc() -> u64 {
    TSC.get()
}

fn with<T>(f: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(|state| {
        f(state.as_mut().expect("no fake hypervisor on this thread: make one with Fake::new()"))
    })
}

/// Carries out hypercall `nr`.
///
/// # Safety
/// Pointers in `args` are what that hypercall takes.
pub(crate) unsafe fn hypercall(nr: u32, args: [u64; 4]) -> i64 {
    let op = args[0] as u32;
    match nr {
        __HYPERVISOR_event_channel_op if op == EVTCHNOP_send => {
            // SAFETY: EVTCHNOP_send takes an evtchn_send.
            let send = unsafe { *(args[1] as *const evtchn_send) };
            with(|state| *state.notifications.entry(send.port).or_default() += 1);
            0
        }
        __HYPERVISOR_event_channel_op if op == EVTCHNOP_close => {
            // SAFETY: EVTCHNOP_close takes an evtchn_close.
            let close = unsafe { *(args[1] as *const evtchn_close) };
            with(|state| state.closed.push(close.port));
            0
        }
        __HYPERVISOR_sched_op if op == SCHEDOP_shutdown => {
            // SAFETY: SCHEDOP_shutdown takes a sched_shutdown.
            let shutdown = unsafe { *(args[1] as *const sched_shutdown) };
            panic!("the domain shut down, reason {}", shutdown.reason);
        }
        __HYPERVISOR_console_io => with(|state| match &mut state.console {
            Some(console) => {
                // SAFETY: CONSOLEIO_write takes a length and a pointer to as many bytes.
                let text =
                    unsafe { std::slice::from_raw_parts(args[2] as *const u8, args[1] as usize) };
                console.extend_from_slice(text);
                0
            }
            None => EPERM,
        }),
        _ => ENOSYS,
    }
}

/// A page of zeros that lives for the rest of the process.
#[must_use]
pub fn leaked_page() -> SharedPage {
    #[repr(align(4096))]
    struct Page(UnsafeCell<[u8; 4096]>);
    let page: &'static Page = Box::leak(Box::new(Page(UnsafeCell::new([0; 4096]))));
    let base = NonNull::new(page.0.get()).expect("a reference is not null");
    // SAFETY: aligned, and leaked, so it stays mapped.
    unsafe { SharedPage::new(base.cast()) }
}

pub(crate) fn virt_to_mfn(address: usize) -> u64 {
    address as u64 >> 12
}

pub(crate) fn map_frame(_: u64) -> Option<SharedPage> {
    None
}

pub(crate) fn page_freed(_: usize) {}
