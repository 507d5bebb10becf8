//! Opens a disk in whichever of the formats it is.

/// Defines `Any` and `AnyNode` by the formats, in the order in which a disk is asked for them.
macro_rules! formats {
    ($($module:ident::$format:ident = $name:literal),* $(,)?) => {
        /// A tree of whichever format a disk has.
        ///
        /// An app that knows the format of its disk names that one instead: this brings the
        /// code of all of them into its image.
        #[non_exhaustive]
        pub enum Any<B> {
            $(
                #[doc = concat!("The disk's format is ", $name, ".")]
                $format($module::$format<Rc<B>>)
            ),*
        }

        impl<B> Any<B> {
            /// The names of all formats.
            pub const FORMATS: &[&str] = &[$($name),*];

            /// Returns the name of the disk's format, one of [`FORMATS`](Self::FORMATS).
            pub const fn format(&self) -> &'static str {
                match self {
                    $(Self::$format(_) => $name),*
                }
            }
        }

        impl<B: Block> Any<B> {
            /// Opens `disk` with the first format that takes it for its own.
            ///
            /// # Errors
            /// [`Error::OtherFormat`] if none does, and what that format says of the disk.
            pub async fn open(disk: B) -> Result<Self, Error> {
                let disk = Rc::new(disk);
                $(
                    match $module::$format::open(disk.clone()).await {
                        Err(Error::OtherFormat) => {}
                        tree => return tree.map(Self::$format),
                    }
                )*
                Err(Error::OtherFormat)
            }
        }

        impl<B> fmt::Debug for Any<B> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple("Any").field(&self.format()).finish()
            }
        }

        /// A file or folder of [`Any`]. Another tree, of another format, does not find it.
        #[derive(Clone)]
        #[non_exhaustive]
        pub enum AnyNode {
            $(
                #[doc = concat!("One of ", $name, ".")]
                $format($module::Node)
            ),*
        }

        impl fmt::Debug for AnyNode {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("AnyNode")
            }
        }

        impl<B: Block> Tree for Any<B> {
            type Node = AnyNode;

            async fn lookup(&self, path: &[u8]) -> Result<AnyNode, Error> {
                match self {
                    $(Self::$format(tree) => tree.lookup(path).await.map(AnyNode::$format)),*
                }
            }

            fn metadata(&self, node: &AnyNode) -> Metadata {
                match (self, node) {
                    $((Self::$format(tree), AnyNode::$format(node)) => tree.metadata(node),)*
                    _ => Metadata { kind: Kind::Other, size: 0, modified: 0, id: 0 },
                }
            }

            async fn read(
                &self,
                node: &AnyNode,
                offset: u64,
                to: &mut [u8],
            ) -> Result<usize, Error> {
                match (self, node) {
                    $(
                        (Self::$format(tree), AnyNode::$format(node)) => {
                            tree.read(node, offset, to).await
                        }
                    )*
                    _ => Err(Error::NotFound),
                }
            }

            async fn list(
                &self,
                node: &AnyNode,
                each: &mut dyn FnMut(&[u8], Metadata),
            ) -> Result<(), Error> {
                match (self, node) {
                    $(
                        (Self::$format(tree), AnyNode::$format(node)) => {
                            tree.list(node, each).await
                        }
                    )*
                    _ => Err(Error::NotFound),
                }
            }

            async fn list_after(
                &self,
                node: &AnyNode,
                after: &[u8],
                each: &mut dyn FnMut(&[u8], Metadata) -> bool,
            ) -> Result<(), Error> {
                match (self, node) {
                    $(
                        (Self::$format(tree), AnyNode::$format(node)) => {
                            tree.list_after(node, after, each).await
                        }
                    )*
                    _ => Err(Error::NotFound),
                }
            }
        }
    };
}
pub(super) use formats;
