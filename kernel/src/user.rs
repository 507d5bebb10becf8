//! Runs programs in user mode, each in an address space of its own, where it reaches no byte of
//! the kernel and no device.
//!
//! A [`Space`] says which page of memory is where. A [`Context`] holds the registers of a thread
//! while it does not run. [`Space::run`] lets it run, and returns why it stopped: it called, it
//! did what it may not, or there is something else to do. What a call means is up to the caller.
//!
//! Nothing of this trusts the program: whatever it does ends in an [`Exit`].
//!
//! In tests on a host a function plays the program (`testing::play`).
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use xenith::user::{Access, Context, Exit, Frame, Space};
//!
//! # xenith::testing::play(|_, context| {
//! #     context.registers_mut().rax = 7;
//! #     Exit::Call
//! # });
//! /// `mov eax, 7; syscall`
//! const PROGRAM: &[u8] = &[0xb8, 7, 0, 0, 0, 0x0f, 0x05];
//!
//! let mut space = Space::new()?;
//! let code = Frame::new().ok_or("no memory")?;
//! code.write(0, PROGRAM);
//! space.map(0x40_0000, code, Access::READ | Access::EXECUTE)?;
//! let mut thread = Context::new(0x40_0000, 0).ok_or("no memory")?;
//! while space.run(&mut thread)? == Exit::Event {}
//! assert_eq!(thread.registers().rax, 7);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

pub use crate::machine::program::{
    Access, Error, Exit, Invalid, PAGE, Registers, Stats, TOP, Trap,
};
pub use crate::machine::user::{Context, Frame, Space, ran, time_ahead, time_record};

#[cfg(test)]
mod tests;
