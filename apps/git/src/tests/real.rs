//! Repositories that git makes and serves by itself, where it is installed.

use super::*;
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

/// What git says in `folder`; nothing if it is not installed.
fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.current_dir(folder).args(args).env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@lab");
    }
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A server of the repositories in a folder, for one client.
struct Daemon(Child);

impl Daemon {
    fn new(folder: &Path) -> Self {
        let mut command = Command::new("git");
        command.args(["daemon", "--inetd", "--export-all", "--log-destination=none"]);
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
    let Some(_) = git(&site, &["init", "-q", "-b", "main"]) else { return };
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
    let run = |args: &[&str]| git(&site, args).unwrap();
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
    git(&other, &["init", "-q", "--object-format=sha256"]).unwrap();
    let sha256 = ask(&folder.0, "/other", "HEAD").unwrap_err();
    assert_eq!(sha256, "the repository's ids are not SHA-1, which is not supported");
}
