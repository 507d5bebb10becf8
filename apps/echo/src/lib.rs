//! Echoes lines, each after a random delay.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use core::time::Duration;
use embedded_io_async::{Read, Write};
use xenith::task::{Task, spawn};
use xenith::time::sleep;

/// The longest line, in bytes; a longer one is echoed in pieces (rule K8).
const LONGEST: usize = 256;

/// Waits up to two seconds, and then has `line`.
fn later(line: Vec<u8>) -> Task<Vec<u8>> {
    spawn(async move {
        // Without randomness there is no delay either.
        let delay = xenith::entropy::next_u64().map_or(0, |random| random % 2000);
        sleep(Duration::from_millis(delay)).await;
        line
    })
}

/// Reads lines and writes each of them back, after a delay that runs from the
/// moment it was read. Ends at the line `exit` or at the end of the input.
///
/// # Errors
/// Those of the console.
pub async fn start<C: Read + Write>(mut console: C) -> Result<(), C::Error> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        let end = console.read(&mut byte).await? == 0;
        // Terminals send carriage return, pipes line feed.
        let complete = end || matches!(byte, [b'\r' | b'\n']);
        if !complete {
            line.extend(byte);
        }
        if line == b"exit" && complete {
            return Ok(());
        }
        if !line.is_empty() && (complete || line.len() == LONGEST) {
            let mut echo = later(core::mem::take(&mut line)).await;
            echo.push(b'\n');
            console.write_all(&echo).await?;
        }
        if end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use embedded_io_async::ErrorType;

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

    fn run(input: &[u8]) -> Vec<u8> {
        xenith::testing::simulate_time();
        let mut output = Vec::new();
        let console = Script { input, output: &mut output };
        xenith::task::block_on(start(console)).unwrap();
        output
    }

    #[test]
    fn lines_come_back_until_exit() {
        assert_eq!(run(b"one\r\n\ntwo\nexit\nthree\n"), b"one\ntwo\n");
    }

    #[test]
    fn the_last_line_needs_no_end() {
        assert_eq!(run(b"one\ntwo"), b"one\ntwo\n");
        assert_eq!(run(b""), b"");
    }

    #[test]
    fn an_endless_line_comes_in_pieces_k8() {
        let out = run(&std::vec![b'x'; 1000]);
        assert_eq!(out.split(|&byte| byte == b'\n').map(<[u8]>::len).max(), Some(LONGEST));
        assert_eq!(out.iter().filter(|&&byte| byte == b'x').count(), 1000);
    }
}
