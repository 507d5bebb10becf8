//! A hypervisor for host tests, one per test thread.
//!
//! On a host, [`crate::hypercall`] calls it. It decodes the same numbers and structures as Xen, so
//! all code above runs unchanged. It also simulates the rest of a Xen host that a front end needs:
//! event channels with their remote ends, the grant table as Xen reads it, xenstored with its
//! ring, and back ends of network interfaces and of block devices.
//!
//! Nothing happens by itself. A test calls [`Fake::step`], in which xenstored and the back ends
//! handle their notifications, and then [`crate::evtchn::scan`], until `step` returns false. They
//! look at a ring only after a notification or while they have work, as the real ones do, so a
//! notification that a front end forgets shows as a hang.
//!
//! If the guest does what a guest must never do, the fake panics and names the rule. On request
//! it does what a peer must never do: see [`netback::Misdeed`], [`blkback::Misdeed`] and
//! [`store::Misdeed`].

mod abi;
pub mod blkback;
mod events;
mod frames;
mod grants;
mod leaks;
pub mod netback;
pub mod peer;
mod ring;
mod script;
pub mod store;
mod suspend;
mod vcpu;

#[cfg(test)]
pub(crate) mod tests;

use crate::evtchn::PortNumber;
use crate::gnttab::{GrantRef, ReadWriteGrant, Table};
use crate::memory::{Frames as GuestFrames, PAGE_SIZE, SharedPage};
use crate::xenstore::Client;
use crate::{DomId, Domain};
use events::Events;
use frames::{Frames, leaked};
use grants::Grants;
pub use leaks::Baseline;
use netback::{Backend, Netback};
use peer::Peer;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use store::{Daemon, Store};
use vcpu::Vcpu;

pub(crate) use abi::hypercall;

const EPERM: i64 = -1;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;
const ENOSPC: i64 = -28;
const ENOSYS: i64 = -38;

/// Returns the id of the guest's domain.
fn guest() -> DomId {
    GUEST.get()
}

/// The host without its back ends.
struct Host {
    events: Events,
    frames: Frames,
    grants: Grants,
    store: Daemon,
    vcpu: Vcpu,
}

struct State {
    host: Host,
    /// The page of xenstore's ring.
    ring: NonNull<u8>,
    console: Option<Vec<u8>>,
    netbacks: BTreeMap<u32, Backend>,
    blkbacks: BTreeMap<u32, blkback::Backend>,
    may_leak: bool,
    /// The domain that the guest is after the next suspension, if it is another one.
    resumes_as: Option<DomId>,
}

impl State {
    /// Returns the back end of a device of any class, and the host.
    fn peer(&mut self, class: peer::Class, id: u32) -> (Option<&mut dyn Peer>, &mut Host) {
        let peer = match class {
            netback::CLASS => self.netbacks.get_mut(&id).map(|it| it as &mut dyn Peer),
            blkback::CLASS => self.blkbacks.get_mut(&id).map(|it| it as &mut dyn Peer),
            _ => None,
        };
        (peer, &mut self.host)
    }
}

