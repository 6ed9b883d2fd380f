//! The Rust types that ops take: which defaults suit them, and what a method takes in their place.

use crate::signature::Literal;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::Type;

/// A parameter type, as far as the macro must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Tensor,
    Scalar,
    Float,
    Int,
    Bool,
    Ints,
    Floats,
    Str,
    DType,
    /// Whatever else implements `Arg`.
    Other,
}

/// A parameter type: a base, perhaps inside `Option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArgType {
    base: Base,
    optional: bool,
}

impl ArgType {
    pub(crate) fn of(ty: &Type) -> ArgType {
        let text: String = ty.to_token_stream().into_iter().map(|t| t.to_string()).collect();
        let (optional, inner) = match text.strip_prefix("Option<").and_then(|t| t.strip_suffix('>')) {
            Some(inner) => (true, inner),
            None => (false, text.as_str()),
        };
        // Token groups such as `[i64]` keep inner spaces on some compilers.
        let base = match inner.replace(' ', "").as_str() {
            "&Tensor" => Base::Tensor,
            "Scalar" => Base::Scalar,
            "f64" => Base::Float,
            "i64" => Base::Int,
            "bool" => Base::Bool,
            "&[i64]" => Base::Ints,
            "&[f64]" => Base::Floats,
            "&str" => Base::Str,
            "DType" => Base::DType,
            _ => Base::Other,
        };
        ArgType { base, optional }
    }

    pub(crate) fn is_tensor(self) -> bool {
        self == ArgType { base: Base::Tensor, optional: false }
    }

    /// Whether a default of this kind can be for this type. Numbers suit tensors, as Python's `x.add(1)` does.
    pub(crate) fn accepts(self, default: Literal) -> bool {
        use Literal as L;
        if default == L::None {
            return self.optional || self.base == Base::Other;
        }
        match self.base {
            Base::Tensor | Base::Scalar => matches!(default, L::Bool | L::Int | L::Float),
            Base::Float => matches!(default, L::Int | L::Float),
            Base::Int => default == L::Int,
            Base::Bool => default == L::Bool,
            Base::Ints => matches!(default, L::Int | L::Ints),
            Base::Floats => matches!(default, L::Int | L::Float | L::Ints | L::Floats),
            Base::Str => default == L::Str,
            Base::DType => default == L::DType,
            Base::Other => true,
        }
    }

