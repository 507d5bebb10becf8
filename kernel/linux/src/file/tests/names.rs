//! Names come and go, and who may change them.

use super::*;

#[test]
fn names_come_and_go() {
    let it = Program::new();
    for path in ["/d", "/d/e", "/empty"] {
        it.mkdir(path);
    }
    it.file("/f", b"f");
    it.file("/d/g", b"g");
    it.with_two(Sysno::symlink, "/d", "/link").unwrap();
    let one = |number, path: &str| it.with(number, path, &[0o755]);
    let cases = [
        (Sysno::mkdir, "/d", Err(Errno::EEXIST)),
        (Sysno::mkdir, "/link", Err(Errno::EEXIST)),
        (Sysno::mkdir, "/", Err(Errno::EEXIST)),
        (Sysno::mkdir, "/d/.", Err(Errno::EEXIST)),
        (Sysno::mkdir, "/f/x", Err(Errno::ENOTDIR)),
        (Sysno::mkdir, "/no/x", Err(Errno::ENOENT)),
        (Sysno::mkdir, "/slash/", Ok(0)),
        (Sysno::rmdir, "/slash/", Ok(0)),
        (Sysno::rmdir, "/d", Err(Errno::ENOTEMPTY)),
        (Sysno::rmdir, "/f", Err(Errno::ENOTDIR)),
        (Sysno::rmdir, "/link", Err(Errno::ENOTDIR)),
        (Sysno::rmdir, "/", Err(Errno::EBUSY)),
        (Sysno::rmdir, "/d/e/.", Err(Errno::EINVAL)),
        (Sysno::rmdir, "/d/e/..", Err(Errno::ENOTEMPTY)),
        (Sysno::rmdir, "/no", Err(Errno::ENOENT)),
        (Sysno::unlink, "/d", Err(Errno::EISDIR)),
        (Sysno::unlink, "/f/", Err(Errno::ENOTDIR)),
        (Sysno::unlink, "/no", Err(Errno::ENOENT)),
        (Sysno::unlink, "/link", Ok(0)),
        (Sysno::rmdir, "/empty", Ok(0)),
        (Sysno::unlink, "/f", Ok(0)),
    ];
    for (number, path, expected) in cases {
        assert_eq!(one(number, path), expected, "{number} {path}");
    }
    assert_eq!(it.list("/"), Ok([".", "..", "d"].map(Into::into).to_vec()));
    assert_eq!(it.stat(Sysno::stat, "/d").unwrap()[2], 3, "links of a folder count its folders");
    for (mode, expected) in [
        (abi::S_IFIFO | 0o600, Ok(0)),
        (abi::S_IFDIR, Err(Errno::EPERM)),
        (0o170_000, Err(Errno::EINVAL)),
        (abi::S_IFCHR | 0o600, Ok(0)),
    ] {
        let path = std::format!("/node{mode}");
        assert_eq!(it.with(Sysno::mknod, &path, &[mode.into(), 0x103]), expected);
    }
    assert_eq!(it.mode(&std::format!("/node{}", abi::S_IFCHR | 0o600)), Ok(abi::S_IFCHR | 0o600));
    assert_eq!(it.with_two(Sysno::symlink, "", "/x"), Err(Errno::ENOENT));
}

