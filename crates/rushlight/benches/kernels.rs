//! Times of the main kernels, of op overhead, and of training steps.
//!
//! `cargo xtask bench kernels [FILTER]` runs them and prints the medians. Everything goes through the public API, so a time includes the checks, the
//! allocation and (where a gradient is asked for) the graph. Each benchmark runs at one thread and at the default number of threads.
//!
//! Samples are few and short, so that the whole file takes two minutes; `--sample-size` and `--measurement-time` ask for more.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use rushlight::nn::{Forward, Module};
use rushlight::optim::{AdamW, AdamWOptions, Optimizer};
use rushlight::{Tensor, nn, ops, seq, set_num_threads};
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Duration;

// ---- the harness ----------------------------------------------------------------------------------------------------------------------

/// The default number of threads, asked for before any benchmark changes it.
static DEFAULT_THREADS: LazyLock<usize> = LazyLock::new(rushlight::num_threads);

struct Group<'a>(BenchmarkGroup<'a, WallTime>);

fn group<'a>(c: &'a mut Criterion, name: &str) -> Group<'a> {
    rushlight::manual_seed(0);
    Group(c.benchmark_group(name))
}

impl Group<'_> {
    /// Times `f` at one thread, then at the default number.
    fn bench<R>(&mut self, name: &str, mut f: impl FnMut() -> R) -> &mut Self {
        let mut counts = vec![1, *DEFAULT_THREADS];
        counts.dedup();
        for n in counts {
            set_num_threads(n);
            self.0.bench_function(BenchmarkId::new(name, n), |b| b.iter(|| black_box(f())));
        }
        self
    }
    /// Times an op, then its backward: the gradients of all inputs that take one, from a graph that is kept.
    fn bench_both(&mut self, name: &str, f: impl Fn() -> Tensor) {
        self.bench(&format!("{name} forward"), &f);
        let y = f();
        let g = Tensor::ones(y.shape());
        self.bench(&format!("{name} backward"), || rushlight::autograd::backward(&[&y], &[Some(&g)], true, false));
    }
}

fn config() -> Criterion {
    LazyLock::force(&DEFAULT_THREADS);
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(150))
        .measurement_time(Duration::from_millis(400))
        .nresamples(1000)
        .without_plots()
}

// ---- kernels --------------------------------------------------------------------------------------------------------------------------

fn pointwise(c: &mut Criterion) {
    let mut g = group(c, "pointwise");
    for (label, n) in [("1e3", 1usize), ("1e6", 1000)] {
        let (x, y) = (Tensor::randn([n, 1000]), Tensor::randn([n, 1000]));
        g.bench(&format!("add {label}"), || &x + &y);
        g.bench(&format!("exp {label}"), || x.exp());
        g.bench(&format!("gelu {label}"), || ops::gelu(&x, "none"));
    }
    let (x, y) = (Tensor::randn([1000, 1000]), Tensor::randn([1000, 1000]));
    let (row, column) = (Tensor::randn([1000]), Tensor::randn([1000, 1]));
    g.bench("add 1e6, one transposed", || &x + &y.t());
    g.bench("exp 1e6, transposed", || x.t().exp());
    g.bench("add 1e6, a row broadcast", || &x + &row);
    g.bench("add 1e6, a column broadcast", || &x + &column);
}

fn reductions(c: &mut Criterion) {
    let mut g = group(c, "reduce");
    let x = Tensor::randn([1000, 1000]);
    g.bench("sum 1e6", || x.sum());
    g.bench("sum 1000x1000, inner", || x.sum_dim(1, false));
    g.bench("sum 1000x1000, outer", || x.sum_dim(0, false));
    g.bench("mean 1000x1000, inner", || x.mean_dim(1, false));
    g.bench("mean 1000x1000, outer", || x.mean_dim(0, false));
    let short = Tensor::randn([100_000, 10]);
    g.bench("sum 100000x10, inner", || short.sum_dim(1, false));
}

fn matmul(c: &mut Criterion) {
    let mut g = group(c, "matmul");
    for n in [64, 256, 512, 1024] {
        let (a, b) = (Tensor::randn([n, n]), Tensor::randn([n, n]));
        g.bench(&format!("{n}x{n}"), || a.matmul(&b));
    }
    let (a, b) = (Tensor::randn([512, 512]), Tensor::randn([512, 512]));
    g.bench("512x512, one transposed", || a.matmul(b.t()));
    let (a, b) = (Tensor::randn([64, 64, 64]), Tensor::randn([64, 64, 64]));
    g.bench("64 of 64x64", || a.matmul(&b));
}

fn convolution(c: &mut Criterion) {
    let mut g = group(c, "conv2d");
    let mut one = |name: &str, image: [usize; 4], kernel: [usize; 4], padding: i64| {
        let (x, w) = (Tensor::randn(image).with_requires_grad(), Tensor::randn(kernel).with_requires_grad());
        let b = Tensor::randn(kernel[0]).with_requires_grad();
        let conv = || ops::conv2d(&x, &w, Some(&b), &[1], &[padding], &[1], 1).expect("the shapes fit");
        g.bench_both(name, conv);
    };
    one("5x5, 6 to 16 of 14x14, batch 32", [32, 6, 14, 14], [16, 6, 5, 5], 0);
    one("3x3, 64 to 64 of 32x32, batch 8", [8, 64, 32, 32], [64, 64, 3, 3], 1);
}

