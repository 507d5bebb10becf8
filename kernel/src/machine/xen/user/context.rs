//! The registers of a thread.

use super::processor::forget_record;
use crate::machine::program::{
    Invalid, Registers, check_canonical, reset_xstate, user_flags, write_xstate,
};
use crate::machine::xen::xstate::{self, Units};
use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::mem::offset_of;
use core::ptr::NonNull;

/// What is in front of an area for XSAVE.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct State {
    /// Room for the frame of an exception at the entries themselves, so that it is reported.
    below: [u64; 26],
    /// Xen's frame, and what the entries push.
    pub(super) registers: Registers,
    pub(super) fs_base: u64,
    pub(super) gs_base: u64,
    /// What the processor saves, here as each call of the program asks for it.
    pub(super) units: Units,
}

/// Offset of the registers in a [`State`].
pub(super) const REGISTERS: usize = offset_of!(State, registers);

/// Offset of the area for XSAVE.
pub(super) const AREA: usize = size_of::<State>();

// Xen rounds the end of its stack down to 16, and XSAVE wants 64.
const _: () = assert!(offset_of!(State, fs_base).is_multiple_of(16));
const _: () = assert!(AREA.is_multiple_of(64));

/// Holds the registers of a thread of a program, while it does not run.
#[derive(Debug)]
pub struct Context {
    state: NonNull<State>,
}

/// Returns the layout of a [`State`] with its area, and the length of that.
fn layout() -> (Layout, usize) {
    let size = xstate::units().size;
    let layout = Layout::from_size_align(AREA + size, align_of::<State>());
    // No processor saves so much that this would overflow.
    (layout.unwrap_or(Layout::new::<State>()), size)
}

impl Context {
    /// Makes a thread that begins at `rip` with the stack `rsp`; all other registers are as the
    /// processor has them after a reset of user mode. Returns `None` if there is no memory.
    #[must_use]
    pub fn new(rip: u64, rsp: u64) -> Option<Self> {
        // SAFETY: the layout has a size.
        let state = unsafe { alloc_zeroed(layout().0) };
        let mut context = Self { state: NonNull::new(state.cast())? };
        reset_xstate(context.area());
        context.state_mut().units = xstate::units();
        *context.registers_mut() =
            Registers { rip, rsp, rflags: user_flags(0), ..Registers::default() };
        Some(context)
    }

    /// Makes a thread with equal registers, or returns `None` if there is no memory.
    #[must_use]
    pub fn copy(&self) -> Option<Self> {
        let mut copy = Self::new(0, 0)?;
        copy.area().copy_from_slice(self.xstate());
        let (from, to) = (self.state(), copy.state_mut());
        (to.registers, to.fs_base, to.gs_base) = (from.registers, from.fs_base, from.gs_base);
        Some(copy)
    }

    /// Returns the address behind the registers.
    pub(super) fn end(&self) -> usize {
        self.state.addr().get() + REGISTERS + size_of::<Registers>()
    }

    pub(super) const fn state(&self) -> &State {
        // SAFETY: allocated by `new`, zeroed, and Xen writes it only while user mode runs.
        unsafe { self.state.as_ref() }
    }

    pub(super) const fn state_mut(&mut self) -> &mut State {
        // SAFETY: as above.
        unsafe { self.state.as_mut() }
    }

    /// Returns the address of the area.
    pub(super) const fn area_address(&self) -> NonNull<u8> {
        // SAFETY: inside the allocation.
        unsafe { self.state.cast::<u8>().add(AREA) }
    }

    fn area(&mut self) -> &mut [u8] {
        // SAFETY: allocated and initialised by `new`, and borrowed as `self` is.
        unsafe { core::slice::from_raw_parts_mut(self.area_address().as_ptr(), layout().1) }
    }

    /// Returns the general registers.
    #[must_use]
    pub const fn registers(&self) -> &Registers {
        &self.state().registers
    }

    /// Returns the general registers for changes. Flags that a program may not have do not get
    /// into the processor.
    pub const fn registers_mut(&mut self) -> &mut Registers {
        &mut self.state_mut().registers
    }

    /// Returns the base of the segment FS.
    #[must_use]
    pub const fn fs_base(&self) -> u64 {
        self.state().fs_base
    }

    /// Sets the base of the segment FS.
    ///
    /// # Errors
    /// [`Invalid`] for an address that is not canonical.
    pub fn set_fs_base(&mut self, base: u64) -> Result<(), Invalid> {
        check_canonical(base)?;
        forget_record(self.end());
        self.state_mut().fs_base = base;
        Ok(())
    }

    /// Returns the base of the segment GS.
    #[must_use]
    pub const fn gs_base(&self) -> u64 {
        self.state().gs_base
    }

    /// Sets the base of the segment GS.
    ///
    /// # Errors
    /// [`Invalid`] for an address that is not canonical.
    pub fn set_gs_base(&mut self, base: u64) -> Result<(), Invalid> {
        check_canonical(base)?;
        forget_record(self.end());
        self.state_mut().gs_base = base;
        Ok(())
    }

    /// Returns the state of x87, SSE and AVX in the standard format of XSAVE (Intel's manual,
    /// volume 1, section 13.4).
    #[must_use]
    pub fn xstate(&self) -> &[u8] {
        // SAFETY: allocated and initialised by `new`, and borrowed as `self` is.
        unsafe { core::slice::from_raw_parts(self.area_address().as_ptr(), layout().1) }
    }

    /// Sets that state, of which `state` is the whole, or the 512 bytes of FXSAVE; then the rest
    /// becomes initial.
    ///
    /// # Errors
    /// [`Invalid`] for another length, and for bits that the processor refuses.
    pub fn set_xstate(&mut self, state: &[u8]) -> Result<(), Invalid> {
        write_xstate(self.area(), state, xstate::units().features)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        forget_record(self.end());
        // SAFETY: allocated with this layout, and not used any more.
        unsafe { dealloc(self.state.as_ptr().cast(), layout().0) };
    }
}
