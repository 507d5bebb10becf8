//! What stands at an address of an image: functions and lines, from the file
//! with symbols that `cargo mk build` leaves beside the image.

use crate::image::elf::Elf;
use crate::image::stack::Stack;
use addr2line::Context;
use anyhow::{Context as _, Result};
use gimli::{Dwarf, EndianArcSlice, LittleEndian};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The symbols and line tables of an image.
pub(crate) struct Symbols {
    /// Functions and labels, by address.
    code: Vec<Symbol>,
    /// What is executable.
    text: Vec<Range<u64>>,
    /// The page that must not be used, and the stack above it.
    stack: Option<Stack>,
    /// Of one who looks at a time, as it keeps what it has read.
    lines: Option<Mutex<Context<EndianArcSlice<LittleEndian>>>>,
    /// The folder whose name is left out of paths.
    root: String,
    /// Where the bytes of the file are that are loaded: offsets, and the first one's address.
    loads: Vec<(Range<u64>, u64)>,
    /// The folders with the programs that the image runs.
    programs: Vec<PathBuf>,
}

/// The symbols of the image that a guest has, which is another one after an update.
pub(crate) struct Latest(Mutex<Arc<Symbols>>);

impl Latest {
    pub(crate) fn new(symbols: Symbols) -> Self {
        Self(Mutex::new(Arc::new(symbols)))
    }

    /// Those of the image that it has now.
    pub(crate) fn now(&self) -> Arc<Symbols> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the image by the one whose symbols are in the file at `path`, which is read before: the next
    /// build writes another one.
    ///
    /// # Errors
    /// When it cannot be read, or with what `replace` says; then they stay as they are.
    pub(crate) fn follow(&self, path: &Path, replace: impl FnOnce() -> Result<()>) -> Result<()> {
        let old = self.now();
        let root = Path::new(old.root.trim_end_matches('/'));
        let next = Symbols::read(path, root)?.with_programs(old.programs.clone());
        replace()?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }
}

struct Symbol {
    address: u64,
    size: u64,
    name: String,
}

/// A function, and a line in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) function: Option<String>,
    /// `FILE:LINE`.
    pub(crate) line: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.function.as_deref().unwrap_or("?");
        match &self.line {
            Some(line) => write!(f, "{function} at {line}"),
            None => f.write_str(function),
        }
    }
}

impl Symbols {
    /// Reads the file at `path`; paths inside `root` are shown from there.
    ///
    /// # Errors
    /// When it cannot be read or is no ELF file.
    pub(crate) fn read(path: &Path, root: &Path) -> Result<Self> {
        let file = crate::project::read(path)?;
        let elf = Elf::parse(&file).with_context(|| path.display().to_string())?;
        Ok(Self::new(&elf, root))
    }

    /// Takes what `elf` has, which may be nothing.
    pub(crate) fn new(elf: &Elf<'_>, root: &Path) -> Self {
        let text: Vec<_> = elf
            .loads()
            .filter(|segment| segment.is_executable())
            .map(|segment| segment.address..segment.end())
            .collect();
        let mut code: Vec<_> = elf
            .symbols
            .iter()
            .filter(|symbol| !symbol.undefined && holds(&text, symbol.address))
            .map(|symbol| Symbol {
                address: symbol.address,
                size: symbol.size,
                name: readable(symbol.name),
            })
            .collect();
        // Of several names for one address the last counts: one with a size is
        // a function's, and one without an underscore may be the linker script's.
        code.sort_by_key(|it: &Symbol| (it.address, it.size, it.name.starts_with('_')));
        let lines = Dwarf::load(|section| -> Result<_, gimli::Error> {
            let found = elf.sections.iter().find(|it| it.name == section.name());
            let data = found.map_or(&[][..], |section| section.data);
            Ok(EndianArcSlice::new(Arc::from(data), LittleEndian))
        });
        let lines = lines.and_then(Context::from_dwarf).ok().map(Mutex::new);
        let root = format!("{}/", root.display());
        let loads = elf.loads().map(|it| {
            let end = it.offset.saturating_add(it.data.len() as u64);
            (it.offset..end, it.address)
        });
        let (loads, programs) = (loads.collect(), Vec::new());
        Self { code, text, stack: Stack::of(elf), lines, root, loads, programs }
    }

    /// The same, and that the image runs programs of these folders.
    pub(crate) fn with_programs(self, programs: Vec<PathBuf>) -> Self {
        Self { programs, ..self }
    }