#[test]
fn renames_replace_exchange_and_refuse() {
    let it = Program::new();
    for path in ["/a", "/a/b", "/full", "/full/x", "/empty", "/empty2"] {
        it.mkdir(path);
    }
    it.file("/f", b"f");
    it.file("/g", b"g");
    let cases = [
        ("/f", "/g", Ok(0)),
        ("/f", "/h", Err(Errno::ENOENT)),
        ("/g", "/a", Err(Errno::EISDIR)),
        ("/a", "/g", Err(Errno::ENOTDIR)),
        ("/a", "/full", Err(Errno::ENOTEMPTY)),
        ("/a", "/a/b/c", Err(Errno::EINVAL)),
        ("/a", "/a", Ok(0)),
        ("/a", "/empty", Ok(0)),
        ("/g", "/x/", Err(Errno::ENOTDIR)),
        ("/empty2", "/x/", Ok(0)),
        ("/", "/y", Err(Errno::EBUSY)),
        ("/empty/.", "/y", Err(Errno::EBUSY)),
        ("/nothing", "/y", Err(Errno::ENOENT)),
    ];
    for (from, to, expected) in cases {
        assert_eq!(it.with_two(Sysno::rename, from, to), expected, "{from} {to}");
    }
    assert_eq!(it.content("/g"), Ok(b"f".to_vec()));
    assert_eq!(it.list("/empty").unwrap().len(), 3);
    let flagged = |from: &str, to: &str, flags: u32| {
        let (from, to) = (it.path(0, from), it.path(1, to));
        it.call(Sysno::renameat2, &[CWD, from, CWD, to, flags.into()])
    };
    assert_eq!(flagged("/g", "/empty", abi::RENAME_EXCHANGE), Ok(0));
    assert_eq!(it.content("/empty"), Ok(b"f".to_vec()));
    assert_eq!(it.list("/g/b").unwrap().len(), 2);
    assert_eq!(flagged("/g", "/empty", abi::RENAME_NOREPLACE), Err(Errno::EEXIST));
    assert_eq!(flagged("/g", "/none", abi::RENAME_EXCHANGE), Err(Errno::ENOENT));
    assert_eq!(flagged("/g", "/none", 3), Err(Errno::EINVAL));
    assert_eq!(flagged("/full", "/full/x", abi::RENAME_EXCHANGE), Err(Errno::EINVAL));
    assert_eq!(flagged("/full/x", "/full", abi::RENAME_EXCHANGE), Err(Errno::EINVAL));
}

#[test]
fn hard_links_are_one_file() {
    let it = Program::new();
    it.mkdir("/d");
    it.file("/f", b"f");
    it.with_two(Sysno::symlink, "f", "/s").unwrap();
    assert_eq!(it.with_two(Sysno::link, "/f", "/d/g"), Ok(0));
    assert_eq!(it.with_two(Sysno::link, "/s", "/t"), Ok(0));
    let (a, b) = (it.stat(Sysno::stat, "/f").unwrap(), it.stat(Sysno::stat, "/d/g").unwrap());
    assert_eq!((a[1], a[2]), (b[1], 2));
    assert_eq!(it.mode("/t").map(|it| it & 0o170_000), Ok(abi::S_IFLNK));
    for (from, to, errno) in [
        ("/d", "/e", Errno::EPERM),
        ("/f", "/s", Errno::EEXIST),
        ("/no", "/e", Errno::ENOENT),
        ("/f", "/no/e", Errno::ENOENT),
        ("/f", "/e/", Errno::ENOENT),
    ] {
        assert_eq!(it.with_two(Sysno::link, from, to), Err(errno), "{from} {to}");
    }
    let (from, to) = (it.path(0, "/s"), it.path(1, "/followed"));
    let follow = u64::from(abi::AT_SYMLINK_FOLLOW);
    assert_eq!(it.call(Sysno::linkat, &[CWD, from, CWD, to, follow]), Ok(0));
    assert_eq!(it.stat(Sysno::stat, "/followed").unwrap()[2], 3);
    assert_eq!(it.with(Sysno::unlink, "/f", &[]), Ok(0));
    assert_eq!(it.content("/d/g"), Ok(b"f".to_vec()));
}

#[test]
fn links_are_read_and_kept_apart() {
    let it = Program::new();
    it.with_two(Sysno::symlink, "some/where", "/s").unwrap();
    it.file("/f", b"");
    assert_eq!(it.with(Sysno::readlink, "/s", &[it.buffer(), 100]), Ok(10));
    assert_eq!(it.got(10), b"some/where");
    assert_eq!(it.with(Sysno::readlink, "/s", &[it.buffer(), 4]), Ok(4));
    assert_eq!(it.with(Sysno::readlink, "/s", &[it.buffer(), 0]), Err(Errno::EINVAL));
    assert_eq!(it.with(Sysno::readlink, "/f", &[it.buffer(), 9]), Err(Errno::EINVAL));
    assert_eq!(it.with(Sysno::readlink, "/no", &[it.buffer(), 9]), Err(Errno::ENOENT));
    let fd = it.open("/s", abi::O_PATH | abi::O_NOFOLLOW).unwrap();
    let empty = it.path(0, "");
    assert_eq!(it.call(Sysno::readlinkat, &[fd, empty, it.buffer(), 100]), Ok(10));
    assert_eq!(it.stat(Sysno::lstat, "/s").unwrap()[6], 10);
    assert_eq!(it.stat(Sysno::stat, "/s"), Err(Errno::ENOENT));
}

