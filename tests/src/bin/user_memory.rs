//! Changes the address spaces of programs: pages of one and of several, as many as there are, and
//! the page tables that the processor sees.
//!
//! test: memory 16
//! test: args spaces=10000
//! test: timeout 120

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use kernel::memory;
use kernel::user::{Access, Error, Exit, Frame, PAGE, Space, TOP, time_record};
use tests::programs::*;
use tests::user::{self, CODE, DATA, Outcome, Program, STACK, frame, text, thread};
use tests::{Verdict, ensure};

kernel::unikernel! {
    /// Changes address spaces.
    name: "user_memory",
    memory: 16 MiB,
    args: {
        /// How many spaces are made and dropped.
        spaces: u64 = 100,
    },
    main: start,
}

/// Bit 8 of an entry: global. Bit 1: writable. Bit 63: not executable.
const GLOBAL: u64 = 1 << 8;
const WRITABLE: u64 = 1 << 1;
const NO_EXECUTE: u64 = 1 << 63;

async fn start(spaces: u64) -> Verdict {
    if let Err(error) = leaks(spaces) {
        kernel::println!("{error}");
        return Verdict::Fail("see above");
    }
    user::all(&[
        ("spaces are apart", apart),
        ("pages change, go and come", changes),
        ("live entries are not global", entries),
        ("tables are bounded", tables),
        ("pages move by tables and one by one", moves),
        ("many tables move in little time", sparse),
        ("lack of memory is survived", exhaustion),
        ("the clock's page is kept", clock),
    ])
    .await
}

fn leaks(spaces: u64) -> Outcome {
    let round = |number: u64| {
        let mut program = Program::new(ADD)?;
        program.space.map(1 << 40, frame()?, Access::READ).map_err(text)?;
        if number.is_multiple_of(10) {
            program.call()?;
        }
        Ok::<_, String>(())
    };
    for number in 0..10 {
        round(number)?;
    }
    let before = memory::stats();
    let grants = xen::gnttab::stats();
    for number in 0..spaces {
        round(number)?;
    }
    let after = memory::stats();
    ensure!(
        (before.allocated, before.mapped) == (after.allocated, after.mapped),
        "{before:?} became {after:?}"
    );
    let now = xen::gnttab::stats();
    ensure!(format!("{grants:?}") == format!("{now:?}"), "{grants:?} became {now:?}");
    Ok(())
}

fn apart() -> Outcome {
    let mut one = Program::new(READ)?;
    let mut two = Program::new(READ)?;
    for (program, value) in [(&mut one, 1_u64), (&mut two, 2)] {
        let (data, _) = program.space.frame(DATA).ok_or("no data")?;
        data.write(0, &value.to_le_bytes());
    }
    for round in 0..20 {
        for (program, value) in [(&mut one, 1), (&mut two, 2)] {
            let registers = program.thread.registers_mut();
            (registers.rip, registers.rdi) = (CODE as u64, DATA as u64);
            program.call()?;
            let seen = program.thread.registers().rax;
            ensure!(seen == value, "round {round}: {seen} instead of {value}");
        }
    }
    // A page of both: what one writes the other one and this kernel read.
    let shared = frame()?;
    for program in [&mut one, &mut two] {
        program.space.map(DATA, shared.clone(), Access::WRITE).map_err(text)?;
    }
    ensure!(shared.is_shared(), "a page of two spaces is not shared");
    let mut writer = thread()?;
    let code = frame()?;
    code.write(0, WRITE);
    one.space.map(CODE, code, Access::EXECUTE).map_err(text)?;
    (writer.registers_mut().rdi, writer.registers_mut().rsi) = (DATA as u64 + 16, 0x1234);
    one.thread = writer;
    one.call()?;
    let registers = two.thread.registers_mut();
    (registers.rip, registers.rdi) = (CODE as u64, DATA as u64 + 16);
    two.call()?;
    ensure!(two.thread.registers().rax == 0x1234, "the other space does not see what was written");
    ensure!(shared.load_u32(16) == 0x1234, "the kernel does not");
    drop((one, two));
    ensure!(!shared.is_shared(), "a space that is gone has a page");
    Ok(())
}

