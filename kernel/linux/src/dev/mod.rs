//! The devices that programs find in `/dev`, and what is mounted beside them.

mod memory;
#[cfg(test)]
mod tests;

use crate::errno::Errno;
use crate::file::store::Store;
use crate::file::{At, Caller, Change, File, New, Place, Type, Walk, device};
use crate::memory::Source;
use crate::stop::loaded;
use crate::system::System;
use crate::thread::Thread;
use crate::tty::pty::{self, Folder, Pty};
use crate::tty::{Size, Terminal, TerminalFile, Terminals, Wire};
use alloc::boxed::Box;
use alloc::rc::Rc;
use core::future::poll_fn;
use core::task::{Poll, Waker};
use kernel::machine::console;
use linux_raw_sys::general as abi;
use memory::{Memory, Sort};

/// Nodes of `/dev`: name, minor number with the major of memory or of terminals, mode.
const NODES: [(&str, (u32, u32), u32); 8] = [
    ("null", (1, 3), 0o666),
    ("zero", (1, 5), 0o666),
    ("full", (1, 7), 0o666),
    ("random", (1, 8), 0o666),
    ("urandom", (1, 9), 0o666),
    ("tty", (5, 0), 0o666),
    ("console", (5, 1), 0o620),
    ("ptmx", (5, 2), 0o666),
];

/// Links of `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// Mounts `/dev` with all devices, `/dev/pts`, `/dev/shm`, `/tmp` and `/run`, for the first
/// thread of a machine, and opens the console, which has that size, as its descriptors 0, 1 and 2.
///
/// # Errors
/// As of mkdir(2), and the disk's.
pub async fn mount(thread: &Rc<Thread>, size: Size) -> Result<(), Errno> {
    let (system, caller): (&Rc<System>, &dyn Caller) = (&thread.system, &**thread);
    let tree = &system.tree;
    let empty = |mode| Store::empty(&system.budget, mode);
    tree.mount(caller, b"/dev", empty(0o755), "devtmpfs").await?;
    for (name, (major, minor), mode) in NODES {
        let path = [b"/dev/", name.as_bytes()].concat();
        let new = New::Character(device(major, minor));
        let place = loaded(|| tree.make(caller, None, &path, new, mode)).await?;
        // The umask is that of no program yet.
        loaded(|| place.node.set(&Change { mode: Some(mode), ..Change::default() })).await?;
    }
    for (name, target) in LINKS {
        let path = [b"/dev/", name.as_bytes()].concat();
        let new = New::Link(target.as_bytes());
        loaded(|| tree.make(caller, None, &path, new, 0o777)).await?;
    }
    tree.mount(caller, b"/dev/pts", Folder::new(&system.terminals), "devpts").await?;
    tree.mount(caller, b"/dev/shm", empty(0o1777), "tmpfs").await?;
    tree.mount(caller, b"/tmp", empty(0o1777), "tmpfs").await?;
    tree.mount(caller, b"/run", empty(0o755), "tmpfs").await?;
    drivers(system);
    let open = loaded(|| tree.open(caller, None, b"/dev/console", abi::O_RDWR, 0)).await?;
    if let Some(file) = open.as_kind::<TerminalFile>() {
        file.terminal().set_size(size);
        let typed = kernel::task::spawn(pump(Rc::clone(file.terminal())));
        system.typed.replace(Some(typed));
    }
    for fd in 0..3 {
        thread.process.files().put(fd, Rc::clone(&open), false)?;
    }
    Ok(())
}

/// Where the kernel says which name servers there are, in the words of resolv.conf(5). Linux has
/// it so that `/etc/resolv.conf` can be a link to it
/// (Documentation/admin-guide/nfs/nfsroot.rst).
const SERVERS: &[u8] = b"/proc/net/pnp";

/// The names of this machine, as hosts(5) has them.
const HOSTS: &[u8] =
    b"127.0.0.1\tlocalhost\n127.0.1.1\txenith\n::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Makes `/etc/resolv.conf` and `/etc/hosts`, unless the root has them. An empty file, which
