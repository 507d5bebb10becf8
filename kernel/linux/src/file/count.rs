//! How many open file descriptions there are on the machine (`fs.file-max` of proc(5)).

use super::Caller;
use crate::errno::Errno;
use crate::memory::Ram;
use crate::process::free;
use alloc::rc::Rc;

/// Bytes that there have to be for one: what is open is made where nothing can fail any more.
const SIZE: usize = 2048;

/// One that counts until this is dropped.
pub struct Counted(Rc<Ram>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.opens.update(|it| it.saturating_sub(1));
    }
}

/// Returns how many who is not root may have part in: one for each 10 KiB of memory, as on Linux
/// (`files_maxfiles_init` of fs/file_table.c), where it is never below 8192.
#[must_use]
pub fn most() -> usize {
    match kernel::memory::stats().total {
        0 => 1 << 20,
        total => total / 10_240,
    }
}

/// Counts one that `caller` is about to make, before what will be open.
///
/// # Errors
/// `ENFILE` if there are too many on the machine, unless root asks; `ENOMEM` when memory is low, for
/// root when it is nearly gone.
pub fn admit(caller: &dyn Caller) -> Result<Counted, Errno> {
    let memory = caller.memory();
    let ram = memory.ram();
    let is_root = caller.credentials().root;
    if ram.opens.get() >= most() && !is_root {
        return Err(Errno::ENFILE);
    }
    if is_root { ram.check_under_way() } else { ram.check() }?;
    free(SIZE)?;
    ram.opens.update(|it| it + 1);
    Ok(Counted(Rc::clone(ram)))
}
