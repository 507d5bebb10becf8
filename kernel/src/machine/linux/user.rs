//! User mode in tests: spaces in plain memory, and a function that plays the program.

use crate::machine::program::{
    Access, Error, Exit, Invalid, PAGE, Registers, Stats, check_canonical, check_page,
    reset_xstate, user_flags, write_xstate,
};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

/// Bits of XCR0: x87, SSE and AVX.
const FEATURES: u64 = 0b111;

/// Size of an area for these, in bytes.
const AREA: usize = 832;

type Player = Box<dyn FnMut(&mut Space, &mut Context) -> Exit>;

thread_local! {
    static PLAYER: RefCell<Option<Player>> = const { RefCell::new(None) };
}

/// Makes `program` what each space of this thread runs.
pub(crate) fn play(program: Player) {
    PLAYER.set(Some(program));
}

/// Owns a share of a page of memory, which is free when the last share is dropped.
///
/// # Panics
/// All accesses panic if they are not within the page, or not aligned.
#[derive(Clone, Debug)]
pub struct Frame(Rc<RefCell<[u8; PAGE]>>);

impl Frame {
    /// Returns how many pages there are that are taken next, and that count as allocated already:
    /// none.
    #[must_use]
    pub const fn spare() -> usize {
        0
    }

    /// Allocates a page of zeros, or returns `None` if there is no memory.
    #[must_use]
    pub fn new() -> Option<Self> {
        Some(Self(Rc::new(RefCell::new([0; PAGE]))))
    }

    /// Allocates a page with the same bytes, or returns `None` if there is no memory.
    #[must_use]
    pub fn copy(&self) -> Option<Self> {
        Some(Self(Rc::new(RefCell::new(*self.0.borrow()))))
    }

    /// Returns whether there is another share of this page.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }

    /// Returns whether both are shares of one page.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Copies `to.len()` bytes from offset `at` on to `to`.
    pub fn read(&self, at: usize, to: &mut [u8]) {
        to.copy_from_slice(&self.0.borrow()[at..at + to.len()]);
    }

    /// Copies `from` to the page, from offset `at` on.
    pub fn write(&self, at: usize, from: &[u8]) {
        self.0.borrow_mut()[at..at + from.len()].copy_from_slice(from);
    }

    /// Sets `n` bytes from offset `at` on to `byte`.
    pub fn fill(&self, at: usize, n: usize, byte: u8) {
        self.0.borrow_mut()[at..at + n].fill(byte);
    }

    /// Loads the `u32` at offset `at`, a multiple of 4.
    #[must_use]
    pub fn load_u32(&self, at: usize) -> u32 {
        assert!(at.is_multiple_of(4), "not aligned");
        let mut word = [0; 4];
        self.read(at, &mut word);
        u32::from_le_bytes(word)
    }

    /// Stores `value` at offset `at`, a multiple of 4.
    pub fn store_u32(&self, at: usize, value: u32) {
        assert!(at.is_multiple_of(4), "not aligned");
        self.write(at, &value.to_le_bytes());
    }

    /// Replaces the `u32` at offset `at`, a multiple of 4, by `new` if it is `old`. Returns what
    /// it was.
    ///
    /// # Errors
    /// The value, if it is not `old`. The page is then unchanged.
    pub fn compare_exchange_u32(&self, at: usize, old: u32, new: u32) -> Result<u32, u32> {
        match self.load_u32(at) {
            value if value == old => {
                self.store_u32(at, new);
                Ok(value)
            }
            value => Err(value),
        }
    }
}

/// Holds a program's address space: which page is where, and what may be done with it.
#[derive(Debug, Default)]
pub struct Space {
    pages: BTreeMap<usize, (Frame, Access)>,
}

impl Space {
    /// Makes an empty space.
    ///
    /// # Errors
    /// [`Error::Memory`], or Xen's reason.
    pub fn new() -> Result<Self, Error> {
        Ok(Self::default())
    }

