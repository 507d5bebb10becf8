//! Runs programs, and tells why they stop.

use super::context::Context;
use super::entry::{self, CALL, EVENT, slice_is_set};
use super::processor::{has_record, set_bases, set_record, set_root};
use super::space::Space;
use super::table::{Table, refused};
use crate::machine::program::{Access, Error, Exit, PAGE, Registers, Trap, user_flags};
use crate::machine::xen::report::fault_address;
use crate::machine::xen::{watchdog, xstate};
use ::xen::Errno;
use ::xen::memory::Mfn;
use ::xen::public::user::{FLAT_USER_CS64, FLAT_USER_SS64, VGCF_IN_SYSCALL};
use ::xen::{evtchn, timer, upcall};

/// How long a program runs when nothing happens, in ns.
const SLICE: u64 = 10_000_000;

/// Vectors of exceptions.
const PAGE_FAULT: u64 = 14;
const GENERAL_PROTECTION: u8 = 13;

/// Bits of a page fault's error code: a page is there, writing, executing.
const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const EXECUTE: u64 = 1 << 4;

/// Makes `context` the thread whose registers the processor has.
#[cold]
fn switch(context: &mut Context) -> Result<(), Errno> {
    let end = context.end();
    if !has_record(end) {
        // SAFETY: the registers are there, and a thread that is dropped says so.
        unsafe { set_record(end) }?;
    }
    set_bases(context.fs_base(), context.gs_base())?;
    context.state_mut().rebased = false;
    Ok(())
}

/// Goes to user mode, unless an event is pending. Returns whether one is.
fn enter(context: &mut Context) -> Result<bool, Errno> {
    let page = &::xen::domain().shared_info;
    let masked = upcall::is_masked(page);
    upcall::mask(page);
    if !slice_is_set() {
        timer::set(SLICE)?;
        entry::set_slice(true);
    }
    // Events of devices interrupt user mode, and nothing else.
    let mut pending = evtchn::unmask_all() || upcall::is_pending(page);
    if !pending {
        let (units, area) = (xstate::units(), context.area_address().as_ptr());
        let registers = &mut context.state_mut().registers;
        registers.rflags = user_flags(registers.rflags);
        (registers.cs, registers.ss) = (FLAT_USER_CS64, FLAT_USER_SS64);
        // What `sysret` takes is what `syscall` has left, or the thread gets all of it.
        let by_sysret = registers.rcx == registers.rip && registers.r11 == registers.rflags;
        let flags = if by_sysret { VGCF_IN_SYSCALL } else { 0 };
        // SAFETY: the area is of that size, and what is in it was saved or checked.
        unsafe { units.restore(area) };
        // SAFETY: the program reaches its own pages alone, and comes back by an entry that
        // restores what a function keeps.
        unsafe { entry::enter(registers, flags) };
        // SAFETY: as above.
        unsafe { units.save(area) };
        pending = registers.vector == EVENT;
    }
    evtchn::mask_all();
    if upcall::is_pending(page) {
        upcall::acknowledge(page);
        if timer::has_fired() {
            entry::set_slice(false);
            if !watchdog::check_in_user_mode() {
                timer::take();
            }
        }
    }
    if !masked {
        upcall::unmask(page);
    }
    Ok(pending)
}

impl Space {
    /// Lets the program run until it stops.
    ///
    /// # Errors
    /// [`Error::Memory`], or Xen's reason to refuse what was changed.
    pub fn run(&mut self, context: &mut Context) -> Result<Exit, Error> {
        loop {
            let root = self.root().map_or(Mfn(0), Table::mfn);
            // SAFETY: it maps pages of this program alone.
            if unsafe { set_root(root) }.map_err(refused)? {
                self.set_stale();
            }
            self.settle();
            self.batch.check()?;
            if !has_record(context.end()) || context.state().rebased {
                switch(context).map_err(refused)?;
            }
            if context.registers().rip >> 47 != 0 {
                return Ok(Exit::Trap(Trap { vector: GENERAL_PROTECTION, error: 0 }));
            }
            if enter(context).map_err(refused)? {
                return Ok(Exit::Event);
            }
            let Registers { vector, error, .. } = *context.registers();
            match vector {
                CALL => return Ok(Exit::Call),
                PAGE_FAULT => (),
                _ => return Ok(Exit::Trap(Trap { vector: vector as u8, error })),
            }
            let address = fault_address() as usize;
            let (write, execute) = (error & WRITE != 0, error & EXECUTE != 0);
            // The TLB is not flushed when a page gets more access. A fault does so for its page.
            if !(self.allows(address, write, execute) && self.is_first_fault(address)) {
                let present = error & PRESENT != 0;
                return Ok(Exit::Page { address, write, execute, present });
            }
        }
    }

    /// Returns whether the program may do so at `address`.
    fn allows(&self, address: usize, write: bool, execute: bool) -> bool {
        self.frame(address & !(PAGE - 1)).is_some_and(|(_, access)| {
            let mut needed = Access::empty();
            needed.set(Access::WRITE, write);
            needed.set(Access::EXECUTE, execute);
            !access.is_empty() && access.contains(needed)
        })
    }
}