fn changes() -> Outcome {
    let mut program = Program::new(WRITE)?;
    let at = DATA + PAGE;
    let step = |program: &mut Program, expected: Exit, what: &str| {
        let registers = program.thread.registers_mut();
        (registers.rip, registers.rdi, registers.rsi) = (CODE as u64, at as u64, 5);
        match program.run()? {
            exit if exit == expected => Ok(()),
            exit => Err(format!("{what}: {exit:x?} instead of {expected:x?}")),
        }
    };
    let fault = |present| Exit::Page { address: at, write: true, execute: false, present };
    step(&mut program, fault(false), "nothing there")?;
    program.space.map(at, frame()?, Access::READ).map_err(text)?;
    step(&mut program, fault(true), "read-only")?;
    program.space.set_access(at, Access::READ | Access::WRITE).map_err(text)?;
    step(&mut program, Exit::Call, "writable")?;
    program.space.protect(DATA..at + 1, Access::READ).map_err(text)?;
    step(&mut program, fault(true), "read-only again")?;
    // More access is seen without a fault first.
    program.space.protect(DATA..at + 1, Access::WRITE).map_err(text)?;
    step(&mut program, Exit::Call, "writable again")?;
    program.space.set_access(at, Access::empty()).map_err(text)?;
    step(&mut program, fault(false), "no access")?;
    program.space.set_access(at, Access::WRITE).map_err(text)?;
    step(&mut program, Exit::Call, "kept")?;
    let (taken, access) = program.space.take(at).ok_or("nothing to take")?;
    ensure!(access == Access::WRITE && taken.load_u32(0) == 5, "another page was taken");
    step(&mut program, fault(false), "taken")?;
    program.space.map(at, taken, Access::WRITE).map_err(text)?;
    step(&mut program, Exit::Call, "put back")?;
    program.space.map(at, frame()?, Access::WRITE).map_err(text)?;
    step(&mut program, Exit::Call, "another page")?;
    program.space.unmap(at..at + PAGE);
    step(&mut program, fault(false), "removed")?;
    // Many at once.
    let count = 1000;
    let mut program = Program::new(SUM)?;
    for page in 0..count {
        let new = frame()?;
        new.store_u32(0, page as u32);
        program.space.map((1 << 40) + page * PAGE, new, Access::READ).map_err(text)?;
    }
    let registers = program.thread.registers_mut();
    (registers.rdi, registers.rsi) = (1 << 40, count as u64);
    program.call()?;
    let sum = program.thread.registers().rax;
    ensure!(sum == (count * (count - 1) / 2) as u64, "the sum of all is {sum}");
    program.space.unmap(0..TOP);
    ensure!(program.space.stats().pages == 0, "{:?}", program.space.stats());
    let exit = program.run()?;
    ensure!(matches!(exit, Exit::Page { execute: true, .. }), "{exit:x?} without code");
    Ok(())
}

fn entries() -> Outcome {
    let mut program = Program::new(ADD)?;
    for (page, access) in (0..8).map(|bits| (bits, Access::from_bits_truncate(bits as u8))) {
        program.space.map(DATA + page * PAGE, frame()?, access).map_err(text)?;
    }
    program.call()?;
    let (mut count, mut wrong) = (0, None);
    program.space.entries(|at, entry| {
        count += 1;
        let access = match at {
            CODE => Access::EXECUTE,
            STACK => Access::WRITE,
            at => Access::from_bits_truncate(((at - DATA) / PAGE) as u8),
        };
        let writable = entry & WRITABLE != 0;
        let executable = entry & NO_EXECUTE == 0;
        if entry & GLOBAL != 0
            || writable != access.contains(Access::WRITE)
            || executable != access.contains(Access::EXECUTE)
        {
            wrong = Some((at, entry));
        }
    });
    ensure!(count == 9, "{count} entries");
    ensure!(wrong.is_none(), "an entry is {wrong:x?}");
    Ok(())
}

fn tables() -> Outcome {
    let mut program = Program::new(WRITE)?;
    for region in 0..3000 {
        let at = (1 << 32) + region * (2 << 20);
        program.space.map(at, frame()?, Access::WRITE).map_err(text)?;
        if region % 100 == 0 {
            let registers = program.thread.registers_mut();
            (registers.rip, registers.rdi) = (CODE as u64, at as u64);
            program.call()?;
        }
        program.space.unmap(at..at + PAGE);
    }
    let stats = program.space.stats();
    ensure!(stats.pages == 3 && stats.tables < 20, "{stats:?}");
    Ok(())
}

/// Checks that page `number` of `pages` from `at` on is that number, and is what the processor sees.
fn numbered(space: &mut Space, at: usize, pages: usize) -> Outcome {
    for page in 0..pages {
        let (frame, _) = space.frame(at + page * PAGE).ok_or("a page is not there")?;
        let seen = frame.load_u32(0);
        ensure!(seen == page as u32, "page {page} is {seen}");
    }
    let mut live = 0;
    space.entries(|entry, _| live += usize::from((at..at + pages * PAGE).contains(&entry)));
    ensure!(live == pages, "{live} of {pages} pages are in a table");
    Ok(())
}

