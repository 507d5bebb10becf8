//! Where the stack of an image is, and that it is as large as the app asked for.

use super::elf::Elf;
use super::manifest::Manifest;

/// Bytes of a page, and of the guard page.
const PAGE: u64 = 4096;

/// Where the stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    /// The first address of the guard page.
    pub(crate) guard: u64,
    /// The lowest address of the stack, which is the guard page's end.
    pub(crate) low: u64,
    /// Its bytes.
    pub(crate) size: u64,
}

impl Stack {
    /// The stack that the symbols of `image` name.
    pub(crate) fn of(image: &Elf<'_>) -> Option<Self> {
        let symbol = |name| image.symbols.iter().find(|it| it.name == name).map(|it| it.address);
        let (guard, low) = (symbol("stack_guard")?, symbol("stack_start")?);
        let size = symbol("stack_end")?.checked_sub(low)?;
        (guard < low).then_some(Self { guard, low, size })
    }
}

/// Pushes a sentence if the stack is another one than the manifest says, or not right above its
/// guard page. An image without symbols does not tell.
pub(super) fn check(image: &Elf<'_>, manifest: &Manifest, wrong: &mut Vec<String>) {
    if image.symbols.is_empty() {
        return;
    }
    let asked = manifest.stack_kib * 1024;
    match Stack::of(image) {
        // Between the two, a stack that is too deep would reach what is not protected.
        Some(Stack { guard, low, .. }) if guard % PAGE != 0 || guard + PAGE != low => {
            wrong.push(format!(
                "the stack begins at {low:#x}, which is not where its guard page at {guard:#x} \
                 ends: is stack_guard the last of .bss.pages, and nothing before .bss.stack?"
            ));
        }
        Some(Stack { size, .. }) if size == asked => {}
        Some(Stack { size, .. }) => wrong.push(format!(
            "the stack has {size} bytes, and the manifest asks for {asked}: does something else \
             have a section .bss.stack?"
        )),
        None => wrong.push("no symbols say where the stack and its guard page are".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::elf::Symbol;
    use super::*;

    /// What is wrong with a stack between these addresses, of which the app asked for 64 KiB.
    fn wrong(guard: u64, start: u64, end: u64) -> String {
        let symbol = |name, address| Symbol { name, address, ..Symbol::default() };
        let symbols = vec![
            symbol("stack_guard", guard),
            symbol("stack_start", start),
            symbol("stack_end", end),
        ];
        let image = Elf { symbols, ..Elf::default() };
        let mut wrong = Vec::new();
        check(&image, &Manifest { stack_kib: 64, ..Manifest::default() }, &mut wrong);
        wrong.join("\n")
    }

    #[test]
    fn a_stack_is_what_was_asked_for() {
        assert_eq!(wrong(0x1000, 0x2000, 0x1_2000), "");
        assert!(wrong(0x1000, 0x2000, 0x2_2000).contains("has 131072 bytes"));
        assert!(wrong(0x1000, 0x2000, 0x1_1ff0).contains("asks for 65536"));
        for guard in [0, 0x800, 0x1800, 0x1ff0] {
            assert!(wrong(guard, 0x2000, 0x1_2000).contains("its guard page at"), "{guard:x}");
        }
        assert!(wrong(0x2000, 0x2000, 0x1_2000).contains("no symbols say"));
        assert!(wrong(0x1000, 0x2000, 0x1000).contains("no symbols say"));
        let mut none = Vec::new();
        check(&Elf::default(), &Manifest::default(), &mut none);
        assert!(none.is_empty(), "{none:?}");
    }
}
