//! Runs each fuzz target with the inputs that are kept for it: what was found once is found again.
//! New inputs are looked for by `cargo mk fuzz`.

use std::fs;
use std::path::{Path, PathBuf};

include!(concat!(env!("OUT_DIR"), "/targets.rs"));

/// Says which input it was, when a target panics.
struct Input(PathBuf);

impl Drop for Input {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the input is {}", self.0.display());
        }
    }
}

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut inputs: Vec<_> =
        fs::read_dir(&folder).expect("a kept corpus").map(|it| it.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "nothing is kept");
    for path in inputs {
        let bytes = fs::read(&path).expect("an input");
        let input = Input(path);
        run(&bytes);
        drop(input);
    }
}
