//! What a paravirtualised guest says to Xen, and nothing else.
//!
//! Everything here is a thin, typed layer over the public ABI: no device, no
//! scheduling, no policy. The one hypercall instruction stands in
//! [`hypercall`]; on any other operating system than `xen` that module speaks
//! to `fake`, a hypervisor inside the test process, so that all code above
//! runs unchanged in `cargo test`.
//!
//! * [`public`]: layouts and constants, one file per public Xen header
//! * [`hypercall`]: the seam; one function per hypercall
//! * [`start`]: what the domain builder tells a guest at its start
//! * [`memory`]: frame numbers, machine-to-physical lookup, [`memory::SharedPage`]
//! * [`ring`]: the arithmetic of shared rings
//! * [`evtchn`]: event channels
//! * [`gnttab`]: pages lent to other domains
//! * [`xenstore`]: the tree of settings that all domains share
//! * [`xenbus`]: how a front end and its back end come together
//! * [`domain()`]: what this domain shares with Xen
//! * [`time`]: the paravirtual clock
//! * [`watchdog`]: a timer that finds a guest that hangs
//!
//! On a host, [`hypercall`] calls `fake`, and the fake is built from everything else
//! in here. That circle is what a seam with a stand-in behind it is; it is the only one.
//!
//! Two rules hold everywhere: no reference ever points into memory that a peer
//! domain may write, and nothing that a peer writes can cause a panic or an
//! endless loop.

#![cfg_attr(target_os = "xen", no_std)]

extern crate alloc;

mod domain;
pub mod errno;
pub mod evtchn;
pub mod gnttab;
pub mod hypercall;
mod ids;
pub mod memory;
pub mod public;
pub mod ring;
pub mod start;
pub mod time;
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

/// Says what this domain shares with Xen: once, at boot.
#[cfg(target_os = "xen")]
pub fn attach(shared_info: memory::SharedPage, frames: memory::Frames) {
    DOMAIN.call_once(|| Domain::new(shared_info, frames, &EVENTS));
}

/// This domain, once it is [attached](attach).
#[cfg(target_os = "xen")]
#[must_use]
pub fn attached() -> Option<&'static Domain> {
    DOMAIN.get()
}

#[cfg(not(target_os = "xen"))]
pub use fake::attached;

/// This domain.
///
/// # Panics
/// Before boot came that far.
#[must_use]
pub fn domain() -> &'static Domain {
    attached().expect("the shared info page is not mapped yet")
}
