//! What guests that run programs in user mode share.

use crate::Verdict;
use alloc::format;
use alloc::string::String;
use kernel::task::yield_now;
use kernel::time::Instant;
use kernel::user::{Access, Context, Error, Exit, Frame, PAGE, Space};

/// Where programs have their code.
pub const CODE: usize = 0x40_0000;
/// Where they have data.
pub const DATA: usize = 0x50_0000;
/// Where they have a stack, of one page.
pub const STACK: usize = 0x60_0000;

/// What a test says.
pub type Outcome = Result<(), String>;

/// A test, and what it shows.
pub type Test = (&'static str, fn() -> Outcome);

/// Fails with a message unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(alloc::format!($($message)*));
        }
    };
}

/// A space with one thread.
#[derive(Debug)]
pub struct Program {
    /// Its memory.
    pub space: Space,
    /// Its thread.
    pub thread: Context,
}

/// A page of zeros.
///
/// # Errors
/// There is no memory.
pub fn frame() -> Result<Frame, String> {
    Frame::new().ok_or_else(|| "no memory".into())
}

/// A thread that begins with the code.
///
/// # Errors
/// There is no memory.
pub fn thread() -> Result<Context, String> {
    let end = (STACK + PAGE) as u64;
    Context::new(CODE as u64, end).ok_or_else(|| "no memory".into())
}

/// What an error says.
#[must_use]
pub fn text(error: Error) -> String {
    format!("{error}")
}

impl Program {
    /// A program with a page of code, one of data and one for its stack.
    ///
    /// # Errors
    /// There is no memory.
    pub fn new(code: &[u8]) -> Result<Self, String> {
        let mut space = Space::new().map_err(text)?;
        let page = frame()?;
        page.write(0, code);
        space.map(CODE, page, Access::READ | Access::EXECUTE).map_err(text)?;
        for at in [DATA, STACK] {
            space.map(at, frame()?, Access::READ | Access::WRITE).map_err(text)?;
        }
        Ok(Self { space, thread: thread()? })
    }

    /// Runs it until something else than an event stops it.
    ///
    /// # Errors
    /// Xen refuses its tables.
    pub fn run(&mut self) -> Result<Exit, String> {
        loop {
            match self.space.run(&mut self.thread).map_err(text)? {
                Exit::Event => xen::evtchn::scan(),
                exit => return Ok(exit),
            }
        }
    }

    /// Runs it, which is to call.
    ///
    /// # Errors
    /// It does something else.
    pub fn call(&mut self) -> Outcome {
        match self.run()? {
            Exit::Call => Ok(()),
            exit => Err(format!("{exit:x?} instead of a call, at {:#x}", self.rip())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn rip(&self) -> u64 {
        self.thread.registers().rip
    }

    /// Runs `code` with `rdi` and `rsi`. Returns how it ends, and `rax`.
    ///
    /// # Errors
    /// There is no memory.
    pub fn once(code: &[u8], rdi: u64, rsi: u64) -> Result<(Exit, u64), String> {
        let mut program = Self::new(code)?;
        (program.thread.registers_mut().rdi, program.thread.registers_mut().rsi) = (rdi, rsi);
        Ok((program.run()?, program.thread.registers().rax))
    }
}

/// Whether this kernel computes as it should after a program ran.
///
/// # Errors
/// What is wrong.
pub fn kernel_works() -> Outcome {
    let mut bytes = [1_u8; 100];
    // Backwards if the program's direction flag is still set.
    bytes.copy_within(0..50, 25);
    bytes[..50].fill(core::hint::black_box(3));
    let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
    let third = core::hint::black_box(1.0_f64) / core::hint::black_box(3.0);
    ensure!(sum == 200 && third > 0.333 && third < 0.334, "the kernel computes {sum} and {third}");
    Ok(())
}

/// Runs tests, each of which has a name.
pub async fn all(tests: &[Test]) -> Verdict {
    for (name, test) in tests {
        let begun = Instant::now();
        if let Err(error) = test().and_then(|()| kernel_works()) {
            kernel::println!("{name}: {error}");
            return Verdict::Fail("see above");
        }
        kernel::println!("{name}: {} ms", begun.elapsed().as_millis());
        yield_now().await;
    }
    Verdict::Pass
}
