//! Rust's operators on tensors and numbers. They panic where the op gives an error.

use super::*;
use crate::error::or_panic;
use crate::op::AsTensor;

const ONE: Scalar = Scalar::Int(1);

/// One operator: between tensors, between a tensor and a number on either side, and its assigning form, which writes in place.
macro_rules! binary_operator {
    ($trait:ident $method:ident, $assign:ident $assign_method:ident, $f:expr, $f_:expr) => {
        impl<T: AsTensor> std::ops::$trait<T> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                or_panic($f(self, &other.as_tensor()))
            }
        }
        impl<T: AsTensor> std::ops::$trait<T> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                or_panic($f(&self, &other.as_tensor()))
            }
        }
        impl<T: AsTensor> std::ops::$assign<T> for Tensor {
            #[track_caller]
            fn $assign_method(&mut self, other: T) {
                or_panic($f_(self, &other.as_tensor()))
            }
        }
        binary_operator!(@numbers $trait $method, $f, bool u8 i32 i64 usize f32 f64);
    };
    (@numbers $trait:ident $method:ident, $f:expr, $($t:ty)*) => {$(
        impl std::ops::$trait<&Tensor> for $t {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                or_panic($f(&self.as_tensor(), other))
            }
        }
        impl std::ops::$trait<Tensor> for $t {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                or_panic($f(&self.as_tensor(), &other))
            }
        }
    )*};
}

// Functions and not closures: only a function can pass its caller's line on.
macro_rules! with_default {
    ($($name:ident = $f:ident($default:expr) -> $result:ty;)*) => {$(
        #[track_caller]
        fn $name(x: &Tensor, y: &Tensor) -> Result<$result> {
            super::$f(x, y, $default)
        }
    )*};
}
with_default! {
    plain_add = add(ONE) -> Tensor; plain_add_ = add_(ONE) -> (); plain_sub = sub(ONE) -> Tensor; plain_sub_ = sub_(ONE) -> ();
    true_div = div(None) -> Tensor; true_div_ = div_(None) -> ();
}

binary_operator!(Add add, AddAssign add_assign, plain_add, plain_add_);
binary_operator!(Sub sub, SubAssign sub_assign, plain_sub, plain_sub_);
binary_operator!(Mul mul, MulAssign mul_assign, super::mul, super::mul_);
binary_operator!(Div div, DivAssign div_assign, true_div, true_div_);
binary_operator!(Rem rem, RemAssign rem_assign, super::remainder, super::remainder_);
binary_operator!(BitAnd bitand, BitAndAssign bitand_assign, super::bitwise_and, super::bitwise_and_);
binary_operator!(BitOr bitor, BitOrAssign bitor_assign, super::bitwise_or, super::bitwise_or_);
binary_operator!(BitXor bitxor, BitXorAssign bitxor_assign, super::bitwise_xor, super::bitwise_xor_);
binary_operator!(Shl shl, ShlAssign shl_assign, super::bitwise_left_shift, super::bitwise_left_shift_);
binary_operator!(Shr shr, ShrAssign shr_assign, super::bitwise_right_shift, super::bitwise_right_shift_);

impl std::ops::Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        or_panic(super::neg(self))
    }
}
impl std::ops::Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        or_panic(super::neg(&self))
    }
}

/// Python's `~x`: on bools the negation.
impl std::ops::Not for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        or_panic(super::bitwise_not(self))
    }
}
impl std::ops::Not for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        or_panic(super::bitwise_not(&self))
    }
}
