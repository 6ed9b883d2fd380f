//! Options of optimizers: plain structs, written once, that know their defaults and how to be saved.

use crate::{Result, State};

/// Options of an update rule.
pub trait Options: Clone {
    /// Learning rate.
    fn lr(&self) -> f64;
    /// Sets the learning rate.
    fn set_lr(&mut self, lr: f64);
    /// Momentum or first beta, if the rule has one.
    fn momentum(&self) -> Option<f64>;
    /// Sets it; does nothing where there is none.
    fn set_momentum(&mut self, momentum: f64);
    /// As a map, under PyTorch's names.
    fn state(&self) -> State;
    /// Takes over the values of a map.
    ///
    /// # Errors
    /// If a field is missing or of another type; the text names it.
    fn load(&mut self, state: &State) -> Result<()>;
}

/// A value that can stand in an options struct.
pub(crate) trait OptionValue: Sized {
    fn save(&self) -> State;
    fn read(state: &State) -> Result<Self>;
}

impl OptionValue for f64 {
    fn save(&self) -> State {
        (*self).into()
    }
    fn read(state: &State) -> Result<f64> {
        state.as_f64()
    }
}
impl OptionValue for bool {
    fn save(&self) -> State {
        (*self).into()
    }
    fn read(state: &State) -> Result<bool> {
        state.as_bool()
    }
}
impl OptionValue for (f64, f64) {
    fn save(&self) -> State {
        vec![self.0, self.1].into()
    }
    fn read(state: &State) -> Result<(f64, f64)> {
        match state.as_list()? {
            [a, b] => Ok((a.as_f64()?, b.as_f64()?)),
            other => Err(crate::Error::value(format!("should be two numbers, but there are {}", other.len()))),
        }
    }
}

/// An options struct: documentation, fields, defaults; `momentum` names the field (or part of one) that schedules may cycle.
macro_rules! options {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $t:ty = $default:expr,)* } momentum: |$o:ident| $momentum:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name { $($(#[$field_meta])* pub $field: $t,)* }
        impl Default for $name {
            fn default() -> Self { $name { $($field: $default,)* } }
        }
        impl $crate::optim::Options for $name {
            fn lr(&self) -> f64 { self.lr }
            fn set_lr(&mut self, lr: f64) { self.lr = lr }
            fn momentum(&self) -> Option<f64> {
                let mut copy = *self;
                let $o = &mut copy;
                let value: Option<&mut f64> = $momentum;
                value.map(|m| *m)
            }
            fn set_momentum(&mut self, momentum: f64) {
                let $o = self;
                let value: Option<&mut f64> = $momentum;
                if let Some(m) = value { *m = momentum }
            }
            fn state(&self) -> $crate::State {
                $crate::State::map()$(.with(stringify!($field), $crate::optim::options::OptionValue::save(&self.$field)))*
            }
            fn load(&mut self, state: &$crate::State) -> $crate::Result<()> {
                *self = $name { $($field: state.read(stringify!($field), <$t as $crate::optim::options::OptionValue>::read)?,)* };
                Ok(())
            }
        }
    };
}
pub(crate) use options;

/// `Invalid learning rate: -1` and the like.
pub(crate) fn at_least_zero(what: &str, value: f64) -> Result<()> {
    if value >= 0.0 { Ok(()) } else { Err(crate::Error::value(format!("Invalid {what}: {value}"))) }
}

/// A decay rate in `[0, 1)`.
pub(crate) fn in_unit_interval(what: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) { Ok(()) } else { Err(crate::Error::value(format!("Invalid {what}: {value}"))) }
}
