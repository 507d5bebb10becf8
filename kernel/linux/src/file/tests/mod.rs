//! Tests of the calls about files, on a tree in memory over a disk in memory.

mod disk;
mod locks;
mod names;
mod notify;
mod paths;
mod transfer;

use crate::errno::Errno;
use crate::file::Caller;
use crate::testing::{perform, room, thread};
use crate::thread::Thread;
use alloc::rc::Rc;
use alloc::vec::Vec;
use linux_raw_sys::general as abi;
use syscalls::Sysno;

/// A thread with room for arguments.
struct Program {
    thread: Rc<Thread>,
    room: usize,
}

/// Bytes of room for arguments: a page for each of two paths, and the rest for a buffer.
const ROOM: usize = 32 * 4096;

/// `AT_FDCWD`
const CWD: u64 = abi::AT_FDCWD as u32 as u64;

impl Program {
    fn new() -> Self {
        let thread = thread();
        let room = room(&thread.memory(), ROOM);
        Self { thread, room }
    }

    fn call(&self, number: Sysno, args: &[u64]) -> Result<usize, Errno> {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        perform(&self.thread, number, all)
    }

    /// Puts a path where the first (0) or second (1) one is.
    fn path(&self, number: usize, path: &str) -> u64 {
        let at = self.room + number * 3 * 4096;
        self.thread.memory().write(at, path.as_bytes()).unwrap();
        self.thread.memory().write(at + path.len(), &[0]).unwrap();
        at as u64
    }

    /// The address of a buffer of 16 pages and more.
    const fn buffer(&self) -> u64 {
        (self.room + 8 * 4096) as u64
    }

    fn put(&self, bytes: &[u8]) -> u64 {
        self.thread.memory().write(self.buffer() as usize, bytes).unwrap();
        self.buffer()
    }

    fn got(&self, length: usize) -> Vec<u8> {
        let mut bytes = std::vec![0; length];
        self.thread.memory().read(self.buffer() as usize, &mut bytes).unwrap();
        bytes
    }

    fn open(&self, path: &str, flags: u32) -> Result<u64, Errno> {
        let path = self.path(0, path);
        self.call(Sysno::open, &[path, flags.into(), 0o644]).map(|it| it as u64)
    }

    fn close(&self, fd: u64) {
        self.call(Sysno::close, &[fd]).unwrap();
    }

    fn read(&self, fd: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let count = self.call(Sysno::read, &[fd, self.buffer(), length as u64])?;
        Ok(self.got(count))
    }

    fn write(&self, fd: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let at = self.put(bytes);
        self.call(Sysno::write, &[fd, at, bytes.len() as u64])
    }

    /// Makes a file of this content.
    fn file(&self, path: &str, content: &[u8]) {
        let fd = self.open(path, abi::O_WRONLY | abi::O_CREAT | abi::O_TRUNC).unwrap();
        assert_eq!(self.write(fd, content), Ok(content.len()));
        self.close(fd);
    }

    /// All of a file.
    fn content(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let fd = self.open(path, abi::O_RDONLY)?;
        let all = self.read(fd, 16 * 4096);
        self.close(fd);
        all
    }

    /// Makes a call with one path before its other arguments.
    fn with(&self, number: Sysno, path: &str, args: &[u64]) -> Result<usize, Errno> {
        let mut all = std::vec![self.path(0, path)];
        all.extend(args);
        self.call(number, &all)
    }

    /// Makes a call with two paths.
    fn with_two(&self, number: Sysno, a: &str, b: &str) -> Result<usize, Errno> {
        self.call(number, &[self.path(0, a), self.path(1, b)])
    }

    fn mkdir(&self, path: &str) {
        assert_eq!(self.with(Sysno::mkdir, path, &[0o777]), Ok(0));
    }

    /// `struct stat`: as words of 8 bytes.
    fn stat(&self, number: Sysno, path: &str) -> Result<[u64; 18], Errno> {
        let to = self.buffer();
        self.with(number, path, &[to])?;
        let bytes = self.got(144);
        Ok(core::array::from_fn(|at| {
            u64::from_le_bytes(bytes[at * 8..at * 8 + 8].try_into().unwrap())
        }))
    }

    /// The mode that stat(2) tells.
    fn mode(&self, path: &str) -> Result<u32, Errno> {
        Ok(self.stat(Sysno::lstat, path)?[3] as u32)
    }

    /// The names in a folder.
    fn list(&self, path: &str) -> Result<Vec<std::string::String>, Errno> {
        let fd = self.open(path, abi::O_RDONLY | abi::O_DIRECTORY)?;
        let mut names = Vec::new();
        loop {
            let count = self.call(Sysno::getdents64, &[fd, self.buffer(), 128])?;
            if count == 0 {
                break;
            }
            let bytes = self.got(count);
            let mut at = 0;
            while at < count {
                let length = usize::from(u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]));
                let name = &bytes[at + 19..at + length];
                let end = name.iter().position(|&it| it == 0).unwrap();
                names.push(std::string::String::from_utf8_lossy(&name[..end]).into_owned());
                at += length;
            }
        }
        self.close(fd);
        Ok(names)
    }
}
