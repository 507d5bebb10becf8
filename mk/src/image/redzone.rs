//! Finds code that keeps data below the stack pointer, and keeps events away from it.
//!
//! Xen pushes a frame onto the stack in use, so what lies below the stack pointer is lost
//! then. After a trap nothing goes on. But the watchdog's event may come between any two
//! instructions, and what it interrupts goes on. The target forbids the red zone; assembly,
//! and object files from elsewhere, may have one by the ABI of System V. This looks at what
//! really was compiled, and an image that has one is marked: its kernel starts no watchdog.
//!
//! It follows each function from its first instruction along every branch and
//! knows the distance of rsp, rbp and r11 from the value that rsp had at the
//! entry. An access relative to rsp or rbp that lies below rsp is a finding.
//! Where a register's distance is lost, nothing is said: the check is exact
//! for what a compiler emits, and silent rather than wrong for the rest.

use super::elf::{Elf, Symbol};
use anyhow::{Context, Result, ensure};
use iced_x86::{
    Code, ConditionCode, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind,
    Register,
};
use std::collections::{BTreeMap, BTreeSet};

/// The static of the kernel that says whether events may interrupt the image: 1, or 0 in
/// one that is marked.
const MARK: &str = "::watchdog::INTERRUPTIBLE";

/// The functions of `image` that keep data below the stack pointer.
pub(crate) fn users(image: &Elf<'_>) -> Vec<String> {
    let mut users = Vec::new();
    let mut last = None;
    for symbol in image.symbols.iter().filter(|symbol| symbol.function) {
        // Functions may have been folded into one.
        if last.replace(symbol.address) == Some(symbol.address) {
            continue;
        }
        let Some(code) = image.bytes_at(symbol.address, symbol.size) else { continue };
        if let Some(finding) = scan(code, symbol.address).first() {
            let name = rustc_demangle::demangle(symbol.name);
            users.push(format!("{name:#} (at {:#x})", finding.address));
        }
    }
    users
}

/// Marks `packed`, which was made from `image`, so that nothing interrupts it. An image
/// without a watchdog needs no mark.
///
/// # Errors
/// When the static is not what it should be.
pub(crate) fn mark(image: &Elf<'_>, packed: &mut [u8]) -> Result<()> {
    let is_mark = |symbol: &&Symbol<'_>| {
        format!("{:#}", rustc_demangle::demangle(symbol.name)).ends_with(MARK)
    };
    let Some(symbol) = image.symbols.iter().find(is_mark) else { return Ok(()) };
    let place = {
        let written = Elf::parse(packed)?;
        let byte = written.bytes_at(symbol.address, 1).context("the mark has no place")?;
        ensure!(byte == [1], "the mark is {byte:?}, and should be 1");
        (byte.as_ptr() as usize).wrapping_sub(packed.as_ptr() as usize)
    };
    *packed.get_mut(place).context("the mark has no place")? = 0;
    Ok(())
}

/// An access below the stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finding {
    /// Where the instruction stands.
    address: u64,
    /// How many bytes below rsp it reaches.
    below: i64,
}

/// Distances from the value of rsp at the function's entry, where known.
#[derive(Clone, Copy)]
struct State {
    rsp: Option<i64>,
    rbp: Option<i64>,
    r11: Option<i64>,
}

impl State {
    const ENTRY: Self = Self { rsp: Some(0), rbp: None, r11: None };

    const fn get(&self, register: Register) -> Option<i64> {
        match register {
            Register::RSP => self.rsp,
            Register::RBP => self.rbp,
            Register::R11 => self.r11,
            _ => None,
        }
    }

    fn set(&mut self, register: Register, value: Option<i64>) {
        match register.full_register() {
            Register::RSP => self.rsp = value,
            Register::RBP => self.rbp = value,
            Register::R11 => self.r11 = value,
            _ => {}
        }
    }
}

