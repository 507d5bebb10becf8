//! Reads, writes, sizes.

use super::*;
use crate::process::{Credentials, Limit};
use crate::signal::{Action, Signal};
use crate::testing::performed;
use core::cell::Cell;
use kernel::task::{block_on, join};

#[test]
fn what_is_written_is_read() {
    let it = Program::new();
    let fd = it.open("/a", abi::O_RDWR | abi::O_CREAT).unwrap();
    assert_eq!(fd, 0);
    let text: Vec<u8> = (0..10_000_u32).map(|it| it as u8).collect();
    assert_eq!(it.write(fd, &text), Ok(10_000));
    assert_eq!(it.read(fd, 10), Ok(Vec::new()));
    for (offset, whence, to) in [
        (0_i64, abi::SEEK_SET, Ok(0)),
        (5, abi::SEEK_CUR, Ok(5)),
        (-5, abi::SEEK_END, Ok(9995)),
        (-1, abi::SEEK_SET, Err(Errno::EINVAL)),
        (0, 9, Err(Errno::EINVAL)),
        (10_000, abi::SEEK_DATA, Err(Errno::ENXIO)),
        (7, abi::SEEK_DATA, Ok(7)),
        (7, abi::SEEK_HOLE, Ok(10_000)),
        (4090, abi::SEEK_SET, Ok(4090)),
    ] {
        assert_eq!(it.call(Sysno::lseek, &[fd, offset as u64, whence.into()]), to);
    }
    assert_eq!(it.read(fd, 20), Ok(text[4090..4110].to_vec()));
    let count = it.call(Sysno::pread64, &[fd, it.buffer(), 100, 9990]).unwrap();
    assert_eq!(it.got(count), text[9990..]);
    // The position did not move.
    assert_eq!(it.read(fd, 2), Ok(text[4110..4112].to_vec()));
    // A hole is zeros.
    it.put(b"end");
    assert_eq!(it.call(Sysno::pwrite64, &[fd, it.buffer(), 3, 100_000]), Ok(3));
    assert_eq!(it.call(Sysno::pread64, &[fd, it.buffer(), 5, 99_998]), Ok(5));
    assert_eq!(it.got(5), b"\0\0end");
    assert_eq!(it.stat(Sysno::stat, "/a").unwrap()[6], 100_003);
    it.close(fd);
    assert_eq!(it.read(fd, 1), Err(Errno::EBADF));
}

#[test]
fn errors_are_those_of_the_manual() {
    let it = Program::new();
    it.file("/a", b"text");
    it.mkdir("/d");
    let reader = it.open("/a", abi::O_RDONLY).unwrap();
    let writer = it.open("/a", abi::O_WRONLY).unwrap();
    let folder = it.open("/d", abi::O_RDONLY).unwrap();
    let named = it.open("/a", abi::O_PATH).unwrap();
    let at = it.buffer();
    let cases: &[(Sysno, &[u64], Errno)] = &[
        (Sysno::read, &[writer, at, 1], Errno::EBADF),
        (Sysno::read, &[folder, at, 1], Errno::EISDIR),
        (Sysno::read, &[named, at, 1], Errno::EBADF),
        (Sysno::read, &[99, at, 1], Errno::EBADF),
        (Sysno::read, &[reader, 8, 1], Errno::EFAULT),
        (Sysno::write, &[reader, at, 1], Errno::EBADF),
        (Sysno::write, &[writer, 8, 1], Errno::EFAULT),
        (Sysno::write, &[folder, at, 1], Errno::EBADF),
        (Sysno::pread64, &[reader, at, 1, u64::MAX], Errno::EINVAL),
        (Sysno::pread64, &[named, at, 1, 0], Errno::EBADF),
        (Sysno::readv, &[reader, at, 1025], Errno::EINVAL),
        (Sysno::readv, &[reader, 8, 1], Errno::EFAULT),
        (Sysno::preadv2, &[99, at, 1, 0, 0, 0x1000], Errno::EBADF),
        (Sysno::pread64, &[reader, at, 1, i64::MAX as u64], Errno::EINVAL),
        (Sysno::pwrite64, &[writer, at, 2, i64::MAX as u64 - 1], Errno::EINVAL),
        (Sysno::ftruncate, &[reader, 1], Errno::EINVAL),
        (Sysno::ftruncate, &[writer, u64::MAX], Errno::EINVAL),
        (Sysno::ftruncate, &[99, 1], Errno::EBADF),
        (Sysno::fallocate, &[reader, 0, 0, 1], Errno::EBADF),
        (Sysno::fallocate, &[writer, 0, 0, 0], Errno::EINVAL),
        (Sysno::fallocate, &[writer, 2, 0, 1], Errno::EOPNOTSUPP),
        (Sysno::fallocate, &[writer, 8, 0, 1], Errno::EOPNOTSUPP),
        (Sysno::fallocate, &[writer, 0, i64::MAX as u64, 1], Errno::EFBIG),
        (Sysno::pwrite64, &[writer, at, 1, i64::MAX as u64], Errno::EINVAL),
        (Sysno::copy_file_range, &[reader, 0, folder, 0, 1, 0], Errno::EISDIR),
        (Sysno::copy_file_range, &[reader, 0, reader, 0, 1, 0], Errno::EBADF),
        (Sysno::copy_file_range, &[reader, 0, writer, 0, 1, 1], Errno::EINVAL),
        (Sysno::splice, &[reader, 0, writer, 0, 1, 0], Errno::EINVAL),
        (Sysno::fsync, &[99], Errno::EBADF),
        (Sysno::lseek, &[named, 0, 0], Errno::EBADF),
        (Sysno::dup2, &[99, 3], Errno::EBADF),
        (Sysno::dup2, &[reader, 1 << 30], Errno::EBADF),
        (Sysno::dup3, &[reader, reader, 0], Errno::EINVAL),
        (Sysno::dup3, &[reader, 9, 1], Errno::EINVAL),
        (Sysno::fcntl, &[reader, 999, 0], Errno::EINVAL),
        (Sysno::fcntl, &[reader, 0, 1 << 20], Errno::EINVAL),
        (Sysno::fcntl, &[named, 4, 0], Errno::EBADF),
        (Sysno::fcntl, &[reader, 1033, 0], Errno::EINVAL),
        (Sysno::ioctl, &[reader, 0x5401, at], Errno::ENOTTY),
        (Sysno::ioctl, &[named, 0x5401, at], Errno::EBADF),
        (Sysno::close_range, &[5, 4, 0], Errno::EINVAL),
        (Sysno::getdents64, &[reader, at, 100], Errno::ENOTDIR),
        (Sysno::getdents64, &[folder, at, 10], Errno::EINVAL),
        (Sysno::flock, &[reader, 7], Errno::EINVAL),
        (Sysno::memfd_create, &[at, 32], Errno::EINVAL),
    ];
    for &(number, args, errno) in cases {
        assert_eq!(it.call(number, args), Err(errno), "{number} {args:?}");
    }
    assert_eq!(it.content("/a"), Ok(b"text".to_vec()));
}

