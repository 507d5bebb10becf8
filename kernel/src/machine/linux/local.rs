//! Statics of which every machine has its own.

/// Declares a static of which every machine has its own; `get` returns it. Here each thread is a
/// machine, so that tests run in parallel. Like a static, it is never freed.
macro_rules! local {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $new:expr;) => {
        thread_local! {
            $(#[$doc])*
            static $name: ::core::cell::Cell<&'static $type> =
                ::core::cell::Cell::new(Box::leak(Box::new($new)));
        }
    };
}

pub(crate) use local;