    /// Puts `frame` at the page `at`, instead of what was there.
    ///
    /// # Errors
    /// [`Error::Memory`] for a table, [`Error::Address`], or Xen's reason. Nothing is changed.
    pub fn map(&mut self, at: usize, frame: Frame, access: Access) -> Result<(), Error> {
        check_page(at)?;
        self.pages.insert(at, (frame, access));
        Ok(())
    }

    /// Returns the page at `at`, a multiple of [`PAGE`].
    #[must_use]
    pub fn frame(&self, at: usize) -> Option<(&Frame, Access)> {
        self.pages.get(&at).map(|(frame, access)| (frame, *access))
    }

    /// Returns the pages that begin within `range`, by ascending address.
    pub fn pages(&self, range: Range<usize>) -> impl Iterator<Item = (usize, &Frame, Access)> {
        let range = range.start..range.end.max(range.start);
        self.pages.range(range).map(|(&at, (frame, access))| (at, frame, *access))
    }

    /// Changes what may be done with the pages that begin within `range`.
    ///
    /// # Errors
    /// Xen's reason.
    pub fn protect(&mut self, range: Range<usize>, access: Access) -> Result<(), Error> {
        let range = range.start..range.end.max(range.start);
        self.pages.range_mut(range).for_each(|(_, page)| page.1 = access);
        Ok(())
    }

    /// Changes what may be done with the page at `at`, if there is one.
    ///
    /// # Errors
    /// Xen's reason.
    pub fn set_access(&mut self, at: usize, access: Access) -> Result<(), Error> {
        if let Some(page) = self.pages.get_mut(&at) {
            page.1 = access;
        }
        Ok(())
    }

    /// Removes the pages that begin within `range`. No program reaches them any more.
    pub fn unmap(&mut self, range: Range<usize>) {
        let range = range.start..range.end.max(range.start);
        self.pages.extract_if(range, |_, _| true).for_each(drop);
    }

    /// Makes the changes that wait, and lets go of pages that were removed, which they keep their
    /// share of until then. So does [`run`](Self::run).
    pub const fn settle(&mut self) {}

    /// Removes the page at `at` and returns it, to put it elsewhere.
    #[must_use]
    pub fn take(&mut self, at: usize) -> Option<(Frame, Access)> {
        self.pages.remove(&at)
    }

    /// Moves the pages that begin within `range` to where `to` begins, which nothing is mapped to
    /// and which does not overlap. Both are multiples of [`PAGE`]. `room` is asked before a table
    /// is made, which here is for each 2 MiB that has pages. Of memory that tests say is all used
    /// there is none.
    ///
    /// # Errors
    /// [`Error::Memory`] for a table, [`Error::Address`]. All pages are where they were then.
    pub fn relocate(
        &mut self,
        range: Range<usize>,
        to: usize,
        room: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        check_page(range.start)?;
        check_page(to)?;
        let target = |at: usize| to + (at - range.start);
        let all: Vec<usize> = self.pages(range.clone()).map(|(at, ..)| at).collect();
        let tables: BTreeSet<_> = all.iter().map(|&at| target(at) >> 21).collect();
        let is_there =
            |table: usize| self.pages.range(table << 21..(table + 1) << 21).next().is_some();
        if !tables.iter().all(|&it| room() && (is_there(it) || !super::is_spent())) {
            return Err(Error::Memory);
        }
        for at in all {
            if let Some(page) = self.take(at) {
                self.pages.insert(target(at), page);
            }
        }
        Ok(())
    }

    /// Calls `each` with the address of every page that the program can access, and what the
    /// entry of the processor for it would have: for tests.
    pub fn entries(&mut self, mut each: impl FnMut(usize, u64)) {
        for (&at, (_, access)) in self.pages.iter().filter(|(_, page)| !page.1.is_empty()) {
            let write = u64::from(access.contains(Access::WRITE)) << 1;
            each(at, 1 | write | u64::from(!access.contains(Access::EXECUTE)) << 63);
        }
    }