#[test]
fn parts_are_gathered_and_scattered() {
    let it = Program::new();
    let fd = it.open("/a", abi::O_RDWR | abi::O_CREAT | abi::O_APPEND).unwrap();
    let at = it.put(b"onetwo----");
    let list = it.path(0, "");
    let vectors = [at, 3, at + 100, 0, at + 3, 3];
    for (index, word) in vectors.iter().enumerate() {
        it.thread.memory().put(list + index as u64 * 8, word).unwrap();
    }
    assert_eq!(it.call(Sysno::writev, &[fd, list, 3]), Ok(6));
    assert_eq!(it.call(Sysno::pwritev, &[fd, list, 1, 0]), Ok(3), "it appends all the same");
    assert_eq!(it.content("/a"), Ok(b"onetwoone".to_vec()));
    let vectors = [at + 4, 2, at, 4];
    for (index, word) in vectors.iter().enumerate() {
        it.thread.memory().put(list + index as u64 * 8, word).unwrap();
    }
    assert_eq!(it.call(Sysno::preadv, &[fd, list, 2, 1]), Ok(6));
    assert_eq!(it.got(6), b"twoone");
    it.call(Sysno::lseek, &[fd, 0, 0]).unwrap();
    assert_eq!(it.call(Sysno::preadv2, &[fd, list, 2, u64::MAX, 0, 0]), Ok(6));
    assert_eq!(it.got(6), b"etwoon");
}

#[test]
fn sizes_change_and_holes_are_zeros() {
    let it = Program::new();
    it.file("/a", &[7; 9000]);
    assert_eq!(it.with(Sysno::truncate, "/a", &[5000]), Ok(0));
    assert_eq!(it.with(Sysno::truncate, "/a", &[9000]), Ok(0));
    let all = it.content("/a").unwrap();
    assert_eq!((&all[..5000], &all[5000..]), (&[7; 5000][..], &[0; 4000][..]));
    let fd = it.open("/a", abi::O_RDWR).unwrap();
    assert_eq!(it.call(Sysno::fallocate, &[fd, 3, 10, 4090]), Ok(0));
    let all = it.content("/a").unwrap();
    assert_eq!(
        (&all[..10], &all[10..4100], &all[4100..5000]),
        (&[7; 10][..], &[0; 4090][..], &[7; 900][..])
    );
    assert_eq!(it.call(Sysno::fallocate, &[fd, 0, 9000, 1000]), Ok(0));
    assert_eq!(it.call(Sysno::fallocate, &[fd, 1, 10_000, 1000]), Ok(0));
    assert_eq!(it.stat(Sysno::stat, "/a").unwrap()[6], 10_000);
    let begin = std::time::Instant::now();
    assert_eq!(it.call(Sysno::ftruncate, &[fd, i64::MAX as u64]), Ok(0));
    assert_eq!(it.call(Sysno::fallocate, &[fd, 3, 0, i64::MAX as u64]), Ok(0));
    assert!(begin.elapsed().as_secs() < 5, "a hole is not walked page by page");
}