fn layers(c: &mut Criterion) {
    let mut g = group(c, "nn");
    let image = Tensor::randn([32, 16, 28, 28]).with_requires_grad();
    g.bench_both("max_pool2d 2x2 of 32x16x28x28", || {
        ops::max_pool2d(&image, &[2], None, &[0], &[1], false).expect("the window fits")
    });
    let x = Tensor::randn([512, 1000]).with_requires_grad();
    g.bench_both("softmax 512x1000", || ops::softmax(&x, 1, None).expect("there is a dim 1"));
    let tokens = Tensor::randn([1024, 768]).with_requires_grad();
    let (w, b) = (Tensor::ones(768).with_requires_grad(), Tensor::zeros(768).with_requires_grad());
    let normed = || ops::layer_norm(&tokens, &[768], Some(&w), Some(&b), 1e-5).expect("the shapes fit");
    g.bench_both("layer_norm 1024x768", normed);
    let target = Tensor::randint(0..1000, 512);
    let loss = || ops::cross_entropy(&x, &target, None, -100, "mean", 0.0).expect("the shapes fit");
    g.bench_both("cross_entropy 512x1000", loss);
    let table = Tensor::randn([10_000, 256]).with_requires_grad();
    let words = Tensor::randint(0..10_000, [32, 64]);
    g.bench_both("embedding 32x64 of 10000x256", || ops::embedding(&words, &table, None).expect("the indices fit"));
}

fn order_and_chance(c: &mut Criterion) {
    let mut g = group(c, "order and chance");
    let x = Tensor::randn([1000, 1000]);
    let index = Tensor::randint(0..1000, [1000, 1000]);
    g.bench("gather 1000x1000, inner", || x.gather(1, &index));
    g.bench("gather 1000x1000, outer", || x.gather(0, &index));
    g.bench("sort 1000x1000, inner", || x.sort(1, false));
    g.bench("randn 1e6", || Tensor::randn([1000, 1000]));
}

// ---- overhead -------------------------------------------------------------------------------------------------------------------------

fn overhead(c: &mut Criterion) {
    let mut g = group(c, "overhead");
    let (x, y) = (Tensor::randn(4), Tensor::randn(4));
    g.bench("add of 4", || &x + &y);
    g.bench("exp of 4", || x.exp());
    g.bench("view of 4", || x.view([2, 2]));
    g.bench("matmul 2x2", || x.view([2, 2]).matmul(y.view([2, 2])));
    let leaf = Tensor::randn(4).with_requires_grad();
    g.bench("add of 4, recorded", || &leaf + &y);
    g.bench("300 ops of 4, forward and backward", || {
        let mut z = leaf.clone();
        for _ in 0..100 {
            z = (&z * &y + &x).sin();
        }
        z.sum().backward();
        leaf.grad()
    });
}

// ---- training -------------------------------------------------------------------------------------------------------------------------

fn optimizers(c: &mut Criterion) {
    let mut g = group(c, "optim");
    let mut one = |name: &str, shapes: &[usize]| {
        let params: Vec<Tensor> = shapes.iter().map(|&n| Tensor::randn(n).with_requires_grad()).collect();
        params.iter().for_each(|p| p.set_grad(Some(Tensor::randn(p.shape()))));
        let mut optimizer = AdamW::new(params, AdamWOptions::default());
        g.bench(name, || optimizer.step());
    };
    one("AdamW, 1e6 in one tensor", &[1_000_000]);
    one("AdamW, 64 tensors of 256", &[256; 64]);
}

fn training(c: &mut Criterion) {
    let mut g = group(c, "training");

    // The network of the digits example.
    let model = seq![
        nn::Conv2d::builder(1, 32, 3).padding(1).build(),
        nn::ReLU,
        nn::Conv2d::builder(32, 64, 3).padding(1).build(),
        nn::ReLU,
        nn::MaxPool2d::new(2),
        nn::Flatten::default(),
        nn::Dropout::new(0.3),
        nn::Linear::new(64 * 4 * 4, 128),
        nn::ReLU,
        nn::Dropout::new(0.3),
        nn::Linear::new(128, 10),
    ];
    let (images, labels) = (Tensor::rand([64, 1, 8, 8]), Tensor::randint(0..10, 64));
    let mut optimizer = AdamW::new(model.parameters(), AdamWOptions::default());
    g.bench("a step on 64 digits", || {
        let scores = model.forward(&images)?;
        let loss = ops::cross_entropy(&scores, &labels, None, -100, "mean", 0.0)?;
        optimizer.zero_grad();
        loss.try_backward()?;
        optimizer.step()
    });

    let lstm = nn::LSTM::new(64, 128);
    let sequences = Tensor::randn([32, 16, 64]);
    g.bench("LSTM 64 to 128, 32 steps, batch 16, forward and backward", || {
        let (y, _) = lstm.forward_from(&sequences, None)?;
        lstm.zero_grad();
        y.sum().try_backward()
    });
}

criterion_group! {
    name = benches;
    config = config();
    targets = pointwise, reductions, matmul, convolution, layers, order_and_chance, overhead, optimizers, training
}
criterion_main!(benches);
