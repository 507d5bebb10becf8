//! prctl(2) and arch_prctl(2).

use crate::call::{Answer, Args, Group, calls};
use crate::errno::Errno;
use crate::file::Caller;
use crate::signal::Signal;
use crate::thread::Thread;
use alloc::rc::Rc;
use linux_raw_sys::general::ARCH_SET_FS;
use linux_raw_sys::prctl as raw;

/// prctl(2) and arch_prctl(2).
pub(crate) const CALLS: Group = calls! {
    prctl(PRCTL, Hex, Hex, Hex, Hex) = prctl;
    arch_prctl(ARCH, Hex) = arch_prctl;
    rseq(Hex, Size, Hex, Hex) = rseq;
};

/// Codes of arch_prctl(2) that the headers' package has not.
const ARCH_SET_GS: u32 = 0x1001;
const ARCH_GET_FS: u32 = 0x1003;
const ARCH_GET_GS: u32 = 0x1004;

/// The slack of timers that Linux begins with, in ns.
const SLACK: usize = 50_000;

/// The last capability of Linux 6.1.
const LAST_CAPABILITY: u64 = 40;

fn prctl(thread: &Rc<Thread>, [option, second, third, fourth, fifth, _]: Args) -> Answer {
    let (memory, controls) = (thread.memory(), &thread.process.controls);
    let no_more = third | fourth | fifth == 0;
    let flag = |value: u64| match value {
        0 | 1 => Ok(value == 1),
        _ => Err(Errno::EINVAL),
    };
    match option as u32 {
        raw::PR_SET_NAME => {
            let mut name = [0; 16];
            // The text may end at the end of what is mapped.
            for (index, byte) in (0..).zip(name.iter_mut().take(15)) {
                *byte = memory.get::<u8>(second.wrapping_add(index))?;
                if *byte == 0 {
                    break;
                }
            }
            thread.signals.name.set(name);
        }
        raw::PR_GET_NAME => memory.put(second, &thread.signals.name.get())?,
        raw::PR_SET_PDEATHSIG => {
            if second != 0 && Signal::new(second).is_none() {
                return Err(Errno::EINVAL.into());
            }
            controls.parent_ended.set(second as i32);
        }
        raw::PR_GET_PDEATHSIG => memory.put(second, &controls.parent_ended.get())?,
        raw::PR_SET_DUMPABLE => controls.undumpable.set(!flag(second)?),
        raw::PR_GET_DUMPABLE => return Ok(usize::from(!controls.undumpable.get()).into()),
        raw::PR_SET_KEEPCAPS => controls.keeps_capabilities.set(flag(second)?),
        raw::PR_GET_KEEPCAPS => return Ok(usize::from(controls.keeps_capabilities.get()).into()),
        raw::PR_SET_NO_NEW_PRIVS => {
            if second != 1 || !no_more {
                return Err(Errno::EINVAL.into());
            }
            controls.no_new_privileges.set(true);
        }
        raw::PR_GET_NO_NEW_PRIVS if second == 0 && no_more => {
            return Ok(usize::from(controls.no_new_privileges.get()).into());
        }
        raw::PR_SET_CHILD_SUBREAPER => controls.reaps.set(second != 0),
        raw::PR_GET_CHILD_SUBREAPER => memory.put(second, &i32::from(controls.reaps.get()))?,
        raw::PR_GET_TIMERSLACK => return Ok(SLACK.into()),
        raw::PR_GET_TIMING | raw::PR_GET_SECCOMP => {}
        // SECBIT_KEEP_CAPS
        raw::PR_GET_SECUREBITS => {
            return Ok((usize::from(controls.keeps_capabilities.get()) << 4).into());
        }
        raw::PR_CAPBSET_READ if second <= LAST_CAPABILITY => return Ok(1.into()),
        raw::PR_GET_THP_DISABLE if second == 0 && no_more => {}
        // What is said to a Linux that may go another way.
        raw::PR_SET_TIMERSLACK
        | raw::PR_SET_THP_DISABLE
        | raw::PR_SET_PTRACER
        | raw::PR_SET_VMA
        | raw::PR_MCE_KILL
        | raw::PR_CAPBSET_DROP => {}
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0.into())
}

fn arch_prctl(thread: &Rc<Thread>, [code, address, ..]: Args) -> Answer {
    let mut context = thread.context().borrow_mut();
    match code as u32 {
        ARCH_SET_FS => context.set_fs_base(user(address)?).map_err(|_| Errno::EPERM)?,
        ARCH_SET_GS => context.set_gs_base(user(address)?).map_err(|_| Errno::EPERM)?,
        ARCH_GET_FS => thread.memory().put(address, &context.fs_base())?,
        ARCH_GET_GS => thread.memory().put(address, &context.gs_base())?,
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0.into())
}

/// An address that a program may have.
const fn user(address: u64) -> Result<u64, Errno> {
    if address < kernel::user::TOP as u64 { Ok(address) } else { Err(Errno::EPERM) }
}

/// Restartable sequences are not there, which libraries know what to do about.
fn rseq(_: &Rc<Thread>, _: Args) -> Answer {
    Err(Errno::ENOSYS.into())
}