    /// The folders with the programs that the image runs.
    pub(crate) fn programs(&self) -> &[PathBuf] {
        &self.programs
    }

    /// The address of what is at `offset` in the file.
    pub(crate) fn address_of(&self, offset: u64) -> Option<u64> {
        let (range, address) = self.loads.iter().find(|(range, _)| range.contains(&offset))?;
        address.checked_add(offset - range.start)
    }

    /// The functions at `address`, from the innermost that was inlined to the
    /// one that has a frame. Nothing, when the address is not in the code or
    /// nothing is known of it.
    pub(crate) fn places(&self, address: u64) -> Vec<Place> {
        if !holds(&self.text, address) {
            return Vec::new();
        }
        let mut places = self.places_by_lines(address).unwrap_or_default();
        // The symbol has the whole path of the function with the frame, which
        // the line tables may lack.
        let known = places.last().and_then(|last| last.function.as_deref());
        if let Some(name) = self.symbol_like(address, known) {
            if places.is_empty() {
                places.push(Place::default());
            }
            if let Some(last) = places.last_mut() {
                last.function = Some(name.to_owned());
            }
        }
        places.retain(|place| *place != Place::default());
        places
    }

    fn places_by_lines(&self, address: u64) -> Option<Vec<Place>> {
        let lines = self.lines.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let mut frames = lines.find_frames(address).skip_all_loads().ok()?;
        let mut places = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.and_then(|function| {
                let name = function.raw_name().ok()?;
                Some(readable(&name))
            });
            let line = frame.location.and_then(|at| {
                Some(format!("{}:{}", self.short(at.file?), at.line.filter(|line| *line > 0)?))
            });
            places.push(Place { function, line });
        }
        Some(places)
    }

    /// The name of the function or label that `address` belongs to.
    pub(crate) fn symbol(&self, address: u64) -> Option<&str> {
        self.symbol_like(address, None)
    }

    /// The same; where the linker has folded functions into one, that with `known` in its name.
    fn symbol_like(&self, address: u64, known: Option<&str>) -> Option<&str> {
        let after = self.code.partition_point(|symbol| symbol.address <= address);
        let last = self.code.get(after.checked_sub(1)?)?;
        let same = self.code[..after].iter().rev();
        let symbol = same
            .take_while(|symbol| (symbol.address, symbol.size) == (last.address, last.size))
            .find(|symbol| known.is_some_and(|known| symbol.name.contains(known)))
            .unwrap_or(last);
        // Labels of assembly have no size: they last until the next one.
        (symbol.size == 0 || address < symbol.address + symbol.size).then_some(&*symbol.name)
    }

    /// Whether `address` is in the code.
    pub(crate) fn is_code(&self, address: u64) -> bool {
        holds(&self.text, address)
    }

    /// Whether there is anything to find.
    pub(crate) const fn has_names(&self) -> bool {
        !self.code.is_empty()
    }

    /// Where the stack is.
    pub(crate) const fn stack(&self) -> Option<Stack> {
        self.stack
    }

    /// `file` without what says nothing.
    fn short<'a>(&self, file: &'a str) -> &'a str {
        let file = file.strip_prefix(&*self.root).unwrap_or(file);
        let prefixes = ["rust/library/", "xenith/", "crates/"];
        // Compilers join these to the folder that they were called in.
        let file = ["/rust/library/", "/crates/"]
            .into_iter()
            .find_map(|inside| file.split_once(inside).map(|(_, rest)| rest))
            .unwrap_or(file);
        let mut found = prefixes.iter().filter_map(|prefix| file.strip_prefix(prefix));
        found.next().unwrap_or(file)
    }
}

/// The name of a function as its source has it: without a hash, and without
/// what its type parameters stand for, which fills lines.
fn readable(symbol: &str) -> String {
    let full = format!("{:#}", rustc_demangle::demangle(symbol));
    let mut name = String::new();
    let mut depth = 0_u32;
    let mut before = ' ';
    for c in full.chars() {
        // At the start of a name such a bracket holds a type: `<T as Trait>::f`.
        let arguments = depth > 0 || before.is_alphanumeric() || "_:}".contains(before);
        match c {
            '<' if arguments => {
                if depth == 0 {
                    name.truncate(name.trim_end_matches(':').len());
                }
                depth += 1;
            }
            // Not the one of `->`.
            '>' if depth > 0 && before != '-' => depth -= 1,
            _ if depth == 0 => name.push(c),
            _ => {}
        }
        before = c;
    }
    // Code says `kernel::` to the crate `xenith_kernel`.
    name.strip_prefix("xenith_").unwrap_or(&name).to_owned()
}