#[test]
fn files_in_memory_are_bounded_and_give_back() {
    let it = Program::new();
    let free = || it.thread.system.tree.root().system().free;
    let before = free();
    it.file("/a", &[1; 40_000]);
    assert!(free() + 40_000 <= before);
    let fd = it.open("/a", abi::O_RDONLY).unwrap();
    assert_eq!(it.with(Sysno::unlink, "/a", &[]), Ok(0));
    assert_eq!(it.read(fd, 40_000).map(|it| it.len()), Ok(40_000), "it is open");
    it.close(fd);
    assert!(before - free() < 4096, "{before} {}", free());
    kernel::testing::simulate_memory(1 << 20);
    let it = Program::new();
    let fd = it.open("/a", abi::O_WRONLY | abi::O_CREAT).unwrap();
    let mut written = 0;
    let end = loop {
        match it.write(fd, &[0; 65_536]) {
            Ok(count) => written += count,
            Err(errno) => break errno,
        }
        assert!(written < 1 << 20);
    };
    assert_eq!(end, Errno::ENOSPC);
    let more = (0..100).map(|it| std::format!("/d{it}"));
    let mut made = more.map(|path| it.with(Sysno::mkdir, &path, &[0o777]));
    assert_eq!(made.find(Result::is_err), Some(Err(Errno::ENOSPC)));
    assert_eq!(it.call(Sysno::ftruncate, &[fd, 0]), Ok(0));
    it.mkdir("/d");
    let size = || it.stat(Sysno::stat, "/a").unwrap()[6];
    for (mode, length) in [(0, 1 << 19), (1, 1 << 19), (0, 1 << 30)] {
        let result = it.call(Sysno::fallocate, &[fd, mode, 0, length]);
        assert_eq!((result, size()), (Err(Errno::ENOSPC), 0), "{mode} {length}");
    }
    assert_eq!(it.call(Sysno::ftruncate, &[fd, 0]), Ok(0));
    assert_eq!(it.call(Sysno::fallocate, &[fd, 0, 0, 1 << 18]), Ok(0));
    assert_eq!((size(), it.stat(Sysno::stat, "/a").unwrap()[8]), (1 << 18, 512), "blocks");
    assert_eq!(it.write(fd, &[0; 65_536]), Ok(65_536));
    kernel::testing::simulate_memory(0);
}

#[test]
fn files_are_copied_within_the_kernel() {
    let it = Program::new();
    let text: Vec<u8> = (0..50_000_u32).map(|it| (it / 7) as u8).collect();
    it.file("/a", &text);
    let from = it.open("/a", abi::O_RDONLY).unwrap();
    let to = it.open("/b", abi::O_RDWR | abi::O_CREAT).unwrap();
    assert_eq!(it.call(Sysno::sendfile, &[to, from, 0, 30_000]), Ok(30_000));
    it.thread.memory().put(it.buffer(), &40_000_u64).unwrap();
    assert_eq!(it.call(Sysno::sendfile, &[to, from, it.buffer(), 30_000]), Ok(10_000));
    assert_eq!(it.got(8), 50_000_u64.to_le_bytes());
    assert_eq!(it.call(Sysno::copy_file_range, &[from, 0, to, 0, 5000, 0]), Ok(5000));
    let all = [&text[..30_000], &text[40_000..], &text[30_000..35_000]].concat();
    assert_eq!(it.content("/b"), Ok(all));
    let pipe = it.buffer();
    it.call(Sysno::pipe2, &[pipe, 0]).unwrap();
    let ends = it.got(8);
    let [reader, writer] = [u64::from(ends[0]), u64::from(ends[4])];
    it.thread.memory().put(pipe, &7_u64).unwrap();
    assert_eq!(it.call(Sysno::splice, &[from, pipe, writer, 0, 1000, 0]), Ok(1000));
    assert_eq!(it.read(reader, 2000), Ok(text[7..1007].to_vec()));
    it.write(writer, b"through").unwrap();
    it.call(Sysno::ftruncate, &[to, 0]).unwrap();
    it.call(Sysno::lseek, &[to, 0, 0]).unwrap();
    assert_eq!(it.call(Sysno::splice, &[reader, 0, to, 0, 1000, 0]), Ok(7));
    assert_eq!(it.content("/b"), Ok(b"through".to_vec()));
    assert_eq!(it.call(Sysno::splice, &[reader, 0, to, 0, 1000, 2]), Err(Errno::EAGAIN));
    assert_eq!(it.call(Sysno::splice, &[reader, pipe, to, 0, 1000, 0]), Err(Errno::ESPIPE));
    assert_eq!(it.call(Sysno::lseek, &[reader, 0, 0]), Err(Errno::ESPIPE));
    assert_eq!(it.call(Sysno::pread64, &[reader, pipe, 1, 0]), Err(Errno::ESPIPE));
}

