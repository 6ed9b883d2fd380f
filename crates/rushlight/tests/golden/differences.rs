//! Where Rushlight differs from PyTorch on purpose: one row each, with the reason. A row that no longer applies fails the test.

use Facet::*;
use std::fmt::Write;

/// What can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facet {
    /// Rushlight succeeds where PyTorch raises.
    Accepts,
    /// Rushlight raises where PyTorch succeeds.
    Refuses,
    /// Both raise, exceptions of different types.
    Kind,
    /// The number of results, a dtype or a shape.
    Layout,
    Strides,
    /// Whether a result shares memory with an argument.
    View,
    Value,
    Gradient,
}

/// An op, a part of the sample's text (empty: any), what differs, and why.
type Row = (&'static str, &'static str, Facet, &'static str);

const TRIPS: &str = "PyTorch indexes the shape before it checks it: the error is about that";
const INDEX: &str = "an index out of range is an IndexError in every op here";
const DRAWS: &str = "a draw does not depend on its parameters smoothly: it takes no gradient, and in PyTorch one of zeros";
const INTEGER_MAXIMA: &str = "integers have maxima too";

const COLUMNS: &str = "the factors lie row-major here, in LAPACK column-major";
const SIGNS: &str = "singular vectors and eigenvectors are unique up to their signs";
const TRIANGLE: &str = "the triangle that is not read has no gradient";

#[rustfmt::skip]
const DELIBERATE: &[Row] = &[
    ("adaptive_avg_pool2d", "[2, 2, 2]", Kind, TRIPS),
    ("adaptive_max_pool2d", "I(1, 1, 3, 3)", Accepts, INTEGER_MAXIMA),
    ("adaptive_max_pool2d_with_indices", "[2, 2, 2]", Kind, TRIPS),
    ("addcmul", "value=1.5", Refuses, "PyTorch drops the fraction of `value` silently; its documentation asks for an integer"),
    ("as_strided_scatter", "", Gradient, "PyTorch's gradient fails its own gradcheck"),
    ("avg_pool2d", "T(3)", Kind, TRIPS),
    ("bilinear", "T(5, 3)", Kind, TRIPS),
    ("cholesky_inverse", "", Gradient, TRIANGLE),
    ("cholesky_inverse", "", Strides, COLUMNS),
    ("cholesky_solve", "", Gradient, TRIANGLE),
    ("cholesky_solve", "", Strides, COLUMNS),
    ("cosine_similarity", "5.0", Gradient, "PyTorch differentiates as if the lengths were not kept above `eps`; the derivative here is that of the value"),
    ("dropout3d", "T(3)", Refuses, "PyTorch warns that it will refuse this"),
    ("einsum", "'bij,bjk->bki'", Strides, "the order in which products are taken, and so how the result lies in memory, is no part of the contract"),
    ("einsum", "'i,j,k->kij'", Strides, "as above"),
    ("embedding", "3", Kind, "PyTorch uses a bare `assert`"),
    ("gather", "", Kind, INDEX),
    ("group_norm", "0", Kind, "PyTorch divides by `num_groups` before it checks it"),
    ("hardsigmoid", "", Gradient, "PyTorch's 1/6 is rounded to float32"),
    ("igamma", "I(", Gradient, "PyTorch takes the logarithm of the integers' gamma function in float32"),
    ("igammac", "I(", Gradient, "as above"),
    ("im2col", "T(3, 3)", Kind, TRIPS),
    ("index_add", "", Kind, INDEX),
    ("interpolate", "'linear'", Kind, "the mode is checked before the number of sizes"),
    ("interpolate", "antialias=True", Refuses, "a documented limit"),
    ("inverse", "", Strides, COLUMNS),
    ("linalg_cholesky", "", Strides, COLUMNS),
    ("linalg_cholesky_ex", "", Strides, COLUMNS),
    ("linalg_eigh", "", Gradient, SIGNS),
    ("linalg_eigh", "", Value, SIGNS),
    ("linalg_eigh", "", Strides, COLUMNS),
    ("linalg_inv_ex", "", Strides, COLUMNS),
    ("linalg_lstsq", "", Strides, COLUMNS),
    ("linalg_lu_factor", "", Strides, COLUMNS),
    ("linalg_lu_factor_ex", "", Strides, COLUMNS),
    ("linalg_lu_solve", "", Strides, COLUMNS),
    ("linalg_qr", "", Strides, COLUMNS),
    ("linalg_solve", "", Strides, COLUMNS),
    ("linalg_solve_ex", "", Strides, COLUMNS),
    ("linalg_solve_triangular", "", Strides, COLUMNS),
    ("linalg_svd", "", Gradient, SIGNS),
    ("linalg_svd", "", Value, SIGNS),
    ("linalg_svd", "", Strides, COLUMNS),
    ("lu_solve", "", Strides, COLUMNS),
    ("max_pool1d", "I(1, 2, 6)", Accepts, INTEGER_MAXIMA),
    ("movedim", "[0, 1], 0", Kind, "a number stands for a list of one here"),
    ("multilabel_soft_margin_loss", "", Kind, "the same error as of the other losses"),
    ("normal", "", Gradient, DRAWS),
    ("normal.mean", "", Gradient, DRAWS),
    ("normal.std", "", Gradient, DRAWS),
    ("scaled_dot_product_attention", "T(1, 2, 3), T(1, 3, 3), T(1, 2, 3)", Refuses, "PyTorch reads past the end of `value`"),
    ("scatter", "", Kind, INDEX),
    ("scatter.value", "", Kind, INDEX),
    ("scatter_add", "", Kind, INDEX),
    ("scatter_reduce", "", Kind, INDEX),
    ("scatter_reduce", "'max'", Refuses, "not among the documented reductions"),
    ("svd", "", Gradient, SIGNS),
    ("svd", "", Value, SIGNS),
    ("svd", "", Strides, COLUMNS),
    ("take_along_dim", "I(1, lo=2, hi=3)", Refuses, "PyTorch does not check the indices of one-dimensional tensors"),
    ("triangular_solve", "", Strides, COLUMNS),
    ("unique_consecutive", "", Strides, "distinct slices are a fresh, row-major tensor"),
    ("unique_dim", "", Strides, "distinct slices are a fresh, row-major tensor"),
    ("view.dtype", "bool", Refuses, "a byte other than 0 and 1 is no truth value"),
];

/// Gathers what differs, apart from the deliberate rows.
#[derive(Default)]
pub struct Ledger {
    op: String,
    sample: String,
    failures: String,
    used: Vec<bool>,
    /// How many gradients agreed.
    pub gradients: usize,
    /// How many gradients PyTorch refuses to compute.
    pub refused: usize,
}

impl Ledger {
    /// What follows is about this op and sample.
    pub fn begin(&mut self, op: &str, sample: &str) {
        (self.op, self.sample) = (op.into(), sample.into());
        self.used.resize(DELIBERATE.len(), false);
    }

    pub fn differs(&mut self, facet: Facet, what: String) {
        let row = DELIBERATE.iter().position(|r| r.0 == self.op && self.sample.contains(r.1) && r.2 == facet);
        match row {
            Some(i) => self.used[i] = true,
            None => self.fails(format!("{facet:?}: {what}")),
        }
    }

    pub fn fails(&mut self, what: String) {
        let _ = writeln!(self.failures, "{}({}) {what}", self.op, self.sample);
    }

    /// The ops with deliberate differences.
    pub fn summary(&self) -> String {
        let mut ops: Vec<&str> = DELIBERATE.iter().zip(&self.used).filter(|(_, used)| **used).map(|(r, _)| r.0).collect();
        ops.dedup();
        if ops.is_empty() { "none".into() } else { ops.join(", ") }
    }

    /// Fails with all that differs, and, where every op was looked at, with the rows that nothing needs.
    pub fn finish(mut self, all: bool) {
        for (row, _) in DELIBERATE.iter().zip(&self.used).filter(|(_, used)| all && !**used) {
            let _ = writeln!(self.failures, "the deliberate difference {:?} no longer exists", row);
        }
        assert!(self.failures.is_empty(), "{} differences from PyTorch\n{}", self.failures.lines().count(), self.failures);
    }
}
