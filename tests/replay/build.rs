//! Finds the fuzz targets, each of which is a file, and makes a test of each.

use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("../fuzz/src/bin");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<_> = fs::read_dir(&folder)
        .expect("the targets")
        .map(|entry| entry.expect("a target").path())
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    let tests: String = names
        .iter()
        .map(|name| {
            let file = folder.join(name).with_extension("rs");
            format!(
                "#[allow(dead_code, unused_attributes, clippy::duplicate_mod)]\n#[path = {file:?}]\nmod {name};\n\
                 #[test]\nfn {name}_takes_its_kept_inputs() {{\n    replay({name:?}, {name}::run);\n}}\n"
            )
        })
        .collect();
    let to = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("targets.rs");
    fs::write(to, tests).expect("the build's own folder");
}
