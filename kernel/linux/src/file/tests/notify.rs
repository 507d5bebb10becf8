//! What inotify(7) tells.

use super::*;
use abi::*;

/// The events that wait: watch, mask, cookie, name.
fn events(it: &Program, fd: u64) -> Vec<(i32, u32, u32, std::string::String)> {
    let bytes = it.read(fd, 8192).unwrap_or_default();
    let mut rest = &bytes[..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let length = word(12) as usize;
        let name = rest[16..16 + length].split(|&it| it == 0).next().unwrap();
        let name = std::string::String::from_utf8(name.to_vec()).unwrap();
        all.push((word(0) as i32, word(4), word(8), name));
        rest = &rest[16 + length..];
    }
    all
}

#[test]
fn what_happens_is_told() {
    let it = Program::new();
    it.mkdir("/d");
    it.file("/f", b"text");
    let fd = it.call(Sysno::inotify_init1, &[IN_NONBLOCK.into()]).unwrap() as u64;
    let add = |path: &str, mask: u32| {
        let at = it.path(0, path);
        it.call(Sysno::inotify_add_watch, &[fd, at, mask.into()])
    };
    assert_eq!(add("/d", IN_ALL_EVENTS), Ok(1));
    assert_eq!(add("/f", IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF), Ok(2));
    assert_eq!(it.read(fd, 100), Err(Errno::EAGAIN));
    it.file("/d/new", b"x");
    let told = |mask, name: &str| (1, mask, 0, name.into());
    assert_eq!(
        events(&it, fd),
        [
            told(IN_CREATE, "new"),
            told(IN_OPEN, "new"),
            told(IN_MODIFY, "new"),
            told(IN_CLOSE_WRITE, "new")
        ]
    );
    // Of a file in it the folder is told, and of one that is watched itself before that.
    let new = it.open("/d/new", O_RDONLY).unwrap();
    it.read(new, 1).unwrap();
    it.read(new, 1).unwrap();
    it.with(Sysno::chmod, "/d/new", &[0o600]).unwrap();
    let all = [told(IN_OPEN, "new"), told(IN_ACCESS, "new"), told(IN_ATTRIB, "new")];
    assert_eq!(events(&it, fd), all);
    it.close(new);
    assert_eq!(events(&it, fd), [told(IN_CLOSE_NOWRITE, "new")]);
    it.with_two(Sysno::link, "/d/new", "/d/same").unwrap();
    it.with_two(Sysno::rename, "/d/new", "/d/same").unwrap();
    it.with(Sysno::unlink, "/d/same", &[]).unwrap();
    assert_eq!(events(&it, fd), [told(IN_CREATE, "same"), told(IN_DELETE, "same")]);
    it.mkdir("/d/e");
    assert_eq!(events(&it, fd), [told(IN_CREATE | IN_ISDIR, "e")]);
    it.with_two(Sysno::rename, "/d/new", "/d/old").unwrap();
    let moved = events(&it, fd);
    assert_eq!(moved.iter().map(|it| it.1).collect::<Vec<_>>(), [IN_MOVED_FROM, IN_MOVED_TO]);
    assert!(moved[0].2 == moved[1].2 && moved[0].2 != 0 && moved[1].3 == "old");
    it.with(Sysno::unlink, "/d/old", &[]).unwrap();
    assert_eq!(events(&it, fd), [told(IN_DELETE, "old")]);
    it.with(Sysno::truncate, "/f", &[1]).unwrap();
    it.with(Sysno::truncate, "/f", &[2]).unwrap();
    it.with(Sysno::chmod, "/f", &[0o600]).unwrap();
    let own = |mask| (2, mask, 0, std::string::String::new());
    assert_eq!(events(&it, fd), [own(IN_MODIFY), own(IN_ATTRIB)], "two alike are one");
    it.with(Sysno::unlink, "/f", &[]).unwrap();
    assert_eq!(events(&it, fd), [own(IN_ATTRIB), own(IN_DELETE_SELF), own(IN_IGNORED)]);
    it.mkdir("/d/f");
    assert_eq!(it.read(fd, 16), Err(Errno::EINVAL), "there is no room for the event");
    assert_eq!(it.call(Sysno::inotify_rm_watch, &[fd, 1]), Ok(0));
    assert_eq!(events(&it, fd).last(), Some(&(1, IN_IGNORED, 0, "".into())));
    for (args, errno) in [([fd, 1], Errno::EINVAL), ([99, 1], Errno::EBADF)] {
        assert_eq!(it.call(Sysno::inotify_rm_watch, &args), Err(errno));
    }
    for (path, mask, expected) in [
        ("/d", 0, Err(Errno::EINVAL)),
        ("/none", IN_OPEN, Err(Errno::ENOENT)),
        ("/d", IN_OPEN | IN_ONLYDIR, Ok(3)),
        ("/d", IN_OPEN | IN_MASK_CREATE, Err(Errno::EEXIST)),
        ("/d", IN_DELETE | IN_ONESHOT, Ok(3)),
    ] {
        assert_eq!(add(path, mask), expected, "{path} {mask:#x}");
    }
    it.with(Sysno::rmdir, "/d/e", &[]).unwrap();
    it.with(Sysno::rmdir, "/d/f", &[]).unwrap();
    let last = events(&it, fd);
    assert_eq!(last, [(3, IN_DELETE | IN_ISDIR, 0, "e".into()), (3, IN_IGNORED, 0, "".into())]);
    it.close(fd);
    it.mkdir("/d/g");
}