#[test]
fn modes_owners_and_times_change() {
    let it = Program::new();
    it.file("/f", b"");
    assert_eq!(it.mode("/f"), Ok(0o100_644));
    assert_eq!(it.with(Sysno::chmod, "/f", &[0o6751]), Ok(0));
    assert_eq!(it.mode("/f"), Ok(0o106_751));
    assert_eq!(it.with(Sysno::chown, "/f", &[7, u64::MAX]), Ok(0));
    assert_eq!(it.mode("/f"), Ok(0o100_751), "a new owner takes the set-ID bits away");
    let stat = it.stat(Sysno::stat, "/f").unwrap();
    assert_eq!((stat[3] >> 32, stat[4] as u32), (7, 0));
    // As does one of what nobody executes, but for the bit of a group without a right to.
    assert_eq!(it.with(Sysno::chmod, "/f", &[0o6644]), Ok(0));
    assert_eq!(it.with(Sysno::chown, "/f", &[u64::MAX; 2]), Ok(0));
    assert_eq!(it.mode("/f"), Ok(0o102_644));
    assert_eq!(it.with(Sysno::chmod, "/f", &[0o751]), Ok(0));
    let times = |a: [i64; 2], m: [i64; 2]| {
        for (index, word) in a.into_iter().chain(m).enumerate() {
            it.thread.memory().put(it.buffer() + index as u64 * 8, &word).unwrap();
        }
        let at = it.path(0, "/f");
        it.call(Sysno::utimensat, &[CWD, at, it.buffer(), 0])?;
        let stat = it.stat(Sysno::stat, "/f")?;
        Ok([stat[9], stat[10], stat[11], stat[12]])
    };
    assert_eq!(times([5, 6], [7, 999_999_999]), Ok([5, 6, 7, 999_999_999]));
    assert_eq!(times([0, 0x3fff_fffe], [8, 0]), Ok([5, 6, 8, 0]));
    assert_eq!(times([0, 1_000_000_000], [0, 0]), Err(Errno::EINVAL));
    assert_eq!(times([0, -1], [0, 0]), Err(Errno::EINVAL));
    let now = times([0, 0x3fff_ffff], [0, 0x3fff_ffff]).unwrap();
    assert!(now[0] > 1_600_000_000 && now[0] == now[2]);
    it.with_two(Sysno::symlink, "f", "/s").unwrap();
    let at = it.path(0, "/s");
    let nofollow = u64::from(abi::AT_SYMLINK_NOFOLLOW);
    assert_eq!(it.call(Sysno::fchmodat2, &[CWD, at, 0o600, nofollow]), Err(Errno::EOPNOTSUPP));
    assert_eq!(it.with(Sysno::lchown, "/s", &[3, 4]), Ok(0));
    assert_eq!(it.stat(Sysno::lstat, "/s").unwrap()[3] >> 32, 3);
    assert_eq!(it.stat(Sysno::stat, "/s").unwrap()[3] >> 32, 7);
    assert_eq!(it.with(Sysno::getxattr, "/f", &[at, 0, 0]), Err(Errno::EOPNOTSUPP));
    assert_eq!(it.with(Sysno::statfs, "/f", &[it.buffer()]), Ok(0));
    assert_eq!(it.got(4), abi::TMPFS_MAGIC.to_le_bytes());
}