#[test]
fn a_file_is_copied_behind_itself_up_to_its_end() {
    let it = Program::new();
    it.file("/a", b"text");
    let fd = it.open("/a", abi::O_RDWR).unwrap();
    it.thread.memory().put(it.buffer(), &[1_u64, 4, 2]).unwrap();
    let [from, to, within] = [0, 8, 16].map(|word| it.buffer() + word);
    let copy = |to, count| it.call(Sysno::copy_file_range, &[fd, from, fd, to, count, 0]);
    assert_eq!(copy(within, 1000), Err(Errno::EINVAL), "they overlap");
    assert_eq!(copy(to, 1000), Ok(3));
    assert_eq!(it.content("/a"), Ok(b"textext".to_vec()));
}

#[test]
fn an_eventfd_takes_one_number_of_a_long_write() {
    let it = Program::new();
    let fd = it.call(Sysno::eventfd2, &[0, 0]).unwrap() as u64;
    assert_eq!(it.write(fd, &[3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]), Ok(8));
    assert_eq!(it.read(fd, 8), Ok(3_u64.to_le_bytes().to_vec()));
}

/// The two descriptors that a call writes into the buffer.
fn two(it: &Program, number: Sysno, args: &[u64]) -> [u64; 2] {
    it.call(number, args).unwrap();
    let ends = it.got(8);
    [ends[0].into(), ends[4].into()]
}

#[test]
fn splice_takes_from_a_pipe_what_it_has_written_elsewhere() {
    let it = Program::new();
    it.file("/a", &[b'f'; 3000]);
    let nonblocking = 2;
    let [reader, writer] = two(&it, Sysno::pipe2, &[it.buffer(), 0]);
    let [next, full] = two(&it, Sysno::pipe2, &[it.buffer(), 0]);
    let splice = |from, to, count| it.call(Sysno::splice, &[from, 0, to, 0, count, nonblocking]);
    it.write(full, &[b'x'; 65_536 - 3]).unwrap();
    it.write(writer, b"through").unwrap();
    // There is room for three bytes.
    assert_eq!(splice(reader, full, 99), Ok(3));
    assert_eq!(splice(reader, full, 99), Err(Errno::EAGAIN));
    let file = it.open("/a", abi::O_RDONLY).unwrap();
    assert_eq!(splice(file, full, 99), Err(Errno::EAGAIN));
    assert_eq!(it.call(Sysno::lseek, &[file, 0, 1]), Ok(0));
    // What cannot be written stays.
    let limit = Limit { soft: 3, hard: 3 };
    it.thread.process.limits.set(abi::RLIMIT_FSIZE, limit, true).unwrap();
    let to = it.open("/b", abi::O_RDWR | abi::O_CREAT).unwrap();
    assert_eq!(splice(reader, to, 99), Ok(3));
    assert_eq!(splice(reader, to, 99), Err(Errno::EFBIG));
    assert_eq!(it.content("/b"), Ok(b"oug".to_vec()));
    assert_eq!(it.read(reader, 99), Ok(b"h".to_vec()));
    // Nobody reads: nothing is taken.
    it.write(writer, b"kept").unwrap();
    it.close(next);
    assert_eq!(splice(reader, full, 99), Err(Errno::EPIPE));
    assert_eq!(it.read(reader, 99), Ok(b"kept".to_vec()));
}

#[test]
fn what_waits_for_its_reader_is_sent_as_a_whole() {
    use crate::call::Outcome;
    use kernel::task::{block_on, join, yield_now};
    let it = Program::new();
    let size = 800_000_u64;
    let file = it.open("/a", abi::O_RDWR | abi::O_CREAT).unwrap();
    it.call(Sysno::ftruncate, &[file, size]).unwrap();
    let [one, other] = two(&it, Sysno::socketpair, &[1, 1, 0, it.buffer()]);
    let send = crate::table::call(Sysno::sendfile as u64).unwrap();
    let Ok(Outcome::Wait(sent)) = (send.run)(&it.thread, [one, file, 0, size, 0, 0]) else {
        panic!("it waits");
    };
    let read = async {
        let mut left = size;
        while left > 0 {
            yield_now().await;
            left -= it.read(other, 65_536).unwrap().len() as u64;
        }
    };
    assert_eq!(block_on(join(sent, read)), (Ok(size as usize), ()));
}

