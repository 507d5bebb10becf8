//! Files in the image.

use super::*;
use crate::fs::built;

#[test]
fn files_are_built_in() {
    let tree = built!("..": "lib.rs", "tests/built.rs", "tests/disk.rs", "sectors.rs");
    assert_eq!(content(&tree, "/tests/built.rs"), Ok(include_bytes!("built.rs").to_vec()));
    let all = print(&tree);
    assert_eq!(all.len(), 5, "{all:?}");
    assert!(all[2] == "/tests/" && all[3].starts_with("/tests/built.rs "), "{all:?}");
    assert_eq!(content(&tree, "test"), Err(Error::NotFound));
    assert_eq!(content(&tree, "../kv/lib.rs"), Err(Error::BadPath));
    assert_eq!(names(&tree, "lib.rs").unwrap_err(), Error::NotFolder);
}
