//! Segments of shared memory, by the calls.

use super::calls::Status;
use crate::errno::Errno;
use crate::file::Caller;
use crate::process::Credentials;
use crate::testing::{perform, room, thread};
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::string::String;
use kernel::user::PAGE;
use syscalls::Sysno;

const P: u64 = PAGE as u64;
const CREATE: u64 = 0o1000;
const EXCLUSIVE: u64 = 0o2000;
const READ_ONLY: u64 = 0o10000;
const ROUND: u64 = 0o20000;
const REMAP: u64 = 0o40000;
const REMOVE: u64 = 0;
const STAT: u64 = 2;

fn call(thread: &Rc<Thread>, number: Sysno, args: [u64; 3]) -> Result<u64, Errno> {
    let [a, b, c] = args;
    perform(thread, number, [a, b, c, 0, 0, 0]).map(|it| it as u64)
}

fn status(thread: &Rc<Thread>, id: u64) -> Result<Status, Errno> {
    let at = room(&thread.memory(), PAGE) as u64;
    call(thread, Sysno::shmctl, [id, STAT, at])?;
    Ok(thread.memory().get(at).unwrap())
}

#[test]
fn what_one_map_writes_the_other_reads() {
    let thread = thread();
    let id = call(&thread, Sysno::shmget, [7, 3 * P - 1, CREATE | 0o600]).unwrap();
    assert_eq!(call(&thread, Sysno::shmget, [7, P, 0]), Ok(id));
    let one = call(&thread, Sysno::shmat, [id, 0, 0]).unwrap();
    let other = call(&thread, Sysno::shmat, [id, 0, READ_ONLY]).unwrap();
    thread.memory().put(one + 2 * P, &7u32).unwrap();
    assert_eq!(thread.memory().get::<u32>(other + 2 * P).unwrap(), 7);
    assert!(thread.memory().put(other, &7u32).is_err());
    // Nor does it become writable.
    assert_eq!(call(&thread, Sysno::mprotect, [other, P, 3]), Err(Errno::EACCES));
    assert_eq!(call(&thread, Sysno::mprotect, [one, P, 1]), Ok(0));
    assert_eq!(call(&thread, Sysno::mprotect, [one, P, 3]), Ok(0));
    let maps = String::from_utf8(thread.memory().maps().unwrap()).unwrap();
    assert!(maps.contains("/SYSV00000007 (deleted)"), "{maps}");
    let it = status(&thread, id).unwrap();
    assert_eq!((it.key, it.bytes, it.attached, it.mode), (7, 3 * P - 1, 2, 0o600));
    assert_eq!((it.made_by, it.used_by), (1, 1));
    // A child has it as well, until it detaches it.
    let child = thread.memory().copy().unwrap();
    assert_eq!(status(&thread, id).unwrap().attached, 4);
    child.put(one, &9u32).unwrap();
    assert_eq!(thread.memory().get::<u32>(other).unwrap(), 9);
    drop(child);
    assert_eq!(status(&thread, id).unwrap().attached, 2);
}

#[test]
fn a_segment_ends_with_its_last_map() {
    let thread = thread();
    let id = call(&thread, Sysno::shmget, [7, 3 * P, CREATE | 0o600]).unwrap();
    let at = call(&thread, Sysno::shmat, [id, 0, 0]).unwrap();
    thread.memory().put(at, &7u32).unwrap();
    call(&thread, Sysno::shmctl, [id, REMOVE, 0]).unwrap();
    // Its key is free, and whoever has its number may still have it.
    assert_eq!(call(&thread, Sysno::shmget, [7, P, 0]), Err(Errno::ENOENT));
    assert_eq!(status(&thread, id).unwrap().mode, 0o1600);
    assert_eq!(thread.memory().get::<u32>(at).unwrap(), 7);
    // A hole makes two areas of it, which are detached as one.
    thread.memory().unmap((at + P) as usize, PAGE).unwrap();
    call(&thread, Sysno::shmdt, [at, 0, 0]).unwrap();
    assert!(thread.memory().get::<u32>(at + 2 * P).is_err());
    assert_eq!(status(&thread, id).unwrap_err(), Errno::EINVAL);
    assert_eq!(call(&thread, Sysno::shmdt, [at, 0, 0]), Err(Errno::EINVAL));
}

#[test]
fn the_calls_refuse_what_their_pages_say() {
    let thread = thread();
    let get = |key, bytes, flags| call(&thread, Sysno::shmget, [key, bytes, flags]);
    assert_eq!(get(7, P, 0), Err(Errno::ENOENT));
    assert_eq!(get(0, 0, 0), Err(Errno::EINVAL));
    for (bytes, errno) in [
        (u64::MAX, Errno::EINVAL),
        (1 << 63, Errno::EINVAL),
        (i64::MAX as u64, Errno::ENOMEM),
        (1 << 60, Errno::ENOMEM),
    ] {
        assert_eq!(get(0, bytes, 0), Err(errno), "{bytes:#x}");
    }
    let id = get(7, P, CREATE | 0o640).unwrap();
    assert_eq!(get(7, P, CREATE | EXCLUSIVE), Err(Errno::EEXIST));
    assert_eq!(get(7, P + 1, 0), Err(Errno::EINVAL));
    assert_ne!(get(0, P, 0), get(0, P, 0));
    // By place among all, of which ipcs(1) asks.
    let told = room(&thread.memory(), PAGE) as u64;
    let control = |id, command| call(&thread, Sysno::shmctl, [id, command, told]);
    assert_eq!((control(0, 13), control(2, 13).is_ok(), control(0, 14)), (Ok(id), true, Ok(2)));
    assert_eq!(thread.memory().get::<[u64; 3]>(told).unwrap(), [3; 3]);
    assert_eq!(control(3, 13), Err(Errno::EINVAL));
    assert_eq!((control(id, 11), status(&thread, id).unwrap().mode), (Ok(0), 0o2640));
    assert_eq!((control(id, 12), status(&thread, id).unwrap().mode), (Ok(0), 0o640));
    let attach = |at, flags| call(&thread, Sysno::shmat, [id, at, flags]);
    let taken = room(&thread.memory(), PAGE) as u64;
    assert_eq!(attach(taken, 0), Err(Errno::EINVAL));
    assert_eq!(attach(taken + 1, REMAP), Err(Errno::EINVAL));
    assert_eq!(attach(0, REMAP), Err(Errno::EINVAL));
    assert_eq!(attach(taken + 1, ROUND | REMAP), Ok(taken));
    assert_eq!(call(&thread, Sysno::shmat, [u64::MAX, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(call(&thread, Sysno::shmctl, [id, 99, 0]), Err(Errno::EINVAL));
    // Others see what the mode lets them.
    thread.process.credentials.replace(Credentials::new(5, 0));
    assert!(attach(0, READ_ONLY).is_ok());
    assert_eq!(attach(0, 0), Err(Errno::EACCES));
    assert_eq!(get(7, P, 0o600), Err(Errno::EACCES));
    assert_eq!(call(&thread, Sysno::shmctl, [id, REMOVE, 0]), Err(Errno::EPERM));
    thread.process.credentials.replace(Credentials::new(5, 5));
    assert_eq!(attach(0, READ_ONLY), Err(Errno::EACCES));
}
