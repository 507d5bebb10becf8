//! The calls themselves: their flags, and the error of each case of their manual pages.

use crate::call::Outcome;
use crate::errno::Errno;
use crate::file::{Caller, File, Open, Stat, Type};
use crate::memory::Request;
use crate::memory::tests::{NONE, READ};
use crate::stop::{Pages, Stop};
use crate::testing::{Numbered, perform, room, thread};
use crate::thread::Thread;
use alloc::rc::Rc;
use core::any::Any;
use kernel::task::block_on;
use kernel::user::{PAGE, TOP};
use linux_raw_sys::general as sys;
use syscalls::Sysno;

const P: u64 = PAGE as u64;
const PRIVATE: u64 = (sys::MAP_PRIVATE | sys::MAP_ANONYMOUS) as u64;
const SHARED: u64 = (sys::MAP_SHARED | sys::MAP_ANONYMOUS) as u64;

/// A file of numbers, or a device.
struct Numbers(Rc<Numbered>, Type, u64);

impl File for Numbers {
    fn stat(&self) -> Result<Stat, Stop> {
        let (kind, special) = (self.1, self.2);
        Ok(Stat {
            device: 1,
            inode: 2,
            kind,
            mode: 0o644,
            links: 1,
            uid: 0,
            gid: 0,
            special,
            size: 0,
            block: P,
            blocks: 0,
            accessed: 0,
            modified: 0,
            changed: 0,
            born: 0,
        })
    }

    fn pages(&self) -> Result<Rc<dyn Pages>, Errno> {
        match self.1 {
            Type::Regular => Ok(self.0.clone()),
            _ => Err(Errno::ENODEV),
        }
    }

    fn any(&self) -> &dyn Any {
        self
    }
}

/// Opens a file of two pages.
fn open(thread: &Rc<Thread>, kind: Type, special: u64, flags: u32) -> u64 {
    let file = Numbers(Numbered::new(2 * P, 0), kind, special);
    let open = Open::uncounted(Rc::new(file), flags);
    thread.process.files().add(open, false, 0).unwrap() as u64
}

fn mmap(thread: &Rc<Thread>, args: [u64; 6]) -> Result<usize, Errno> {
    perform(thread, Sysno::mmap, args)
}

fn at(thread: &Rc<Thread>, pages: usize) -> u64 {
    room(&Caller::memory(&**thread), pages * PAGE) as u64
}

fn byte(thread: &Rc<Thread>, at: usize) -> Result<u8, Stop> {
    Caller::memory(&**thread).get::<u8>(at as u64)
}

