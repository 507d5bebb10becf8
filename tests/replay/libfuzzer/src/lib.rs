//! What fuzz targets use of libfuzzer-sys, to run inputs that there are.

pub use arbitrary;

/// Makes a function `run` of a fuzz target, which runs one input as libFuzzer does.
#[macro_export]
macro_rules! fuzz_target {
    (|$bytes:ident: &[u8]| $body:expr) => {
        pub(crate) fn run($bytes: &[u8]) {
            $body
        }
    };
    (|$input:ident: $kind:ty| $body:expr) => {
        pub(crate) fn run(bytes: &[u8]) {
            use $crate::arbitrary::{Arbitrary, Unstructured};
            if bytes.len() < <$kind as Arbitrary<'_>>::size_hint(0).0 {
                return;
            }
            let Ok($input) = <$kind>::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
            $body
        }
    };
}