fn holds(ranges: &[Range<u64>], address: u64) -> bool {
    ranges.iter().any(|range| range.contains(&address))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::image::elf;

    /// An image with two functions, a label and a stack, and no line tables.
    pub(crate) fn symbols() -> Symbols {
        let symbol = |name, address, size| elf::Symbol {
            name,
            address,
            size,
            function: size > 0,
            ..elf::Symbol::default()
        };
        let segment = elf::Segment {
            kind: object::elf::PT_LOAD.0,
            flags: object::elf::PF_X.0,
            address: 0x30_0000,
            size: 0x1000,
            ..elf::Segment::default()
        };
        let elf = Elf {
            segments: vec![segment],
            symbols: vec![
                symbol("_RNvCs1234_3app5start", 0x30_0100, 0x10),
                symbol("_start", 0x30_0000, 0),
                symbol("_ZN3app4last17h0123456789abcdefE", 0x30_0200, 0x10),
                symbol("_ZN3app4sameE", 0x30_0300, 0x10),
                symbol("_ZN5other4alsoE", 0x30_0300, 0x10),
                symbol("stack_guard", 0x30_c000, 0),
                symbol("stack_start", 0x30_d000, 0),
                symbol("stack_end", 0x31_d000, 0),
            ],
            ..Elf::default()
        };
        Symbols::new(&elf, Path::new("/src/app"))
    }

    #[test]
    fn addresses_have_names() {
        let symbols = symbols();
        let name = |address| {
            let places = symbols.places(address);
            places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(name(0x30_0100), "app::start");
        assert_eq!(name(0x30_010f), "app::start");
        assert_eq!(name(0x30_0110), "");
        assert_eq!(name(0x30_0042), "_start");
        assert_eq!(name(0x30_0200), "app::last");
        assert_eq!(name(0x30_d000), "");
        assert_eq!(name(0), "");
        assert_eq!(name(u64::MAX), "");
    }

    #[test]
    fn of_functions_that_are_one_it_is_that_of_the_line() {
        let symbols = symbols();
        assert_eq!(symbols.symbol_like(0x30_0305, Some("same")), Some("app::same"));
        assert_eq!(symbols.symbol_like(0x30_0305, Some("also")), Some("other::also"));
        assert_eq!(symbols.symbol_like(0x30_0305, Some("neither")), symbols.symbol(0x30_0305));
        assert_eq!(symbols.symbol_like(0x30_0205, Some("same")), Some("app::last"));
    }

    #[test]
    fn a_file_without_symbols_knows_nothing() {
        let symbols = Symbols::new(&Elf::default(), Path::new("/"));
        assert!(symbols.places(0x30_0000).is_empty());
        assert_eq!(symbols.stack(), None);
    }

    #[test]
    fn functions_have_the_names_of_their_source() {
        for (symbol, name) in [
            ("main", "main"),
            ("__xenith_app", "__xenith_app"),
            ("_ZN3app4last17h0123456789abcdefE", "app::last"),
            ("xenith_kernel::task::block_on::<app::_::run::{closure#0}>", "kernel::task::block_on"),
            ("run<fn(u8) -> Option<u8>, u8>", "run"),
            ("app::f::<u8>::{closure#0}", "app::f::{closure#0}"),
            ("<app::T<u8> as core::fmt::Debug>::fmt", "<app::T as core::fmt::Debug>::fmt"),
            ("{async_fn#0}", "{async_fn#0}"),
            ("a>b", "a>b"),
        ] {
            assert_eq!(readable(symbol), name);
        }
    }

    #[test]
    fn paths_are_short() {
        let symbols = symbols();
        for (long, short) in [
            ("xenith/kernel/src/task.rs", "kernel/src/task.rs"),
            ("/src/app/src/lib.rs", "src/lib.rs"),
            ("/src/app/xenith/kernel/src/task.rs", "kernel/src/task.rs"),
            ("rust/library/core/src/ptr/mod.rs", "core/src/ptr/mod.rs"),
            ("/src/app/crates/talc-4.4.3/src/lib.rs", "talc-4.4.3/src/lib.rs"),
            ("src/main.rs", "src/main.rs"),
        ] {
            assert_eq!(symbols.short(long), short);
        }
    }
}
