//! The list of a folder, of any length, in pieces.

use super::conditions::{self, Current, Verdict};
use super::path::{Path, hides};
use super::{NOSNIFF, StaticFiles, page};
use crate::{Error, Exchange, Method, Status};
use alloc::vec::Vec;
use storage::fs::{self, Kind, Metadata, Tree};

/// Names that are held at a time.
const NAMES: usize = 16;

type Names = Vec<(Vec<u8>, Metadata)>;

impl<T: Tree> StaticFiles<T> {
    /// The names in the folder that follow `after`.
    async fn names(&self, node: &T::Node, after: &[u8]) -> Result<Names, fs::Error> {
        let mut names = Vec::new();
        let mut each = |name: &[u8], metadata: Metadata| {
            names.push((name.to_vec(), metadata));
            names.len() < NAMES
        };
        self.files.tree().list_after(node, after, &mut each).await?;
        Ok(names)
    }

    /// Answers with the list of the folder `node` at `path` below `mount`. What stands in memory of it at a
    /// time is the same for any number of names.
    pub(super) async fn folder(
        &self,
        (node, mount, path): (&T::Node, &str, &Path),
        exchange: &mut Exchange<'_>,
    ) -> Result<(), Error> {
        let request = exchange.request();
        // Of a list, no tag and no date are known.
        let now = kernel::time::wall_clock().as_secs();
        match conditions::judge(&request, Current { tag: None, date: None }, now) {
            Verdict::Met => {}
            Verdict::NotModified => {
                let fields = [("Cache-Control", &*self.cache_control)];
                return exchange.respond(Status(304), &fields, b"").await;
            }
            Verdict::Failed => {
                let reason = "The folder's list has no tag to compare with.";
                return self.refuse(Status(412), reason, &[], exchange).await;
            }
        }
        if kernel::memory::is_low() {
            return self.broken(fs::Error::NoMemory, exchange).await;
        }
        let mut names = match self.names(node, b"").await {
            Ok(names) => names,
            Err(error) => return self.broken(error, exchange).await,
        };
        let fields = [page::HTML, ("Cache-Control", &self.cache_control), NOSNIFF];
        let mut sink = exchange.stream(Status::OK, &fields, None).await?;
        if request.method() == Method::Head {
            return sink.finish().await;
        }
        sink.print(format_args!("{}", page::Head(mount, path))).await?;
        while let Some((last, _)) = names.last() {
            let last = last.clone();
            for (name, metadata) in names {
                if !self.options.hidden && hides(&name, path.is_root()) {
                    continue;
                }
                let Some(metadata) = self.target(path, &name, metadata).await else { continue };
                sink.print(format_args!("{}", page::Line(&name, metadata))).await?;
            }
            names = self.names(node, &last).await.map_err(|error| {
                log::warn!("a folder cannot be listed: {error}");
                Error::Connection(ip::Error::Reset)
            })?;
        }
        sink.print(format_args!("{}", page::TAIL)).await?;
        sink.finish().await
    }

    /// What is known of a name in a list: of a link, what is known of its target. Nothing for
    /// what cannot be served.
    async fn target(&self, folder: &Path, name: &[u8], metadata: Metadata) -> Option<Metadata> {
        match metadata.kind {
            Kind::File | Kind::Folder => Some(metadata),
            Kind::Link => {
                let tree = self.files.tree();
                Some(tree.metadata(&tree.lookup(&folder.join(name)).await.ok()?))
            }
            _ => None,
        }
    }
}