    /// Counts the pages, and the tables that they would have on Xen.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let tables =
            |shift: u32| self.pages.keys().map(|at| at >> shift).collect::<BTreeSet<_>>().len();
        Stats { pages: self.pages.len(), tables: 1 + tables(39) + tables(30) + tables(21) }
    }

    /// Lets the program run until it stops.
    ///
    /// # Errors
    /// [`Error::Memory`], or Xen's reason to refuse what was changed.
    ///
    /// # Panics
    /// If no program is played (`testing::play`), or from within one.
    pub fn run(&mut self, context: &mut Context) -> Result<Exit, Error> {
        let player = PLAYER.take();
        let mut player = player.expect("a program is to be played: kernel::testing::play");
        context.registers.rflags = user_flags(context.registers.rflags);
        let exit = player(self, context);
        // Unless it made another one its successor.
        PLAYER.set(PLAYER.take().or(Some(player)));
        Ok(exit)
    }
}

/// Holds the registers of a thread of a program, while it does not run.
#[derive(Debug)]
pub struct Context {
    registers: Registers,
    fs_base: u64,
    gs_base: u64,
    xstate: Box<[u8; AREA]>,
}

impl Context {
    /// Makes a thread that begins at `rip` with the stack `rsp`; all other registers are as the
    /// processor has them after a reset of user mode. Returns `None` if there is no memory.
    #[must_use]
    pub fn new(rip: u64, rsp: u64) -> Option<Self> {
        let registers = Registers { rip, rsp, rflags: user_flags(0), ..Registers::default() };
        let mut xstate = Box::new([0; AREA]);
        reset_xstate(&mut *xstate);
        Some(Self { registers, fs_base: 0, gs_base: 0, xstate })
    }

    /// Makes a thread with equal registers, or returns `None` if there is no memory.
    #[must_use]
    pub fn copy(&self) -> Option<Self> {
        Some(Self { xstate: self.xstate.clone(), ..*self })
    }

    /// Returns the general registers.
    #[must_use]
    pub const fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Returns the general registers for changes. Flags that a program may not have do not get
    /// into the processor.
    pub const fn registers_mut(&mut self) -> &mut Registers {
        &mut self.registers
    }

    /// Returns the base of the segment FS.
    #[must_use]
    pub const fn fs_base(&self) -> u64 {
        self.fs_base
    }

    /// Sets the base of the segment FS.
    ///
    /// # Errors
    /// [`Invalid`] for an address that is not canonical.
    pub fn set_fs_base(&mut self, base: u64) -> Result<(), Invalid> {
        check_canonical(base)?;
        self.fs_base = base;
        Ok(())
    }

    /// Returns the base of the segment GS.
    #[must_use]
    pub const fn gs_base(&self) -> u64 {
        self.gs_base
    }

    /// Sets the base of the segment GS.
    ///
    /// # Errors
    /// [`Invalid`] for an address that is not canonical.
    pub fn set_gs_base(&mut self, base: u64) -> Result<(), Invalid> {
        check_canonical(base)?;
        self.gs_base = base;
        Ok(())
    }

    /// Returns the state of x87, SSE and AVX in the standard format of XSAVE (Intel's manual,
    /// volume 1, section 13.4).
    #[must_use]
    pub fn xstate(&self) -> &[u8] {
        &*self.xstate
    }

    /// Sets that state, of which `state` is the whole, or the 512 bytes of FXSAVE; then the rest
    /// becomes initial.
    ///
    /// # Errors
    /// [`Invalid`] for another length, and for bits that the processor refuses.
    pub fn set_xstate(&mut self, state: &[u8]) -> Result<(), Invalid> {
        write_xstate(&mut *self.xstate, state, FEATURES)
    }
}

/// Returns the parameters of Xen's clock (`vcpu_time_info`), of which there are none in a process.
#[must_use]
pub const fn time_record() -> Option<[u8; 32]> {
    None
}

/// Returns for how long this machine had a processor: nobody counts that here.
#[must_use]
pub const fn ran() -> Option<u64> {
    None
}

/// Returns what the kernel's clock is ahead of the one of that record, in ns.
#[must_use]
pub const fn time_ahead() -> i64 {
    0
}
