//! Tests of the memory of processes, with pages in plain memory.

mod away;
mod calls;
mod exec;
mod faults;
mod fork;
mod maps;
mod model;
mod remaps;

use super::*;
use crate::stop::{Pages, Stop};
use crate::testing::{Numbered, RW, room};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use kernel::user::{Access, PAGE};

const READ: Access = Access::READ;
const NONE: Access = Access::empty();

/// Makes an empty memory.
fn memory() -> Memory {
    Memory::new(&Ram::new()).unwrap()
}

/// What is mapped between two addresses, as `start-end access` in pages from the first.
fn areas(memory: &Memory, from: usize, pages: usize) -> Vec<String> {
    let mut all = Vec::new();
    memory.each_area(&mut |view| {
        let (start, end) = (view.range.start.max(from), view.range.end.min(from + pages * PAGE));
        if start < end {
            let bit = |access, letter| if view.access.contains(access) { letter } else { '-' };
            let letters = [bit(READ, 'r'), bit(Access::WRITE, 'w'), bit(Access::EXECUTE, 'x')];
            let (start, end) = ((start - from) / PAGE, (end - from) / PAGE);
            all.push(format!("{start}-{end} {}", letters.iter().collect::<String>()));
        }
    });
    all
}

/// Maps a file of numbers.
fn file(pages: &Rc<Numbered>, write: bool) -> Rc<Mapped> {
    Mapped::new(pages.clone() as Rc<dyn Pages>, b"/numbers", 1, 2, write).unwrap()
}

/// Asks for a map of `length` bytes of a file.
fn of_file(file: &Rc<Mapped>, length: usize, access: Access, shared: bool) -> Request {
    let backing = Backing::File { file: Rc::clone(file), offset: 0, shared };
    Request { backing, ..Request::anonymous(length, access) }
}

/// Asks for memory at a place.
fn fixed(at: usize, pages: usize, access: Access) -> Request {
    Request { at, place: Place::Fixed, ..Request::anonymous(pages * PAGE, access) }
}

fn byte(memory: &Memory, at: usize) -> Result<u8, Stop> {
    let mut byte = [0];
    memory.read(at, &mut byte).map(|()| byte[0])
}

/// Returns the error that a copy failed with.
fn errno<T: core::fmt::Debug>(result: Result<T, Stop>) -> Errno {
    match result {
        Err(Stop::Fail(errno)) => errno,
        other => panic!("not an error: {other:?}"),
    }
}