#[test]
fn descriptors_are_duplicated_and_sealed() {
    let it = Program::new();
    it.file("/a", b"0123456789");
    let fd = it.open("/a", abi::O_RDWR | abi::O_CLOEXEC).unwrap();
    assert_eq!(it.call(Sysno::dup, &[fd]), Ok(1));
    assert_eq!(it.call(Sysno::dup2, &[fd, 7]), Ok(7));
    assert_eq!(it.call(Sysno::fcntl, &[fd, 1030, 3]), Ok(3));
    assert_eq!(it.read(7, 4), Ok(b"0123".to_vec()));
    assert_eq!(it.read(1, 4), Ok(b"4567".to_vec()), "the position is shared");
    for (fd, close) in [(0, 1), (1, 0), (7, 0), (3, 1)] {
        assert_eq!(it.call(Sysno::fcntl, &[fd, 1]), Ok(close), "{fd}");
    }
    let large = abi::O_RDWR | abi::O_LARGEFILE;
    assert_eq!(it.call(Sysno::fcntl, &[fd, 3]), Ok(large as usize));
    it.call(Sysno::fcntl, &[fd, 4, u64::from(abi::O_APPEND | abi::O_RDONLY)]).unwrap();
    assert_eq!(it.call(Sysno::fcntl, &[7, 3]), Ok((large | abi::O_APPEND) as usize));
    assert_eq!(it.call(Sysno::close_range, &[1, 6, 0]), Ok(0));
    assert!(it.thread.process.files().numbers().eq([0, 7]));

    let name = it.path(0, "name");
    let plain = it.call(Sysno::memfd_create, &[name, 0]).unwrap() as u64;
    assert_eq!(it.call(Sysno::fcntl, &[plain, 1034]), Ok(1));
    let fd = it.call(Sysno::memfd_create, &[name, 3]).unwrap() as u64;
    assert_eq!(it.write(fd, b"sealed"), Ok(6));
    assert_eq!(it.call(Sysno::fcntl, &[fd, 1033, 2 | 4]), Ok(0));
    assert_eq!(it.call(Sysno::ftruncate, &[fd, 5]), Err(Errno::EPERM));
    assert_eq!(it.write(fd, b"x"), Err(Errno::EPERM), "it would grow");
    assert_eq!(it.call(Sysno::pwrite64, &[fd, it.buffer(), 1, 0]), Ok(1));
    assert_eq!(it.call(Sysno::fcntl, &[fd, 1033, 1 | 8]), Ok(0));
    assert_eq!(it.call(Sysno::pwrite64, &[fd, it.buffer(), 1, 0]), Err(Errno::EPERM));
    assert_eq!(it.call(Sysno::fcntl, &[fd, 1033, 4]), Err(Errno::EPERM));
    assert_eq!(it.call(Sysno::fcntl, &[fd, 1034]), Ok(15));
}

#[test]
fn a_hole_is_seen_where_the_file_is_mapped_which_stays_mapped() {
    let it = Program::new();
    let name = it.path(0, "name");
    let fd = it.call(Sysno::memfd_create, &[name, 2]).unwrap() as u64;
    it.write(fd, &[b'a'; 3 * 4096]).unwrap();
    let shared = u64::from(abi::MAP_SHARED);
    let map = |access, flags| it.call(Sysno::mmap, &[0, 3 * 4096, access, flags, fd, 0]).unwrap();
    let (at, private) = (map(3, shared), map(1, abi::MAP_PRIVATE.into()));
    let memory = it.thread.memory();
    let byte = |at| {
        let mut byte = [0];
        block_on(crate::stop::loaded(|| memory.read(at, &mut byte))).unwrap();
        byte[0]
    };
    memory.write(at + 4096, b"b").unwrap();
    assert_eq!((byte(private), byte(private + 4096)), (b'a', b'b'));
    // A page that the program has written for itself stays.
    let own = map(3, abi::MAP_PRIVATE.into());
    memory.write(own + 4096, b"o").unwrap();
    let free = || it.thread.system.tree.root().system().free;
    let before = free();
    let hole = (abi::FALLOC_FL_PUNCH_HOLE | abi::FALLOC_FL_KEEP_SIZE).into();
    assert_eq!(it.call(Sysno::fallocate, &[fd, hole, 4096, 4096]), Ok(0));
    let there = [at, private, own].map(|it| memory.resident(it + 4096..it + 8192));
    assert_eq!(there, [0, 0, 1]);
    assert!(free() >= before + 4096, "the page is nobody's");
    assert_eq!((byte(own + 4096), byte(own)), (b'o', b'a'));
    assert_eq!([at, at + 4096, private + 4096, at + 8192].map(byte), [b'a', 0, 0, b'a']);
    block_on(crate::stop::loaded(|| memory.write(at + 4097, b"c"))).unwrap();
    let count = it.call(Sysno::pread64, &[fd, it.buffer(), 3, 4096]).unwrap();
    assert_eq!(it.got(count), b"\0c\0");
    // Who could write to it past a seal keeps it from being sealed.
    let seal = |seals| it.call(Sysno::fcntl, &[fd, 1033, seals]);
    let write = u64::from(abi::F_SEAL_WRITE);
    assert_eq!((seal(2), seal(write)), (Ok(0), Err(Errno::EBUSY)));
    it.call(Sysno::munmap, &[at as u64, 3 * 4096]).unwrap();
    assert_eq!(seal(write), Ok(0));
    assert_eq!(it.call(Sysno::fcntl, &[fd, 1034]), Ok(2 | write as usize));
}