/// Looks through the function `code` that stands at `address`.
fn scan(code: &[u8], address: u64) -> Vec<Finding> {
    let instructions: BTreeMap<u64, Instruction> =
        Decoder::with_ip(64, code, address, DecoderOptions::NONE)
            .iter()
            .map(|instruction| (instruction.ip(), instruction))
            .collect();
    let mut findings = Vec::new();
    let mut unseen: BTreeSet<u64> = instructions.keys().copied().collect();
    let mut work = vec![(address, State::ENTRY)];
    let mut at_table = None;
    loop {
        while let Some((at, state)) = work.pop() {
            let Some(instruction) = instructions.get(&at).filter(|_| unseen.remove(&at)) else {
                continue;
            };
            findings.extend(below(instruction, &state));
            let next = step(instruction, state);
            match instruction.flow_control() {
                FlowControl::ConditionalBranch => {
                    work.push((instruction.near_branch_target(), next));
                    work.push((instruction.next_ip(), after_probe(instruction, next)));
                }
                FlowControl::UnconditionalBranch => {
                    work.push((instruction.near_branch_target(), next));
                }
                FlowControl::IndirectBranch => at_table = at_table.or(Some(next)),
                FlowControl::Return | FlowControl::Exception | FlowControl::Interrupt => {}
                _ => work.push((instruction.next_ip(), next)),
            }
        }
        // What only a jump table reaches begins as the jump left it.
        match (unseen.first(), at_table) {
            (Some(&rest), Some(state)) => work.push((rest, state)),
            _ => break,
        }
    }
    findings.sort_by_key(|finding| finding.address);
    findings
}

/// The finding that `instruction` is.
fn below(instruction: &Instruction, state: &State) -> Option<Finding> {
    let reads_address_only =
        matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Nop | Mnemonic::Prefetchw);
    let has_memory = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
    if reads_address_only || !has_memory || instruction.memory_index() != Register::None {
        return None;
    }
    let base = state
        .get(instruction.memory_base())
        .filter(|_| matches!(instruction.memory_base(), Register::RSP | Register::RBP))?;
    let address = base.wrapping_add(instruction.memory_displacement64().cast_signed());
    let below = state.rsp?.wrapping_sub(address);
    (below > 0).then_some(Finding { address: instruction.ip(), below })
}

/// The state after `instruction`.
fn step(instruction: &Instruction, mut state: State) -> State {
    let target = instruction.op0_register();
    let constant = || {
        matches!(
            instruction.op1_kind(),
            OpKind::Immediate8to64 | OpKind::Immediate32to64 | OpKind::Immediate8
        )
        .then(|| instruction.immediate(1).cast_signed())
    };
    match instruction.mnemonic() {
        Mnemonic::Push | Mnemonic::Pop | Mnemonic::Call | Mnemonic::Pushfq | Mnemonic::Popfq => {
            if instruction.mnemonic() == Mnemonic::Pop {
                state.set(target, None);
            }
            // A call comes back with the stack as it was.
            if instruction.mnemonic() != Mnemonic::Call {
                let moved = i64::from(instruction.stack_pointer_increment());
                state.rsp = state.rsp.map(|rsp| rsp.wrapping_add(moved));
            }
        }
        Mnemonic::Leave => {
            state.rsp = state.rbp.map(|rbp| rbp.wrapping_add(8));
            state.rbp = None;
        }
        Mnemonic::Mov if instruction.op1_kind() == OpKind::Register => {
            let value = state.get(instruction.op1_register());
            state.set(target, if target.is_gpr64() { value } else { None });
        }
        Mnemonic::Sub if is_register(instruction) => {
            let value = state.get(target).zip(constant()).map(|(value, by)| value.wrapping_sub(by));
            state.set(target, value);
        }
        Mnemonic::Add if is_register(instruction) => {
            let value = state.get(target).zip(constant()).map(|(value, by)| value.wrapping_add(by));
            state.set(target, value);
        }
        Mnemonic::Lea => {
            let plain = instruction.memory_index() == Register::None;
            let value = state
                .get(instruction.memory_base())
                .filter(|_| plain)
                .map(|base| base.wrapping_add(instruction.memory_displacement64().cast_signed()));
            state.set(target, value);
        }
        // Aligning moves rsp down by an unknown amount: not below is still not below.
        Mnemonic::And if target == Register::RSP && is_register(instruction) => {}
        Mnemonic::Cmp | Mnemonic::Test => {}
        _ if is_register(instruction) => state.set(target, None),
        _ => {}
    }
    state
}

/// Whether the first operand is a register.
fn is_register(instruction: &Instruction) -> bool {
    instruction.op_count() > 0 && instruction.op0_kind() == OpKind::Register
}

