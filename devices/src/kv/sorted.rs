//! Names in order, of a folder that has them in another.

use super::{Error, Metadata, Tree};
use alloc::vec::Vec;

/// Names that are held at a time.
const AT_ONCE: usize = 32;

/// [`Tree::list_after`] by means of [`Tree::list`].
pub(super) async fn list_after<T: Tree + ?Sized>(
    tree: &T,
    node: &T::Node,
    after: &[u8],
    each: &mut dyn FnMut(&[u8], Metadata) -> bool,
) -> Result<(), Error> {
    let mut after = after.to_vec();
    loop {
        // The first of those that follow, in order.
        let mut first = Vec::<(Vec<u8>, Metadata)>::with_capacity(AT_ONCE + 1);
        let mut take = |name: &[u8], metadata: Metadata| {
            if name <= &*after {
                return;
            }
            let at = first.partition_point(|(other, _)| &**other < name);
            // A damaged folder may have a name twice.
            let known = first.get(at).is_some_and(|(other, _)| other == name);
            if at < AT_ONCE && !known {
                first.insert(at, (name.to_vec(), metadata));
                first.truncate(AT_ONCE);
            }
        };
        tree.list(node, &mut take).await?;
        for (name, metadata) in &first {
            if !each(name, *metadata) {
                return Ok(());
            }
        }
        match first.pop() {
            Some((last, _)) if first.len() + 1 == AT_ONCE => after = last,
            _ => return Ok(()),
        }
    }
}
