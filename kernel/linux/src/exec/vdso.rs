//! The vDSO: the clocks, read without a call (vdso(7)). Its source is `vdso/vdso.s`, which says
//! how `vdso/vdso.elf` is made of it.

use crate::memory::Memory;
use crate::time::Page;
use kernel::user::{Access, PAGE};

/// What the assembler and the linker made.
pub(super) const ELF: &[u8] = include_bytes!("vdso/vdso.elf");

/// Maps it into `memory`, behind the page that it reads. Returns where it is; 0: there is none, as
/// the machine has no such clock, or there is no memory.
pub(super) fn map(memory: &Memory, page: &Page) -> usize {
    let Some(frames) = page.frames(ELF) else { return 0 };
    let access = Access::READ | Access::EXECUTE;
    let Ok(at) = memory.map_frames(frames, access, "[vdso]") else { return 0 };
    // What fails leaves it executable, and it holds numbers alone.
    let _ = memory.protect(at, PAGE, Access::READ);
    at + PAGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use elf::ElfBytes;
    use elf::endian::LittleEndian;

    #[test]
    fn programs_find_its_functions() {
        assert!(ELF.len() <= PAGE);
        let file = ElfBytes::<LittleEndian>::minimal_parse(ELF).unwrap();
        let segments: alloc::vec::Vec<_> = file.segments().unwrap().iter().collect();
        let load = segments.iter().find(|it| it.p_type == elf::abi::PT_LOAD).unwrap();
        assert_eq!((load.p_vaddr, load.p_offset, load.p_flags), (0, 0, 5));
        assert!(load.p_filesz <= ELF.len() as u64);
        let (symbols, names) = file.dynamic_symbol_table().unwrap().unwrap();
        let names: alloc::vec::Vec<_> =
            symbols.iter().map(|it| names.get(it.st_name as usize).unwrap()).collect();
        for name in ["clock_gettime", "gettimeofday", "time", "getcpu", "clock_getres"] {
            let name = alloc::format!("__vdso_{name}");
            assert!(names.contains(&name.as_str()), "{name}");
        }
        assert!(names.contains(&"LINUX_2.6"));
        // What musl and Go look names up by.
        let tables = file.find_common_data().unwrap();
        assert!(tables.sysv_hash.is_some() && tables.gnu_hash.is_some());
    }

    #[test]
    fn without_a_clock_of_the_machine_there_is_none() {
        let ram = crate::memory::Ram::new();
        let memory = Memory::new(&ram).unwrap();
        assert_eq!(map(&memory, &Page::default()), 0);
        assert_eq!(memory.usage().address_space, 0);
    }
}
