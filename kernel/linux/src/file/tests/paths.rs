//! How paths are walked.

use super::*;

#[test]
fn paths_lead_where_they_should() {
    let it = Program::new();
    it.mkdir("/d");
    it.mkdir("/d/e");
    it.file("/d/e/f", b"deep");
    it.file("/top", b"top");
    for (target, path) in [
        ("e/f", "/d/relative"),
        ("/d/e", "/absolute"),
        ("..//top", "/d/up"),
        ("loop", "/loop"),
        ("nothing", "/dangling"),
        ("d", "/folder"),
    ] {
        assert_eq!(it.with_two(Sysno::symlink, target, path), Ok(0));
    }
    // A chain of 40 links is followed, one of 41 is not.
    assert_eq!(it.with_two(Sysno::symlink, "/top", "/l1"), Ok(0));
    for number in 2..=41 {
        let (from, to) = (std::format!("l{}", number - 1), std::format!("/l{number}"));
        assert_eq!(it.with_two(Sysno::symlink, &from, &to), Ok(0));
    }
    let long = "x".repeat(255);
    let longer = std::format!("/{}", "x".repeat(256));
    let longest = std::format!("/{}top", "./".repeat(2045));
    let too_long = std::format!("/{}top", "./".repeat(2046));
    let cases: &[(&str, Result<&[u8], Errno>)] = &[
        ("/d/e/f", Ok(b"deep")),
        ("d/./e//f", Ok(b"deep")),
        ("/d/../../top", Ok(b"top")),
        ("/d/relative", Ok(b"deep")),
        ("/absolute/f", Ok(b"deep")),
        ("/absolute/../e/f", Ok(b"deep")),
        ("/folder/up", Ok(b"top")),
        ("/l40", Ok(b"top")),
        (&longest, Ok(b"top")),
        ("", Err(Errno::ENOENT)),
        ("/l41", Err(Errno::ELOOP)),
        ("/loop", Err(Errno::ELOOP)),
        ("/loop/x", Err(Errno::ELOOP)),
        ("/dangling", Err(Errno::ENOENT)),
        ("/nothing/x", Err(Errno::ENOENT)),
        ("/top/x", Err(Errno::ENOTDIR)),
        ("/top/", Err(Errno::ENOTDIR)),
        ("/top/.", Err(Errno::ENOTDIR)),
        ("/top/..", Err(Errno::ENOTDIR)),
        ("/d/", Err(Errno::EISDIR)),
        (&long, Err(Errno::ENOENT)),
        (&longer, Err(Errno::ENAMETOOLONG)),
        (&too_long, Err(Errno::ENAMETOOLONG)),
    ];
    for &(path, ref expected) in cases {
        let got = it.content(path);
        assert_eq!(
            got.as_deref().map_err(|&it| it),
            expected.as_deref().map_err(|&it| it),
            "{path}"
        );
    }
    assert_eq!(it.call(Sysno::open, &[8, 0, 0]), Err(Errno::EFAULT));
}