#[test]
fn access_asks_without_opening() {
    let it = Program::new();
    it.file("/f", b"");
    for (path, mode, expected) in [
        ("/f", 0, Ok(0)),
        ("/f", 6, Ok(0)),
        ("/f", 1, Err(Errno::EACCES)),
        ("/f", 8, Err(Errno::EINVAL)),
        ("/", 7, Ok(0)),
        ("/no", 0, Err(Errno::ENOENT)),
        ("/f/x", 0, Err(Errno::ENOTDIR)),
    ] {
        assert_eq!(it.with(Sysno::access, path, &[mode]), expected, "{path} {mode}");
    }
    let at = it.path(0, "/f");
    assert_eq!(it.call(Sysno::statx, &[CWD, at, 0, 0xfff, it.buffer()]), Ok(0));
    let said = it.got(256);
    assert_eq!(u16::from_le_bytes([said[28], said[29]]), 0o100_644);
    assert_eq!(it.call(Sysno::statx, &[CWD, at, 1, 0xfff, it.buffer()]), Err(Errno::EINVAL));
    let empty = it.path(0, "");
    let fd = it.open("/f", 0).unwrap();
    let flag = u64::from(abi::AT_EMPTY_PATH);
    assert_eq!(it.call(Sysno::newfstatat, &[fd, empty, it.buffer(), flag]), Ok(0));
    let empty = it.path(0, "");
    assert_eq!(it.call(Sysno::newfstatat, &[fd, empty, it.buffer(), 0]), Err(Errno::ENOENT));
    assert_eq!(it.call(Sysno::newfstatat, &[fd, 0, it.buffer(), flag]), Ok(0));
}

#[test]
fn what_is_set_of_a_pipe_or_a_socket_is_taken_from_who_may() {
    use crate::process::Credentials;
    let it = Program::new();
    it.call(Sysno::pipe2, &[it.buffer(), 0]).unwrap();
    let pipe = u64::from(it.got(1)[0]);
    let socket = it.call(Sysno::socket, &[1, 1, 0]).unwrap() as u64;
    let event = it.call(Sysno::eventfd2, &[0, 0]).unwrap() as u64;
    let same = u64::from(u32::MAX);
    let set = |fd| {
        [
            it.call(Sysno::fchmod, &[fd, 0o600]),
            it.call(Sysno::fchown, &[fd, same, same]),
            it.call(Sysno::utimensat, &[fd, 0, 0, 0]),
        ]
    };
    assert_eq!([pipe, socket, event].map(set), [[Ok(0); 3]; 3]);
    it.thread.process.credentials.replace(Credentials::new(1000, 100));
    assert_eq!([pipe, socket].map(set), [[Ok(0); 3]; 2]);
    assert_eq!(set(event), [Err(Errno::EPERM); 3]);
    assert_eq!(it.call(Sysno::fchown, &[pipe, 1000, 100]), Ok(0));
    assert_eq!(it.call(Sysno::fchown, &[pipe, 0, same]), Err(Errno::EPERM));
    assert_eq!(it.call(Sysno::fchown, &[pipe, same, 0]), Err(Errno::EPERM));
}

#[test]
fn times_that_stay_need_no_file() {
    let it = Program::new();
    let omit = abi::UTIME_OMIT.into();
    it.thread.memory().put(it.buffer(), &[0_u64, omit, 0, omit]).unwrap();
    assert_eq!(it.call(Sysno::utimensat, &[CWD, it.path(0, "/none"), it.buffer(), 0]), Ok(0));
    assert_eq!(it.call(Sysno::utimensat, &[99, 0, it.buffer(), 0]), Ok(0));
    let none = it.path(0, "/none");
    assert_eq!(it.call(Sysno::utimensat, &[CWD, none, 0, 0]), Err(Errno::ENOENT));
}

#[test]
fn what_has_no_name_gets_its_first_from_who_may_keep_it() {
    use abi::{AT_EMPTY_PATH, O_EXCL, O_RDONLY, O_RDWR, O_TMPFILE};
    let it = Program::new();
    it.mkdir("/d");
    let link = |fd: u64, to: &str| {
        let (from, to) = (it.path(0, ""), it.path(1, to));
        it.call(Sysno::linkat, &[fd, from, CWD, to, AT_EMPTY_PATH.into()])
    };
    let open = |flags: u32| it.open("/d", O_TMPFILE | O_RDWR | flags).unwrap();
    let (file, alone) = (open(0), open(O_EXCL));
    assert_eq!(link(alone, "/alone"), Err(Errno::ENOENT));
    assert_eq!((link(file, "/one"), link(file, "/two")), (Ok(0), Ok(0)));
    it.with(Sysno::unlink, "/one", &[]).unwrap();
    it.with(Sysno::unlink, "/two", &[]).unwrap();
    assert_eq!(link(file, "/three"), Err(Errno::ENOENT), "it had a name");
    it.file("/f", b"");
    let named = it.open("/f", O_RDONLY).unwrap();
    assert_eq!(link(named, "/g"), Ok(0));
    it.call(Sysno::setuid, &[9]).unwrap();
    assert_eq!(link(named, "/h"), Err(Errno::ENOENT), "it was only given a descriptor");
}

