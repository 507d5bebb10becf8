//! A program in memory, ready to run: the work of execve(2), up to where it can no longer fail.

use super::elf::{self, Plan};
use super::source::Source;
use super::stack::{self, Facts};
use super::texts::Texts;
use super::vdso;
use crate::errno::Errno;
use crate::memory::{Limits, Memory};
use crate::process::{Credentials, Program};
use crate::stop::loaded;
use crate::time::Page;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Range;
use kernel::user::{Context, PAGE, TOP};

/// Scripts that may be begun by scripts, as on Linux.
pub(super) const DEPTH: usize = 5;

/// Bytes of a file in which the line of its interpreter must be.
const LINE: usize = 256;

/// Bytes of a signal's frame beside the state of the processor's units, and their alignment.
const FRAME: usize = 440 + 4 + 64 + 16 + 128;

/// A program in memory, and the registers that it begins with.
pub(super) struct Image {
    pub(super) memory: Rc<Memory>,
    pub(super) context: Context,
    pub(super) program: Program,
}

/// What begins a file: a program, or the line that names its interpreter.
pub(super) enum Kind {
    Elf,
    /// The path of the interpreter, and its one argument.
    Script(Vec<u8>, Option<Vec<u8>>),
}

/// Looks at the beginning of a file.
///
/// # Errors
/// `ENOEXEC` if it is neither, the disk's.
pub(super) async fn kind(source: &Source) -> Result<Kind, Errno> {
    let mut head = [0; LINE];
    let count = source.read(0, &mut head).await?;
    let head = head.get(..count).unwrap_or_default();
    let Some(line) = head.strip_prefix(b"#!") else { return Ok(Kind::Elf) };
    let end = line.iter().position(|&byte| byte == b'\n' || byte == 0);
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let whole = end.is_some() || count < LINE;
    let line = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
    let line = line.trim_ascii();
    let name = line.iter().position(blank);
    // A name that may go on is not taken for another one.
    if line.is_empty() || !whole && name.is_none() {
        return Err(Errno::ENOEXEC);
    }
    let (name, rest) = line.split_at(name.unwrap_or(line.len()));
    let rest = rest.trim_ascii();
    let copy = |text: &[u8]| text.to_vec();
    Ok(Kind::Script(copy(name), (!rest.is_empty()).then(|| copy(rest))))
}

async fn plan(source: &Source) -> Result<(elf::Header, Plan), Errno> {
    let header = elf::header(&source.piece(0, elf::HEADER).await?)?;
    let table = source.piece(header.table, header.count * elf::ENTRY).await?;
    let plan = elf::plan(&header, &table)?;
    Ok((header, plan))
}

/// The path of the interpreter that a program names.
///
/// # Errors
/// `ENOEXEC`, the disk's.
pub(super) async fn interpreter(source: &Source) -> Result<Option<Vec<u8>>, Errno> {
    let (_, plan) = plan(source).await?;
    let Some((at, length)) = plan.interpreter else { return Ok(None) };
    let mut path = source.piece(at, length).await?;
    match path.pop() {
        Some(0) if !path.contains(&0) => Ok(Some(path)),
        _ => Err(Errno::ENOEXEC),
    }
}

/// Places the segments of `plan`, moved by `base`.
async fn place(memory: &Memory, source: &Source, plan: &Plan, base: u64) -> Result<(), Errno> {
    for it in &plan.segments {
        let at = base.checked_add(it.at).ok_or(Errno::ENOMEM)? as usize;
        let (file, length) = (it.file as usize, it.memory as usize);
        loaded(|| memory.place(at, &source.file, it.offset, file, length, it.access)).await?;
    }
    Ok(())
}

/// The number that is added to the addresses of a plan so that it begins at `at` or below.
fn base(plan: &Plan, at: usize) -> u64 {
    (at as u64 & !(plan.align - 1)).wrapping_sub(plan.range.start & !(plan.align - 1))
}

/// Makes a program of files and texts.
///
/// # Errors
/// `ENOEXEC`, `EINVAL` and `ELIBBAD` for bad files; `ENOMEM`, `E2BIG`; the disk's.
pub(super) async fn load(
    memory: Rc<Memory>,
    (limits, clocks): (Limits, &Page),
    source: &Source,
    interpreter: Option<&Source>,
    texts: (&[u8], &Texts, &Texts),
    credentials: &Credentials,
    secure: bool,
) -> Result<Image, Errno> {
    memory.set_limits(limits);
    let (header, own) = plan(source).await?;
    let moved = if header.moves { base(&own, memory.program_base()) } else { 0 };
    place(&memory, source, &own, moved).await?;
    let last = own.segments.iter().map(|it| it.at + it.memory).max().unwrap_or_default();
    memory.set_brk_start(moved.wrapping_add(last) as usize);
    let entry = moved.wrapping_add(header.entry);
    let (mut start, mut interpreter_base) = (entry, 0);
    if let Some(source) = interpreter {
        let bad = |errno| if errno == Errno::ENOEXEC { Errno::ELIBBAD } else { errno };
        let (header, plan) = plan(source).await.map_err(bad)?;
        let Range { start: first, end } = plan.range;
        let moved = if header.moves {
            let room = (end - first) as usize + plan.align as usize - PAGE;
            let at = memory.find(room)? + plan.align as usize - PAGE;
            base(&plan, at)
        } else {
            0
        };
        place(&memory, source, &plan, moved).await?;
        start = moved.wrapping_add(header.entry);
        interpreter_base = moved;
    }
    if start >= TOP as u64 {
        return Err(Errno::EINVAL);
    }
    let top = memory.map_stack()?;
    let vdso = vdso::map(&memory, clocks);
    let mut context = Context::new(start, 0).ok_or(Errno::ENOMEM)?;
    let facts = Facts {
        headers: if own.headers == 0 { 0 } else { moved.wrapping_add(own.headers) },
        header_count: header.count as u64,
        interpreter: interpreter_base,
        entry,
        ids: [
            credentials.user.real,
            credentials.user.effective,
            credentials.group.real,
            credentials.group.effective,
        ]
        .map(u64::from),
        secure,
        vdso: vdso as u64,
        frame: (FRAME + context.xstate().len()) as u64,
        features: features(),
    };
    let (path, arguments, environment) = texts;
    let mut path_text = Vec::new();
    path_text.try_reserve_exact(path.len() + 1).map_err(|_| Errno::ENOMEM)?;
    path_text.extend_from_slice(path);
    path_text.push(0);
    let build = || stack::build(&memory, top, &path_text, arguments, environment, &facts);
    let built = loaded(build).await.map_err(|errno| match errno {
        Errno::EFAULT => Errno::E2BIG,
        other => other,
    })?;
    context.registers_mut().rsp = built.rsp;
    let program = Program {
        path: Rc::from(source.path.as_slice()),
        place: source.place.clone(),
        arguments: built.arguments,
        environment: built.environment,
        auxiliary: built.auxiliary,
        executed: true,
        runs: source.runs.clone(),
        vdso,
    };
    Ok(Image { memory, context, program })
}

/// EDX of CPUID 1, as `AT_HWCAP` has it.
fn features() -> u64 {
    core::arch::x86_64::__cpuid(1).edx.into()
}
