//! What stands between the parentheses of `#[op(…)]`: the signature, then flags and `option = value` pairs.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitStr, Result, Token, bracketed, parenthesized};

const FLAGS: [&str; 7] = ["inplace", "view", "nn", "nondiff", "property", "function", "random"];
const DTYPES: [&str; 6] = ["any", "number", "float", "float_only", "wide", "integral"];
const PAIRS: [&str; 7] = ["name", "rust", "overload", "alias", "returns", "samples", "errors"];

/// The parsed arguments of `#[op]`.
pub(crate) struct Options {
    pub(crate) signature: LitStr,
    pub(crate) name: Option<LitStr>,
    pub(crate) rust: Option<LitStr>,
    pub(crate) overload: Option<LitStr>,
    pub(crate) alias: Vec<LitStr>,
    pub(crate) returns: Vec<LitStr>,
    pub(crate) samples: Vec<LitStr>,
    pub(crate) errors: Vec<(LitStr, LitStr)>,
    /// What the in-place twin tries first.
    pub(crate) shortcut: Option<Expr>,
    dtypes: Option<Ident>,
    flags: Vec<Ident>,
}

impl Options {
    /// The flag `name`, if it was given.
    pub(crate) fn flag(&self, name: &str) -> Option<&Ident> {
        self.flags.iter().find(|f| *f == name)
    }

    /// The variant of `DTypes`: the class that was named, `Float` without one.
    pub(crate) fn dtypes(&self) -> Ident {
        let variant = match self.dtypes.as_ref().map(Ident::to_string).as_deref() {
            Some("any") => "Any",
            Some("number") => "Number",
            Some("float_only") => "FloatOnly",
            Some("wide") => "Wide",
            Some("integral") => "Integral",
            _ => "Float",
        };
        Ident::new(variant, Span::call_site())
    }

    fn pair(&mut self, key: &Ident, input: ParseStream) -> Result<()> {
        match key.to_string().as_str() {
            "name" => self.name = Some(identifier(input)?),
            "rust" => self.rust = Some(identifier(input)?),
            "overload" => self.overload = Some(identifier(input)?),
            "alias" => self.alias = list(input, identifier)?,
            "returns" => self.returns = list(input, identifier)?,
            "samples" => self.samples = list(input, |i| i.parse())?,
            _ => self.errors = list(input, call_and_text)?,
        }
        Ok(())
    }
}

impl Parse for Options {
    fn parse(input: ParseStream) -> Result<Self> {
        if !input.peek(LitStr) {
            return Err(input.error("an op begins with its Python signature, as in `#[op(\"(input, dim, keepdim=False)\")]`"));
        }
        let mut options = Options {
            signature: input.parse()?,
            name: None,
            rust: None,
            overload: None,
            alias: Vec::new(),
            returns: Vec::new(),
            samples: Vec::new(),
            errors: Vec::new(),
            shortcut: None,
            dtypes: None,
            flags: Vec::new(),
        };
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key: Ident = input.parse()?;
            let text = key.to_string();
            if seen.contains(&text) {
                return Err(Error::new(key.span(), format!("the option `{text}` stands twice")));
            }
            let is = |known: &[&str]| known.contains(&text.as_str());
            if is(&FLAGS) {
                if text == "inplace" && input.parse::<Option<Token![=]>>()?.is_some() {
                    options.shortcut = Some(input.parse()?);
                }
                options.flags.push(key);
            } else if is(&DTYPES) {
                if let Some(other) = &options.dtypes {
                    return Err(Error::new(key.span(), format!("an op has one class of dtypes, and `{other}` is given already")));
                }
                options.dtypes = Some(key);
            } else if is(&PAIRS) {
                if !input.peek(Token![=]) {
                    return Err(Error::new(key.span(), format!("`{text}` needs a value: `{text} = …`")));
                }
                input.parse::<Token![=]>()?;
                options.pair(&key, input)?;
            } else {
                let all = [&FLAGS[..], &DTYPES, &PAIRS].concat().join(", ");
                return Err(Error::new(key.span(), format!("unknown option `{text}`; the options are {all}")));
            }
            seen.push(text);
        }
        Ok(options)
    }
}

fn identifier(input: ParseStream) -> Result<LitStr> {
    let text: LitStr = input.parse()?;
    if !crate::signature::is_identifier(&text.value()) {
        return Err(Error::new(text.span(), "must be an identifier"));
    }
    Ok(text)
}

fn list<T>(input: ParseStream, item: fn(ParseStream) -> Result<T>) -> Result<Vec<T>> {
    let content;
    bracketed!(content in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated_with(&content, item)?.into_iter().collect())
}

fn call_and_text(input: ParseStream) -> Result<(LitStr, LitStr)> {
    let content;
    parenthesized!(content in input);
    let call = content.parse()?;
    content.parse::<Token![,]>()?;
    let text = content.parse()?;
    Ok((call, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_flags_and_pairs() {
        let o: Options = syn::parse_str(
            r#""(input)", inplace, number, name = "sum", alias = ["total"], samples = ["T(3)", "T()",], errors = [("I(3)", "no"),],"#,
        )
        .unwrap();
        assert!(o.flag("inplace").is_some() && o.flag("view").is_none());
        assert_eq!(o.dtypes(), "Number");
        assert_eq!((o.samples.len(), o.errors.len(), o.alias.len()), (2, 1, 1));
        assert_eq!(syn::parse_str::<Options>(r#""(x)""#).unwrap().dtypes(), "Float");
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, needle) in [
            ("inplace", "begins with its Python signature"),
            (r#""(x)", inplaced"#, "unknown option `inplaced`; the options are inplace, view"),
            (r#""(x)", any, float"#, "one class of dtypes, and `any`"),
            (r#""(x)", nn, nn"#, "stands twice"),
            (r#""(x)", name"#, "`name = …`"),
            (r#""(x)", name = "a b""#, "must be an identifier"),
        ] {
            let message = syn::parse_str::<Options>(text).err().expect(text).to_string();
            assert!(message.contains(needle), "{text}: {message}");
        }
    }
}
