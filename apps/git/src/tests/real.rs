//! Repositories that git makes and serves by itself. It is on every machine that has this one.

use super::edit::{Changes, edit};
use super::*;
use crate::remote::give;
use crate::send::{Push, pack};
use core::cell::Cell;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs as files, io};

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xenith-git-{name}-{}", std::process::id()));
        let _ = files::remove_dir_all(&path);
        files::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = files::remove_dir_all(&self.0);
    }
}

/// What git says in `folder`, or why it fails.
fn try_git(folder: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    command.current_dir(folder).args(args).env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@lab");
    }
    let output = command.output().expect("git is installed");
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// What git says in `folder`.
fn git(folder: &Path, args: &[&str]) -> String {
    try_git(folder, args).unwrap_or_else(|why| panic!("{args:?}: {why}"))
}

/// A server of the repositories in a folder, for one client.
struct Daemon(Child);

impl Daemon {
    fn new(folder: &Path) -> Self {
        let mut command = Command::new("git");
        command.args(["daemon", "--inetd", "--export-all", "--log-destination=none"]);
        command.arg("--enable=receive-pack");
        command.arg(format!("--base-path={}", folder.display()));
        // Whoever runs the test owns what is served.
        command.env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Where the pack was not read to its end, there are two that wait for each other otherwise.
        drop((self.0.stdin.take(), self.0.stdout.take()));
        let _ = self.0.wait();
    }
}

impl ErrorType for Daemon {
    type Error = embedded_io_async::ErrorKind;
}

fn failed(_: io::Error) -> embedded_io_async::ErrorKind {
    embedded_io_async::ErrorKind::Other
}

impl Read for Daemon {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Self::Error> {
        io::Read::read(self.0.stdout.as_mut().unwrap(), to).map_err(failed)
    }
}

