//! Tables of vectors by number.

use super::builder::builder;
use super::forward::inside;
use super::{Forward, Module, Parameter, init};
use crate::{Error, Result, Tensor, no_grad, ops};

/// Row `i` of a table for each integer `i` of the input: `[…]` to `[…, embedding_dim]`.
///
/// Parameter: `weight` `[num_embeddings, embedding_dim]`, normal; row `padding_idx` is zero and gets no gradient.
///
/// Source: <https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html>
#[derive(Module, Clone, Debug)]
pub struct Embedding {
    /// The table.
    pub weight: Parameter,
    padding_idx: Option<i64>,
}

builder! {
    /// Settings of [`Embedding`].
    EmbeddingBuilder for Embedding {
        num_embeddings: usize, embedding_dim: usize;
        /// The row that stands for nothing; negative counts from the end.
        padding_idx => Option<i64> = None,
    }
}

impl Embedding {
    fn make(o: EmbeddingBuilder) -> Result<Embedding> {
        let rows = o.num_embeddings as i64;
        let padding_idx = match o.padding_idx {
            Some(i) if i >= rows || i < -rows => {
                return Err(Error::value(format!(
                    "Padding_idx must be within num_embeddings: padding_idx={i}, num_embeddings={rows}"
                )));
            }
            other => other.map(|i| if i < 0 { i + rows } else { i }),
        };
        let weight = Parameter::zeros(&[o.num_embeddings, o.embedding_dim])?;
        init::normal_(&weight, 0.0, 1.0)?;
        if let Some(i) = padding_idx {
            let _guard = no_grad();
            init::zeros_(&ops::select(&weight, 0, i)?)?;
        }
        Ok(Embedding { weight, padding_idx })
    }
    /// A layer over a given table `[num_embeddings, embedding_dim]`, which is not trained if `freeze`.
    ///
    /// # Errors
    /// If the table is not a matrix of a floating type.
    pub fn from_pretrained(table: &Tensor, freeze: bool) -> Result<Embedding> {
        if table.rank() != 2 {
            return Err(Error::value(format!(
                "Embeddings parameter is expected to be 2-dimensional; got shape {:?}",
                table.shape().as_slice()
            )));
        }
        let weight = Parameter::try_new(table.clone())?;
        weight.try_requires_grad_(!freeze)?;
        Ok(Embedding { weight, padding_idx: None })
    }
}

impl Forward for Embedding {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        inside(self, ops::embedding(x, &self.weight, self.padding_idx))
    }
}