/// images of containers have there, counts as none.
///
/// # Errors
/// As of open(2), `ENOSPC`.
pub async fn provide(thread: &Rc<Thread>) -> Result<(), Errno> {
    let (tree, caller): (_, &dyn Caller) = (&thread.system.tree, &**thread);
    loaded(|| tree.make_folders(caller, b"/etc")).await?;
    let resolver = b"/etc/resolv.conf";
    if is_free(thread, resolver).await? {
        loaded(|| tree.make(caller, None, resolver, New::Link(SERVERS), 0o777)).await?;
    }
    if is_free(thread, b"/etc/hosts").await? {
        let flags = abi::O_WRONLY | abi::O_CREAT | abi::O_EXCL;
        let open = loaded(|| tree.open(caller, None, b"/etc/hosts", flags, 0o644)).await?;
        let write = || open.file.write(&open, At::Position, &mut Source::kernel(HOSTS));
        loaded(write).await?;
    }
    Ok(())
}

/// Whether nothing is at a path; an empty file there is removed.
async fn is_free(thread: &Thread, path: &[u8]) -> Result<bool, Errno> {
    loaded(|| {
        let found = thread.system.tree.walk(thread, None, path, Walk::empty())?;
        let Some((node, folder)) = found.node.as_ref().zip(found.folder.as_ref()) else {
            return Ok(found.node.is_none());
        };
        if node.kind() != Type::Regular || node.stat().size > 0 {
            return Ok(false);
        }
        folder.remove(thread, &found.name, false).map(|()| true)
    })
    .await
}

/// Adds the drivers.
fn drivers(system: &System) {
    let tree = &system.tree;
    for (minor, sort) in
        [(3, Sort::Null), (5, Sort::Zero), (7, Sort::Full), (8, Sort::Random), (9, Sort::Random)]
    {
        let open = move |_: &dyn Caller, _: u32, place: &Place| {
            let file: Rc<dyn File> = Memory::new(sort, Rc::clone(&place.node));
            Ok(file)
        };
        tree.add_driver(device(1, minor), device(1, minor), Rc::new(open));
    }
    let terminals: &Rc<Terminals> = &system.terminals;
    let terminal = terminals.make(Box::new(Console));
    let console = {
        let terminals = Rc::clone(terminals);
        move |caller: &dyn Caller, flags: u32, place: &Place| {
            // /dev/console itself becomes nobody's controlling terminal on Linux, where a getty
            // opens another one; here there is no other one.
            let node = Rc::clone(&place.node);
            let file: Rc<dyn File> = terminals.open(&terminal, node, caller.process(), flags);
            Ok(file)
        }
    };
    tree.add_driver(device(5, 1), device(5, 1), Rc::new(console));
    let own = {
        let terminals = Rc::clone(terminals);
        move |caller: &dyn Caller, flags: u32, place: &Place| {
            Ok(pty::open_own(&terminals, Rc::clone(&place.node), caller, flags)?)
        }
    };
    tree.add_driver(device(5, 0), device(5, 0), Rc::new(own));
    let master = {
        let terminals = Rc::clone(terminals);
        move |caller: &dyn Caller, _: u32, place: &Place| {
            Ok(Pty::open(&terminals, Rc::clone(&place.node), caller)?)
        }
    };
    tree.add_driver(device(5, 2), device(5, 2), Rc::new(master));
}

/// The console of the machine.
pub(crate) struct Console;

impl Wire for Console {
    fn write(&self, bytes: &[u8]) -> usize {
        // Where nobody reads, all is taken.
        console::write(bytes).unwrap_or(bytes.len())
    }

    fn room(&self) -> Option<usize> {
        None
    }

    fn wait(&self, waker: &Waker) {
        console::wait(waker);
    }
}

/// Hands what is typed to the console's terminal.
async fn pump(terminal: Rc<Terminal>) {
    let mut bytes = [0; 128];
    loop {
        let count = poll_fn(|context| {
            terminal.show();
            match console::read(&mut bytes) {
                Ok(Some(count)) => Poll::Ready(Some(count)),
                Ok(None) => {
                    console::wait(context.waker());
                    Poll::Pending
                }
                Err(_) => Poll::Ready(None),
            }
        })
        .await;
        let Some(count @ 1..) = count else { return terminal.hang_up() };
        let mut done = 0;
        while done < count {
            let changes = terminal.watch().changes();
            done += terminal.typed(&bytes[done..count]);
            if done < count {
                // Until something is read, or typed lines are thrown away.
                terminal.watch().changed_since(changes).await;
            }
        }
    }
}
