//! Expansion of `#[op]`: the function itself, its table row, its methods and its in-place twin.

use crate::options::Options;
use crate::signature::{self, Param};
use crate::types::ArgType;
use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, FnArg, GenericArgument, ItemFn, Lit, LitStr, Meta, Pat, PathArguments, Result};
use syn::{ReturnType, Type};

/// One parameter, from both sides.
struct Arg {
    python: Param,
    ident: Ident,
    ty: Type,
    kind: ArgType,
}

/// An op after all checks.
struct Op {
    options: Options,
    function: ItemFn,
    args: Vec<Arg>,
    /// The `T` of the function's `Result<T>`.
    output: Type,
    /// Python's name.
    name: String,
    /// The method's name.
    method: Ident,
    doc: String,
}

pub(crate) fn expand(options: Options, function: ItemFn) -> Result<TokenStream> {
    let op = Op::new(options, function)?;
    let function = op.function();
    let row = op.row();
    let methods = if op.has_methods() { op.methods()? } else { quote!() };
    let inplace = if op.is_inplace() { op.inplace()? } else { quote!() };
    Ok(quote!(#function #row #methods #inplace))
}

impl Op {
    fn new(options: Options, function: ItemFn) -> Result<Op> {
        let sig = &function.sig;
        if !sig.generics.params.is_empty() {
            return Err(Error::new(sig.generics.span(), "an op has no generic parameters and no named lifetimes"));
        }
        let params = signature::parse(&options.signature.value()).map_err(|e| Error::new(options.signature.span(), e))?;
        if params.len() != sig.inputs.len() {
            let names: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
            return Err(Error::new(
                sig.inputs.span(),
                format!(
                    "the signature has {} parameters ({}), but the function takes {}",
                    params.len(),
                    names.join(", "),
                    sig.inputs.len()
                ),
            ));
        }
        let args = params.into_iter().zip(&sig.inputs).map(|(p, input)| Arg::new(p, input)).collect::<Result<Vec<_>>>()?;
        let output = result_of(&sig.output)?;
        let name = python_name(&options, &sig.ident);
        let method = match &options.rust {
            Some(rust) => Ident::new(&rust.value(), rust.span()),
            None => sig.ident.clone(),
        };
        let doc = doc_of(&function.attrs);
        let op = Op { options, function, args, output, name, method, doc };
        op.check()?;
        Ok(op)
    }

    fn check(&self) -> Result<()> {
        let takes_tensor = self.args.first().is_some_and(|a| a.kind.is_tensor());
        if self.has_methods() && !takes_tensor {
            return Err(Error::new(
                self.function.sig.ident.span(),
                "a method needs `&Tensor` as its first parameter; give the flag `function` (or `nn`) to an op without one",
            ));
        }
        if let Some(flag) = self.options.flag("inplace") {
            let last = match &self.output {
                Type::Path(p) => p.path.segments.last().map(|s| s.ident.to_string()),
                _ => None,
            };
            if !takes_tensor || last.as_deref() != Some("Tensor") {
                return Err(Error::new(
                    flag.span(),
                    "an in-place twin needs `&Tensor` as first parameter and `Result<Tensor>` as result",
                ));
            }
            for (what, name) in [("function", &self.function.sig.ident), ("method", &self.method)] {
                if name.to_string().ends_with('_') {
                    return Err(Error::new(name.span(), format!("the {what} `{name}` leaves no name for its in-place twin")));
                }
            }
        }
        Ok(())
    }

    fn has_methods(&self) -> bool {
        self.options.flag("nn").is_none() && self.options.flag("function").is_none()
    }

    fn is_inplace(&self) -> bool {
        self.options.flag("inplace").is_some()
    }

    /// The function as written, which now announces itself to the op stack.
    fn function(&self) -> TokenStream {
        let ItemFn { attrs, vis, sig, block } = &self.function;
        let name = &self.name;
        let python = format!("Python: `{}{}`", name, self.options.signature.value());
        quote! {
            #(#attrs)*
            #[doc = ""]
            #[doc = #python]
            #[track_caller]
            #vis #sig {
                let _call = crate::op::enter(#name, ::std::panic::Location::caller());
                #block
            }
        }
    }

    /// The module of the function's name that holds its row of the table.
    fn row(&self) -> TokenStream {
        let Options { signature, overload, alias, returns, samples, errors, .. } = &self.options;
        let (vis, ident) = (&self.function.vis, &self.function.sig.ident);
        let (name, doc, dtypes) = (&self.name, &self.doc, self.options.dtypes());
        let overload = overload.as_ref().map(LitStr::value).unwrap_or_default();
        let errors = errors.iter().map(|(call, text)| quote!((#call, #text)));
        let flag = |f: &str| self.options.flag(f).is_some();
        let (inplace, view, nn, nondiff) = (flag("inplace"), flag("view"), flag("nn"), flag("nondiff"));
        let (property, function, random) = (flag("property"), flag("function"), flag("random"));
        let defs = self.args.iter().map(Arg::def);
        let types: Vec<_> = self.args.iter().map(|a| &a.ty).collect();
        let idents: Vec<_> = self.args.iter().map(|a| &a.ident).collect();
        let conversions = self.args.iter().enumerate().map(|(i, a)| a.conversion(i));
        let arity = format!("takes {} arguments, but {{}} values were given", self.args.len());
        let twin_name = format!("{name}_");
        let (call_inplace, inplace_fn) = if inplace {
            let twin = format_ident!("{ident}_");
            let body = quote! {
                fn call_inplace(values: &[crate::op::Value]) -> crate::Result<()> {
                    let (#(#idents,)*) = arguments(values, true)?;
                    super::#twin(#(#idents),*)
                }
            };
            (quote!(::std::option::Option::Some(call_inplace)), body)
        } else {
            (quote!(::std::option::Option::None), quote!())
        };
        quote! {
            #[doc(hidden)]
            #vis mod #ident {
                #[allow(unused_imports)]
                use super::*;

                pub static DEF: crate::op::OpDef = crate::op::OpDef {
                    name: #name,
                    overload: #overload,
                    aliases: &[#(#alias),*],
                    doc: #doc,
                    signature: #signature,
                    args: &[#(#defs),*],
                    dtypes: crate::op::DTypes::#dtypes,
                    inplace: #inplace,
                    view: #view,
                    nn: #nn,
                    nondiff: #nondiff,
                    property: #property,
                    function: #function,
                    random: #random,
                    returns: &[#(#returns),*],
                    samples: &[#(#samples),*],
                    errors: &[#(#errors),*],
                    call,
                    call_inplace: #call_inplace,
                    site: (::std::file!(), ::std::line!()),
                };

                // The op's name comes as a flag: with a second reference among the parameters, elision would need named lifetimes
                // in `types`, which are as the author wrote them.
                #[allow(unused_variables)]
                fn arguments(values: &[crate::op::Value], twin: bool) -> crate::Result<(#(#types,)*)> {
                    let op = if twin { #twin_name } else { #name };
                    let [#(#idents),*] = values else {
                        return ::std::result::Result::Err(crate::Error::type_(::std::format!(
                            ::std::concat!("{}() ", #arity), op, values.len()
                        )));
                    };
                    ::std::result::Result::Ok((#(#conversions,)*))
                }

                fn call(values: &[crate::op::Value]) -> crate::Result<crate::op::Value> {
                    let (#(#idents,)*) = arguments(values, false)?;
                    super::#ident(#(#idents),*).map(crate::op::IntoValue::into_value)
                }

                #inplace_fn
            }
        }
    }

    /// `x.sum(…)`, which panics, and `x.try_sum(…)`.
    fn methods(&self) -> Result<TokenStream> {
        let (vis, ident, output) = (&self.function.vis, &self.function.sig.ident, &self.output);
        let (method, fallible) = (&self.method, format_ident!("try_{}", self.method, span = self.method.span()));
        let MethodParts { params, conversions, names, passed } = self.method_parts()?;
        let summary = self.summary();
        let (panics, errors) = (
            "# Panics\n\nWith the error's message where the arguments do not fit; see the method that begins with `try_`.",
            "# Errors\n\nWhere the arguments do not fit.",
        );
        Ok(quote! {
            impl crate::Tensor {
                #[doc = #summary]
                #[doc = ""]
                #[doc = #panics]
                #[track_caller]
                #vis fn #method(&self #(, #params)*) -> #output {
                    match self.#fallible(#(#names),*) {
                        ::std::result::Result::Ok(result) => result,
                        ::std::result::Result::Err(error) => ::std::panic!("{}", error),
                    }
                }
                #[doc = #summary]
                #[doc = ""]
                #[doc = #errors]
                #[track_caller]
                #vis fn #fallible(&self #(, #params)*) -> crate::Result<#output> {
                    #(#conversions)*
                    #ident(self #(, #passed)*)
                }
            }
        })
    }

    /// `sum_(x, …)` and, where the op has methods, `x.sum_(…)` and `x.try_sum_(…)`.
    fn inplace(&self) -> Result<TokenStream> {
        let (vis, ident) = (&self.function.vis, &self.function.sig.ident);
        let (twin, python) = (format_ident!("{ident}_"), format!("{}_", self.name));
        let params: Vec<_> = self.args.iter().map(|a| (&a.ident, &a.ty)).map(|(i, t)| quote!(#i: #t)).collect();
        let x = &self.args[0].ident;
        let rest: Vec<_> = self.args[1..].iter().map(|a| &a.ident).collect();
        let doc = format!("{}\n\nThe result is written into `{x}`: the in-place form of [`{ident}()`].", self.summary());
        let shortcut = self.options.shortcut.iter().map(|tried| {
            quote! {
                if let ::std::option::Option::Some(done) = #tried {
                    return done;
                }
            }
        });
        let function = quote! {
            #[doc = #doc]
            #[track_caller]
            #vis fn #twin(#(#params),*) -> crate::Result<()> {
                let _call = crate::op::enter(#python, ::std::panic::Location::caller());
                #(#shortcut)*
                crate::autograd::inplace::apply(#python, #x, |#x| #ident(#x #(, #rest)*))
            }
        };
        if !self.has_methods() {
            return Ok(function);
        }
        let method = format_ident!("{}_", self.method, span = self.method.span());
        let fallible = format_ident!("try_{method}");
        let MethodParts { params, conversions, names, passed } = self.method_parts()?;
        let method_doc = format!("{}\n\nThe result is written into `self`, which is returned.", self.summary());
        Ok(quote! {
            #function
            impl crate::Tensor {
                #[doc = #method_doc]
                #[doc = "\n# Panics\n\nWith the error's message where the arguments do not fit or `self` may not be overwritten."]
                #[track_caller]
                #vis fn #method(&self #(, #params)*) -> &crate::Tensor {
                    match self.#fallible(#(#names),*) {
                        ::std::result::Result::Ok(result) => result,
                        ::std::result::Result::Err(error) => ::std::panic!("{}", error),
                    }
                }
                #[doc = #method_doc]
                #[doc = "\n# Errors\n\nWhere the arguments do not fit or `self` may not be overwritten."]
                #[track_caller]
                #vis fn #fallible(&self #(, #params)*) -> crate::Result<&crate::Tensor> {
                    #(#conversions)*
                    #twin(self #(, #passed)*).map(|()| self)
                }
            }
        })
    }

    fn method_parts(&self) -> Result<MethodParts> {
        let mut parts = MethodParts::default();
        for arg in &self.args[1..] {
            let Arg { python, ident, ty, kind } = arg;
            match &python.default {
                Some((text, literal)) if python.keyword_only => {
                    let expr = kind.default_expr(text, *literal).ok_or_else(|| {
                        Error::new(ty.span(), format!("a method cannot leave out `{ident}`: `{text}` has no form of this type"))
                    })?;
                    parts.passed.push(expr);
                }
                _ => {
                    let (ty, conversion, passed) = kind.method_param(ident, ty);
                    parts.params.push(quote!(#ident: #ty));
                    parts.conversions.push(conversion);
                    parts.names.push(ident.clone());
                    parts.passed.push(passed);
                }
            }
        }
        Ok(parts)
    }

    /// The first paragraph of the documentation.
    fn summary(&self) -> &str {
        self.doc.split("\n\n").next().unwrap_or_default().trim()
    }
}

/// What the methods of an op have in common; keyword-only parameters with a default are left out and take it.
#[derive(Default)]
struct MethodParts {
    /// `dim: impl AsInts`
    params: Vec<TokenStream>,
    /// `let dim = dim.as_ints();`
    conversions: Vec<TokenStream>,
    /// The parameters' names.
    names: Vec<Ident>,
    /// What the function gets, defaults included.
    passed: Vec<TokenStream>,
}

impl Arg {
    fn new(python: Param, input: &FnArg) -> Result<Arg> {
        let FnArg::Typed(input) = input else {
            return Err(Error::new(input.span(), "an op is a free function: take `x: &Tensor` instead of `self`"));
        };
        let Pat::Ident(pat) = &*input.pat else {
            return Err(Error::new(input.pat.span(), "a parameter of an op is a plain name"));
        };
        let (ident, ty) = (pat.ident.clone(), (*input.ty).clone());
        let kind = ArgType::of(&ty);
        if let Some((text, literal)) = &python.default
            && !kind.accepts(*literal)
        {
            return Err(Error::new(
                ty.span(),
                format!("the default of `{}` is `{text}`, but {literal} cannot be passed for this type", python.name),
            ));
        }
        Ok(Arg { python, ident, ty, kind })
    }

    fn def(&self) -> TokenStream {
        let Param { name, default, keyword_only } = &self.python;
        let default = match default {
            Some((text, _)) => quote!(::std::option::Option::Some(#text)),
            None => quote!(::std::option::Option::None),
        };
        let ty = &self.ty;
        // The span makes "the trait `Arg` is not implemented" point at the parameter's type.
        let kind = quote_spanned!(ty.span()=> <#ty as crate::op::Arg<'_>>::KIND);
        quote!(crate::op::ArgDef { name: #name, kind: #kind, default: #default, keyword_only: #keyword_only })
    }

    fn conversion(&self, index: usize) -> TokenStream {
        let (ident, ty, name) = (&self.ident, &self.ty, &self.python.name);
        let position = if self.python.keyword_only {
            quote!(::std::option::Option::None)
        } else {
            let n = index + 1;
            quote!(::std::option::Option::Some(#n))
        };
        quote! {
            <#ty as crate::op::Arg<'_>>::from_value(#ident).map_err(|e| crate::op::argument_error(e, op, #name, #position))?
        }
    }
}

/// The option `name`, or the function's name without the overload, or without the underscore of a Rust keyword.
fn python_name(options: &Options, ident: &Ident) -> String {
    let rust = ident.to_string();
    let suffix = match (&options.name, &options.overload) {
        (Some(name), _) => return name.value(),
        (None, Some(overload)) => format!("_{}", overload.value()),
        (None, None) => "_".to_string(),
    };
    rust.strip_suffix(&suffix).unwrap_or(&rust).to_string()
}

/// The documentation's text, one leading space per line removed.
fn doc_of(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|a| match &a.meta {
        Meta::NameValue(nv) if nv.path.is_ident("doc") => match &nv.value {
            Expr::Lit(ExprLit { lit: Lit::Str(s), .. }) => Some(s.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<String> = lines.map(|l| l.strip_prefix(' ').unwrap_or(&l).to_string()).collect();
    lines.join("\n").trim().to_string()
}

fn result_of(output: &ReturnType) -> Result<Type> {
    if let ReturnType::Type(_, ty) = output
        && let Type::Path(path) = &**ty
        && let Some(last) = path.path.segments.last()
        && last.ident == "Result"
        && let PathArguments::AngleBracketed(generics) = &last.arguments
        && let Some(GenericArgument::Type(inner)) = generics.args.first()
    {
        return Ok(inner.clone());
    }
    Err(Error::new(output.span(), "an op returns `Result<…>`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(options: &str, function: &str) -> Result<String> {
        let expanded = expand(syn::parse_str(options)?, syn::parse_str(function)?)?;
        // What is written must at least be Rust.
        syn::parse2::<syn::File>(expanded.clone())?;
        Ok(expanded.to_string().replace(' ', ""))
    }

    #[test]
    fn names_follow_the_function() {
        let def = |options: &str, ident: &str| {
            run(options, &format!("pub fn {ident}(x: &Tensor) -> Result<Tensor> {{ f(x) }}")).unwrap()
        };
        assert!(def(r#""(input)""#, "where_").contains(r#"name:"where""#));
        assert!(def(r#""(input)", overload = "dim""#, "sum_dim").contains(r#"name:"sum",overload:"dim""#));
        assert!(def(r#""(input)", name = "clone", rust = "copy""#, "clone_op").contains("fntry_copy(&self)"));
        assert!(!def(r#""(input)", nn"#, "relu6").contains("implcrate::Tensor"));
    }

    #[test]
    fn methods_leave_out_keyword_only_defaults() {
        let text = run(
            r#""(input, other, *, alpha=1, beta)", inplace"#,
            "pub fn add(x: &Tensor, other: &Tensor, alpha: Scalar, beta: f64) -> Result<Tensor> { f() }",
        )
        .unwrap();
        assert!(text.contains("fnadd(&self,other:implcrate::op::AsTensor,beta:f64)->Tensor"), "{text}");
        assert!(text.contains("add_(self,&other,crate::Scalar::Int(1i64),beta).map(|()|self)"), "{text}");
    }

    #[test]
    fn says_what_is_wrong() {
        for (options, function, needle) in [
            (r#""(input, dim)""#, "fn f(x: &Tensor) -> Result<Tensor> {}", "2 parameters (input, dim), but the function takes 1"),
            (r#""(input, dim=None)""#, "fn f(x: &Tensor, d: &[i64]) -> Result<Tensor> {}", "default of `dim` is `None`"),
            (r#""(input)""#, "fn f(x: i64) -> Result<Tensor> {}", "`&Tensor` as its first parameter"),
            (r#""(input)""#, "fn f(x: &Tensor) -> Tensor {}", "returns `Result<…>`"),
            (r#""(input)", inplace"#, "fn f(x: &Tensor) -> Result<bool> {}", "in-place twin needs"),
            (r#""(input)", inplace"#, "fn f_(x: &Tensor) -> Result<Tensor> {}", "leaves no name"),
            (r#""(input)""#, "fn f<'a>(x: &'a Tensor) -> Result<Tensor> {}", "no generic parameters"),
            (r#""(input)""#, "fn f(&self) -> Result<Tensor> {}", "free function"),
            (r#""(input, *, other=1)""#, "fn f(x: &Tensor, o: &Tensor) -> Result<Tensor> {}", "cannot leave out `o`"),
        ] {
            let message = run(options, function).expect_err(function).to_string();
            assert!(message.contains(needle), "{function}: {message}");
        }
    }
}