/// A stack probe's loop, `sub rsp, 4096; mov [rsp], 0; cmp rsp, r11; jne`, ends
/// with rsp where r11 is.
fn after_probe(instruction: &Instruction, mut state: State) -> State {
    if instruction.condition_code() == ConditionCode::ne
        && matches!(instruction.code(), Code::Jne_rel8_64 | Code::Jne_rel32_64)
        && let Some(r11) = state.r11
        && state.rsp.is_some_and(|rsp| r11 < rsp)
    {
        state.rsp = Some(r11);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(code: &[u8]) -> Vec<(u64, i64)> {
        scan(code, 0x1000).iter().map(|finding| (finding.address, finding.below)).collect()
    }

    #[test]
    fn a_leaf_function_with_a_red_zone_is_found() {
        // mov [rsp-8], rdi; mov rax, [rsp-8]; ret
        let code = b"\x48\x89\x7c\x24\xf8\x48\x8b\x44\x24\xf8\xc3";
        assert_eq!(findings(code), [(0x1000, 8), (0x1005, 8)]);
    }

    #[test]
    fn an_image_that_has_one_is_marked() {
        let mut file = super::super::pack::tests::image();
        let (address, place) = {
            let image = Elf::parse(&file).unwrap();
            let segment = image.loads().find(|it| !it.data.is_empty()).unwrap();
            (segment.address, segment.data.as_ptr() as usize - file.as_ptr() as usize)
        };
        file[place] = 1;
        let mut image = Elf::parse(&file).unwrap();
        assert_eq!(users(&image), [""; 0]);
        // mov [rsp-8], rdi; ret
        let code: &[u8] = b"\x48\x89\x7c\x24\xf8\xc3";
        let home = image.segments[0].address;
        image.segments[0].data = code;
        let leaf =
            Symbol { name: "leaf", address: home, size: 6, function: true, ..Symbol::default() };
        image.symbols.push(leaf);
        assert_eq!(users(&image), [format!("leaf (at {home:#x})")]);

        let mut packed = file.clone();
        mark(&image, &mut packed).unwrap();
        assert_eq!(packed, file, "without a watchdog there is nothing to mark");
        let mark_symbol = Symbol {
            name: "_RNvNtCs1_6kernel8watchdog13INTERRUPTIBLE",
            address,
            ..Symbol::default()
        };
        image.symbols.push(mark_symbol);
        mark(&image, &mut packed).unwrap();
        let differ = packed.iter().zip(&file).filter(|(new, old)| new != old);
        assert_eq!(differ.collect::<Vec<_>>(), [(&0, &1)]);
        assert!(mark(&image, &mut packed).is_err(), "it is 0 already");
    }

    #[test]
    fn so_is_one_that_has_a_frame_pointer() {
        // push rbp; mov rbp, rsp; mov [rbp-8], rdi; pop rbp; ret
        let code = b"\x55\x48\x89\xe5\x48\x89\x7d\xf8\x5d\xc3";
        assert_eq!(findings(code), [(0x1004, 8)]);
    }

    #[test]
    fn a_frame_that_is_allocated_is_fine() {
        // push rbp; mov rbp, rsp; sub rsp, 16; mov [rbp-8], rdi; mov [rsp], rdi; leave; ret
        let code = b"\x55\x48\x89\xe5\x48\x83\xec\x10\x48\x89\x7d\xf8\x48\x89\x3c\x24\xc9\xc3";
        assert_eq!(findings(code), []);
    }

    #[test]
    fn what_follows_an_early_return_is_judged_by_its_own_stack() {
        // push rbp; mov rbp, rsp; sub rsp, 16; test edi, edi; je +2; leave; ret;
        // mov [rbp-16], rdi; leave; mov [rsp-16], rdi; ret
        let code = b"\x55\x48\x89\xe5\x48\x83\xec\x10\x85\xff\x74\x02\xc9\xc3\
            \x48\x89\x7d\xf0\xc9\x48\x89\x7c\x24\xf0\xc3";
        assert_eq!(findings(code), [(0x1013, 16)]);
    }

    #[test]
    fn a_probed_stack_is_as_deep_as_its_loop_makes_it() {
        // push rbp; mov rbp, rsp; lea r11, [rsp-0x2000]; 1: sub rsp, 0x1000;
        // mov qword [rsp], 0; cmp rsp, r11; jne 1b; mov [rbp-0x1800], rdi; leave; ret
        let code = b"\x55\x48\x89\xe5\x4c\x8d\x9c\x24\x00\xe0\xff\xff\
            \x48\x81\xec\x00\x10\x00\x00\x48\xc7\x04\x24\x00\x00\x00\x00\x4c\x39\xdc\x75\xec\
            \x48\x89\xbd\x00\xe8\xff\xff\xc9\xc3";
        assert_eq!(findings(code), []);
    }

    #[test]
    fn bytes_that_are_no_code_are_survived() {
        for byte in 0..=255 {
            let _ = findings(&[byte; 40]);
        }
    }
}