    /// The default as a Rust expression of this type; `None` where there is none.
    pub(crate) fn default_expr(self, text: &str, kind: Literal) -> Option<TokenStream> {
        if kind == Literal::None {
            return Some(quote!(::std::option::Option::None));
        }
        let value = match (self.base, kind) {
            (Base::Scalar, Literal::Bool) => {
                let b = python_bool(text);
                quote!(crate::Scalar::Bool(#b))
            }
            (Base::Scalar, Literal::Int) => {
                let i = int(text)?;
                quote!(crate::Scalar::Int(#i))
            }
            (Base::Scalar, Literal::Float) => {
                let f = float(text)?;
                quote!(crate::Scalar::Float(#f))
            }
            (Base::Bool, _) => python_bool(text).into_token_stream(),
            (Base::Int, _) => int(text)?,
            (Base::Float, _) => float(text)?,
            (Base::Str, _) => text[1..text.len() - 1].to_token_stream(),
            (Base::Ints, _) => {
                let items: Option<Vec<_>> = items(text).map(int).collect();
                let items = items?;
                quote!(&[#(#items),*])
            }
            (Base::Floats, _) => {
                let items: Option<Vec<_>> = items(text).map(float).collect();
                let items = items?;
                quote!(&[#(#items),*])
            }
            (Base::DType, _) => {
                let variant = Ident::new(dtype_variant(text)?, proc_macro2::Span::call_site());
                quote!(crate::DType::#variant)
            }
            (Base::Tensor | Base::Scalar | Base::Other, _) => return None,
        };
        Some(if self.optional { quote!(::std::option::Option::Some(#value)) } else { value })
    }

    /// For the method's parameter `name`: its type, the statement that converts it, and the expression to pass on.
    pub(crate) fn method_param(self, name: &Ident, ty: &Type) -> (TokenStream, TokenStream, TokenStream) {
        match (self.base, self.optional) {
            (Base::Tensor, false) => {
                (quote!(impl crate::op::AsTensor), quote!(let #name = crate::op::AsTensor::as_tensor(&#name);), quote!(&#name))
            }
            (Base::Ints, false) => {
                (quote!(impl crate::op::AsInts), quote!(let #name = crate::op::AsInts::as_ints(&#name);), quote!(&#name))
            }
            (Base::Ints, true) => (
                quote!(impl crate::op::AsOptInts),
                quote!(let #name = crate::op::AsOptInts::as_opt_ints(&#name);),
                quote!(#name.as_deref()),
            ),
            (Base::Scalar, false) => (
                quote!(impl ::std::convert::Into<crate::Scalar>),
                quote!(),
                quote!(::std::convert::Into::<crate::Scalar>::into(#name)),
            ),
            (Base::Scalar, true) => {
                (quote!(impl crate::op::AsOptScalar), quote!(), quote!(crate::op::AsOptScalar::as_opt_scalar(&#name)))
            }
            _ => (ty.to_token_stream(), quote!(), name.to_token_stream()),
        }
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.trim_matches(['(', ')', '[', ']']).split(',').map(str::trim).filter(|s| !s.is_empty())
}

fn python_bool(text: &str) -> bool {
    text == "True"
}

fn int(text: &str) -> Option<TokenStream> {
    let i: i64 = text.parse().ok()?;
    Some(quote!(#i))
}

fn float(text: &str) -> Option<TokenStream> {
    Some(match text {
        "inf" => quote!(f64::INFINITY),
        "-inf" => quote!(f64::NEG_INFINITY),
        "nan" => quote!(f64::NAN),
        _ => {
            let f: f64 = text.parse().ok()?;
            quote!(#f)
        }
    })
}

fn dtype_variant(name: &str) -> Option<&'static str> {
    Some(match name {
        "bool" => "Bool",
        "uint8" => "U8",
        "int8" => "I8",
        "int16" => "I16",
        "int32" => "I32",
        "int64" => "I64",
        "float16" => "F16",
        "bfloat16" => "BF16",
        "float32" => "F32",
        "float64" => "F64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> ArgType {
        ArgType::of(&syn::parse_str(text).unwrap())
    }

    #[test]
    fn defaults_suit_types() {
        assert!(of("Option<&[i64]>").accepts(Literal::None));
        assert!(!of("&[i64]").accepts(Literal::None));
        assert!(of("&[i64]").accepts(Literal::Int) && of("&[i64]").accepts(Literal::Ints));
        assert!(!of("i64").accepts(Literal::Float));
        assert!(of("&Tensor").accepts(Literal::Int) && !of("&Tensor").accepts(Literal::Str));
        assert!(!of("bool").accepts(Literal::Int));
    }

    #[test]
    fn defaults_become_rust() {
        let expr = |ty: &str, text: &str, kind| of(ty).default_expr(text, kind).map(|t| t.to_string().replace(' ', ""));
        assert_eq!(expr("f64", "1", Literal::Int).unwrap(), "1f64");
        assert_eq!(expr("Scalar", "1", Literal::Int).unwrap(), "crate::Scalar::Int(1i64)");
        assert_eq!(expr("Option<f64>", "-inf", Literal::Float).unwrap(), "::std::option::Option::Some(f64::NEG_INFINITY)");
        assert_eq!(expr("&[i64]", "(0, -1)", Literal::Ints).unwrap(), "&[0i64,-1i64]");
        assert_eq!(expr("&[i64]", "0", Literal::Int).unwrap(), "&[0i64]");
        assert_eq!(expr("&str", "'mean'", Literal::Str).unwrap(), "\"mean\"");
        assert_eq!(expr("DType", "int64", Literal::DType).unwrap(), "crate::DType::I64");
        assert_eq!(expr("&Tensor", "1", Literal::Int), None);
    }
}