#[test]
fn a_file_grows_no_further_than_its_limit() {
    let it = Program::new();
    let fd = it.open("/a", abi::O_RDWR | abi::O_CREAT).unwrap();
    let limits = &it.thread.process.limits;
    limits.set(abi::RLIMIT_FSIZE, Limit { soft: 4, hard: 4 }, true).unwrap();
    it.thread.process.signals.set_action(Signal::XFSZ, Action { handler: 1, ..Action::default() });
    assert_eq!(it.write(fd, b"abcdef"), Ok(4));
    assert_eq!(it.write(fd, b"ef"), Err(Errno::EFBIG));
    assert_eq!(it.call(Sysno::pwrite64, &[fd, it.buffer(), 2, 3]), Ok(1));
    assert_eq!(it.call(Sysno::ftruncate, &[fd, 5]), Err(Errno::EFBIG));
    assert_eq!(it.call(Sysno::fallocate, &[fd, 0, 0, 5]), Err(Errno::EFBIG));
    assert_eq!(it.call(Sysno::ftruncate, &[fd, 4]), Ok(0));
    // Beyond it, what grows no file is allowed, and appending is where the end is.
    limits.set(abi::RLIMIT_FSIZE, Limit { soft: 2, hard: 4 }, true).unwrap();
    assert_eq!(it.call(Sysno::fallocate, &[fd, 1, 0, 9]), Ok(0));
    assert_eq!(it.call(Sysno::ftruncate, &[fd, 3]), Ok(0));
    let end = it.open("/a", abi::O_WRONLY | abi::O_APPEND).unwrap();
    assert_eq!(it.call(Sysno::pwrite64, &[end, it.buffer(), 1, 0]), Err(Errno::EFBIG));
}

#[test]
fn a_hole_is_found_and_what_is_none() {
    let it = Program::new();
    let fd = it.open("/holes", abi::O_RDWR | abi::O_CREAT).unwrap();
    it.call(Sysno::ftruncate, &[fd, 100_000]).unwrap();
    let seek = |at: u64, whence: u32| it.call(Sysno::lseek, &[fd, at, whence.into()]);
    assert_eq!(seek(0, abi::SEEK_DATA), Err(Errno::ENXIO));
    assert_eq!((seek(5, abi::SEEK_HOLE), seek(99_999, abi::SEEK_HOLE)), (Ok(5), Ok(99_999)));
    for at in [20_000, 50_000, 54_000] {
        it.call(Sysno::pwrite64, &[fd, it.buffer(), 1, at]).unwrap();
    }
    for (at, data, hole) in [
        (0, 16_384, 0),
        (16_385, 16_385, 20_480),
        (30_000, 49_152, 30_000),
        (50_000, 50_000, 57_344),
    ] {
        assert_eq!((seek(at, abi::SEEK_DATA), seek(at, abi::SEEK_HOLE)), (Ok(data), Ok(hole)));
    }
    assert_eq!(seek(57_344, abi::SEEK_DATA), Err(Errno::ENXIO));
}

#[test]
fn what_appends_by_a_flag_leaves_the_position_behind_it() {
    let it = Program::new();
    let fd = it.open("/a", abi::O_RDWR | abi::O_CREAT).unwrap();
    it.write(fd, b"0123456789").unwrap();
    let list = it.path(0, "");
    it.thread.memory().put(list, &[it.buffer(), 3]).unwrap();
    for (at, position) in [(0, 10), (u64::MAX, 16)] {
        assert_eq!(it.call(Sysno::pwritev2, &[fd, list, 1, at, 0, 0x10]), Ok(3));
        assert_eq!(it.call(Sysno::lseek, &[fd, 0, abi::SEEK_CUR.into()]), Ok(position));
    }
    // Who reads appends nothing.
    assert_eq!(it.call(Sysno::preadv2, &[fd, list, 1, 0, 0, 0x10]), Ok(3));
    // What fails, or moves nothing, leaves the position where it was.
    it.call(Sysno::lseek, &[fd, 2, 0]).unwrap();
    for (list, count, result) in [(8, 1, Err(Errno::EFAULT)), (list, 0, Ok(0))] {
        assert_eq!(it.call(Sysno::pwritev2, &[fd, list, count, u64::MAX, 0, 0x10]), result);
        assert_eq!(it.call(Sysno::lseek, &[fd, 0, abi::SEEK_CUR.into()]), Ok(2));
    }
    let end = it.open("/a", abi::O_WRONLY | abi::O_APPEND).unwrap();
    assert_eq!(it.write(end, b""), Ok(0));
    assert_eq!(it.call(Sysno::lseek, &[end, 0, abi::SEEK_CUR.into()]), Ok(0));
    it.thread.memory().put(list, &[it.buffer(), 3]).unwrap();
    // It is appending that a limit of the size looks at.
    it.thread.process.limits.set(abi::RLIMIT_FSIZE, Limit { soft: 17, hard: 20 }, true).unwrap();
    assert_eq!(it.call(Sysno::pwritev2, &[fd, list, 1, 0, 0, 0x10]), Ok(1));
}

