//! `/proc` and `/sys`: what programs ask of the machine and of processes (proc(5), sysfs(5)).

mod descriptor;
mod machine;
mod net;
mod node;
mod process;
mod status;
mod sys;
#[cfg(test)]
mod tests;

use crate::errno::Errno;
use crate::file::{Caller, next_device, now};
use crate::thread::Thread;
use alloc::rc::Rc;
use node::{FileSystem, Node, What};

/// Mounts `/proc` and `/sys` for the first thread of a machine. Others may have added files to
/// [`System::proc`](crate::system::System::proc) before, and may later.
///
/// # Errors
/// As of mkdir(2), and the disk's.
pub async fn mount(thread: &Rc<Thread>) -> Result<(), Errno> {
    let (system, caller): (_, &dyn Caller) = (&thread.system, &**thread);
    machine::add(system);
    process::add(system);
    net::add(system);
    sys::add(system);
    for (path, kind, magic, registry, processes) in [
        (&b"/proc"[..], "proc", linux_raw_sys::general::PROC_SUPER_MAGIC, &system.proc, true),
        (b"/sys", "sysfs", linux_raw_sys::general::SYSFS_MAGIC, &system.sys, false),
    ] {
        let file_system = Rc::new(FileSystem {
            device: next_device(),
            magic: magic.into(),
            registry: Rc::clone(registry),
            system: Rc::downgrade(system),
            processes,
            made: now(),
        });
        let root = Node::new(&file_system, What::Machine("".into()));
        system.tree.mount(caller, path, root, kind).await?;
    }
    Ok(())
}