impl Write for Daemon {
    async fn write(&mut self, from: &[u8]) -> Result<usize, Self::Error> {
        io::Write::write(self.0.stdin.as_mut().unwrap(), from).map_err(failed)
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn ask(folder: &Path, path: &str, name: &str) -> Result<Snapshot, String> {
    let mut daemon = Daemon::new(folder);
    let told = block_on(talk(&mut daemon, "lab", path, &wanted(name), &mut None));
    told.map(|snapshot| snapshot.unwrap()).map_err(|error| format!("{error}"))
}

#[test]
fn a_repository_of_git_is_read_as_git_reads_it() {
    let folder = Folder::new("real");
    let site = folder.0.join("site");
    files::create_dir_all(site.join("a/b/c")).unwrap();
    git(&site, &["init", "-q", "-b", "main"]);
    // Files of which each differs from others by little, so that there are chains of deltas; some
    // that cannot be compressed, and one of several blocks of zlib.
    let mut seed = 1_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    let mut text: Vec<u8> = (0..20_000).map(|at| b"abcdefgh"[at % 7] ^ (random() & 1)).collect();
    for number in 0..60_usize {
        text[number * 300] ^= 0x55;
        text.truncate(20_000 - number);
        let folder = ["a", "a/b", "a/b/c"][number % 3];
        files::write(site.join(format!("{folder}/{number}")), &text).unwrap();
    }
    let noise: Vec<u8> = (0..300_000).map(|_| random()).collect();
    files::write(site.join("noise"), &noise).unwrap();
    files::write(site.join("zeros"), std::vec![0; 1_000_000]).unwrap();
    files::write(site.join("empty"), "").unwrap();
    files::write(site.join("name with\ttab"), "x").unwrap();
    std::os::unix::fs::symlink("a/b/../0", site.join("link")).unwrap();
    let run = |args: &[&str]| git(&site, args);
    run(&["add", "."]);
    run(&["commit", "-q", "-m", "one"]);
    files::write(site.join("a/0"), "other").unwrap();
    run(&["commit", "-q", "-a", "-m", "two"]);
    run(&["branch", "old", "HEAD~1"]);
    run(&["tag", "-a", "-m", "text", "v1", "HEAD~1"]);
    run(&["repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50"]);
    let expected = |of: &str| run(&["-c", "core.quotePath=off", "ls-tree", "-r", "-z", of]);
    for name in ["HEAD", "main", "old", "v1", "refs/heads/old", "refs/tags/v1"] {
        let snapshot = ask(&folder.0, "/site", name).unwrap();
        let lines = listed(&snapshot).replace("with\\ttab", "with\ttab");
        let lines = lines.replace("with\\x09tab", "with\ttab").replace('\n', "\0");
        assert_eq!(lines, expected(name), "{name}");
        let commit = run(&["rev-parse", &format!("{name}^{{commit}}")]);
        assert_eq!(format!("{}\n", snapshot.commit().id), commit);
        assert_eq!(content(&snapshot, "noise").unwrap(), noise);
        let before = if commit == run(&["rev-parse", "old"]) { 20_000 } else { 5 };
        assert_eq!(content(&snapshot, "a/0").unwrap().len(), before);
        assert_eq!(content(&snapshot, "link").unwrap().len(), before);
        assert_eq!(content(&snapshot, "a/b/c/59").unwrap(), text);
    }
    let missing = ask(&folder.0, "/site", "never").unwrap_err();
    assert_eq!(missing, "there is no such branch or tag");
    let elsewhere = ask(&folder.0, "/sight", "HEAD").unwrap_err();
    assert!(elsewhere.starts_with("the server says: access denied"), "{elsewhere}");
    let other = folder.0.join("other");
    files::create_dir(&other).unwrap();
    git(&other, &["init", "-q", "--object-format=sha256"]);
    let sha256 = ask(&folder.0, "/other", "HEAD").unwrap_err();
    assert_eq!(sha256, "the repository's ids are not SHA-1, which is not supported");
}

/// What git says to a push of these changes to `main` of the repository `/site`.
fn give_to(
    folder: &Path,
    before: &Snapshot,
    changes: Changes<'_>,
) -> (Result<Option<Id>, String>, Snapshot) {
    const MAIN: &str = "refs/heads/main";
    let draft = edit(before, changes, Limits::default()).unwrap().unwrap();
    let push = Push::new(MAIN, &draft).unwrap();
    let (mut daemon, sent, wanted) = (Daemon::new(folder), Cell::new(false), wanted(MAIN));
    let given = give(&mut daemon, "lab", "/site", MAIN, &wanted, Some((&push, &sent)));
    (block_on(given).unwrap(), draft.next)
}

#[test]
fn what_is_pushed_is_what_git_has() {
    let folder = Folder::new("push");
    let site = folder.0.join("site");
    files::create_dir_all(site.join("a/b")).unwrap();
    git(&site, &["init", "-q", "-b", "main"]);
    let run = |args: &[&str]| git(&site, args);
    // The branch is changed beside its files, each object is checked, and nothing is forced.
    run(&["config", "receive.denyCurrentBranch", "ignore"]);
    run(&["config", "receive.fsckObjects", "true"]);
    run(&["config", "receive.denyNonFastForwards", "true"]);
    files::write(site.join("a/b/run"), "#!/bin/sh\n").unwrap();
    files::set_permissions(site.join("a/b/run"), files::Permissions::from_mode(0o755)).unwrap();
    for name in ["a/b/one", "a/c", "a.b", "z"] {
        files::write(site.join(name), name).unwrap();
    }
    run(&["add", "."]);
    run(&["commit", "-q", "-m", "one"]);
    run(&["commit", "-q", "--allow-empty", "-m", "two"]);
    let first = ask(&folder.0, "/site", "main").unwrap();
    let noise: Vec<u8> = (0..200_000_u32).map(|it| ((it * 7919) >> 5) as u8).collect();
    let changes = [
        ("a/b/run", Some(&b"#!/bin/sh\necho\n"[..])),
        ("a/b/one", None),
        ("a/b.c/d", Some(&noise)),
        ("z", Some(b"")),
        ("a0", Some(b"a.b")),
    ];
    let (told, second) = give_to(&folder.0, &first, &changes);
    assert_eq!(told, Ok(Some(second.commit().id)));
    let same = |snapshot: &Snapshot| {
        assert_eq!(run(&["rev-parse", "main"]), format!("{}\n", snapshot.commit().id));
        assert_eq!(run(&["fsck", "--full", "--strict", "--no-dangling"]), "");
        assert_eq!(listed(snapshot).replace('\n', "\0"), run(&["ls-tree", "-r", "-z", "main"]));
        // What is read anew is the same.
        assert_eq!(listed(snapshot), listed(&ask(&folder.0, "/site", "main").unwrap()));
    };
    same(&second);
    assert!(run(&["ls-tree", "main", "a/b/run"]).starts_with("100755 blob "));
    assert_eq!(run(&["show", "main:a/b/run"]), "#!/bin/sh\necho\n");
    let said = run(&["log", "-1", "--format=%an|%ae|%at|%cn|%ce|%ct|%s|%b|%P", "main"]);
    let who = "Jane Doe|jane@lab|1800000000";
    assert_eq!(said, format!("{who}|{who}|Change it|Text\n|{}\n", first.commit().id));
    // A commit after the other, of which none is read.
    let (told, third) = give_to(&folder.0, &second, &[("a/b.c/d", None), ("new", Some(b"1"))]);
    assert_eq!(told, Ok(Some(third.commit().id)));
    same(&third);
    // Who has an older one changes nothing.
    let (told, _) = give_to(&folder.0, &second, &[("lost", Some(b"1"))]);
    assert_eq!(told, Ok(Some(third.commit().id)));
    same(&third);
    // Nor does who comes while another one does, which is seen last of all.
    let hook = site.join(".git/hooks/pre-receive");
    files::create_dir_all(hook.parent().unwrap()).unwrap();
    let hooked = |text: &str| {
        files::write(&hook, format!("#!/bin/sh\nunset GIT_QUARANTINE_PATH\n{text}\n")).unwrap();
        files::set_permissions(&hook, files::Permissions::from_mode(0o755)).unwrap();
    };
    hooked(&format!("git update-ref refs/heads/main {}", second.commit().id));
    let (told, _) = give_to(&folder.0, &third, &[("lost", Some(b"1"))]);
    assert!(told.is_err(), "{told:?}");
    same(&second);
    // And a hook may refuse.
    hooked("exit 1");
    let (told, _) = give_to(&folder.0, &second, &[("lost", Some(b"1"))]);
    assert_eq!(told, Err("pre-receive hook declined".into()));
    same(&second);
    files::remove_file(&hook).unwrap();
    // All may go.
    let all = ["a/b/run", "a/b.c/d", "a/c", "a.b", "a0", "z"].map(|path| (path, None));
    let (told, none) = give_to(&folder.0, &second, &all);
    assert_eq!(told, Ok(Some(none.commit().id)));
    same(&none);
    assert_eq!(run(&["ls-tree", "main"]), "");
}

#[test]
fn every_clone_can_have_what_may_be_put() {
    let folder = Folder::new("names");
    let site = folder.0.join("site");
    files::create_dir_all(&site).unwrap();
    let run = |args: &[&str]| git(&site, args);
    run(&["init", "-q", "-b", "main"]);
    run(&["commit", "-q", "--allow-empty", "-m", "none"]);
    files::write(site.join("content"), "x").unwrap();
    let blob = run(&["hash-object", "-w", "content"]);
    let before = told(ANSWER, &wanted("v1-again")).unwrap();
    let mut refused = 0;
    // Whether git makes a file of such a name, and whether one may be put here.
    for (name, made, put) in [
        ("a", true, true),
        (".gitignore", true, true),
        (".gitx", true, true),
        (".git-a", true, true),
        ("git", true, true),
        ("git~2", true, true),
        ("git~10", true, true),
        ("a git~1", true, true),
        ("a:b", true, true),
        ("a. .", true, true),
        ("\u{e9}\u{200c}", true, true),
        // Windows and consoles make something else of these.
        ("a\\b", true, false),
        ("a\nb", true, false),
        ("a\u{7f}", true, false),
        (".GIT", false, false),
        (".git ", false, false),
        (".git.", false, false),
        (".Git . .", false, false),
        (".git:a", false, false),
        (".git::$INDEX_ALLOCATION", false, false),
        (".git .:a", false, false),
        (".git\\a", false, false),
        ("git~1", false, false),
        ("GIT~1", false, false),
        ("git~1.", false, false),
        ("git~1 :a", false, false),
        (".g\u{200c}it", false, false),
        ("\u{feff}.git", false, false),
        (".gi\u{202e}T\u{206f}", false, false),
    ] {
        let tree = folder.0.join("tree");
        files::write(&tree, format!("100644 blob {}\t{name}\0", blob.trim())).unwrap();
        let mut command = Command::new("git");
        command.current_dir(&site).args(["mktree", "-z"]);
        let output = command.stdin(files::File::open(&tree).unwrap()).output().unwrap();
        let tree = String::from_utf8(output.stdout).unwrap();
        let commit = run(&["commit-tree", "-m", "one", tree.trim()]);
        run(&["update-ref", "refs/heads/main", commit.trim()]);
        let clone = folder.0.join("clone");
        let _ = files::remove_dir_all(&clone);
        let cloned = try_git(
            &folder.0,
            &[
                "clone",
                "-q",
                "-c",
                "core.protectNTFS=true",
                "-c",
                "core.protectHFS=true",
                "site",
                "clone",
            ],
        );
        assert_eq!(cloned.is_ok(), made, "{name:?}: {cloned:?}");
        assert_eq!(clone.join(name).is_file(), made, "{name:?}");
        let may = edit(&before, &[(name, Some(b"x"))], Limits::default()).is_ok();
        let below =
            edit(&before, &[(&format!("n/{name}/a"), Some(b"x"))], Limits::default()).is_ok();
        assert_eq!((may, below), (put, put), "{name:?}");
        refused += u32::from(!made);
    }
    assert!(refused > 10);
}

#[test]
fn packs_are_what_git_takes() {
    let folder = Folder::new("pack");
    git(&folder.0, &["init", "-q"]);
    let before = told(ANSWER, &wanted("v1-again")).unwrap();
    for size in [0, 15, 16, 65_535, 65_536, 1 << 20] {
        let data = std::vec![size as u8; size];
        let draft = edit(&before, &[("new", Some(&data))], Limits::default()).unwrap().unwrap();
        let mut made = Vec::new();
        // With what the trees name; the commit before is another repository's.
        pack(&mut made, draft.next.objects().iter().chain(draft.objects().take(1))).unwrap();
        let mut command = Command::new("git");
        command.current_dir(&folder.0).args(["index-pack", "--fsck-objects", "--stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&made).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{size}");
        let shown = Command::new("git")
            .current_dir(&folder.0)
            .args(["cat-file", "blob", &format!("{}:new", draft.id())])
            .output()
            .unwrap();
        assert!(shown.stdout == data, "{size}");
    }
}
