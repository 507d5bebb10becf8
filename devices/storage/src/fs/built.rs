//! Provides files that are a part of the image.
//!
//! The crate `include_dir` needs the paths of the standard library, and is otherwise
//! `include_bytes!` and a search by name.

use super::{Error, Kind, Metadata, Tree, path};

/// Holds files by their paths, such as `folder/name`.
#[derive(Clone, Copy, Debug)]
pub struct Built(&'static [(&'static str, &'static [u8])]);

/// Builds files into the image: a [`Built`]($crate::fs::built::Built) of files in a folder,
/// which is relative to the source file.
///
/// # Example
/// ```standalone_crate
/// # mod xenith { pub use devices::*; pub use kernel::*; pub use xenith_storage::*; }
///
/// use xenith::fs::built::Built;
/// use xenith::fs::{Error, Tree};
/// use xenith::task::block_on;
///
/// static SOURCE: Built = xenith::built!("../fs": "mod.rs", "tar/format.rs");
///
/// block_on(async {
///     let node = SOURCE.lookup(b"tar/format.rs").await?;
///     assert!(SOURCE.metadata(&node).size > 0);
///     Ok::<(), Error>(())
/// })?;
/// # Ok::<(), Error>(())
/// ```
#[macro_export]
macro_rules! built {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        $crate::fs::built::Built::new(const {
            &[$(($path, include_bytes!(concat!($folder, "/", $path)))),+]
        })
    };
}

impl Built {
    /// Makes a tree of files with these paths and contents.
    #[must_use]
    pub const fn new(files: &'static [(&'static str, &'static [u8])]) -> Self {
        Self(files)
    }
}

/// A file, or a folder by its path.
#[derive(Clone, Copy, Debug)]
pub enum Node {
    /// The content of a file, and its number.
    File(&'static [u8], u64),
    /// The path of a folder, which ends with a slash unless it is the root.
    Folder(&'static str),
}

fn metadata(node: Node) -> Metadata {
    match node {
        Node::File(content, id) => {
            Metadata { kind: Kind::File, size: content.len() as u64, modified: 0, id }
        }
        Node::Folder(_) => Metadata { kind: Kind::Folder, size: 0, modified: 0, id: 0 },
    }
}

impl Tree for Built {
    type Node = Node;

    async fn lookup(&self, path: &[u8]) -> Result<Node, Error> {
        let path = path::normal(path)?;
        if path.is_empty() {
            return Ok(Node::Folder(""));
        }
        for (&(name, content), number) in self.0.iter().zip(1..) {
            match name.as_bytes().strip_prefix(&*path) {
                Some([]) => return Ok(Node::File(content, number)),
                Some([b'/', ..]) => {
                    return Ok(Node::Folder(name.get(..=path.len()).unwrap_or_default()));
                }
                _ => {}
            }
        }
        Err(Error::NotFound)
    }

    fn metadata(&self, node: &Node) -> Metadata {
        metadata(*node)
    }

    async fn read(&self, node: &Node, offset: u64, to: &mut [u8]) -> Result<usize, Error> {
        let Node::File(content, _) = node else { return Err(Error::NotFile) };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = content.get(offset..).unwrap_or_default();
        let count = rest.len().min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    async fn list(&self, node: &Node, each: &mut dyn FnMut(&[u8], Metadata)) -> Result<(), Error> {
        let Node::Folder(folder) = node else { return Err(Error::NotFolder) };
        let inside = |&(name, _): &(&'static str, _)| name.strip_prefix(folder);
        for (file, number) in self.0.iter().zip(1..) {
            let Some(rest) = inside(file) else { continue };
            let Some((name, _)) = rest.split_once('/') else {
                each(rest.as_bytes(), metadata(Node::File(file.1, number)));
                continue;
            };
            // A folder is reported once, for its first file.
            let before = self.0.iter().zip(1..number).filter_map(|(file, _)| inside(file));
            let mut folders = before.filter_map(|rest| rest.split_once('/'));
            if !folders.any(|(other, _)| other == name) {
                each(name.as_bytes(), metadata(Node::Folder("")));
            }
        }
        Ok(())
    }
}
