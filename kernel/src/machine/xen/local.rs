//! Statics of which every machine has its own.

/// Holds a static. A domain is one machine.
pub(crate) struct Local<T>(T);

impl<T> Local<T> {
    pub(crate) const fn new(of: T) -> Self {
        Self(of)
    }

    pub(crate) const fn get(&'static self) -> &'static T {
        &self.0
    }
}

/// Declares a static of which every machine has its own; `get` returns it.
macro_rules! local {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $new:expr;) => {
        $(#[$doc])*
        static $name: $crate::machine::Local<$type> = $crate::machine::Local::new($new);
    };
}

pub(crate) use local;
