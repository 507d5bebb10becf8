//! The table of system calls: what each number means.

use crate::call::{Call, Group};

/// Numbers beyond are unknown.
pub(super) const MOST: usize = 470;

/// All calls, by number.
pub static TABLE: [Option<Call>; MOST] = merge(&[
    crate::channel::calls::CALLS,
    crate::exec::calls::CALLS,
    crate::futex::calls::CALLS,
    crate::file::calls::attributes::CALLS,
    crate::file::calls::descriptors::CALLS,
    crate::file::calls::locks::CALLS,
    crate::file::calls::names::CALLS,
    crate::file::calls::notify::CALLS,
    crate::file::calls::transfer::CALLS,
    crate::file::calls::copy::CALLS,
    crate::file::calls::size::CALLS,
    crate::ipc::calls::CALLS,
    crate::memory::calls::CALLS,
    crate::poll::calls::CALLS,
    crate::process::calls::clone::CALLS,
    crate::process::calls::control::CALLS,
    crate::process::calls::group::CALLS,
    crate::process::calls::limit::CALLS,
    crate::process::calls::machine::CALLS,
    crate::process::calls::schedule::CALLS,
    crate::process::calls::user::CALLS,
    crate::process::calls::wait::CALLS,
    crate::process::descriptor::CALLS,
    crate::signal::calls::CALLS,
    crate::socket::calls::CALLS,
    crate::socket::calls::message::CALLS,
    crate::time::calls::CALLS,
    crate::time::timer_calls::CALLS,
]);

const fn merge(groups: &[Group]) -> [Option<Call>; MOST] {
    let mut table = [None; MOST];
    let mut group = 0;
    while group < groups.len() {
        let mut at = 0;
        while at < groups[group].len() {
            let (number, call) = groups[group][at];
            assert!(table[number as usize].is_none(), "two calls have one number");
            table[number as usize] = Some(call);
            at += 1;
        }
        group += 1;
    }
    table
}

/// Returns the call of that number.
#[must_use]
pub fn call(number: u64) -> Option<&'static Call> {
    TABLE.get(usize::try_from(number).ok()?)?.as_ref()
}
