//! What an app can name in its manifest's `devices`.

use crate::args::{self, Args, Argument};

/// Something that an app can name in its manifest's `devices`.
///
/// A driver implements it; a device that wraps another one passes its settings on.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use core::convert::Infallible;
/// use xenith::Device;
/// use xenith::args::{self, Args, Argument};
/// use xenith::task::block_on;
///
/// /// A dice with as many sides as the argument `sides` says.
/// struct Dice(u64);
///
/// impl Device for Dice {
///     const CLASS: &'static str = "dice";
///     const ARGUMENTS: &'static [Argument] = &[Argument {
///         name: "sides",
///         kind: <u64 as args::Value>::KIND,
///         default: Some("6"),
///         help: &["How many sides the dice has"],
///     }];
///
///     type Settings = u64;
///     type Error = Infallible;
///
///     fn configure(args: &mut Args) -> Result<u64, args::Error> {
///         args.take("sides", Some(6))
///     }
///
///     async fn open(_: &'static str, sides: u64) -> Result<Self, Infallible> {
///         Ok(Self(sides))
///     }
/// }
///
/// let sides = Dice::configure(&mut Args::default()).unwrap();
/// let Ok(dice) = block_on(Dice::open("", sides));
/// assert_eq!(dice.0, 6);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a device",
    note = "the `devices` of a manifest are types such as `xenith::Console`"
)]
pub trait Device: Sized {
    /// The class as the manifest's note names it, such as `console`.
    const CLASS: &'static str;

    /// What has to be there for it, as `help` says it; empty for what is always there.
    const NEEDS: &'static str = "";

    /// The arguments that it adds to the app's.
    const ARGUMENTS: &'static [Argument] = &[];

    /// What its arguments say.
    type Settings;

    /// Why it may fail to open.
    type Error: core::fmt::Display;

    /// Takes its arguments.
    ///
    /// # Errors
    /// When one of them makes no sense.
    fn configure(args: &mut Args) -> Result<Self::Settings, args::Error>;

    /// Opens the device that `id` names, such as `xvda`; the empty string is the first one.
    ///
    /// # Errors
    /// When there is no such device or it cannot be used.
    fn open(
        id: &'static str,
        settings: Self::Settings,
    ) -> impl Future<Output = Result<Self, Self::Error>>;
}
