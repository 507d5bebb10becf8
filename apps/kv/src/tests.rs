//! Commands, on a disk in memory.

extern crate std;

use super::*;
use embedded_io_async::ErrorType;
use xenith::block::memory::Memory;

/// A console whose input is there at once.
struct Script<'a> {
    input: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl ErrorType for Script<'_> {
    type Error = core::convert::Infallible;
}

impl Read for Script<'_> {
    async fn read(&mut self, to: &mut [u8]) -> Result<usize, Self::Error> {
        self.input.read(to).await
    }
}

impl Write for Script<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn run(disk: &Memory, input: &str, args: &str) -> (Result<(), Failure>, String) {
    let mut output = Vec::new();
    let console = Script { input: input.as_bytes(), output: &mut output };
    let result = xenith::task::block_on(start(
        console,
        disk.clone(),
        (!args.is_empty()).then_some(args),
        false,
        None,
    ));
    (result, String::from_utf8(output).unwrap())
}

#[test]
fn values_stay_from_run_to_run() {
    let disk = Memory::new(512, 256);
    let lines = "set a one two\r\nset b 3\n\nrename b c\nbrew\nget b\nlist\nexit\nset d 1\n";
    let (result, said) = run(&disk, lines, "");
    assert_eq!(result, Ok(()));
    let all: Vec<&str> = said.lines().collect();
    assert_eq!(all[..4], ["kv: ready", "ok", "ok", "ok"]);
    assert!(all[4].starts_with("error: there are set KEY VALUE"), "{said}");
    assert_eq!(all[5..], ["error: there is nothing of that name", "a 7", "c 1", "2 keys"]);
    let (result, said) = run(&disk, "", "get a; get c ;delete a; list");
    assert_eq!((result, &*said), (Ok(()), "one two\n3\nok\nc 1\n1 keys\n"));
    assert_eq!(run(&disk, "", "get a").0, Err(Failure::Command(Error::NotFound)));
}

#[test]
fn what_is_no_store_is_left_alone() {
    let bytes: Vec<u8> = b"something".repeat(10_000);
    let disk = Memory::from_bytes(512, bytes.clone());
    let before = disk.bytes();
    let refused = Failure::Refused(Refused::Holds(Content::Unknown));
    assert_eq!(run(&disk, "set a 1\n", "").0, Err(refused));
    assert_eq!(disk.bytes(), before);
    let large = Memory::from_bytes(512, b"something".repeat(100_000));
    let console = Script { input: b"", output: &mut Vec::new() };
    let overwritten = start(console, large.clone(), Some("set a 1"), true, None);
    assert_eq!(xenith::task::block_on(overwritten), Ok(()));
    assert_eq!(run(&large, "", "get a").1, "1\n");
    let disk = Memory::new(512, 256);
    run(&disk, "", "set a 1").0.unwrap();
    let (result, said) = run(&disk.clone().read_only(), "set a 2\nget a\n", "");
    assert_eq!((result, &*said), (Ok(()), "kv: ready\nerror: the disk is read-only\n1\n"));
}

#[test]
fn a_damaged_store_is_made_anew_by_overwrite_alone() {
    let disk = Memory::new(512, 256);
    run(&disk, "", "set a 1").0.unwrap();
    let mut bytes = disk.bytes();
    bytes[..8192].fill(0xff);
    bytes[..8].copy_from_slice(b"XENITHKV");
    let disk = Memory::from_bytes(512, bytes);
    assert_eq!(run(&disk, "", "get a").0, Err(Failure::Disk(Error::Damaged)));
    let console = Script { input: b"", output: &mut Vec::new() };
    let overwritten = start(console, disk.clone(), Some("set b 1"), true, None);
    assert_eq!(xenith::task::block_on(overwritten), Ok(()));
    assert_eq!(run(&disk, "", "list").1, "b 1\n1 keys\n");
}

#[test]
fn an_index_is_as_large_as_is_said() {
    let disk = Memory::new(512, 1024);
    let fill = (0..20).map(|number| std::format!("set {number} x;")).collect::<String>();
    let with = |run: &str, index| {
        let mut output = Vec::new();
        let console = Script { input: b"", output: &mut output };
        let result = xenith::task::block_on(start(console, disk.clone(), Some(run), false, index));
        (result, String::from_utf8(output).unwrap())
    };
    assert_eq!(with(&fill, Some(1)).0, Err(Failure::Command(Error::TooManyKeys)));
    assert_eq!(with(&fill, Some(4)).0, Ok(()));
    assert_eq!(with("list", Some(1)).0, Err(Failure::Disk(Error::TooManyKeys)));
    assert!(with("list", None).1.ends_with("20 keys\n"));
}

#[test]
fn lines_are_bounded_and_text_k5_k8() {
    let disk = Memory::new(512, 256);
    let long = std::format!("set a {}\nget a\n", "x".repeat(10_000));
    let (_, said) = run(&disk, &long, "");
    assert!(said.lines().nth(2).unwrap().len() < LONGEST, "{said}");
    let (_, said) = run(&disk, "set b \x1b[2J\nget b\n", "");
    assert!(said.ends_with("?[2J\n"), "{said:?}");
}