#[test]
fn mmap_refuses_what_its_page_says() {
    let thread = thread();
    let anonymous = |at, length, flags| mmap(&thread, [at, length, 3, flags, u64::MAX, 0]);
    assert_eq!(anonymous(0, 0, PRIVATE), Err(Errno::EINVAL));
    assert_eq!(anonymous(0, P, sys::MAP_ANONYMOUS.into()), Err(Errno::EINVAL));
    assert_eq!(anonymous(0, P, PRIVATE | 3), Err(Errno::EINVAL));
    assert_eq!(anonymous(0, P, SHARED | u64::from(sys::MAP_GROWSDOWN)), Err(Errno::EINVAL));
    assert_eq!(anonymous(1, P, PRIVATE | u64::from(sys::MAP_FIXED)), Err(Errno::EINVAL));
    assert_eq!(anonymous(TOP as u64, P, PRIVATE | u64::from(sys::MAP_FIXED)), Err(Errno::ENOMEM));
    assert_eq!(anonymous(0, u64::MAX, PRIVATE), Err(Errno::ENOMEM));
    assert_eq!(anonymous(0, P, PRIVATE | u64::from(sys::MAP_HUGETLB)), Err(Errno::ENOMEM));
    assert_eq!(mmap(&thread, [0, P, 3, PRIVATE, u64::MAX, 1]), Err(Errno::EINVAL));
    let there = at(&thread, 1);
    let no_replace = PRIVATE | u64::from(sys::MAP_FIXED_NOREPLACE);
    assert_eq!(anonymous(there, P, no_replace), Err(Errno::EEXIST));
    assert_eq!(anonymous(there, P, PRIVATE | u64::from(sys::MAP_FIXED)), Ok(there as usize));

    let (read, write) = (sys::MAP_PRIVATE.into(), sys::MAP_SHARED.into());
    let validate = u64::from(sys::MAP_SHARED_VALIDATE);
    let file = |protection, flags, fd| mmap(&thread, [0, P, protection, flags, fd, 0]);
    assert_eq!(file(1, read, 77), Err(Errno::EBADF));
    let wronly = open(&thread, Type::Regular, 0, sys::O_WRONLY);
    assert_eq!(file(1, read, wronly), Err(Errno::EACCES));
    assert_eq!(file(2, write, wronly), Err(Errno::EACCES));
    let rdonly = open(&thread, Type::Regular, 0, sys::O_RDONLY);
    assert_eq!(file(3, write, rdonly), Err(Errno::EACCES));
    assert!(file(3, read, rdonly).is_ok() && file(1, write, rdonly).is_ok());
    assert_eq!(file(1, validate | 1 << 40, rdonly), Err(Errno::EOPNOTSUPP));
    assert_eq!(file(1, validate | u64::from(sys::MAP_SYNC), rdonly), Err(Errno::EOPNOTSUPP));
    assert!(file(1, validate, rdonly).is_ok());
    assert_eq!(file(1, read | u64::from(sys::MAP_GROWSDOWN), rdonly), Err(Errno::EINVAL));
    assert_eq!(file(1, read | u64::from(sys::MAP_HUGETLB), rdonly), Err(Errno::EINVAL));
    assert_eq!(mmap(&thread, [0, P, 1, read, rdonly, P - 1]), Err(Errno::EINVAL));
    assert_eq!(mmap(&thread, [0, P, 1, read, rdonly, 0u64.wrapping_sub(P)]), Err(Errno::EOVERFLOW));
    assert_eq!(file(1, read, open(&thread, Type::Folder, 0, 0)), Err(Errno::ENODEV));
    let zero = open(&thread, Type::Character, 1 << 8 | 5, sys::O_RDWR);
    assert_eq!(byte(&thread, file(3, read, zero).unwrap()).unwrap(), 0);
    assert_eq!(byte(&thread, file(3, write, zero).unwrap()).unwrap(), 0);
}