#[test]
fn open_does_what_its_flags_ask() {
    use abi::*;
    let it = Program::new();
    it.mkdir("/d");
    it.file("/f", b"text");
    it.with_two(Sysno::symlink, "f", "/link").unwrap();
    it.with_two(Sysno::symlink, "new", "/dangling").unwrap();
    it.with_two(Sysno::symlink, "d", "/dlink").unwrap();
    let cases = [
        ("/f", O_CREAT | O_EXCL | O_WRONLY, Err(Errno::EEXIST)),
        ("/dangling", O_CREAT | O_EXCL | O_WRONLY, Err(Errno::EEXIST)),
        ("/link", O_NOFOLLOW, Err(Errno::ELOOP)),
        ("/link", O_NOFOLLOW | O_PATH, Ok(())),
        ("/dlink/", O_NOFOLLOW, Ok(())),
        ("/dlink", O_NOFOLLOW | O_DIRECTORY, Err(Errno::ENOTDIR)),
        ("/f", O_DIRECTORY, Err(Errno::ENOTDIR)),
        ("/d", O_WRONLY, Err(Errno::EISDIR)),
        ("/d", O_RDWR, Err(Errno::EISDIR)),
        ("/d", O_CREAT, Err(Errno::EISDIR)),
        ("/d/", O_CREAT, Err(Errno::EISDIR)),
        ("/new/", O_CREAT | O_WRONLY, Err(Errno::EISDIR)),
        ("/nothing/new", O_CREAT | O_WRONLY, Err(Errno::ENOENT)),
        ("/f/new", O_CREAT | O_WRONLY, Err(Errno::ENOTDIR)),
        ("/d", O_TMPFILE, Err(Errno::EINVAL)),
        ("/f", O_TMPFILE | O_RDWR, Err(Errno::ENOTDIR)),
        ("/d", O_TMPFILE | O_RDWR, Ok(())),
        ("/d", O_PATH, Ok(())),
        // A path alone creates nothing, whatever else was asked for.
        ("/d", O_PATH | O_CREAT | O_DIRECTORY, Ok(())),
        ("/d", O_PATH | O_TMPFILE, Ok(())),
        ("/f", O_CREAT | O_RDWR, Ok(())),
    ];
    for (path, flags, expected) in cases {
        let got = it.open(path, flags).map(|fd| it.close(fd));
        assert_eq!(got, expected, "{path} {flags:#o}");
    }
    // A dangling link names what is made.
    let fd = it.open("/dangling", O_CREAT | O_WRONLY).unwrap();
    it.write(fd, b"made").unwrap();
    assert_eq!(it.content("/new"), Ok(b"made".to_vec()));
    let fd = it.open("/f", O_RDWR | O_TRUNC).unwrap();
    assert_eq!(it.read(fd, 9), Ok(Vec::new()));
    // The umask, and a mode that the opener of a new file is not bound by.
    assert_eq!(it.call(Sysno::umask, &[0o77]), Ok(0o22));
    let at = it.path(0, "/private");
    let fd = it.call(Sysno::open, &[at, u64::from(O_CREAT | O_RDWR), 0o466]).unwrap() as u64;
    assert_eq!(it.mode("/private"), Ok(0o100_400));
    assert_eq!(it.write(fd, b"x"), Ok(1));
    assert_eq!(it.call(Sysno::umask, &[0o22]), Ok(0o77));
    // No descriptor is left, and nothing is made.
    it.thread.process.files().set_limit(3);
    assert_eq!(it.open("/more", O_CREAT | O_RDWR), Err(Errno::EMFILE));
    it.close(fd);
    assert_eq!(it.content("/more"), Err(Errno::ENOENT));
}