#[test]
fn flags_of_a_transfer_are_looked_at_where_something_is_moved() {
    let it = Program::new();
    it.file("/a", b"text");
    let (reader, writer) =
        (it.open("/a", abi::O_RDONLY).unwrap(), it.open("/a", abi::O_WRONLY).unwrap());
    let list = it.path(0, "");
    for (length, unknown) in [(0, Ok(0)), (1, Err(Errno::EOPNOTSUPP))] {
        it.thread.memory().put(list, &[it.buffer(), length]).unwrap();
        let call = |number, fd| it.call(number, &[fd, list, 1, 0, 0, 0x4000]);
        assert_eq!(call(Sysno::preadv2, reader), unknown);
        assert_eq!(call(Sysno::pwritev2, writer), unknown);
        // That it is not open for this comes first.
        assert_eq!(call(Sysno::pwritev2, reader), Err(Errno::EBADF));
        assert_eq!(call(Sysno::preadv2, writer), Err(Errno::EBADF));
    }
}

/// Counts the turns of another task, until dropped.
fn turns() -> (Rc<Cell<usize>>, kernel::task::Task<()>) {
    let turns = Rc::new(Cell::new(0));
    let count = Rc::clone(&turns);
    let other = kernel::task::spawn(async move {
        loop {
            count.update(|it| it + 1);
            kernel::task::yield_now().await;
        }
    });
    (turns, other)
}

#[test]
fn others_run_while_much_of_a_file_is_moved_u5() {
    let it = Program::new();
    let fd = it.open("/a", abi::O_RDWR | abi::O_CREAT).unwrap();
    let to = it.open("/b", abi::O_RDWR | abi::O_CREAT).unwrap();
    let null = it.open("/c", abi::O_RDWR | abi::O_CREAT).unwrap();
    let length = 8 << 20;
    assert_eq!(it.call(Sysno::ftruncate, &[fd, length]), Ok(0));
    let at = room(&it.thread.memory(), length as usize) as u64;
    let moves: [(Sysno, [u64; 6]); 5] = [
        (Sysno::pread64, [fd, at, length, 0, 0, 0]),
        (Sysno::read, [fd, at, length, 0, 0, 0]),
        (Sysno::pwrite64, [to, at, length, 0, 0, 0]),
        (Sysno::sendfile, [null, to, 0, length, 0, 0]),
        (Sysno::copy_file_range, [to, at, null, at + 8, length, 0]),
    ];
    for (call, args) in moves {
        it.thread.memory().put(at, &[0_u64; 2]).unwrap();
        let (turns, _other) = turns();
        assert_eq!(it.call(call, &args), Ok(length as usize), "{call:?}");
        assert!(turns.get() >= 6, "{call:?}: others had {} turns", turns.get());
    }
}

const LONG: u64 = 4 << 20;

/// Bytes to write: `LONG` of each letter.
fn letters(it: &Program, letters: &[u8]) -> Vec<u64> {
    let memory = it.thread.memory();
    let fill = |&letter| {
        let at = room(&memory, LONG as usize);
        memory.write(at, &std::vec![letter; LONG as usize]).unwrap();
        at as u64
    };
    letters.iter().map(fill).collect()
}

/// Returns the first letter of each mebibyte of a file, and how long it is.
fn sampled(it: &Program, fd: u64) -> (std::string::String, u64) {
    let size = it.thread.process.files().get(fd).unwrap().file.stat().unwrap().size;
    let sample = |at| {
        it.call(Sysno::pread64, &[fd, it.buffer(), 1, at]).unwrap();
        char::from(it.got(1)[0])
    };
    ((0..size).step_by(1 << 20).map(sample).collect(), size)
}

#[test]
fn what_is_moved_at_a_position_is_one_piece_though_others_run() {
    let it = Program::new();
    let texts = letters(&it, b"ab");
    let fd = it.open("/a", abi::O_RDWR | abi::O_CREAT).unwrap();
    let call = |number, args| performed(&it.thread, number, args);
    let write = |text: usize| call(Sysno::write, [fd, texts[text], LONG, 0, 0, 0]);
    let seek = || call(Sysno::lseek, [fd, 0, 0, 0, 0, 0]);
    let both = block_on(join(write(0), write(1)));
    assert_eq!(both, (Ok(LONG as usize), Ok(LONG as usize)));
    assert_eq!(sampled(&it, fd), ("aaaabbbb".into(), 2 * LONG));
    assert_eq!(it.call(Sysno::ftruncate, &[fd, 0]), Ok(0));
    assert_eq!(it.call(Sysno::lseek, &[fd, 0, 0]), Ok(0));
    assert_eq!(block_on(join(write(0), seek())), (Ok(LONG as usize), Ok(0)));
    assert_eq!(sampled(&it, fd), ("aaaa".into(), LONG));
    assert_eq!(it.call(Sysno::lseek, &[fd, 0, abi::SEEK_CUR.into()]), Ok(0));
    let read = call(Sysno::read, [fd, texts[1], LONG, 0, 0, 0]);
    assert_eq!(block_on(join(read, seek())), (Ok(LONG as usize), Ok(0)));
    let mut last = [0];
    it.thread.memory().read(texts[1] as usize + LONG as usize - 1, &mut last).unwrap();
    assert_eq!(last, *b"a");
    // Others may read and write elsewhere meanwhile.
    let other = call(Sysno::pread64, [fd, it.buffer(), 1, 0, 0, 0]);
    assert_eq!(block_on(join(write(0), other)).1, Ok(1));
}

