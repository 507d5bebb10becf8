//! Speaks to Xen as a paravirtualised (PV) guest: hypercalls, event channels, grants, rings,
//! xenstore and the clocks.
//!
//! Everything here is a thin, typed layer over Xen's public ABI (the headers in
//! `xen/include/public` of its sources, `/usr/include/xen` where they are installed): no device,
//! no scheduling, no policy. The one hypercall instruction stands in [`hypercall`]. On a host
//! that module calls `fake`, a hypervisor inside the test process, so that all code above runs
//! unchanged in `cargo test`.
//!
//! * [`public`]: layouts and constants, one module per public header
//! * [`hypercall`]: one function per hypercall
//! * [`start`]: `start_info`, which the domain builder passes to the guest
//! * [`memory`]: frame numbers, pages of the guest and pages that a peer may write
//! * [`ring`]: the two kinds of shared rings
//! * [`evtchn`]: event channels
//! * [`gnttab`]: the grant table, by which pages are shared with other domains
//! * [`xenstore`]: the client of xenstored
//! * [`xenbus`]: the handshake of a front end with its back end
//! * [`p2m`]: the tree by which the toolstack finds the domain's frames
//! * [`suspend`]: what ends and begins with another domain
//! * [`generation`]: how handles know that
//! * [`domain()`]: the state that this domain shares with Xen
//! * [`time`]: the clocks
//! * [`timer`]: the vCPU's timer, for time slices
//! * [`upcall`]: how events enter the guest
//! * [`watchdog`]: detection of a guest that hangs
//!
//! A *domain* is a virtual machine; domain 0 runs the toolstack (`xl`). A *front end* is the
//! driver of a virtual device in the guest, a *back end* its counterpart in another domain: the
//! *peer*. Xen numbers memory twice: a *machine frame number* (mfn) is the hardware's, a
//! *pseudo-physical frame number* (pfn) counts this domain's own frames from 0.
//!
//! On a host, [`hypercall`] calls `fake`, which is built from everything else in here. That is the
//! only import circle, and it comes with replacing what is below a seam.
//!
//! Two rules hold everywhere: no reference ever points into memory that a peer may write, and
//! nothing that a peer writes causes a panic or an endless loop. Rules with a letter and a number,
//! such as R3, are those of `docs/src/rules.md`.

#![cfg_attr(target_os = "xen", no_std)]

extern crate alloc;

mod domain;
pub mod errno;
pub mod evtchn;
pub mod generation;
pub mod gnttab;
pub mod hypercall;
mod ids;
pub mod memory;
pub mod p2m;
pub mod public;
pub mod ring;
pub mod start;
pub mod suspend;
pub mod time;
pub mod timer;
pub mod upcall;
pub mod watchdog;
pub mod xenbus;
pub mod xenstore;

#[cfg(not(target_os = "xen"))]
pub mod fake;

pub use domain::Domain;
pub use errno::Errno;
pub use ids::{DomId, GrantRef, PortNumber};

#[cfg(target_os = "xen")]
static DOMAIN: spin::Once<Domain> = spin::Once::new();

#[cfg(target_os = "xen")]
static EVENTS: evtchn::Events = evtchn::Events::new();

/// Counts the domains that this guest has been before. By itself, so that the compiler sees where
/// nothing writes it.
#[cfg(target_os = "xen")]
static GENERATIONS: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);

/// Returns the count of [`generation`].
#[cfg(target_os = "xen")]
pub(crate) fn generations() -> &'static core::sync::atomic::AtomicU32 {
    &GENERATIONS
}

/// Sets the state that this domain shares with Xen. Boot calls it once; further calls do nothing.
#[cfg(target_os = "xen")]
pub fn attach(shared_info: memory::SharedPage, frames: memory::Frames) {
    DOMAIN.call_once(|| Domain::new(shared_info, frames, &EVENTS));
}

/// Returns this domain, or `None` before [`attach`].
#[cfg(target_os = "xen")]
#[must_use]
pub fn attached() -> Option<&'static Domain> {
    DOMAIN.get()
}

#[cfg(not(target_os = "xen"))]
pub use fake::attached;
#[cfg(not(target_os = "xen"))]
pub(crate) use fake::generations;

/// Returns this domain.
///
/// # Panics
/// Before boot has mapped the shared info page.
#[must_use]
pub fn domain() -> &'static Domain {
    attached().expect("the shared info page is not mapped yet")
}
