//! Servers in memory that say what is written down, and git's own.

use crate::id::{Id, Kind};
use crate::{Error, Flaw, Limits, Snapshot, Wanted, talk};
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;
use embedded_io_async::{ErrorType, Read, Write};
use std::format;
use xenith::fs::{self, Tree};
use xenith::task::block_on;

mod app;
mod edit;
mod folders;
mod packs;
mod push;
mod put;
mod real;
mod said;
#[path = "../../../../tests/git/pack.rs"]
mod written;

/// What Debian's git answers when `v1-again` is asked for of a repository with links, a tag of a tag
/// and files that are written as deltas of others: `git daemon --inetd` of version 2.47.3.
const ANSWER: &[u8] = include_bytes!("tag.answer");

/// What that tag stands for, and what that has.
const TAG: &str = "21a08d372a5de9a23f8c169b9b280db6f88e80cf";
const COMMIT: &str = "17bcfd8326ec3db77c1cf97737ca6ad05e3eb623";
const LISTED: &str = "\
120000 blob b679a409b1e1ae654361a119ba92142f6ee5e7c7\tcircle
100644 blob f87383677e72159cd32dc27cf9e11e40b7716734\tcss/style.css
100644 blob 2dded19b666a810578b6604cc2cfbb43dce69b90\tdeep/er/numbers
120000 blob b286bc30c00b72e7d8ca18514bbd11251021661d\tdeep/er/out
100644 blob e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\tempty
100644 blob 6e7c1e6ac83f364ec51e595dbac9d81eb4d19590\tindex.html
120000 blob 2703d871ad325e100ba8a008103aba05b502e09b\tlink
160000 commit 0123456789abcdef0123456789abcdef01234567\tmodule
100644 blob 7b5d34d5cf4229e05f566b7e2b9f8ea113e2efba\tnumbers
100644 blob 130b842f40dd7f3a996c77e5fe9804af99d1c15d\tnumbers.changed
120000 blob 78d91a9b27abcaaa6a5e0123be321045adb47606\tround
100755 blob 1a2485251c33a70432394c93fb89330ef214bfc9\trun
";

/// A peer that says this, a few bytes at a time, and what it hears.
struct Script<'a> {
    says: &'a [u8],
    piece: usize,
    heard: Vec<u8>,
}

impl ErrorType for Script<'_> {
    type Error = Infallible;
}

impl Read for Script<'_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Infallible> {
        let count = to.len().min(self.piece).min(self.says.len());
        to[..count].copy_from_slice(&self.says[..count]);
        self.says = &self.says[count..];
        Ok(count)
    }
}

impl Write for Script<'_> {
    async fn write(&mut self, from: &[u8]) -> Result<usize, Infallible> {
        self.heard.extend_from_slice(from);
        Ok(from.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn wanted(name: &str) -> Wanted {
    let time = Duration::from_secs(30);
    Wanted { name: name.into(), limits: Limits::default(), patience: time, time }
}

/// What becomes of a server that says this.
fn told(says: &[u8], wanted: &Wanted) -> Result<Snapshot, Error<Infallible>> {
    let mut script = Script { says, piece: 1000, heard: Vec::new() };
    let told = block_on(talk(&mut script, "lab", "/r", wanted, &mut None));
    told.map(|snapshot| snapshot.unwrap())
}

/// The lines of a snapshot.
fn listed(snapshot: &Snapshot) -> String {
    let lines = listed_up_to(snapshot, u32::MAX);
    lines.into_iter().map(|line| format!("{}\n", line.unwrap())).collect()
}

/// What is listed of so many files and folders.
fn listed_up_to(snapshot: &Snapshot, most: u32) -> Vec<Result<String, Flaw>> {
    block_on(async {
        let (mut lines, mut all) = (snapshot.lines(most), Vec::new());
        while let Some(line) = lines.next().await {
            all.push(line);
        }
        all
    })
}

/// A file as a whole.
fn content(snapshot: &Snapshot, path: &str) -> Result<Vec<u8>, fs::Error> {
    block_on(async {
        let node = snapshot.lookup(path.as_bytes()).await?;
        let mut content = std::vec![0; snapshot.metadata(&node).size as usize + 1];
        let count = snapshot.read(&node, 0, &mut content).await?;
        content.truncate(count);
        Ok(content)
    })
}