#[test]
fn what_is_appended_stands_together_though_others_run_u5() {
    let it = Program::new();
    let texts = letters(&it, b"abc");
    let flags = abi::O_RDWR | abi::O_CREAT | abi::O_APPEND;
    let [one, two, three] = [0; 3].map(|_| it.open("/log", flags).unwrap());
    let call = |number, args| performed(&it.thread, number, args);
    let append = |fd, text: usize| call(Sysno::write, [fd, texts[text], LONG, 0, 0, 0]);
    let list = it.path(0, "");
    it.thread.memory().put(list, &[texts[2], LONG]).unwrap();
    let vector = call(Sysno::pwritev2, [three, list, 1, u64::MAX, 0, 0x10]);
    let (turns, _other) = turns();
    let all = block_on(join(append(one, 0), join(append(two, 1), vector)));
    let long = Ok(LONG as usize);
    assert_eq!(all, (long, (long, long)));
    assert!(turns.get() >= 6, "others had {} turns", turns.get());
    let (text, size) = sampled(&it, one);
    assert_eq!(size, 3 * LONG);
    assert!(["aaaabbbbcccc", "aaaaccccbbbb"].contains(&&*text), "{text}");
}

#[test]
fn room_is_made_before_or_behind_what_is_appended() {
    let it = Program::new();
    let texts = letters(&it, b"a");
    let call = |number, args| performed(&it.thread, number, args);
    let append = |fd| call(Sysno::write, [fd, texts[0], LONG, 0, 0, 0]);
    let reserve = |fd, length| call(Sysno::fallocate, [fd, 0, 0, length, 0, 0]);
    let long = LONG as usize;
    // A short range and a long one.
    for (name, length) in [("/a", LONG), ("/b", 2 * LONG)] {
        let fd = it.open(name, abi::O_RDWR | abi::O_CREAT | abi::O_APPEND).unwrap();
        let both = block_on(join(append(fd), reserve(fd, length)));
        assert_eq!(both, (Ok(long), Ok(0)));
        let (text, size) = sampled(&it, fd);
        assert_eq!((&text[..4], size), ("aaaa", length), "{text:?}");
        assert_eq!(it.call(Sysno::ftruncate, &[fd, 0]), Ok(0));
    }
    let fd = it.open("/b", abi::O_RDWR | abi::O_APPEND).unwrap();
    let both = block_on(join(reserve(fd, 2 * LONG), append(fd)));
    assert_eq!(both, (Ok(0), Ok(long)));
    let zeros = "\0".repeat(8);
    assert_eq!(sampled(&it, fd), (zeros + "aaaa", 3 * LONG));
    // Who is killed meanwhile leaves the file to others.
    {
        let mut future = core::pin::pin!(reserve(fd, 4 * LONG));
        block_on(core::future::poll_fn(|context| {
            assert!(future.as_mut().poll(context).is_pending());
            core::task::Poll::Ready(())
        }));
    }
    assert_eq!(it.write(fd, b"x"), Ok(1));
}

#[test]
fn who_is_killed_leaves_a_file_to_others_and_without_rights_of_its_owner() {
    let it = Program::new();
    let texts = letters(&it, b"a");
    for (name, call) in [
        ("/a", Sysno::write),
        ("/b", Sysno::pwrite64),
        ("/c", Sysno::writev),
        ("/d", Sysno::sendfile),
    ] {
        let fd = it.open(name, abi::O_RDWR | abi::O_CREAT).unwrap();
        let from = it.open("/from", abi::O_RDWR | abi::O_CREAT).unwrap();
        assert_eq!(it.call(Sysno::ftruncate, &[from, LONG]), Ok(0));
        assert_eq!(it.with(Sysno::chmod, name, &[0o6777]), Ok(0));
        it.thread.process.credentials.replace(Credentials::new(1000, 100));
        let list = it.path(1, "");
        it.thread.memory().put(list, &[texts[0], LONG]).unwrap();
        let args = match call {
            Sysno::writev => [fd, list, 1, 0, 0, 0],
            Sysno::sendfile => [fd, from, 0, LONG, 0, 0],
            _ => [fd, texts[0], LONG, 0, 0, 0],
        };
        {
            let mut future = core::pin::pin!(performed(&it.thread, call, args));
            block_on(core::future::poll_fn(|context| {
                assert!(future.as_mut().poll(context).is_pending(), "{call:?}");
                core::task::Poll::Ready(())
            }));
        }
        assert_eq!(it.mode(name).map(|it| it & 0o7777), Ok(0o777), "{call:?}");
        it.thread.process.credentials.replace(Credentials::new(0, 0));
        assert_eq!(it.call(Sysno::lseek, &[fd, 0, 0]), Ok(0), "{call:?}");
        assert_eq!(it.write(fd, b"x"), Ok(1), "{call:?}");
    }
}