#[test]
fn too_many_events_are_said_to_be_too_many() {
    let it = Program::new();
    it.mkdir("/d");
    let fd = it.call(Sysno::inotify_init1, &[IN_NONBLOCK.into()]).unwrap() as u64;
    let at = it.path(0, "/d");
    it.call(Sysno::inotify_add_watch, &[fd, at, (IN_CREATE | IN_DELETE).into()]).unwrap();
    for _ in 0..9000 {
        it.mkdir("/d/e");
        it.with(Sysno::rmdir, "/d/e", &[]).unwrap();
    }
    let (mut all, mut last) = (0, 0);
    loop {
        let some = events(&it, fd);
        let Some(event) = some.last() else { break };
        (all, last) = (all + some.len(), event.1);
    }
    assert_eq!((all, last), (16_385, IN_Q_OVERFLOW));
}

#[test]
fn a_folder_that_is_gone_ends_a_watch_that_asked_for_something_else() {
    let it = Program::new();
    it.mkdir("/d");
    it.mkdir("/d/e");
    let fd = it.call(Sysno::inotify_init1, &[IN_NONBLOCK.into()]).unwrap() as u64;
    for path in ["/d", "/d/e"] {
        let at = it.path(0, path);
        let mask = if path == "/d" { IN_MOVE_SELF } else { IN_DELETE_SELF | IN_ATTRIB };
        it.call(Sysno::inotify_add_watch, &[fd, at, mask.into()]).unwrap();
    }
    it.with(Sysno::rmdir, "/d/e", &[]).unwrap();
    it.with_two(Sysno::rename, "/d", "/moved").unwrap();
    it.with(Sysno::rmdir, "/moved", &[]).unwrap();
    let told = [(2, IN_DELETE_SELF), (2, IN_IGNORED), (1, IN_MOVE_SELF), (1, IN_IGNORED)];
    assert_eq!(events(&it, fd), told.map(|(watch, mask)| (watch, mask, 0, "".into())));
}

#[test]
fn two_that_change_places_are_told_of_both() {
    let it = Program::new();
    it.file("/a", b"");
    it.mkdir("/b");
    let fd = it.call(Sysno::inotify_init1, &[IN_NONBLOCK.into()]).unwrap() as u64;
    let at = it.path(0, "/");
    it.call(Sysno::inotify_add_watch, &[fd, at, IN_MOVE.into()]).unwrap();
    let here = AT_FDCWD as u64;
    let args = [here, it.path(0, "/a"), here, it.path(1, "/b"), RENAME_EXCHANGE.into()];
    assert_eq!(it.call(Sysno::renameat2, &args), Ok(0));
    let all: Vec<_> = events(&it, fd).into_iter().map(|it| (it.1, it.3)).collect();
    let (from, to) = (IN_MOVED_FROM, IN_MOVED_TO);
    let told = [(from, "a"), (to, "b"), (from | IN_ISDIR, "b"), (to | IN_ISDIR, "a")];
    assert_eq!(all, told.map(|(mask, name)| (mask, name.into())));
}

#[test]
fn what_copies_is_told_of_as_what_reads_and_changes_of_nothing_are_not() {
    let it = Program::new();
    it.file("/from", b"text");
    it.file("/to", b"");
    let fd = it.call(Sysno::inotify_init1, &[IN_NONBLOCK.into()]).unwrap() as u64;
    let from = it.open("/from", O_RDONLY).unwrap();
    let to = it.open("/to", O_WRONLY).unwrap();
    it.call(Sysno::pipe2, &[it.buffer(), 0]).unwrap();
    let ends = it.got(8);
    let end = u64::from(ends[4]);
    for (path, mask) in [("/from", IN_ALL_EVENTS), ("/to", IN_ALL_EVENTS)] {
        let at = it.path(0, path);
        it.call(Sysno::inotify_add_watch, &[fd, at, mask.into()]).unwrap();
    }
    let masks = || events(&it, fd).into_iter().map(|it| it.1).collect::<Vec<_>>();
    let rewind = || it.call(Sysno::lseek, &[from, 0, 0]).unwrap();
    assert_eq!(it.call(Sysno::sendfile, &[to, from, 0, 2]), Ok(2));
    assert_eq!(masks(), [IN_ACCESS, IN_MODIFY], "sendfile");
    assert_eq!(it.call(Sysno::copy_file_range, &[from, 0, to, 0, 2, 0]), Ok(2));
    assert_eq!(masks(), [IN_ACCESS, IN_MODIFY], "copy_file_range");
    rewind();
    assert_eq!(it.call(Sysno::splice, &[from, 0, end, 0, 2, 0]), Ok(2));
    assert_eq!(masks(), [IN_ACCESS], "splice");

    let omit = 0x3fff_fffe_u64;
    for (accessed, modified, told) in [
        (0, omit, &[IN_ACCESS][..]),
        (omit, 0, &[IN_MODIFY]),
        (0, 0, &[IN_ATTRIB]),
        (omit, omit, &[]),
    ] {
        it.thread.memory().put(it.buffer(), &[1, accessed, 1, modified]).unwrap();
        let args = [CWD, it.path(0, "/from"), it.buffer(), 0];
        assert_eq!(it.call(Sysno::utimensat, &args), Ok(0));
        assert_eq!(masks(), told, "{accessed} {modified}");
    }
    let owner = |uid| it.with(Sysno::chown, "/from", &[uid, u64::MAX]).unwrap();
    owner(u64::MAX);
    assert_eq!(masks(), []);
    owner(0);
    assert_eq!(masks(), [IN_ATTRIB]);
    it.with(Sysno::chmod, "/from", &[0o4755]).unwrap();
    masks();
    owner(u64::MAX);
    assert_eq!(masks(), [IN_ATTRIB], "it took the bit");
}
