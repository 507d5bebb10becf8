//! Provides the devices that Xen gives a guest, and their Linux counterparts.
//!
//! A device class is a module: its `mod.rs` holds the trait and picks what the
//! target offers, one file a driver. An app names types of this crate in its
//! manifest and takes `impl Trait` in its `start`.
//!
//! * [`console`]: the byte streams of the console
//! * [`net`]: network interfaces, which carry Ethernet frames
//! * [`block`]: sectors on a disk

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(target_os = "xen"))]
extern crate std;

pub mod block;
pub mod console;
pub mod frontend;
pub mod net;

#[cfg(target_os = "xen")]
pub use block::blkfront::Blkfront as Block;
#[cfg(not(target_os = "xen"))]
pub use block::file::File as Block;
pub use console::Console;
#[cfg(target_os = "xen")]
pub use net::netfront::Netfront as Net;
#[cfg(not(target_os = "xen"))]
pub use net::tap::Tap as Net;