#[test]
fn what_runs_as_another_is_not_made_or_cut_by_anybody() {
    let it = Program::new();
    it.mkdir("/d");
    it.with(Sysno::chown, "/d", &[0, 33]).unwrap();
    it.with(Sysno::chmod, "/d", &[0o2777]).unwrap();
    it.file("/p", b"program");
    it.with(Sysno::chown, "/p", &[9, 9]).unwrap();
    it.file("/theirs", b"");
    it.with(Sysno::chmod, "/theirs", &[0o2646]).unwrap();
    it.file("/su", b"program");
    it.with(Sysno::chmod, "/su", &[0o4755]).unwrap();
    let theirs = it.open("/theirs", abi::O_WRONLY).unwrap();
    it.call(Sysno::setgid, &[9]).unwrap();
    it.call(Sysno::setuid, &[9]).unwrap();
    it.call(Sysno::umask, &[0]).unwrap();
    // Nor made one of no other, by who owns it not.
    assert_eq!(it.with(Sysno::chown, "/su", &[u64::MAX; 2]), Err(Errno::EPERM));
    assert_eq!(it.mode("/su"), Ok(0o104_755));
    assert_eq!(it.with(Sysno::chown, "/d", &[u64::MAX; 2]), Ok(0), "which changes nothing");
    it.with(Sysno::creat, "/d/p", &[0o2775]).unwrap();
    assert_eq!(it.mode("/d/p").map(|it| it & 0o7777), Ok(0o775), "33 is not its group");
    // What the umask takes is not looked at before that, and without a name it is the same.
    it.call(Sysno::umask, &[0o10]).unwrap();
    it.with(Sysno::creat, "/d/q", &[0o2775]).unwrap();
    assert_eq!(it.mode("/d/q").map(|it| it & 0o7777), Ok(0o765));
    let path = it.path(0, "/d");
    let fd = it.call(Sysno::open, &[path, (abi::O_TMPFILE | abi::O_RDWR).into(), 0o2775]).unwrap()
        as u64;
    let stat = it.thread.process.files().get(fd).unwrap().file.stat().unwrap();
    assert_eq!((stat.mode, stat.gid), (0o765, 33));
    for (number, args) in [(Sysno::truncate, [3]), (Sysno::creat, [0])] {
        it.with(Sysno::chmod, "/p", &[0o6755]).unwrap();
        it.with(number, "/p", &args).unwrap();
        assert_eq!(it.mode("/p").map(|it| it & 0o7777), Ok(0o755), "{number}");
    }
    // Nothing that is written changes nothing, and the bit of a group that is not the caller's goes
    // though it may not execute.
    it.call(Sysno::chmod, &[it.path(0, "/p"), 0o6755]).unwrap();
    let fd = it.open("/p", abi::O_WRONLY).unwrap();
    it.write(fd, b"").unwrap();
    assert_eq!(it.mode("/p").map(|it| it & 0o7777), Ok(0o6755));
    it.write(fd, b"x").unwrap();
    assert_eq!(it.mode("/p").map(|it| it & 0o7777), Ok(0o755));
    it.write(theirs, b"x").unwrap();
    assert_eq!(it.mode("/theirs").map(|it| it & 0o7777), Ok(0o646));
    // A descriptor for neither reads nor writes.
    let neither = it.open("/p", 3).unwrap();
    assert_eq!(it.read(neither, 1), Err(Errno::EBADF));
    assert_eq!(it.write(neither, b"x"), Err(Errno::EBADF));
}
