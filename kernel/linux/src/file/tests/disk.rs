//! A disk below: what is read of it, and changes that stay in memory.

use super::*;
use crate::file::store::{Node, OnDisk, Store};
use crate::memory::Reclaim;
use crate::stop::Pages;
use crate::testing::performed;
use devices::block::memory::Memory;
use kernel::task::{block_on, join};
use storage::fs::inodes::TarInodes;

/// An archive of these entries: type, name, content or target.
fn archive(entries: &[(u8, &str, &[u8])]) -> Memory {
    let mut all = Vec::new();
    for &(kind, name, content) in entries {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        let mode = if kind == b'5' { b"0000755" } else { b"0000644" };
        header[100..107].copy_from_slice(mode);
        header[108..115].copy_from_slice(b"0001750");
        let size = if kind == b'0' { content.len() } else { 0 };
        header[124..135].copy_from_slice(std::format!("{size:011o}").as_bytes());
        header[136..147].copy_from_slice(b"00000000144");
        header[156] = kind;
        if kind != b'0' {
            header[157..157 + content.len()].copy_from_slice(content);
        }
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(std::format!("{sum:06o}\0").as_bytes());
        all.extend(header);
        if kind == b'0' {
            all.extend(content);
            all.resize(all.len().next_multiple_of(512), 0);
        }
    }
    all.extend([0; 1024]);
    Memory::from_bytes(512, all)
}

/// A program whose root is this archive.
fn program(entries: &[(u8, &str, &[u8])]) -> Program {
    with_root(entries).0
}

/// The same, with the root.
fn with_root(entries: &[(u8, &str, &[u8])]) -> (Program, Rc<Node>) {
    let it = Program::new();
    let system = &it.thread.system;
    let root = block_on(async {
        let disk = TarInodes::open(archive(entries)).await.unwrap();
        OnDisk::root(disk).await.unwrap()
    });
    let root = Store::over(&system.budget, &system.ram, root);
    system.tree.set_root(root.clone(), "overlay");
    (it, root)
}

fn text() -> Vec<u8> {
    (0..30_000_u32).map(|it| (it % 251) as u8).collect()
}

fn sample() -> Program {
    program(&[
        (b'5', "bin/", b""),
        (b'0', "bin/tool", &text()),
        (b'1', "bin/same", b"bin/tool"),
        (b'2', "lib", b"usr/lib"),
        (b'0', "usr/lib/a", b"library"),
        (b'0', "usr/lib/b", b"other"),
        (b'0', "etc/conf", b"old"),
    ])
}

#[test]
fn the_disk_is_read() {
    let it = sample();
    assert_eq!(it.content("/bin/tool"), Ok(text()));
    assert_eq!(it.content("/lib/a"), Ok(b"library".to_vec()));
    assert_eq!(it.content("/lib/none"), Err(Errno::ENOENT));
    assert_eq!(it.content("/lib/none"), Err(Errno::ENOENT));
    assert_eq!(it.list("/usr/lib"), Ok([".", "..", "a", "b"].map(Into::into).to_vec()));
    assert_eq!(it.list("/"), Ok([".", "..", "bin", "etc", "lib", "usr"].map(Into::into).to_vec()));
    let (a, b) =
        (it.stat(Sysno::stat, "/bin/tool").unwrap(), it.stat(Sysno::stat, "/bin/same").unwrap());
    assert_eq!((a[0], a[1], a[2]), (b[0], b[1], 2), "hard links are one file");
    assert_eq!((a[3] as u32, a[3] >> 32, a[6], a[11]), (0o100_644, 1000, 30_000, 100));
    assert_ne!(
        it.stat(Sysno::stat, "/lib/a").unwrap()[1],
        it.stat(Sysno::stat, "/lib/b").unwrap()[1]
    );
    let fd = it.open("/bin/tool", 0).unwrap();
    assert_eq!(it.call(Sysno::pread64, &[fd, it.buffer(), 5000, 29_000]), Ok(1000));
    assert_eq!(it.got(1000), text()[29_000..]);
}