thread_local! {
    static DOMAIN: Cell<Option<&'static Domain>> = const { Cell::new(None) };
    /// The domain of a hypervisor that is gone, for the next one: a domain may
    /// be referred to for ever, but a fuzzer makes millions.
    static SPARE: Cell<Option<&'static Domain>> = const { Cell::new(None) };
    /// Pages of hypervisors that are gone. They stay mapped.
    static PAGES: RefCell<Vec<NonNull<u8>>> = const { RefCell::new(Vec::new()) };
    static GUEST: Cell<DomId> = const { Cell::new(DomId(1)) };
    static GENERATIONS: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
    static TSC: Cell<u64> = const { Cell::new(0) };
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// Starts and controls this thread's fake hypervisor, which lives as long as this handle.
///
/// Dropping it panics if the guest leaks anything: see [`Fake::assert_no_leaks`].
#[derive(Debug)]
pub struct Fake(());

impl Fake {
    /// Starts a hypervisor for this thread, with a domain of id 1 that has xenstore and no
    /// devices.
    ///
    /// # Panics
    /// If this thread has one already.
    #[must_use]
    pub fn new() -> Self {
        Self::with_domain(DomId(1))
    }

    /// Starts a hypervisor for this thread, with a domain of id `domain`.
    ///
    /// # Panics
    /// If this thread has one already.
    #[must_use]
    pub fn with_domain(domain: DomId) -> Self {
        GUEST.set(domain);
        let ring = leak();
        STATE.with_borrow_mut(|state| {
            assert!(state.is_none(), "this thread has a hypervisor already");
            let host = Host {
                events: Events::default(),
                frames: Frames::default(),
                grants: Grants::default(),
                store: Daemon::new(leaked(ring)),
                vcpu: Vcpu::default(),
            };
            let (netbacks, blkbacks) = (BTreeMap::new(), BTreeMap::new());
            let (console, may_leak, resumes_as) = (None, false, None);
            *state = Some(State { host, ring, console, netbacks, blkbacks, may_leak, resumes_as });
        });
        // Leaked like its page: a domain lives until the end of its thread.
        let domain = SPARE.take().unwrap_or_else(|| {
            let events = Box::leak(Box::new(crate::evtchn::Events::new()));
            Box::leak(Box::new(Domain::new(leaked_page(), GuestFrames::NONE, events)))
        });
        // Events are masked at first: `evtchn_upcall_mask` is 1.
        domain.shared_info.set_bits(events::VCPU, 1 << 8);
        DOMAIN.set(Some(domain));
        crate::xenstore::attach(leaked(ring), store::PORT);
        Self(())
    }

    /// Runs xenstored and all back ends once. Returns whether any of them did anything.
    ///
    /// # Panics
    /// If the guest broke a rule: it cleared a grant that was in use (G4), changed a reserved
    /// entry (G8) or sent a malformed request (N10).
    pub fn step(&self) -> bool {
        with(|state| {
            state.host.grants.check();
            let mut busy = state.host.store.step(&mut state.host.events);
            for netback in state.netbacks.values_mut() {
                busy |= netback.step(&mut state.host);
            }
            for blkback in state.blkbacks.values_mut() {
                busy |= blkback.step(&mut state.host);
            }
            state.host.grants.check();
            busy
        })
    }

    /// Raises an event on `port`, as its remote end does.
    ///
    /// # Panics
    /// If there is no such port.
    pub fn raise(&self, port: PortNumber) {
        events::raise(port);
    }

    /// Returns the ports that the guest closed, in order.
    #[must_use]
    pub fn closed(&self) -> Vec<PortNumber> {
        with(|state| state.host.events.closed.clone())
    }

    /// Returns how often the guest notified the remote end of `port`.
    #[must_use]
    pub fn notifications(&self, port: PortNumber) -> u64 {
        with(|state| state.host.events.notifications.get(&port).copied().unwrap_or(0))
    }

    /// Limits the guest to `count` ports (`ENOSPC` beyond).
    pub fn limit_ports(&self, count: usize) {
        with(|state| state.host.events.limit = count);
    }

    /// Limits the guest's grant table to `count` frames of 512 entries.
    pub fn limit_grant_frames(&self, count: usize) {
        with(|state| state.host.grants.limit = count);
    }

    /// Writes `bytes` into the page that the guest granted to domain `peer` by `reference`, from
    /// byte `at` on, as that domain may do at any time.
    ///
    /// # Panics
    /// If there is no such grant, or the bytes do not fit into the page.
    pub fn write_lent(&self, peer: DomId, reference: GrantRef, at: usize, bytes: &[u8]) {
        let written = with(|State { host: Host { grants, frames, .. }, .. }| {
            grants.copy_to(reference, peer, at, bytes, frames)
        });
        written.unwrap_or_else(|status| panic!("grant {reference} of domain {peer}: {status}"));
    }

    /// Grants the guest a page of domain `peer` to read, by `reference`.
    pub fn show(&self, peer: DomId, reference: GrantRef, page: &[u8; PAGE_SIZE]) {
        with(|state| state.host.grants.shown.insert((peer, reference), *page));
    }

    /// Reads the guest's frame `mfn`, as the toolstack does.
    ///
    /// # Panics
    /// If the guest has no such frame.
    pub fn read_frame(&self, mfn: u64, to: &mut [u8; PAGE_SIZE]) {
        let page = with(|state| state.host.frames.page(mfn));
        page.unwrap_or_else(|| panic!("the guest has no frame {mfn:#x}")).copy_out(0, to);
    }

    /// Allows `CONSOLEIO_write`, as a debug build of Xen does.
    pub fn allow_console_io(&self) {
        with(|state| state.console = Some(Vec::new()));
    }

    /// Returns what the guest printed with `CONSOLEIO_write`.
    #[must_use]
    pub fn console_io(&self) -> Vec<u8> {
        with(|state| state.console.clone().unwrap_or_default())
    }

    /// Returns the handle to xenstored and its tree.
    #[must_use]
    pub fn store(&self) -> Store<'_> {
        Store::new(self)
    }

    /// Returns the back end of network interface `id`. The first call attaches the interface.
    #[must_use]
    pub fn netback(&self, id: u32) -> Netback<'_> {
        with(|state| {
            let host = &mut state.host;
            state.netbacks.entry(id).or_insert_with(|| Backend::plug(id, host));
        });
        Netback::new(self, id)
    }

    /// Returns the back end of block device `id`, as Xen numbers it (51712 is `xvda`). The first
    /// call attaches the device.
    #[must_use]
    pub fn blkback(&self, id: u32) -> blkback::Blkback<'_> {
        with(|state| {
            let host = &mut state.host;
            state.blkbacks.entry(id).or_insert_with(|| blkback::Backend::plug(id, host));
        });
        blkback::Blkback::new(self, id)
    }
}

