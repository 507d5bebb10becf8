//! A look at what the machine's processor does: QEMU's debugger interface (the
//! remote serial protocol of GDB), of which this takes four commands.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::qemu::Socket;

/// How long QEMU may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The byte that stops the machine.
const STOP: u8 = 3;

/// Holds the registers that tell where a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// The instruction pointer.
    pub instruction: u64,
    /// The stack pointer.
    pub stack: u64,
    /// The frame pointer.
    pub frame: u64,
}

/// Stops the machine, reads its registers and memory, and lets it go on: QEMU's
/// debugger interface. See [`Host::probe`](super::Host::probe).
pub struct Probe {
    stream: UnixStream,
}

impl Probe {
    /// Connects, which stops the machine.
    pub(crate) fn connect(socket: &Socket) -> Result<Probe> {
        let stream = UnixStream::connect(&socket.path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut probe = Probe { stream };
        probe.ask("?")?;
        Ok(probe)
    }

    /// Lets the machine run for `time`, and stops it.
    ///
    /// # Errors
    /// When QEMU ended or answers something else.
    pub fn run_for(&mut self, time: Duration) -> Result<()> {
        self.send("c")?;
        std::thread::sleep(time);
        self.stream.write_all(&[STOP])?;
        self.receive().map(drop)
    }

    /// Reads the stopped machine's registers.
    ///
    /// # Errors
    /// When QEMU ended or answers something else.
    pub fn registers(&mut self) -> Result<Registers> {
        let answer = self.ask("g")?;
        // Sixteen general ones of eight bytes and then the instruction pointer.
        let at = |index: usize| answer.get(index * 8..)?.first_chunk().copied();
        let register =
            |index| at(index).map(u64::from_le_bytes).context("QEMU returned too few registers");
        Ok(Registers { frame: register(6)?, stack: register(7)?, instruction: register(16)? })
    }

    /// Reads `length` bytes of the stopped machine's memory, at a virtual address of the
    /// program that runs.
    ///
    /// # Errors
    /// When nothing is mapped there, or QEMU ended.
    pub fn memory(&mut self, address: u64, length: usize) -> Result<Vec<u8>> {
        self.ask(&format!("m{address:x},{length:x}"))
    }

    /// Sends a command and gives the bytes that its answer says in hexadecimal.
    fn ask(&mut self, command: &str) -> Result<Vec<u8>> {
        self.send(command)?;
        let mut answer = self.receive()?;
        // That the machine has stopped may be told at any time.
        while is_stop(&answer) && command != "?" {
            answer = self.receive()?;
        }
        // That, or an error, is no bytes.
        if is_stop(&answer) || answer.starts_with(b"E") {
            return Ok(Vec::new());
        }
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        answer
            .chunks(2)
            .map(byte)
            .collect::<Option<_>>()
            .context("QEMU's answer is not hexadecimal")
    }

    fn send(&mut self, command: &str) -> Result<()> {
        self.stream.write_all(packet(command).as_bytes())?;
        loop {
            match self.byte()? {
                b'+' => return Ok(()),
                // The report of a stop, which nobody asked for.
                b'$' => drop(self.rest()?),
                other => bail!("QEMU answered {other:#04x} to {command}"),
            }
        }
    }

    fn receive(&mut self) -> Result<Vec<u8>> {
        while self.byte()? != b'$' {}
        self.rest()
    }

    /// What stands in a packet after its first byte.
    fn rest(&mut self) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => answer.push(byte),
            }
        }
        let sum = [self.byte()?, self.byte()?];
        let sum = u8::from_str_radix(std::str::from_utf8(&sum)?, 16)?;
        ensure!(sum == checksum(&answer), "a response of QEMU's debugger has a wrong checksum");
        self.stream.write_all(b"+")?;
        Ok(answer)
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).context("QEMU does not answer")?;
        Ok(byte[0])
    }
}

impl Drop for Probe {
    /// The machine goes on without us.
    fn drop(&mut self) {
        drop(self.send("D"));
    }
}

/// Whether an answer says that the machine has stopped.
fn is_stop(answer: &[u8]) -> bool {
    answer.starts_with(b"T") || answer.starts_with(b"S")
}

fn packet(command: &str) -> String {
    format!("${command}#{:02x}", checksum(command.as_bytes()))
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn a_command_is_framed() {
        assert_eq!(packet("g"), "$g#67");
        assert_eq!(packet("m300000,10"), "$m300000,10#1d");
    }

    #[test]
    fn registers_are_read_in_qemu_s_order() {
        let (ours, mut qemu) = UnixStream::pair().expect("a pair");
        let peer = thread::spawn(move || {
            let mut command = [0; 5];
            qemu.read_exact(&mut command).expect("a command");
            assert_eq!(&command, b"$g#67");
            let registers: String =
                (0..17_u64).map(|it| format!("{:016x}", it.swap_bytes())).collect();
            let sum = checksum(registers.as_bytes());
            // The report of a stop comes before, which nobody asked for.
            write!(qemu, "$T02thread:01;#04+${registers}#{sum:02x}").expect("sent");
            let mut rest = Vec::new();
            // What both packets are acknowledged with.
            qemu.read_to_end(&mut rest).expect("read");
            rest
        });
        let mut probe = Probe { stream: ours };
        let registers = probe.registers().expect("registers");
        assert_eq!(registers, Registers { instruction: 16, stack: 7, frame: 6 });
        probe.stream.shutdown(std::net::Shutdown::Both).expect("open");
        drop(probe);
        assert_eq!(peer.join().expect("no panic"), b"++");
    }
}