#[test]
fn what_is_read_is_not_forgotten_before_it_is_there() {
    let (it, root) = with_root(&[(b'0', "tool", &text())]);
    root.keep_in(0);
    assert_eq!(it.content("/tool"), Ok(text()));
    let fd = it.open("/tool", 0).unwrap();
    assert_eq!(it.call(Sysno::pread64, &[fd, it.buffer(), 5000, 2000]), Ok(5000));
    assert_eq!(it.got(5000), text()[2000..7000]);
    // To a place that is read from the disk as well.
    let private = abi::MAP_PRIVATE.into();
    let at = it.call(Sysno::mmap, &[0, 8192, 3, private, fd, 0]).unwrap();
    assert_eq!(it.call(Sysno::pread64, &[fd, at as u64 + 10, 4096, 8192]), Ok(4096));
    let mut come = [0; 4200];
    it.thread.memory().read(at, &mut come).unwrap();
    assert_eq!(come[..10], text()[..10]);
    assert_eq!(come[10..4106], text()[8192..12_288]);
    assert_eq!(come[4106..], text()[4106..4200]);
}

#[test]
fn changes_stay_in_memory_page_by_page() {
    let it = sample();
    let used = || it.thread.system.tree.root().system();
    let before = used().free;
    let fd = it.open("/bin/tool", abi::O_RDWR).unwrap();
    let at = it.put(b"changed");
    assert_eq!(it.call(Sysno::pwrite64, &[fd, at, 7, 5000]), Ok(7));
    assert!(before - used().free < 3 * 4096, "one page was copied");
    let mut expected = text();
    expected[5000..5007].copy_from_slice(b"changed");
    assert_eq!(it.content("/bin/same"), Ok(expected.clone()), "by its other name as well");
    assert_eq!(it.stat(Sysno::fstat, "").err(), Some(Errno::EBADF));
    // Shorter and longer again: what was cut is gone.
    assert_eq!(it.call(Sysno::ftruncate, &[fd, 6000]), Ok(0));
    assert_eq!(it.call(Sysno::ftruncate, &[fd, 7000]), Ok(0));
    expected.truncate(6000);
    expected.resize(7000, 0);
    assert_eq!(it.content("/bin/tool"), Ok(expected));
    let appending = it.open("/etc/conf", abi::O_WRONLY | abi::O_APPEND).unwrap();
    assert_eq!(it.write(appending, b"+new"), Ok(4));
    assert_eq!(it.content("/etc/conf"), Ok(b"old+new".to_vec()));
    it.file("/etc/conf", b"x");
    assert_eq!(it.content("/etc/conf"), Ok(b"x".to_vec()));
}

#[test]
fn two_who_append_while_the_last_page_is_read_do_not_overwrite_each_other() {
    let it = sample();
    let fd = it.open("/etc/conf", abi::O_RDWR).unwrap();
    let list = it.path(0, "");
    it.thread.memory().put(list, &[it.put(b"+new"), 4]).unwrap();
    let append = || performed(&it.thread, Sysno::pwritev2, [fd, list, 1, 0, 0, 0x10]);
    assert_eq!(block_on(join(append(), append())), (Ok(4), Ok(4)));
    assert_eq!(it.content("/etc/conf"), Ok(b"old+new+new".to_vec()));
}

#[test]
fn what_is_appended_stands_together_though_a_part_of_it_has_to_be_read() {
    let it = sample();
    it.file("/log", b"");
    let memory = it.thread.memory();
    let writer = |number: u64, from: &str, text: &[u8]| {
        let source = it.open(from, abi::O_RDONLY).unwrap();
        let map = it.call(Sysno::mmap, &[0, 1, 1, abi::MAP_PRIVATE.into(), source, 0]).unwrap();
        let (at, list) = (it.buffer() + 8 * number, it.path(0, "") + 32 * number);
        memory.write(at as usize, text).unwrap();
        let log = it.open("/log", abi::O_WRONLY | abi::O_APPEND).unwrap();
        memory.put(list, &[at, 1, map as u64, 1]).unwrap();
        performed(&it.thread, Sysno::writev, [log, list, 2, 0, 0, 0])
    };
    let (one, two) = (writer(1, "/usr/lib/a", b"1"), writer(2, "/usr/lib/b", b"2"));
    assert_eq!(block_on(join(one, two)), (Ok(2), Ok(2)));
    let [a, b] = ["/usr/lib/a", "/usr/lib/b"].map(|path| it.content(path).unwrap()[0]);
    assert_eq!(it.content("/log"), Ok(std::vec![b'1', a, b'2', b]));
}

