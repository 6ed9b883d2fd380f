//! Expansion of `#[derive(Module)]`: one method that shows every field to a visitor. What a field is, its type decides.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, Generics, Index, LitStr, Result, Type, parse_quote};

pub(crate) fn expand(input: DeriveInput) -> Result<TokenStream> {
    let body = match &input.data {
        Data::Struct(data) => {
            let visits = data.fields.iter().enumerate().map(|(i, field)| {
                let member = match &field.ident {
                    Some(ident) => ident.to_token_stream(),
                    None => Index::from(i).to_token_stream(),
                };
                visit(field, i, quote!(&self.#member))
            });
            let visits = visits.collect::<Result<Vec<_>>>()?;
            quote!(#(#visits)*)
        }
        Data::Enum(data) => {
            let arms = data.variants.iter().map(|v| variant(&v.ident, &v.fields)).collect::<Result<Vec<_>>>()?;
            if arms.is_empty() { quote!(match *self {}) } else { quote!(match self { #(#arms)* }) }
        }
        Data::Union(data) => return Err(Error::new(data.union_token.span, "a union cannot be a module")),
    };
    let generics = bounded(&input)?;
    let ident = &input.ident;
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::rushlight::nn::Module for #ident #type_generics #where_clause {
            #[allow(unused_variables)]
            fn visit<'module>(&'module self, visitor: &mut ::rushlight::nn::Visitor<'_, 'module>) {
                #body
            }
        }
    })
}

/// One arm of the match over an enum's variants.
fn variant(ident: &syn::Ident, fields: &Fields) -> Result<TokenStream> {
    let names: Vec<_> = (0..fields.len()).map(|i| format_ident!("field{i}")).collect();
    let pattern = match fields {
        Fields::Unit => quote!(),
        Fields::Unnamed(_) => quote!((#(#names),*)),
        Fields::Named(named) => {
            let members = named.named.iter().map(|f| &f.ident);
            quote!({ #(#members: #names),* })
        }
    };
    let single = matches!(fields, Fields::Unnamed(f) if f.unnamed.len() == 1);
    let visits = fields.iter().enumerate().map(|(i, field)| {
        let name = &names[i];
        let options = Options::of(field)?;
        if single && !options.skip && options.name.is_none() {
            return Ok(quote_spanned!(field.ty.span()=> visitor.inline(#name);));
        }
        visit(field, i, name.to_token_stream())
    });
    let visits = visits.collect::<Result<Vec<_>>>()?;
    Ok(quote!(Self::#ident #pattern => { #(#visits)* }))
}

/// The statement that shows one field; nothing for one that is skipped.
fn visit(field: &Field, index: usize, access: TokenStream) -> Result<TokenStream> {
    let options = Options::of(field)?;
    if options.skip {
        return Ok(quote!());
    }
    let name = match (options.name, &field.ident) {
        (Some(name), _) => name.value(),
        (None, Some(ident)) => ident.unraw().to_string(),
        (None, None) => index.to_string(),
    };
    // The span makes "cannot be a field of a module" point at the field's type.
    Ok(quote_spanned!(field.ty.span()=> visitor.field(#name, #access);))
}

/// The generics with a bound for each field whose type mentions a type parameter.
fn bounded(input: &DeriveInput) -> Result<Generics> {
    let mut generics = input.generics.clone();
    let params: Vec<String> = input.generics.type_params().map(|p| p.ident.to_string()).collect();
    let fields: Vec<&Field> = match &input.data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data.variants.iter().flat_map(|v| v.fields.iter()).collect(),
        Data::Union(_) => Vec::new(),
    };
    for field in fields {
        let ty = &field.ty;
        if !Options::of(field)?.skip && mentions(ty, &params) {
            generics.make_where_clause().predicates.push(parse_quote!(#ty: ::rushlight::nn::Field));
        }
    }
    Ok(generics)
}

fn mentions(ty: &Type, params: &[String]) -> bool {
    fn any(tokens: TokenStream, params: &[String]) -> bool {
        tokens.into_iter().any(|t| match t {
            TokenTree::Ident(i) => params.contains(&i.to_string()),
            TokenTree::Group(g) => any(g.stream(), params),
            _ => false,
        })
    }
    any(ty.to_token_stream(), params)
}

/// What `#[module(…)]` on a field says.
#[derive(Default)]
struct Options {
    skip: bool,
    name: Option<LitStr>,
}

impl Options {
    fn of(field: &Field) -> Result<Options> {
        let mut options = Options::default();
        for attr in field.attrs.iter().filter(|a| a.path().is_ident("module")) {
            attr.parse_nested_meta(|meta| {
                if meta.path.is_ident("skip") {
                    options.skip = true;
                } else if meta.path.is_ident("name") {
                    let name: LitStr = meta.value()?.parse()?;
                    if name.value().is_empty() || name.value().contains('.') {
                        return Err(Error::new(name.span(), "a name in a path is not empty and has no dot"));
                    }
                    options.name = Some(name);
                } else {
                    return Err(meta.error("unknown option; a field of a module has `skip` and `name = \"…\"`"));
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(item: &str) -> Result<String> {
        Ok(expand(syn::parse_str(item)?)?.to_string().replace(' ', ""))
    }

    #[test]
    fn visits_fields_by_name() {
        let text =
            run("struct M { a: Linear, r#type: Linear, #[module(skip)] f: fn(), #[module(name = \"1\")] b: Linear }").unwrap();
        assert!(
            text.contains(r#"visitor.field("a",&self.a);visitor.field("type",&self.r#type);visitor.field("1",&self.b);}"#),
            "{text}"
        );
        assert!(run("struct M(Linear, usize);").unwrap().contains(r#"visitor.field("1",&self.1);"#));
    }

    #[test]
    fn bounds_only_what_is_generic() {
        let text = run("struct M<T, U> { a: Vec<T>, b: Linear, #[module(skip)] c: U }").unwrap();
        assert!(text.contains("whereVec<T>:::rushlight::nn::Field{"), "{text}");
    }

    #[test]
    fn variants_with_one_field_are_transparent() {
        let text = run("enum Norm { None, Batch(BatchNorm), Two(A, B), Named { a: A } }").unwrap();
        assert!(text.contains("Self::Batch(field0)=>{visitor.inline(field0);}"), "{text}");
        assert!(text.contains(r#"Self::Two(field0,field1)=>{visitor.field("0",field0);visitor.field("1",field1);}"#), "{text}");
        assert!(text.contains(r#"Self::Named{a:field0}=>{visitor.field("a",field0);}"#), "{text}");
    }

    #[test]
    fn says_what_is_wrong() {
        for (item, needle) in [
            ("struct M { #[module(skipped)] a: A }", "unknown option"),
            ("struct M { #[module(name = \"a.b\")] a: A }", "has no dot"),
            ("union M { a: A }", "a union cannot be a module"),
        ] {
            let message = run(item).expect_err(item).to_string();
            assert!(message.contains(needle), "{item}: {message}");
        }
    }
}
