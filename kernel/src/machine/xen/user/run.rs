//! Runs programs, and tells why they stop.

use super::context::Context;
use super::entry::{self, CALL, EVENT, slice_is_set};
use super::processor::{forget_record, has_record, has_root, set_bases, set_record, set_root};
use super::space::Space;
use super::table::{Table, refused};
use crate::machine::program::{Access, Error, Exit, PAGE, Trap, user_flags};
use crate::machine::xen::report::fault_address;
use crate::machine::xen::watchdog;
use ::xen::Errno;
use ::xen::public::user::VGCF_IN_SYSCALL;
use ::xen::{timer, upcall};

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
#[inline(never)]
fn switch(context: &mut Context) -> Result<(), Errno> {
    let end = context.end();
    // SAFETY: the registers are there, and a thread that is dropped says so.
    unsafe { set_record(end) }?;
    set_bases(context.fs_base(), context.gs_base()).inspect_err(|_| forget_record(end))
}

/// Goes to user mode, unless an event is pending. Returns why it came back, as a vector.
#[inline(always)]
fn enter(context: &mut Context) -> Result<u64, Errno> {
    // Asked for once: whether there is one is looked at each time.
    let domain = ::xen::domain();
    let page = &domain.shared_info;
    let masked = upcall::is_masked(page);
    upcall::mask(page);
    if !slice_is_set() {
        timer::set(SLICE)?;
        entry::set_slice(true);
    }
    // Events of devices interrupt user mode, and nothing else.
    let pending = domain.unmask_events() || upcall::is_pending(page);
    let vector = if pending { EVENT } else { there_and_back(context) };
    domain.mask_events();
    if upcall::is_pending(page) {
        acknowledge();
    }
    if !masked {
        upcall::unmask(page);
    }
    Ok(vector)
}

/// Goes to user mode, which an event will end.
#[inline(always)]
fn there_and_back(context: &mut Context) -> u64 {
    let (units, area) = (context.state().units, context.area_address().as_ptr());
    let registers = &mut context.state_mut().registers;
    registers.rflags = user_flags(registers.rflags);
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
    registers.vector
}

/// Takes an event that is pending, which may be the end of the slice.
#[inline(never)]
fn acknowledge() {
    upcall::acknowledge(&::xen::domain().shared_info);
    if timer::has_fired() {
        entry::set_slice(false);
        if !watchdog::check_in_user_mode() {
            timer::take();
        }
    }
}

impl Space {
    /// Lets the program run until it stops.
    ///
    /// # Errors
    /// [`Error::Memory`], or Xen's reason to refuse what was changed.
    // It is a part of its caller, as all calls of a program go through both.
    #[inline(always)]
    pub fn run(&mut self, context: &mut Context) -> Result<Exit, Error> {
        loop {
            if !has_root(self.root().map_or(0, Table::key)) || !self.is_settled() {
                self.prepare()?;
            }
            if !has_record(context.end()) {
                switch(context).map_err(refused)?;
            }
            if context.registers().rip >> 47 != 0 {
                return Ok(Exit::Trap(Trap { vector: GENERAL_PROTECTION, error: 0 }));
            }
            match enter(context).map_err(refused)? {
                CALL => return Ok(Exit::Call),
                EVENT => return Ok(Exit::Event),
                vector => {
                    if let Some(exit) = self.fault(vector, context.registers().error) {
                        return Ok(exit);
                    }
                }
            }
        }
    }

    /// Returns what an exception means; `None` if the program goes on.
    #[inline(never)]
    fn fault(&mut self, vector: u64, error: u64) -> Option<Exit> {
        if vector != PAGE_FAULT {
            return Some(Exit::Trap(Trap { vector: vector as u8, error }));
        }
        let address = fault_address() as usize;
        let (write, execute) = (error & WRITE != 0, error & EXECUTE != 0);
        // The TLB is not flushed when a page gets more access. A fault does so for its page.
        if self.allows(address, write, execute) && self.is_first_fault(address) {
            return None;
        }
        let present = error & PRESENT != 0;
        Some(Exit::Page { address, write, execute, present })
    }

    /// Gives user mode its tables, and makes the changes that wait.
    #[inline(never)]
    fn prepare(&mut self) -> Result<(), Error> {
        let root = self.root().ok_or(Error::Memory)?;
        if !has_root(root.key()) {
            // SAFETY: it maps pages of this program alone, and is freed by what calls `leave`.
            unsafe { set_root(root) }.map_err(refused)?;
            self.set_stale();
        }
        self.settle();
        self.batch.check()
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