#[test]
fn names_of_the_disk_are_removed_replaced_and_moved() {
    let it = sample();
    assert_eq!(it.with(Sysno::unlink, "/usr/lib/a", &[]), Ok(0));
    assert_eq!(it.content("/lib/a"), Err(Errno::ENOENT));
    assert_eq!(it.list("/usr/lib"), Ok([".", "..", "b"].map(Into::into).to_vec()));
    it.file("/usr/lib/a", b"again");
    assert_eq!(it.content("/lib/a"), Ok(b"again".to_vec()));
    assert_eq!(it.list("/usr/lib"), Ok([".", "..", "a", "b"].map(Into::into).to_vec()));
    assert_eq!(it.with(Sysno::rmdir, "/usr/lib", &[]), Err(Errno::ENOTEMPTY));
    // A folder moves with what is on the disk.
    it.mkdir("/new");
    assert_eq!(it.with_two(Sysno::rename, "/usr/lib", "/new/lib"), Ok(0));
    assert_eq!(it.content("/new/lib/b"), Ok(b"other".to_vec()));
    assert_eq!(it.content("/new/lib/a"), Ok(b"again".to_vec()));
    assert_eq!(it.content("/lib/a"), Err(Errno::ENOENT));
    assert_eq!(it.with(Sysno::rmdir, "/usr", &[]), Ok(0));
    // A new folder of an old name has nothing of the old one.
    it.mkdir("/usr");
    assert_eq!(it.list("/usr"), Ok([".", ".."].map(Into::into).to_vec()));
    assert_eq!(it.with(Sysno::rmdir, "/bin", &[]), Err(Errno::ENOTEMPTY));
    for path in ["/bin/tool", "/bin/same"] {
        assert_eq!(it.with(Sysno::unlink, path, &[]), Ok(0));
    }
    assert_eq!(it.with(Sysno::rmdir, "/bin", &[]), Ok(0));
    assert_eq!(it.with_two(Sysno::rename, "/etc", "/bin"), Ok(0));
    assert_eq!(it.content("/bin/conf"), Ok(b"old".to_vec()));
    assert_eq!(it.list("/"), Ok([".", "..", "bin", "lib", "new", "usr"].map(Into::into).to_vec()));
}

#[test]
fn names_that_come_and_go_on_a_disk_cost_nothing_once_they_are_gone_u4() {
    let it = sample();
    let free = || it.thread.system.tree.root().system().free;
    let journal = || {
        it.file("/etc/journal", b"x");
        assert_eq!(it.with(Sysno::unlink, "/etc/journal", &[]), Ok(0));
    };
    journal();
    let before = free();
    (0..20).for_each(|_| journal());
    assert_eq!(free(), before);
    // What is put over a name of the disk and taken away is charged once, as that which hides it.
    let replace = || {
        it.file("/etc/next", b"y");
        assert_eq!(it.with_two(Sysno::rename, "/etc/next", "/etc/conf"), Ok(0));
    };
    replace();
    let with_file = free();
    (0..20).for_each(|_| replace());
    assert_eq!(free(), with_file);
    assert_eq!(it.with(Sysno::unlink, "/etc/conf", &[]), Ok(0));
    assert_eq!(it.list("/etc"), Ok([".", ".."].map(Into::into).to_vec()));
    let hidden = free();
    for _ in 0..20 {
        replace();
        assert_eq!(it.with(Sysno::unlink, "/etc/conf", &[]), Ok(0));
    }
    assert_eq!(free(), hidden);
    assert_eq!(before - hidden, 128 + 4, "a name, and its bytes");
    // Each of two that change places stays hidden or is no more.
    it.file("/usr/lib/own", b"own");
    let exchange = || {
        let (a, b) = (it.path(0, "/usr/lib/a"), it.path(1, "/usr/lib/own"));
        assert_eq!(it.call(Sysno::renameat2, &[CWD, a, CWD, b, 2]), Ok(0));
    };
    exchange();
    let exchanged = free();
    (0..20).for_each(|_| exchange());
    assert_eq!(free(), exchanged);
    assert_eq!(it.content("/usr/lib/a"), Ok(b"own".to_vec()));
    assert_eq!(it.content("/usr/lib/own"), Ok(b"library".to_vec()));
    for path in ["/usr/lib/own", "/usr/lib/a"] {
        assert_eq!(it.with(Sysno::unlink, path, &[]), Ok(0));
        assert_eq!(it.content(path), Err(Errno::ENOENT));
    }
}