impl Default for Fake {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if std::thread::panicking() {
            STATE.set(None);
            DOMAIN.set(None);
            return;
        }
        let leaks = if with(|state| state.may_leak) {
            String::new()
        } else {
            self.settle();
            leaks::since(&Baseline::default())
        };
        let idle = release();
        let state = STATE.take();
        let domain = DOMAIN.take().filter(|_| idle);
        if let Some((domain, State { host, ring, .. })) = domain.zip(state) {
            *domain.grants.lock() = Table::new();
            domain.shared_info.copy_in(0, &[0; PAGE_SIZE]);
            SPARE.set(Some(domain));
            PAGES.with_borrow_mut(|pages| pages.extend(host.frames.into_own().chain([ring])));
        }
        assert!(leaks.is_empty(), "rule R12: {leaks}");
    }
}

/// Ends everything that is between the guest and the others. Whether the guest
/// holds nothing more, so that its domain and its pages may be used again.
fn release() -> bool {
    with(|State { host, netbacks, blkbacks, .. }| {
        netbacks.values_mut().for_each(|it| it.die(host));
        blkbacks.values_mut().for_each(|it| it.die(host));
    });
    let domain = crate::domain();
    let client = std::mem::replace(&mut *domain.store.lock(), Client::new());
    drop(client);
    // What is in quarantine comes back when something is lent.
    drop(ReadWriteGrant::new(DomId::DOM0, 1));
    crate::evtchn::stats().open == 0 && crate::gnttab::stats().used == 0
}

/// Returns this thread's domain, or `None` if it has no hypervisor.
#[must_use]
pub fn attached() -> Option<&'static Domain> {
    DOMAIN.get()
}

/// Returns the count of this thread's generations.
pub(crate) fn generations() -> &'static AtomicU32 {
    GENERATIONS.with(|count| *count)
}

/// Sets this thread's time stamp counter. It stands still otherwise.
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

/// Returns the frame of the guest's page at `address`: the same one until it is freed.
pub(crate) fn virt_to_mfn(address: usize) -> u64 {
    with(|state| state.host.frames.number(address))
}

/// Returns the page of a frame that the hypervisor made for the guest.
pub(crate) fn map_frame(mfn: u64) -> Option<NonNull<u8>> {
    with(|state| state.host.frames.address_of(mfn))
}

/// Notes that the guest gave the page at `address` back to its allocator.
///
/// Panics if another domain can still use it (rule G4), or if it is not zeroed (rule G2).
pub(crate) fn page_freed(address: usize) {
    // A second panic would end the process instead of the test.
    if std::thread::panicking() {
        return;
    }
    STATE.with_borrow_mut(|state| {
        // Without a hypervisor any more, nobody uses it.
        let Some(State { host, .. }) = state else { return };
        if let Some(mfn) = host.frames.known(address) {
            host.grants.freed(mfn);
            let mut content = [0; PAGE_SIZE];
            host.frames.page(mfn).inspect(|page| page.copy_out(0, &mut content));
            assert!(content == [0; PAGE_SIZE], "rule G2: the guest freed a page without scrubbing");
            host.frames.forget(address);
        }
    });
}

/// Returns a page of zeros that is never freed.
#[must_use]
pub fn leaked_page() -> SharedPage {
    leaked(leak())
}

fn leak() -> NonNull<u8> {
    #[repr(align(4096))]
    struct Page(UnsafeCell<[u8; PAGE_SIZE]>);
    if let Some(base) = PAGES.with_borrow_mut(Vec::pop) {
        leaked(base).copy_in(0, &[0; PAGE_SIZE]);
        return base;
    }
    let page: &'static Page = Box::leak(Box::new(Page(UnsafeCell::new([0; PAGE_SIZE]))));
    NonNull::new(page.0.get()).expect("a reference is not null").cast()
}