fn moves() -> Outcome {
    const TABLE: usize = 2 << 20;
    const PAGES: usize = 1200;
    let mut program = Program::new(READ)?;
    let space = &mut program.space;
    let (from, to) = (0x20_0000_5000, 0x30_0000_5000);
    for page in 0..PAGES {
        let frame = frame()?;
        frame.store_u32(0, page as u32);
        space.map(from + page * PAGE, frame, Access::READ).map_err(text)?;
    }
    let pages = space.stats().pages;
    let mut at = from;
    // By whole tables, then one by one, then to the middle of a table and back.
    for next in [to, to + 9 * TABLE + PAGE, from + 100 * TABLE, from + 7 * PAGE, from] {
        if next.abs_diff(at) < PAGES * PAGE {
            space.relocate(at..at + PAGES * PAGE, to, &|| true).map_err(text)?;
            at = to;
        }
        space.relocate(at..at + PAGES * PAGE, next, &|| true).map_err(text)?;
        ensure!(space.pages(at..at + PAGES * PAGE).count() == 0, "a page stayed");
        at = next;
        numbered(space, at, PAGES)?;
        ensure!(space.stats().pages == pages, "{:?}", space.stats());
    }
    // What the last table has behind them stays, wherever they go, and they come to an end before it.
    let behind = at + (PAGES + 5) * PAGE;
    let kept = frame()?;
    kept.store_u32(0, 77);
    space.map(behind, kept, Access::READ).map_err(text)?;
    for next in [to, to + PAGE] {
        for (here, there) in [(at, next), (next, at)] {
            space.relocate(here..here + PAGES * PAGE, there, &|| true).map_err(text)?;
            numbered(space, there, PAGES)?;
            let stays = space.frame(behind).map(|it| it.0.load_u32(0));
            ensure!(stays == Some(77), "{stays:?} is behind");
            ensure!(space.stats().pages == pages + 1, "{:?}", space.stats());
        }
    }
    // Without room at the first, the second and the last table nothing has moved.
    for (last, next) in [(0, to), (1, to + PAGE), (2, to), (2, to + PAGE)] {
        let next = next + 64 * TABLE * (last + 1);
        let tries = core::cell::Cell::new(0);
        let room = || tries.replace(tries.get() + 1) < last;
        let moved = space.relocate(at..at + PAGES * PAGE, next, &room);
        ensure!(moved == Err(Error::Memory), "{moved:?} at {last}");
        numbered(space, at, PAGES)?;
        ensure!(space.pages(next..next + PAGES * PAGE).count() == 0, "a page went");
    }
    let registers = program.thread.registers_mut();
    (registers.rip, registers.rdi) = (CODE as u64, (at + 1199 * PAGE) as u64);
    program.call()?;
    let seen = program.thread.registers().rax;
    ensure!(seen == 1199, "{seen} is there for the program");
    Ok(())
}

fn sparse() -> Outcome {
    const TABLE: usize = 2 << 20;
    const TABLES: usize = 400;
    let mut space = Space::new().map_err(text)?;
    let page = frame()?;
    let (from, to) = (1 << 40, (2 << 40) + PAGE);
    for table in 0..TABLES {
        space.map(from + table * TABLE, page.clone(), Access::READ).map_err(text)?;
    }
    let began = kernel::time::Instant::now();
    for (at, to) in [(from, to), (to, from)] {
        space.relocate(at..at + TABLES * TABLE, to, &|| true).map_err(text)?;
        ensure!(space.stats().pages == TABLES, "{:?}", space.stats());
    }
    kernel::println!("{TABLES} tables there and back: {:?}", began.elapsed());
    let began = kernel::time::Instant::now();
    (0..TABLES).for_each(|table| space.unmap(from + table * TABLE..from + table * TABLE + PAGE));
    kernel::println!("{TABLES} tables unmapped, one by one: {:?}", began.elapsed());
    let stats = space.stats();
    ensure!(stats.pages == 0 && stats.tables < 16, "{stats:?}");
    Ok(())
}

fn exhaustion() -> Outcome {
    let mut frames = Vec::new();
    let mut spaces = Vec::new();
    frames.try_reserve(8192).map_err(|_| "no memory")?;
    spaces.try_reserve(64).map_err(|_| "no memory")?;
    while let Some(frame) = Frame::new() {
        frames.push(frame);
    }
    ensure!(frames.len() > 2000, "{} pages of 16 MiB", frames.len());
    ensure!(Frame::spare() == 0, "{} pages are left", Frame::spare());
    ensure!(Space::new().is_err(), "a space of nothing");
    frames.truncate(frames.len() - 5);
    while let Ok(space) = Space::new() {
        spaces.push(space);
    }
    let count = spaces.len();
    let Some(space) = spaces.last_mut() else { return Err("no space".into()) };
    let shared = frames[0].clone();
    ensure!(space.map(CODE, shared, Access::READ) == Err(Error::Memory), "tables of nothing");
    ensure!(space.stats().pages == 0, "{:?}", space.stats());
    kernel::println!("exhaustion: {} pages, {count} spaces", frames.len());
    Ok(())
}

fn clock() -> Outcome {
    let record = time_record().ok_or("Xen keeps no clock")?;
    // struct vcpu_time_info: the time at its last change, and the factor of the TSC.
    let word = |at: usize| record[at..].first_chunk().map_or(0, |it| u64::from_le_bytes(*it));
    let first = (word(16), word(24) as u32);
    ensure!(first.0 > 0 && first.1 > 0, "the record is {first:?}");
    Ok(())
}
