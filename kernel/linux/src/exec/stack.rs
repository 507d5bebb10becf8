//! What a program finds on its stack: arguments, environment, and the auxiliary vector
//! (getauxval(3), the System V ABI for AMD64, section 3.4.1).

use super::texts::Texts;
use crate::errno::Errno;
use crate::memory::Memory;
use crate::stop::Stop;
use alloc::vec::Vec;
use core::ops::Range;
use kernel::user::PAGE;
use linux_raw_sys::auxvec as raw;

/// Bytes of `AT_RANDOM`.
const RANDOM: usize = 16;

/// `AT_PLATFORM`
const PLATFORM: &[u8] = b"x86_64\0";

/// What the auxiliary vector says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub(super) headers: u64,
    pub(super) header_count: u64,
    /// Where the interpreter is; 0: there is none.
    pub(super) interpreter: u64,
    pub(super) entry: u64,
    /// Real and effective user, real and effective group.
    pub(super) ids: [u64; 4],
    pub(super) secure: bool,
    /// Where the vDSO is; 0: there is none.
    pub(super) vdso: u64,
    /// Bytes that a signal's frame takes at least.
    pub(super) frame: u64,
    /// EDX of CPUID 1.
    pub(super) features: u64,
}

/// Where the stack pointer is, and the texts.
pub(super) struct Built {
    pub(super) rsp: u64,
    pub(super) arguments: Range<usize>,
    pub(super) environment: Range<usize>,
    pub(super) auxiliary: Range<usize>,
}

/// Writes all of it below `top`.
///
/// # Errors
/// `ENOMEM`, `E2BIG` if there is no room on the stack.
pub(super) fn build(
    memory: &Memory,
    top: usize,
    path: &[u8],
    arguments: &Texts,
    environment: &Texts,
    facts: &Facts,
) -> Result<Built, Stop> {
    let texts = arguments.size() + environment.size();
    let size = texts + path.len() + 1024;
    let top = top.checked_sub(8).filter(|it| *it > size + PAGE).ok_or(Errno::E2BIG)?;
    let put = |end: &mut usize, bytes: &[u8]| {
        *end -= bytes.len();
        memory.write(*end, bytes).map(|()| *end)
    };
    // Linux's order, from above: the path, the environment, the arguments.
    let mut end = top - 1;
    let path = put(&mut end, path)?;
    let environment_end = end;
    let environment_at = put(&mut end, &environment.bytes)?;
    let arguments_at = put(&mut end, &arguments.bytes)?;
    let platform = put(&mut end, PLATFORM)?;
    let mut random = [0; RANDOM];
    // Before there is randomness, a program gets what it would get of a clock.
    if kernel::entropy::fill(&mut random).is_err() {
        let now = kernel::time::Instant::now().as_nanos().to_le_bytes();
        random[..8].copy_from_slice(&now);
    }
    end &= !15;
    let random = put(&mut end, &random)?;
    let [uid, euid, gid, egid] = facts.ids;
    let vector = [
        (raw::AT_SYSINFO_EHDR, facts.vdso),
        (raw::AT_MINSIGSTKSZ, facts.frame),
        (raw::AT_HWCAP, facts.features),
        (raw::AT_PAGESZ, PAGE as u64),
        (raw::AT_CLKTCK, crate::time::calls::TICKS),
        (raw::AT_PHDR, facts.headers),
        (raw::AT_PHENT, super::elf::ENTRY as u64),
        (raw::AT_PHNUM, facts.header_count),
        (raw::AT_BASE, facts.interpreter),
        (raw::AT_FLAGS, 0),
        (raw::AT_ENTRY, facts.entry),
        (raw::AT_UID, uid),
        (raw::AT_EUID, euid),
        (raw::AT_GID, gid),
        (raw::AT_EGID, egid),
        (raw::AT_SECURE, facts.secure.into()),
        (raw::AT_RANDOM, random as u64),
        (raw::AT_HWCAP2, 0),
        (raw::AT_EXECFN, path as u64),
        (raw::AT_PLATFORM, platform as u64),
        (raw::AT_NULL, 0),
    ];
    // Without a vDSO it is not mentioned.
    let vector = vector.get(usize::from(facts.vdso == 0)..).unwrap_or_default();
    let count = 1 + arguments.count + 1 + environment.count + 1 + 2 * vector.len();
    let mut words = Vec::new();
    words.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    words.push(arguments.count as u64);
    for (texts, at) in [(arguments, arguments_at), (environment, environment_at)] {
        let mut at = at as u64;
        for text in texts.bytes.split_inclusive(|&byte| byte == 0) {
            words.push(at);
            at += text.len() as u64;
        }
        words.push(0);
    }
    words.extend(vector.iter().flat_map(|&(kind, value)| [kind.into(), value]));
    let rsp = end.checked_sub(8 * words.len()).ok_or(Errno::E2BIG)? & !15;
    memory.write(rsp, zerocopy::IntoBytes::as_bytes(words.as_slice()))?;
    let after = rsp + 8 * words.len();
    Ok(Built {
        rsp: rsp as u64,
        arguments: arguments_at..environment_at,
        environment: environment_at..environment_end,
        auxiliary: after - 16 * vector.len()..after,
    })
}