#[test]
fn more_names_and_pages_than_there_is_room_for_are_forgotten_and_read_again() {
    let names: Vec<std::string::String> = (0..9000).map(|it| std::format!("d/{it:05}")).collect();
    let entries: Vec<_> = names.iter().map(|it| (b'0', &**it, it.as_bytes())).collect();
    let it = program(&entries);
    let changed = std::format!("/{}", names[3]);
    let fd = it.open(&changed, abi::O_RDWR).unwrap();
    it.write(fd, b"X").unwrap();
    it.close(fd);
    for _ in 0..2 {
        for name in &names {
            let path = std::format!("/{name}");
            let fd = it.open(&path, 0).unwrap();
            let content = it.read(fd, 100).unwrap();
            assert_eq!(&content[1..], &name.as_bytes()[1..]);
            it.close(fd);
        }
    }
    assert_eq!(it.content(&changed).unwrap()[0], b'X', "a change is never forgotten");
}

#[test]
fn pages_of_the_disk_are_given_back() {
    let it = sample();
    let fd = it.open("/bin/tool", abi::O_RDWR).unwrap();
    it.write(fd, b"own").unwrap();
    assert_eq!(it.content("/bin/tool").unwrap().len(), 30_000);
    let pages = crate::file::File::pages(&*it.thread.process.files().get(fd).unwrap().file);
    let pages = pages.unwrap();
    let there = || (0..8).filter(|&index| pages.frame(index).is_some()).count();
    assert_eq!(there(), 8);
    let node = it.thread.system.tree.root();
    let root = node.any().downcast_ref::<Node>().unwrap();
    // The looks just now count as uses, so that it takes two rounds.
    assert_eq!(root.reclaim(100), 7);
    assert_eq!(there(), 1, "what was written stays");
    assert_eq!(it.content("/bin/tool").unwrap()[..5], [b'o', b'w', b'n', 3, 4]);
}

#[test]
fn only_who_may_changes() {
    let it =
        program(&[(b'5', "tmp/", b""), (b'0', "etc/shadow", b"secret"), (b'0', "home", b"mine")]);
    for (path, mode) in [("/tmp", 0o1777), ("/etc/shadow", 0o600), ("/home", 0o640)] {
        assert_eq!(it.with(Sysno::chmod, path, &[mode]), Ok(0));
    }
    let root = crate::file::Credentials::default();
    let user = crate::file::Credentials { uid: 5, gid: 6, groups: [1000].into(), root: false };
    let stat = |path: &str| {
        let tree = &it.thread.system.tree;
        tree.find(&*it.thread, None, path.as_bytes(), crate::file::Walk::FOLLOW)
            .unwrap()
            .node
            .stat()
    };
    assert_eq!(user.may(&stat("/etc/shadow"), 4), Err(Errno::EACCES));
    assert_eq!(root.may(&stat("/etc/shadow"), 6), Ok(()));
    assert_eq!(root.may(&stat("/etc/shadow"), 1), Err(Errno::EACCES));
    assert_eq!(user.may(&stat("/home"), 4), Err(Errno::EACCES));
    let member = crate::file::Credentials { gid: 0, ..user.clone() };
    assert_eq!(member.may(&stat("/home"), 4), Ok(()));
    assert_eq!(member.may(&stat("/home"), 2), Err(Errno::EACCES));
    // In a sticky folder, only one's own is removed.
    let (tmp, home) = (stat("/tmp"), stat("/home"));
    assert_eq!(user.may_remove(&tmp, &home), Err(Errno::EPERM));
    let owner = crate::file::Credentials { uid: 1000, ..user };
    assert_eq!(owner.may_remove(&tmp, &home), Ok(()));
    assert_eq!(owner.may_remove(&stat("/etc"), &home), Err(Errno::EACCES));
}

/// Gives up pages where it is asked for some, which is memory again at once.
struct Cache(core::cell::Cell<usize>);

impl Reclaim for Cache {
    fn reclaim(&self, _: usize) -> usize {
        self.0.update(|it| it + 1);
        kernel::testing::simulate_memory_use(0);
        1
    }

    fn pages(&self) -> usize {
        1
    }
}

