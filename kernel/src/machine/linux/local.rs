//! Statics of which every machine has one.

/// Declares a static of which every machine has one; `get` gives it. Here a thread is a
/// machine, so that tests run side by side; what it has is never freed, as a static's
/// content is not.
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
