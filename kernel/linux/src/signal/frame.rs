//! The frame of a signal on the program's stack: what a handler finds, and what its return
//! brings back (`struct rt_sigframe` of Linux's arch/x86, sigreturn(2)).

use super::action::Action;
use super::info::Info;
use super::receiver::{Receiver, Stack};
use super::set::Set;
use crate::errno::Errno;
use crate::memory::Memory;
use crate::stop::Stop;
use alloc::vec::Vec;
use kernel::user::{Context, Registers};
use linux_raw_sys::general::{SA_ONSTACK, SA_RESTORER, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct sigcontext_64`
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Saved {
    /// r8 to r15.
    high: [u64; 8],
    rdi: u64,
    rsi: u64,
    rbp: u64,
    rbx: u64,
    rdx: u64,
    rax: u64,
    rcx: u64,
    rsp: u64,
    rip: u64,
    rflags: u64,
    /// cs, gs, fs, ss.
    segments: [u16; 4],
    error: u64,
    trap: u64,
    old_mask: u64,
    address: u64,
    /// Where the state of the other units is; 0: nowhere.
    fpstate: u64,
    reserved: [u64; 8],
}

/// `struct ucontext`
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct User {
    flags: u64,
    link: u64,
    stack: Stack,
    saved: Saved,
    mask: Set,
}

/// `struct rt_sigframe`
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Frame {
    restorer: u64,
    user: User,
    info: Info,
}

/// `struct _fpx_sw_bytes`: what stands in the part of an FXSAVE area that the processor leaves
/// alone.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Extent {
    magic: u32,
    /// Of the whole, with the second magic number.
    size: u32,
    features: u64,
    /// Of the area.
    area: u32,
    pad: [u32; 7],
}

const MAGIC_1: u32 = 0x4650_5853;
const MAGIC_2: u32 = 0x4650_5845;

/// Size of an FXSAVE area, and where [`Extent`] is in it.
const LEGACY: usize = 512;
const EXTENT: usize = 464;

/// Size of an XSAVE area with x87 and SSE alone.
const SSE_ONLY: usize = 576;

/// `UC_FP_XSTATE`, `UC_SIGCONTEXT_SS` and `UC_STRICT_RESTORE_SS`.
const FLAGS: u64 = 7;

/// Segments as Linux's programs know them; nothing reads them back.
const SEGMENTS: [u16; 4] = [0x33, 0, 0, 0x2b];

/// Bytes below the stack pointer that belong to the program (the red zone of the ABI).
const RED_ZONE: u64 = 128;

/// The direction and resume flags.
const DF_RF_TF: u64 = 1 << 10 | 1 << 16 | 1 << 8;

/// Lets a thread go on in the handler of `action`. Nothing but its stack is changed unless all
/// of it could be.
///
/// # Errors
/// `EFAULT` if there is no room on its stack, [`Stop::Load`].
pub(crate) fn push(
    memory: &Memory,
    context: &mut Context,
    receiver: &Receiver,
    info: &Info,
    action: &Action,
    mask: Set,
) -> Result<(), Stop> {
    if !action.has(SA_RESTORER) {
        return Err(Errno::EFAULT.into());
    }
    let stack = receiver.stack.get();
    let registers = *context.registers();
    let on_stack = stack.flags & SS_DISABLE == 0 && stack.has(registers.rsp);
    let switches = action.has(SA_ONSTACK) && stack.size != 0 && !on_stack;
    let top = if switches {
        stack.at.wrapping_add(stack.size)
    } else {
        registers.rsp.wrapping_sub(RED_ZONE)
    };
    let area = context.xstate();
    let fpstate = top.wrapping_sub(area.len() as u64 + 4) & !63;
    let at = (fpstate.wrapping_sub(size_of::<Frame>() as u64) & !15).wrapping_sub(8);
    if (switches || on_stack && stack.has(registers.rsp)) && !stack.has(at) {
        return Err(Errno::EFAULT.into());
    }
    let frame = Frame {
        restorer: action.restorer,
        user: User {
            flags: FLAGS,
            link: 0,
            stack: Stack { flags: flags(&stack, on_stack), ..stack },
            saved: save(&registers, receiver.trap.get(), mask, fpstate),
            mask,
        },
        info: *info,
    };
    memory.put(at, &frame)?;
    memory.write(fpstate as usize, area)?;
    let extent = Extent {
        magic: MAGIC_1,
        size: area.len() as u32 + 4,
        features: if area.len() > SSE_ONLY { 7 } else { 3 },
        area: area.len() as u32,
        pad: [0; 7],
    };
    memory.put(fpstate + EXTENT as u64, &extent)?;
    memory.put(fpstate + area.len() as u64, &MAGIC_2)?;
    if switches && stack.flags & SS_AUTODISARM != 0 {
        receiver.stack.set(Stack::NONE);
    }
    let user = at + core::mem::offset_of!(Frame, user) as u64;
    let registers = context.registers_mut();
    registers.rsp = at;
    registers.rip = action.handler;
    registers.rax = 0;
    registers.rdi = info.signal().number() as u64;
    registers.rsi = at + core::mem::offset_of!(Frame, info) as u64;
    registers.rdx = user;
    registers.rflags &= !DF_RF_TF;
    Ok(())
}

/// Returns the flags of a stack as sigaltstack(2) shows them.
pub(crate) const fn flags(stack: &Stack, on_stack: bool) -> u32 {
    let now = match (stack.size, on_stack) {
        (0, _) => SS_DISABLE,
        (_, true) => SS_ONSTACK,
        (_, false) => 0,
    };
    now | stack.flags & SS_AUTODISARM
}

fn save(it: &Registers, trap: [u64; 3], mask: Set, fpstate: u64) -> Saved {
    let [trap, error, address] = trap;
    Saved {
        high: [it.r8, it.r9, it.r10, it.r11, it.r12, it.r13, it.r14, it.r15],
        rdi: it.rdi,
        rsi: it.rsi,
        rbp: it.rbp,
        rbx: it.rbx,
        rdx: it.rdx,
        rax: it.rax,
        rcx: it.rcx,
        rsp: it.rsp,
        rip: it.rip,
        rflags: it.rflags,
        segments: SEGMENTS,
        error,
        trap,
        old_mask: mask.bits(),
        address,
        fpstate,
        reserved: [0; 8],
    }
}

/// Brings back what [`push`] saved, as far as the program left it and may: returns the mask and
/// the alternate stack, which the caller sets.
///
/// # Errors
/// `EFAULT` for a frame that is none, [`Stop::Load`]. Nothing is changed.
pub(crate) fn pop(memory: &Memory, context: &mut Context) -> Result<(Set, Stack), Stop> {
    // The handler's return has taken the restorer from the stack.
    let at = context.registers().rsp;
    let user: User = memory.get(at)?;
    let state = match user.saved.fpstate {
        0 => None,
        at => Some(load_state(memory, at, context.xstate().len())?),
    };
    let it = &user.saved;
    let restored = match &state {
        Some(state) => context.set_xstate(state),
        None => Context::new(0, 0)
            .ok_or(Errno::ENOMEM)
            .map_or(Ok(()), |initial| context.set_xstate(initial.xstate())),
    };
    restored.map_err(|_| Errno::EFAULT)?;
    let [r8, r9, r10, r11, r12, r13, r14, r15] = it.high;
    // What is left is the kernel's to set: segments, and why user mode was left.
    let old = *context.registers();
    *context.registers_mut() = Registers {
        r15,
        r14,
        r13,
        r12,
        r11,
        r10,
        r9,
        r8,
        rbp: it.rbp,
        rdi: it.rdi,
        rsi: it.rsi,
        rdx: it.rdx,
        rcx: it.rcx,
        rbx: it.rbx,
        rax: it.rax,
        rip: it.rip,
        rsp: it.rsp,
        rflags: it.rflags,
        ..old
    };
    Ok((user.mask, user.stack))
}

/// Copies the state of x87, SSE and AVX out of a frame: all of it, or the part of FXSAVE if the
/// frame has no more.
fn load_state(memory: &Memory, at: u64, length: usize) -> Result<Vec<u8>, Stop> {
    let extent: Extent = memory.get(at.wrapping_add(EXTENT as u64))?;
    let area = extent.area as usize;
    let whole = extent.magic == MAGIC_1
        && area == length
        && extent.size as usize == length + 4
        && memory.get::<u32>(at.wrapping_add(area as u64))? == MAGIC_2;
    let length = if whole { length } else { LEGACY };
    let mut state = kernel::memory::zeroed(length).ok_or(Errno::ENOMEM)?;
    memory.read(at as usize, &mut state)?;
    Ok(state)
}

const _: () = assert!(size_of::<Frame>() == 440 && size_of::<User>() == 304);
const _: () = assert!(size_of::<Saved>() == 256 && size_of::<Extent>() == 48);
