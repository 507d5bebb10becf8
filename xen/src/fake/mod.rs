//! A hypervisor for host tests, one per test thread.
//!
//! It is what [`crate::hypercall`] calls when the target is not Xen: it decodes
//! the same numbers and structures, so everything above runs unchanged. Behind
//! it are the other parts of a host that a front end meets: event channels and
//! who is at their other ends, the grant table as Xen reads it, xenstored with
//! its ring, and back ends of network interfaces and of block devices.
//!
//! Nothing happens by itself: a test calls [`Fake::step`], which lets xenstored
//! and the back ends do what they have been notified of, and then
//! [`crate::evtchn::scan`], until [`Fake::step`] has nothing more to do. They
//! look at a ring only when an event or their own work leads them there, so a
//! notification that a front end forgets shows as a hang.
//!
//! What a guest must never do is a panic that names the rule; what a peer must
//! never do is done on request: see [`netback::Misdeed`], [`blkback::Misdeed`] and [`store::Misdeed`].

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
mod vcpu;

#[cfg(test)]
pub(crate) mod tests;

use crate::evtchn::PortNumber;
use crate::gnttab::{GrantRef, Shared, Table};
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
use store::{Daemon, Store};
use vcpu::Vcpu;

pub(crate) use abi::hypercall;

const EPERM: i64 = -1;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;
const ENOSPC: i64 = -28;
const ENOSYS: i64 = -38;

/// The number of the guest's domain.
fn guest() -> DomId {
    GUEST.get()
}

/// All but the back ends.
struct Host {
    events: Events,
    frames: Frames,
    grants: Grants,
    store: Daemon,
    vcpu: Vcpu,
}

struct State {
    host: Host,
    /// The page of xenstore.
    ring: NonNull<u8>,
    console: Option<Vec<u8>>,
    netbacks: BTreeMap<u32, Backend>,
    blkbacks: BTreeMap<u32, blkback::Backend>,
    may_leak: bool,
}

impl State {
    /// The back end of a device, whichever class it is of, and what stands around it.
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
    static TSC: Cell<u64> = const { Cell::new(0) };
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// The handle to this thread's fake hypervisor, which lives as long as it.
///
/// Dropping it panics when the guest leaks anything: see [`Fake::assert_no_leaks`].
#[derive(Debug)]
pub struct Fake(());

impl Fake {
    /// Starts a hypervisor for this thread, and a domain with number 1 that
    /// has a xenstore and no devices.
    ///
    /// # Panics
    /// When this thread has one already.
    #[must_use]
    pub fn new() -> Self {
        Self::with_domain(DomId(1))
    }

    /// Starts a hypervisor for this thread, and a domain with number `domain`.
    ///
    /// # Panics
    /// When this thread has one already.
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
            *state = Some(State { host, ring, console: None, netbacks, blkbacks, may_leak: false });
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

    /// Lets xenstored and all back ends do what they have to do. Returns
    /// whether anything happened.
    ///
    /// # Panics
    /// When the guest broke a rule: a grant that it cleared while it was in
    /// use (G4), an entry that is not its own (G8), a request that makes no
    /// sense (N10).
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

    /// Makes `port` pending, as its other end does.
    ///
    /// # Panics
    /// When there is no such port.
    pub fn raise(&self, port: PortNumber) {
        events::raise(port);
    }

    /// The ports that the guest closed, in order.
    #[must_use]
    pub fn closed(&self) -> Vec<PortNumber> {
        with(|state| state.host.events.closed.clone())
    }

    /// How often the guest notified the other end of `port`.
    #[must_use]
    pub fn notifications(&self, port: PortNumber) -> u64 {
        with(|state| state.host.events.notifications.get(&port).copied().unwrap_or(0))
    }

    /// Lets the guest make at most `count` ports (`ENOSPC` beyond).
    pub fn limit_ports(&self, count: usize) {
        with(|state| state.host.events.limit = count);
    }

    /// Lets the guest's grant table have at most `count` frames, each of 512 entries.
    pub fn limit_grant_frames(&self, count: usize) {
        with(|state| state.host.grants.limit = count);
    }

    /// Writes `bytes` into the page that the guest lends to domain `peer` by
    /// `reference`, from byte `at` on, as that domain may at any time.
    ///
    /// # Panics
    /// When that is no such page, or they do not fit.
    pub fn write_lent(&self, peer: DomId, reference: GrantRef, at: usize, bytes: &[u8]) {
        let written = with(|State { host: Host { grants, frames, .. }, .. }| {
            grants.copy_to(reference, peer, at, bytes, frames)
        });
        written.unwrap_or_else(|status| panic!("grant {reference} of domain {peer}: {status}"));
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

    /// Xenstored, and its tree.
    #[must_use]
    pub fn store(&self) -> Store<'_> {
        Store::new(self)
    }

    /// The back end of network interface `id`, which is plugged in when it is
    /// asked for the first time.
    #[must_use]
    pub fn netback(&self, id: u32) -> Netback<'_> {
        with(|state| {
            let host = &mut state.host;
            state.netbacks.entry(id).or_insert_with(|| Backend::plug(id, host));
        });
        Netback::new(self, id)
    }

    /// The back end of block device `id`, as Xen numbers it, which is plugged in when
    /// it is asked for the first time.
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
    drop(Shared::new(DomId::DOM0, 1));
    crate::evtchn::stats().open == 0 && crate::gnttab::stats().used == 0
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

/// The frame of the guest's page at `address`: the same one until it is freed.
pub(crate) fn virt_to_mfn(address: usize) -> u64 {
    with(|state| state.host.frames.number(address))
}

/// The page of a frame that the hypervisor made for the guest.
pub(crate) fn map_frame(mfn: u64) -> Option<NonNull<u8>> {
    with(|state| state.host.frames.place(mfn))
}

/// The guest gave the page at `address` back to its allocator.
///
/// Panics when another domain can still use it (rule G4), or it holds what
/// another domain may have written (rule G2).
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

/// A page of zeros that lives for the rest of the process.
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
