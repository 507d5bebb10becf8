//! The calls about processes.

use crate::call::{Answer, Args, Group, calls};
use crate::thread::Thread;
use alloc::rc::Rc;

/// The calls about processes.
pub(crate) const CALLS: Group = calls! {
    getpid() = getpid;
    gettid() = gettid;
};

fn getpid(thread: &Rc<Thread>, _: Args) -> Answer {
    Ok((thread.process.id as usize).into())
}

fn gettid(thread: &Rc<Thread>, _: Args) -> Answer {
    Ok((thread.id as usize).into())
}
