//! How a layer with settings is made: [`builder!`] writes the constructor, the builder and its setters from one list of settings.
//!
//! A layer's parameters are drawn once, in `try_build`, when every setting is known: so the same seed gives the same weights as in
//! PyTorch, whichever settings are given.

/// `builder! { Name for Layer { required, …; setting = default, … } }`. A setting is `name: Type`, or `name => Type` for what
/// converts into the type (`3` or `[3, 5]` into sizes). The layer has a function `make(Name) -> Result<Layer>`.
macro_rules! builder {
    (
        $(#[$meta:meta])*
        $name:ident $(<const $g:ident>)? for $layer:ty {
            $($req:ident $(: $rt:ty)? $(=> $ri:ty)?),+;
            $($(#[$doc:meta])* $field:ident $(: $t:ty)? $(=> $i:ty)? = $default:expr),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[must_use]
        pub struct $name $(<const $g: usize>)? {
            $(pub(super) $req: $($rt)? $($ri)?,)+
            $(pub(super) $field: $($t)? $($i)?,)*
        }

        impl $(<const $g: usize>)? $layer {
            /// A layer with PyTorch's defaults for everything that is not named here.
            ///
            /// # Panics
            /// If a size makes no sense.
            #[track_caller]
            pub fn new($($req: $($rt)? $(impl Into<$ri>)?),+) -> Self {
                Self::builder($($req),+).build()
            }
            /// Settings to start from: PyTorch's defaults for everything that is not named here.
            #[allow(clippy::useless_conversion, reason = "settings that convert and settings that do not are written alike")]
            pub fn builder($($req: $($rt)? $(impl Into<$ri>)?),+) -> $name $(<$g>)? {
                $name { $($req: $req.into(),)+ $($field: $default.into(),)* }
            }
        }

        #[allow(clippy::useless_conversion, reason = "settings that convert and settings that do not are written alike")]
        impl $(<const $g: usize>)? $name $(<$g>)? {
            $(
                $(#[$doc])*
                pub fn $field(mut self, $field: $($t)? $(impl Into<$i>)?) -> Self {
                    self.$field = $field.into();
                    self
                }
            )*
            /// The layer, its parameters drawn from the default generator.
            ///
            /// # Panics
            /// Where `try_build` gives an error.
            #[track_caller]
            pub fn build(self) -> $layer {
                $crate::error::or_panic(self.try_build())
            }
            /// The layer, its parameters drawn from the default generator.
            ///
            /// # Errors
            /// If a setting makes no sense, with PyTorch's text.
            pub fn try_build(self) -> $crate::Result<$layer> {
                <$layer>::make(self)
            }
        }
    };
}
pub(super) use builder;