#[test]
fn what_takes_memory_has_caches_give_up_pages_before_it_is_refused() {
    let total = 1 << 22;
    kernel::testing::simulate_memory(total);
    let it = sample();
    let cache = Rc::new(Cache(core::cell::Cell::new(0)));
    let weak: alloc::rc::Weak<dyn Reclaim> = Rc::downgrade(&(Rc::clone(&cache) as Rc<dyn Reclaim>));
    it.thread.system.ram.add(weak);
    let fd = it.open("/bin/tool", abi::O_RDWR).unwrap();
    assert_eq!(it.read(fd, 30_000).unwrap().len(), 30_000);
    let shared = abi::MAP_SHARED.into();
    let map = it.call(Sysno::mmap, &[0, 8192, 3, shared, fd, 0]).unwrap();
    assert_eq!(it.call(Sysno::pipe2, &[it.buffer(), 0]), Ok(0));
    let pipe: [u32; 2] = it.thread.memory().get(it.buffer()).unwrap();
    assert_eq!(it.call(Sysno::socketpair, &[1, 1, 0, it.buffer()]), Ok(0));
    let pair: [u32; 2] = it.thread.memory().get(it.buffer()).unwrap();
    let epoll = it.call(Sysno::epoll_create1, &[0]).unwrap() as u64;
    let inotify = it.call(Sysno::inotify_init1, &[0]).unwrap() as u64;
    let etc = it.path(0, "/etc");
    let data = it.put(&[0; 16]);
    let low = || {
        cache.0.set(0);
        kernel::testing::simulate_memory_use(total - 4096);
    };
    low();
    // The disk's page may go as well, and is read again.
    let write = || it.thread.memory().write(map, b"x");
    block_on(crate::stop::loaded(write)).unwrap();
    assert_eq!(cache.0.get(), 1, "a page of a file that is mapped");
    let (lock, folder) = (data + 64, it.open("/usr/lib", abi::O_DIRECTORY).unwrap());
    it.thread.memory().put(lock, &[abi::F_WRLCK.into(), 0_u64, 1, 0]).unwrap();
    let calls: [(Sysno, &[u64]); 10] = [
        (Sysno::dup2, &[fd, 1000]),
        (Sysno::fcntl, &[fd, abi::F_SETLK.into(), lock]),
        (Sysno::sendfile, &[pipe[1].into(), fd, 0, 16]),
        (Sysno::getdents64, &[folder, data + 128, 1024]),
        (Sysno::pwrite64, &[fd, data, 16, 8192]),
        (Sysno::write, &[pipe[1].into(), data, 16]),
        (Sysno::write, &[pair[1].into(), data, 16]),
        (Sysno::sendto, &[pair[1].into(), data, 16, 0, 0, 0]),
        (Sysno::epoll_ctl, &[epoll, 1, pipe[0].into(), data]),
        (Sysno::inotify_add_watch, &[inotify, etc, 2]),
    ];
    for (call, args) in calls {
        low();
        assert!(it.call(call, args).is_ok(), "{call:?}");
        assert!(cache.0.get() > 0, "{call:?}");
    }
    kernel::testing::simulate_memory(0);
}

/// Gives back all memory once a page of a file is in memory no more.
struct Gone(Rc<dyn Pages>, u64);

impl Reclaim for Gone {
    fn reclaim(&self, _: usize) -> usize {
        if self.0.frame(self.1).is_none() {
            kernel::testing::simulate_memory_use(0);
        }
        0
    }

    fn pages(&self) -> usize {
        0
    }
}

#[test]
fn a_file_gives_up_pages_of_its_own_before_a_write_to_it_is_refused() {
    kernel::testing::simulate_memory(1 << 24);
    let it = sample();
    let fd = it.open("/bin/tool", abi::O_RDWR).unwrap();
    assert_eq!(it.read(fd, 30_000), Ok(text()));
    let pages = it.thread.process.files().get(fd).unwrap().file.pages().unwrap();
    let cache: Rc<dyn Reclaim> = Rc::new(Gone(Rc::clone(&pages), 3));
    it.thread.system.ram.add(Rc::downgrade(&cache));
    let data = it.put(b"x");
    kernel::testing::simulate_memory_use((1 << 24) - 4096);
    assert_eq!(it.call(Sysno::pwrite64, &[fd, data, 1, 5]), Ok(1));
    assert!(pages.frame(0).is_some() && pages.frame(3).is_none());
    kernel::testing::simulate_memory(0);
    let mut all = text();
    all[5] = b'x';
    assert_eq!(it.content("/bin/tool"), Ok(all));
}