#[test]
fn a_walk_can_be_kept_in_bounds() {
    let it = Program::new();
    for path in ["/d", "/d/e"] {
        it.mkdir(path);
    }
    it.file("/d/f", b"f");
    it.file("/f", b"outer");
    for (target, path) in [("../f", "/d/out"), ("/f", "/d/abs"), ("f", "/d/in")] {
        it.with_two(Sysno::symlink, target, path).unwrap();
    }
    let base = it.open("/d", abi::O_RDONLY | abi::O_DIRECTORY).unwrap();
    let how = |path: &str, flags: u64, mode: u64, resolve: u32| {
        let at = it.path(0, path);
        for (index, word) in [flags, mode, resolve.into(), 0].into_iter().enumerate() {
            it.thread.memory().put(it.buffer() + index as u64 * 8, &word).unwrap();
        }
        let fd = it.call(Sysno::openat2, &[base, at, it.buffer(), 24])? as u64;
        let content = it.read(fd, 10);
        it.close(fd);
        content
    };
    let (beneath, root) = (abi::RESOLVE_BENEATH, abi::RESOLVE_IN_ROOT);
    let cases = [
        ("f", 0, Ok(&b"f"[..])),
        ("in", beneath, Ok(b"f")),
        ("e/../f", beneath, Ok(b"f")),
        ("../f", beneath, Err(Errno::EXDEV)),
        ("out", beneath, Err(Errno::EXDEV)),
        ("abs", beneath, Err(Errno::EXDEV)),
        ("/f", beneath, Err(Errno::EXDEV)),
        ("out", root, Ok(b"f")),
        ("abs", root, Ok(b"f")),
        ("/f", root, Ok(b"f")),
        ("../../f", root, Ok(b"f")),
        ("in", abi::RESOLVE_NO_SYMLINKS, Err(Errno::ELOOP)),
        ("out", 0, Ok(b"outer")),
        ("f", beneath | root, Err(Errno::EINVAL)),
        ("f", 0x40, Err(Errno::EINVAL)),
    ];
    for (path, resolve, expected) in cases {
        assert_eq!(how(path, 0, 0, resolve), expected.map(<[u8]>::to_vec), "{path} {resolve}");
    }
    assert_eq!(how("f", 1 << 40, 0, 0), Err(Errno::EINVAL));
    assert_eq!(how("f", 0, 0o644, 0), Err(Errno::EINVAL), "nothing is made");
    let at = it.path(0, "f");
    assert_eq!(it.call(Sysno::openat2, &[base, at, it.buffer(), 23]), Err(Errno::EINVAL));
    it.thread.memory().put(it.buffer() + 24, &1_u64).unwrap();
    assert_eq!(it.call(Sysno::openat2, &[base, at, it.buffer(), 32]), Err(Errno::E2BIG));
}

#[test]
fn a_process_is_somewhere() {
    let it = Program::new();
    for path in ["/a", "/a/b", "/c"] {
        it.mkdir(path);
    }
    let cwd = || {
        let count = it.call(Sysno::getcwd, &[it.buffer(), 100])?;
        let mut text = it.got(count);
        assert_eq!(text.pop(), Some(0));
        Ok(std::string::String::from_utf8(text).unwrap())
    };
    assert_eq!(cwd().as_deref(), Ok("/"));
    assert_eq!(it.with(Sysno::chdir, "a/b", &[]), Ok(0));
    assert_eq!(cwd().as_deref(), Ok("/a/b"));
    it.file("here", b"1");
    assert_eq!(it.content("/a/b/here"), Ok(b"1".to_vec()));
    // It goes where the folder goes.
    assert_eq!(it.with_two(Sysno::rename, "/a", "/c/z"), Ok(0));
    assert_eq!(cwd().as_deref(), Ok("/c/z/b"));
    assert_eq!(it.content("../../../c/z/b/here"), Ok(b"1".to_vec()));
    assert_eq!(it.call(Sysno::getcwd, &[it.buffer(), 6]), Err(Errno::ERANGE));
    assert_eq!(it.call(Sysno::getcwd, &[8, 70]), Err(Errno::EFAULT));
    assert_eq!(it.with(Sysno::chdir, "here", &[]), Err(Errno::ENOTDIR));
    let fd = it.open("/c", abi::O_PATH).unwrap();
    assert_eq!(it.with(Sysno::unlink, "here", &[]), Ok(0));
    assert_eq!(it.with(Sysno::rmdir, "/c/z/b", &[]), Ok(0));
    assert_eq!(cwd(), Err(Errno::ENOENT));
    assert_eq!(it.with(Sysno::mkdir, "x", &[0]), Err(Errno::ENOENT));
    assert_eq!(it.call(Sysno::fchdir, &[fd]), Ok(0));
    assert_eq!(cwd().as_deref(), Ok("/c"));
    // A root that is another's folder.
    assert_eq!(it.with(Sysno::chroot, "/c", &[]), Ok(0));
    assert_eq!(it.with(Sysno::chdir, "/../..", &[]), Ok(0));
    assert_eq!(cwd().as_deref(), Ok("/"));
    assert_eq!(it.list("/"), Ok(std::vec![".".into(), "..".into(), "z".into()]));
}