#[test]
fn what_is_populated_or_locked_is_there_at_once() {
    let thread = thread();
    let memory = Caller::memory(&*thread);
    let flags = PRIVATE | u64::from(sys::MAP_POPULATE);
    // More than one step.
    let at = mmap(&thread, [0, 1300 * P, 3, flags, 0, 0]).unwrap();
    assert_eq!(memory.resident(at..at + 1300 * PAGE), 1300);
    let file = open(&thread, Type::Regular, 0, 0);
    let flags = u64::from(sys::MAP_PRIVATE | sys::MAP_POPULATE);
    let at = mmap(&thread, [0, 4 * P, 1, flags, file, 0]).unwrap();
    assert_eq!(memory.resident(at..at + 4 * PAGE), 2);
    let at = room(&memory, 4 * PAGE);
    perform(&thread, Sysno::mlock, [at as u64 + 1, P, 0, 0, 0, 0]).unwrap();
    assert_eq!(memory.resident(at..at + 4 * PAGE), 2);
    let invalidate = u64::from(sys::MS_INVALIDATE);
    let msync = |flags| perform(&thread, Sysno::msync, [at as u64, P, flags, 0, 0, 0]);
    assert_eq!(msync(invalidate), Err(Errno::EBUSY));
    perform(&thread, Sysno::munlock, [at as u64, 2 * P, 0, 0, 0, 0]).unwrap();
    assert_eq!(msync(invalidate), Ok(0));
    let lock = |name, args| perform(&thread, name, args);
    assert_eq!(lock(Sysno::mlock, [at as u64 + 3 * P, 1 << 30, 0, 0, 0, 0]), Err(Errno::ENOMEM));
    assert_eq!(lock(Sysno::mlock, [at as u64, u64::MAX, 0, 0, 0, 0]), Ok(0));
    assert_eq!(lock(Sysno::munlock, [0x1000, P, 0, 0, 0, 0]), Err(Errno::ENOMEM));
    assert_eq!(lock(Sysno::mlock2, [at as u64, P, 2, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(lock(Sysno::mlock2, [at as u64 + 2 * P, P, 1, 0, 0, 0]), Ok(0));
    assert_eq!(memory.resident(at..at + 4 * PAGE), 2);
    assert_eq!(lock(Sysno::mlockall, [0; 6]), Err(Errno::EINVAL));
    assert_eq!(lock(Sysno::mlockall, [4, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(lock(Sysno::mlockall, [8, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(lock(Sysno::mlockall, [3, 0, 0, 0, 0, 0]), Ok(0));
    assert_eq!(lock(Sysno::munlockall, [0; 6]), Ok(0));
}

#[test]
fn what_cannot_be_locked_is_refused() {
    let thread = thread();
    let memory = Caller::memory(&*thread);
    let lock = |name, at: usize, bytes: u64| perform(&thread, name, [at as u64, bytes, 0, 0, 0, 0]);
    let none = memory.map(&Request::anonymous(PAGE, NONE)).unwrap();
    assert_eq!(lock(Sysno::mlock, none, P), Err(Errno::ENOMEM));
    let limit = |bytes| crate::process::Limit { soft: bytes, hard: bytes };
    thread.process.limits.set(sys::RLIMIT_MEMLOCK, limit(2 * P), true).unwrap();
    let at = room(&memory, 4 * PAGE);
    assert_eq!(lock(Sysno::mlock, at, 4 * P), Ok(0), "root may");
    assert_eq!(lock(Sysno::munlockall, 0, 0), Ok(0));
    thread.process.credentials.replace(crate::process::Credentials::new(1000, 100));
    assert_eq!(lock(Sysno::mlock, at, 3 * P), Err(Errno::ENOMEM));
    assert_eq!(lock(Sysno::mlock, at, 2 * P), Ok(0));
    assert_eq!(lock(Sysno::mlock, at, 2 * P), Ok(0), "they are locked already");
    assert_eq!(lock(Sysno::mlock2, at + 2 * PAGE, P), Err(Errno::ENOMEM));
    assert_eq!(lock(Sysno::mlockall, 1, 0), Err(Errno::ENOMEM));
    let flags = PRIVATE | u64::from(sys::MAP_LOCKED);
    assert_eq!(mmap(&thread, [0, P, 3, flags, 0, 0]), Err(Errno::EAGAIN));
    thread.process.limits.set(sys::RLIMIT_MEMLOCK, limit(0), true).unwrap();
    assert_eq!(lock(Sysno::mlock, at, P), Err(Errno::EPERM));
}

#[test]
fn mprotect_refuses_what_its_page_says() {
    let thread = thread();
    let at = at(&thread, 2);
    let protect =
        |at, length, what: u64| perform(&thread, Sysno::mprotect, [at, length, what, 0, 0, 0]);
    assert_eq!(protect(at + 1, P, 1), Err(Errno::EINVAL));
    assert_eq!(protect(at, P, 0x10), Err(Errno::EINVAL));
    assert_eq!(protect(at, P, 0x0300_0000), Err(Errno::EINVAL));
    assert_eq!(protect(at, P, 0x0100_0000), Err(Errno::EINVAL));
    assert_eq!(protect(at, 0, 0x10), Ok(0));
    assert_eq!(protect(at, 1 << 40, 1), Err(Errno::ENOMEM));
    assert_eq!(protect(at, 2 * P, 8 | 1), Ok(0));
    let new_key = |flags, rights| perform(&thread, Sysno::pkey_alloc, [flags, rights, 0, 0, 0, 0]);
    assert_eq!(new_key(0, 3), Err(Errno::ENOSPC));
    assert_eq!(new_key(1, 0), Err(Errno::EINVAL));
    assert_eq!(new_key(0, 4), Err(Errno::EINVAL));
    assert_eq!(perform(&thread, Sysno::pkey_free, [1, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    let key = |key: i32| perform(&thread, Sysno::pkey_mprotect, [at, P, 3, key as u64, 0, 0]);
    assert_eq!((key(0), key(-1)), (Err(Errno::EINVAL), Ok(0)));
    let flags = PRIVATE | u64::from(sys::MAP_GROWSDOWN);
    let stack = mmap(&thread, [0, 4 * P, 3, flags, 0, 0]).unwrap() as u64;
    assert_eq!(protect(stack + 3 * P, P, 0x0100_0001), Ok(0));
    let memory = Caller::memory(&*thread);
    memory.each_area(&mut |view| {
        assert!(
            view.range.start != stack as usize
                || view.access == READ && view.range.len() == 4 * PAGE
        );
    });
}

#[test]
fn mremap_of_much_memory_lets_others_run_unless_they_would_see_a_part_of_it() {
    const PAGES: u64 = 1600;
    let thread = thread();
    let at = room(&thread.memory(), PAGES as usize * PAGE) as u64;
    let byte = |at: u64| thread.memory().get::<u8>(at).ok();
    for page in 0..PAGES {
        thread.memory().put(at + page * P, &(page as u8)).unwrap();
    }
    let call = crate::table::call(Sysno::mremap as u64).unwrap();
    let flags = u64::from(sys::MREMAP_MAYMOVE | sys::MREMAP_FIXED);
    let moved =
        |from: u64, to: u64| (call.run)(&thread, [from, PAGES * P, PAGES * P, flags, to, 0]);
    // Not as whole tables.
    let (to, last) = (at + (1 << 32) + P, at + (2 << 32) + 2 * P);
    let Ok(Outcome::Wait(future)) = moved(at, to) else { panic!("it takes turns") };
    let mut future = core::pin::pin!(future);
    let mut seen = std::vec::Vec::new();
    block_on(core::future::poll_fn(|context| {
        let there = [511, 512, 1024, 1536, 1599].map(|it| byte(to + it * P).is_some());
        seen.push(there.iter().filter(|it| **it).count());
        future.as_mut().poll(context).map(|it| assert_eq!(it, Ok(to as usize)))
    }));
    assert_eq!(seen, [0, 1, 2, 3]);
    // Threads that have the memory as well would find a part of it at either place.
    let other = thread.memory();
    assert!(matches!(moved(to, last), Ok(Outcome::Value(it)) if it == last as usize));
    drop(other);
    assert!((0..PAGES).all(|page| byte(last + page * P) == Some(page as u8)));
}

#[test]
fn mremap_refuses_what_its_page_says() {
    let thread = thread();
    let at = at(&thread, 2);
    let remap = |flags, to| perform(&thread, Sysno::mremap, [at, P, 2 * P, flags, to, 0]);
    assert_eq!(remap(8, 0), Err(Errno::EINVAL));
    assert_eq!(remap(2, at + 10 * P), Err(Errno::EINVAL));
    assert_eq!(remap(4, 0), Err(Errno::EINVAL));
    assert_eq!(remap(5, 0), Err(Errno::EINVAL));
    assert_eq!(remap(0, 0), Err(Errno::ENOMEM));
    assert_eq!(remap(3, at), Err(Errno::EINVAL));
    assert!(remap(1, 0).is_ok());
}

#[test]
fn madvise_follows_advice_and_refuses_what_its_page_says() {
    let thread = thread();
    let memory = Caller::memory(&*thread);
    let at = at(&thread, 4) as usize;
    let advise = |at: usize, length: usize, advice: u32| {
        perform(&thread, Sysno::madvise, [at as u64, length as u64, advice.into(), 0, 0, 0])
    };
    memory.write(at, b"x").unwrap();
    assert_eq!(advise(at, PAGE, sys::MADV_DONTNEED), Ok(0));
    assert_eq!(memory.resident(at..at + 4 * PAGE), 0);
    assert_eq!(byte(&thread, at).unwrap(), 0);
    assert_eq!(advise(at, PAGE, 99), Err(Errno::EINVAL));
    assert_eq!(advise(at + 1, PAGE, sys::MADV_DONTNEED), Err(Errno::EINVAL));
    assert_eq!(advise(at, usize::MAX, sys::MADV_DONTNEED), Err(Errno::EINVAL));
    assert_eq!(advise(at, 0, sys::MADV_DONTNEED), Ok(0));
    memory.unmap(at + PAGE, PAGE).unwrap();
    (0..4).filter(|it| *it != 1).for_each(|it| memory.write(at + it * PAGE, b"x").unwrap());
    // What is mapped is dealt with all the same.
    assert_eq!(advise(at, 4 * PAGE, sys::MADV_FREE), Err(Errno::ENOMEM));
    assert_eq!(memory.resident(at..at + 4 * PAGE), 0);
    assert_eq!(advise(at, PAGE, sys::MADV_REMOVE), Err(Errno::EINVAL));
    for nothing in [0, 1, 2, 3, 12, 13, 14, 15, 16, 17, 20, 21] {
        assert_eq!(advise(at, PAGE, nothing), Ok(0), "{nothing}");
    }
    memory.lock(at..at + PAGE, true).unwrap();
    for not_locked in [sys::MADV_DONTNEED, sys::MADV_FREE, sys::MADV_COLD, sys::MADV_PAGEOUT] {
        assert_eq!(advise(at, PAGE, not_locked), Err(Errno::EINVAL), "{not_locked}");
    }
    assert_eq!(advise(at, PAGE, sys::MADV_DONTNEED_LOCKED), Ok(0));

    let shared = mmap(&thread, [0, 4 * P, 3, SHARED, 0, 0]).unwrap();
    memory.write(shared, b"x").unwrap();
    memory.write(shared + PAGE, b"y").unwrap();
    assert_eq!(advise(shared, PAGE, sys::MADV_FREE), Err(Errno::EINVAL));
    assert_eq!(advise(shared, PAGE, sys::MADV_WIPEONFORK), Err(Errno::EINVAL));
    assert_eq!(advise(shared, PAGE, sys::MADV_DONTNEED), Ok(0));
    assert_eq!(byte(&thread, shared).unwrap(), b'x');
    assert_eq!(advise(shared, PAGE, sys::MADV_REMOVE), Ok(0));
    assert_eq!((byte(&thread, shared).unwrap(), byte(&thread, shared + PAGE).unwrap()), (0, b'y'));
    memory.protect(shared, PAGE, READ).unwrap();
    assert_eq!(advise(shared, PAGE, sys::MADV_REMOVE), Err(Errno::EACCES));

    assert_eq!(advise(shared, PAGE, sys::MADV_POPULATE_WRITE), Err(Errno::EINVAL));
    assert_eq!(advise(at, 2 * PAGE, sys::MADV_POPULATE_WRITE), Err(Errno::ENOMEM));
    assert_eq!(advise(at + 2 * PAGE, 2 * PAGE, sys::MADV_POPULATE_READ), Ok(0));
    assert_eq!(memory.resident(at..at + 4 * PAGE), 3);
    let file = open(&thread, Type::Regular, 0, sys::O_RDWR);
    let file = mmap(&thread, [0, 4 * P, 3, sys::MAP_SHARED.into(), file, 0]).unwrap();
    assert_eq!(advise(file, 4 * PAGE, sys::MADV_POPULATE_READ), Err(Errno::EFAULT));
    assert_eq!(advise(file, PAGE, sys::MADV_REMOVE), Err(Errno::EOPNOTSUPP));
}

#[test]
fn the_last_pages_of_all_addresses_are_mapped_for_no_call_u2() {
    let thread = thread();
    let calls = [
        Sysno::madvise,
        Sysno::mlock,
        Sysno::mlock2,
        Sysno::munlock,
        Sysno::mincore,
        Sysno::msync,
        Sysno::mprotect,
        Sysno::munmap,
        Sysno::mremap,
        Sysno::mmap,
    ];
    for pages in [1_u64, 2, 511, 512, 513] {
        let at = 0_u64.wrapping_sub(pages * P);
        for length in [P, (pages - 1) * P, pages * P, u64::MAX - at] {
            for third in [0, 1, 4, u64::from(sys::MADV_POPULATE_READ), 23] {
                for call in calls {
                    let fixed = PRIVATE | u64::from(sys::MAP_FIXED);
                    let _ = perform(&thread, call, [at, length, third, fixed, at, 0]);
                }
            }
        }
        let populate =
            |advice: u32| perform(&thread, Sysno::madvise, [at, P, advice.into(), 0, 0, 0]);
        for advice in [sys::MADV_POPULATE_READ, sys::MADV_POPULATE_WRITE] {
            let expected = if pages == 1 { Errno::EINVAL } else { Errno::ENOMEM };
            assert_eq!(populate(advice), Err(expected), "{pages}");
        }
    }
}

#[test]
fn mincore_and_msync_answer_for_what_is_mapped() {
    let thread = thread();
    let memory = Caller::memory(&*thread);
    let (at, vector) = (at(&thread, 4), at(&thread, 1));
    memory.write(at as usize + PAGE, b"x").unwrap();
    let mincore = |at, length, to| perform(&thread, Sysno::mincore, [at, length, to, 0, 0, 0]);
    assert_eq!(mincore(at, 3 * P + 1, vector), Ok(0));
    assert_eq!(memory.get::<[u8; 5]>(vector).unwrap(), [0, 1, 0, 0, 0]);
    assert_eq!(mincore(at + 1, P, vector), Err(Errno::EINVAL));
    assert_eq!(mincore(at, 1 << 47, vector), Err(Errno::ENOMEM));
    assert_eq!(mincore(0x1000, P, vector), Err(Errno::ENOMEM));
    assert_eq!(mincore(at, P, 0x1000), Err(Errno::EFAULT));
    assert_eq!(mincore(at, P, u64::MAX), Err(Errno::EFAULT));
    assert_eq!(mincore(at, 0, vector), Ok(0));
    let msync = |at, length, flags| perform(&thread, Sysno::msync, [at, length, flags, 0, 0, 0]);
    assert_eq!(msync(at, P, 4), Ok(0));
    assert_eq!(msync(at, P, 5), Err(Errno::EINVAL));
    assert_eq!(msync(at, P, 8), Err(Errno::EINVAL));
    assert_eq!(msync(at + 1, P, 4), Err(Errno::EINVAL));
    assert_eq!(msync(at, u64::MAX, 4), Err(Errno::ENOMEM));
    assert_eq!(msync(0x1000, P, 4), Err(Errno::ENOMEM));
    assert_eq!(msync(0x1000, 0, 4), Ok(0));
}

#[test]
fn munmap_and_brk_are_calls() {
    let thread = thread();
    let at = at(&thread, 2);
    let unmap = |at, length| perform(&thread, Sysno::munmap, [at, length, 0, 0, 0, 0]);
    assert_eq!(unmap(at, P), Ok(0));
    assert_eq!(unmap(at, 0), Err(Errno::EINVAL));
    assert_eq!(unmap(at + 1, P), Err(Errno::EINVAL));
    Caller::memory(&*thread).set_brk_start(0x40_0000);
    let start = perform(&thread, Sysno::brk, [0; 6]).unwrap() as u64;
    assert_eq!(perform(&thread, Sysno::brk, [start + 9, 0, 0, 0, 0, 0]), Ok(start as usize + 9));
}
