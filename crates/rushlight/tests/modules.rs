//! Layers against PyTorch's (`golden/modules.py`): parameters from a seed, outputs, gradients, buffers; and what no table can say.

mod golden;

use golden::{close, fill, numbers, read};
use rushlight::nn::{self, *};
use rushlight::op::sample::uniform;
use rushlight::{DType, Generator, Result, Tensor, manual_seed, no_grad, seq};
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tests that draw from the default generator take turns.
fn seeded(seed: u64) -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    manual_seed(seed);
    turn
}

type Run = Box<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>>;

/// A layer, and how it is called.
struct Case {
    module: Arc<dyn Module>,
    run: Run,
}

fn with<M: Module + 'static>(module: M, run: impl Fn(&M, &[Tensor]) -> Result<Vec<Tensor>> + 'static) -> Case {
    let module = Arc::new(module);
    Case { module: module.clone(), run: Box::new(move |x| run(&module, x)) }
}

fn plain<M: Forward + 'static>(module: M) -> Case {
    with(module, |m, x| Ok(vec![m.forward(&x[0])?]))
}

fn lstm(module: LSTM) -> Case {
    with(module, |m, x| {
        let state = (x.len() > 1).then(|| (&x[1], &x[2]));
        let (y, (h, c)) = m.forward_from(&x[0], state)?;
        Ok(vec![y, h, c])
    })
}

fn attention(module: MultiheadAttention, options: fn(&Masks) -> AttentionOptions<'_>) -> Case {
    let masks = Masks {
        causal: Tensor::from_vec((0..9).map(|i| i % 3 > i / 3).collect::<Vec<bool>>(), [3, 3]),
        padding: Tensor::from_vec(vec![false, false, false, false, false, true], [2, 3]),
        numbers: Tensor::from_vec((0..9).map(|i| i as f32 / 4.0 - 1.0).collect::<Vec<_>>(), [3, 3]),
        per_head: Tensor::from_vec((0..36).map(|i| (i % 5) as f32 / 2.0 - 1.0).collect::<Vec<_>>(), [4, 3, 3]),
    };
    with(module, move |m, x| {
        let k = x.get(1).unwrap_or(&x[0]);
        let (y, weights) = m.attend(&x[0], k, x.get(2).unwrap_or(k), options(&masks))?;
        Ok(std::iter::once(y).chain(weights).collect())
    })
}

struct Masks {
    causal: Tensor,
    padding: Tensor,
    numbers: Tensor,
    per_head: Tensor,
}

fn all(_: &Masks) -> AttentionOptions<'_> {
    AttentionOptions::default()
}

fn case(name: &str) -> Case {
    match name {
        "linear" => plain(Linear::new(5, 3)),
        "linear_no_bias" => plain(Linear::builder(4, 6).bias(false).build()),
        "bilinear" => with(Bilinear::new(3, 4, 2), |m, x| Ok(vec![m.forward(&x[0], &x[1])?])),
        "conv1d" => plain(Conv1d::builder(4, 6, 3).stride(2).padding(1).groups(2).build()),
        "conv2d" => plain(Conv2d::builder(2, 3, (3, 2)).stride([1, 2]).padding([1, 0]).dilation((1, 2)).build()),
        "conv2d_same" => plain(Conv2d::builder(2, 2, (2, 3)).padding(Padding::Same).bias(false).build()),
        "conv2d_reflect" => plain(Conv2d::builder(1, 2, 3).padding(1).padding_mode(PaddingMode::Reflect).build()),
        "conv2d_circular" => {
            plain(Conv2d::builder(1, 2, (3, 2)).padding(Padding::Same).padding_mode(PaddingMode::Circular).build())
        }
        "conv3d" => plain(Conv3d::builder(1, 2, 2).padding(1).build()),
        "conv_transpose1d" => plain(ConvTranspose1d::builder(4, 2, 3).stride(2).padding(1).output_padding(1).groups(2).build()),
        "conv_transpose2d" => plain(ConvTranspose2d::builder(3, 2, (2, 3)).stride(2).bias(false).dilation((1, 2)).build()),
        "layer_norm" => plain(LayerNorm::new([2, 3])),
        "rms_norm" => plain(RMSNorm::new(5)),
        "group_norm" => plain(GroupNorm::new(2, 4)),
        "batch_norm1d" => plain(BatchNorm1d::new(3)),
        "batch_norm2d" => plain(BatchNorm2d::builder(2).momentum(None).build()),
        "batch_norm_bare" => plain(BatchNorm1d::builder(2).affine(false).track_running_stats(false).build()),
        "instance_norm2d" => plain(InstanceNorm2d::builder(2).affine(true).track_running_stats(true).build()),
        "instance_norm1d" => plain(InstanceNorm1d::new(2)),
        "embedding" => plain(Embedding::builder(6, 3).padding_idx(-2).build()),
        "prelu" => plain(PReLU::new(3, 0.25)),
        "max_pool2d" => plain(MaxPool2d::builder(2).stride(1).padding(1).build()),
        "avg_pool1d" => plain(AvgPool1d::builder(3).padding(1).count_include_pad(false).build()),
        "adaptive_avg_pool2d" => plain(AdaptiveAvgPool2d::new((2, 3))),
        "rnn" => with(RNN::builder(3, 4).num_layers(2).build(), |m, x| m.forward_from(&x[0], None).map(|(y, h)| vec![y, h])),
        "rnn_relu" => {
            let rnn = RNN::builder(3, 2).nonlinearity(RNNNonlinearity::ReLU).bias(false).batch_first(true).build();
            with(rnn, |m, x| m.forward_from(&x[0], None).map(|(y, h)| vec![y, h]))
        }
        "lstm" => lstm(LSTM::new(3, 2)),
        "lstm_deep" => lstm(LSTM::builder(2, 3).num_layers(2).bidirectional(true).batch_first(true).build()),
        "lstm_unbatched" => lstm(LSTM::builder(2, 3).bidirectional(true).build()),
        "lstm_proj" => lstm(LSTM::builder(3, 4).proj_size(2).build()),
        "gru" => {
            with(GRU::builder(3, 2).bidirectional(true).build(), |m, x| m.forward_from(&x[0], None).map(|(y, h)| vec![y, h]))
        }
        "gru_started" => {
            with(GRU::builder(2, 3).num_layers(2).build(), |m, x| m.forward_from(&x[0], Some(&x[1])).map(|(y, h)| vec![y, h]))
        }
        "rnn_cell" => with(RNNCell::new(3, 2), |m, x| Ok(vec![m.forward(&x[0], Some(&x[1]))?])),
        "lstm_cell" => with(LSTMCell::new(3, 2), |m, x| m.forward(&x[0], Some((&x[1], &x[2]))).map(|(h, c)| vec![h, c])),
        "gru_cell" => with(GRUCell::builder(3, 2).bias(false).build(), |m, x| Ok(vec![m.forward(&x[0], None)?])),
        "attention" => attention(MultiheadAttention::new(4, 2), all),
        "attention_masks" => attention(MultiheadAttention::builder(4, 2).batch_first(true).build(), |m| AttentionOptions {
            attn_mask: Some(&m.causal),
            key_padding_mask: Some(&m.padding),
            average_attn_weights: false,
            ..Default::default()
        }),
        "attention_fast" => attention(MultiheadAttention::builder(4, 2).bias(false).build(), |m| AttentionOptions {
            attn_mask: Some(&m.numbers),
            need_weights: false,
            ..Default::default()
        }),
        "attention_cross" => attention(MultiheadAttention::builder(4, 1).kdim(3).vdim(2).build(), all),
        "attention_extra" => attention(MultiheadAttention::builder(4, 2).add_bias_kv(true).add_zero_attn(true).build(), all),
        "attention_extra_masks" => {
            let module = MultiheadAttention::builder(4, 2).add_bias_kv(true).add_zero_attn(true).build();
            attention(module, |m| AttentionOptions {
                attn_mask: Some(&m.per_head),
                key_padding_mask: Some(&m.padding),
                need_weights: false,
                ..Default::default()
            })
        }
        "attention_unbatched" => attention(MultiheadAttention::new(4, 2), all),
        "encoder_layer" => plain(TransformerEncoderLayer::builder(4, 2).dim_feedforward(6).dropout(0.0).build()),
        "encoder_layer_first" => plain(
            TransformerEncoderLayer::builder(4, 2)
                .dim_feedforward(6)
                .dropout(0.0)
                .activation(TransformerActivation::GELU)
                .batch_first(true)
                .norm_first(true)
                .build(),
        ),
        "sequential" => {
            plain(seq![Conv2d::new(1, 2, 2), BatchNorm2d::new(2), ReLU, MaxPool2d::new(2), Flatten::default(), Linear::new(8, 2)])
        }
        other => activation(other),
    }
}

fn activation(name: &str) -> Case {
    macro_rules! named {
        ($($t:ident)*) => {
            match name {
                $(stringify!($t) => with($t::default(), |m, x| Ok(vec![m.forward(&(&x[0] * 2.0))?])),)*
                other => panic!("no layer {other}"),
            }
        };
    }
    named!(ReLU ReLU6 LeakyReLU ELU SELU CELU GELU SiLU Mish Sigmoid LogSigmoid Tanh Tanhshrink Softplus Softsign
        Softshrink Hardshrink Hardtanh Hardsigmoid Hardswish)
}

fn shape(value: &Value) -> Vec<usize> {
    numbers(value).into_iter().map(|d| d as usize).collect()
}

/// Equal, or neighbours: a rounding of a logarithm or cosine may differ between two libraries.
#[track_caller]
fn same_bits(what: &str, found: &Tensor, wanted: &Value) {
    let wanted = numbers(wanted);
    let found = found.to_f64_vec();
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (f, w) in found.iter().zip(&wanted) {
        let (f, w) = (*f as f32, *w as f32);
        let apart = (f.to_bits() as i64 - w.to_bits() as i64).abs();
        assert!(f == w || apart <= 1, "{what}: {f} is {apart} steps from PyTorch's {w}");
    }
}

#[test]
fn layers_are_pytorchs() {
    let golden = read("modules");
    let rows = golden["layers"].as_array().unwrap();
    assert!(rows.len() >= 60);
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let _turn = seeded(row["seed"].as_u64().unwrap());
        let Case { module, run } = case(name);

        let state = module.state_dict();
        let paths: Vec<&str> = row["state"].as_array().unwrap().iter().map(|s| s[0].as_str().unwrap()).collect();
        assert_eq!(state.keys().collect::<Vec<_>>(), paths, "{name}: paths of the state");
        for ((path, tensor), wanted) in state.iter().zip(row["state"].as_array().unwrap()) {
            assert_eq!(tensor.shape().as_slice(), shape(&wanted[1]), "{name}: shape of {path}");
            same_bits(&format!("{name}: {path} at first"), tensor, &wanted[2]);
        }

        let inputs = row["inputs"].as_array().unwrap().iter().enumerate().map(|(i, input)| {
            let shape = shape(&input[0]);
            if input[1] == true {
                let n: usize = shape.iter().product();
                return Tensor::from_vec((0..n as u64).map(|e| (uniform(i as u64, e) * 6.0) as i64).collect::<Vec<_>>(), shape);
            }
            fill(i as u64, &shape, DType::F32).with_requires_grad()
        });
        let inputs: Vec<Tensor> = inputs.into_iter().collect();
        let outs = run(&inputs).unwrap_or_else(|e| panic!("{name}: {e}"));
        let wanted = row["outs"].as_array().unwrap();
        assert_eq!(outs.len(), wanted.len(), "{name}: number of results");
        let mut loss = Tensor::scalar(0f32);
        for (i, (out, wanted)) in outs.iter().zip(wanted).enumerate() {
            assert_eq!(out.shape().as_slice(), shape(&wanted[0]), "{name}: shape of result {i}");
            close(&format!("{name}: result {i}"), &out.detach().to_f64_vec(), &numbers(&wanted[1]), 1e-5);
            let cotangent: Vec<f32> = (0..out.numel() as u64).map(|e| (0.3 + uniform(50 + i as u64, e)) as f32).collect();
            loss = &loss + &(out * &Tensor::from_vec(cotangent, out.shape())).sum();
        }
        if loss.requires_grad() {
            loss.backward();
        }
        for (i, wanted) in row["grads"].as_array().unwrap().iter().enumerate().filter(|(_, g)| !g.is_null()) {
            let grad = inputs[i].grad().unwrap_or_else(|| panic!("{name}: input {i} has no gradient"));
            close(&format!("{name}: gradient of input {i}"), &grad.to_f64_vec(), &numbers(wanted), 2e-5);
        }
        let parameters = module.named_parameters();
        for wanted in row["param_grads"].as_array().unwrap() {
            let path = wanted[0].as_str().unwrap();
            let (_, p) = parameters.iter().find(|(n, _)| n == path).unwrap_or_else(|| panic!("{name}: no parameter {path}"));
            let grad = p.grad().unwrap_or_else(|| panic!("{name}: {path} has no gradient"));
            close(&format!("{name}: gradient of {path}"), &grad.to_f64_vec(), &numbers(&wanted[1]), 2e-5);
        }
        for ((path, buffer), wanted) in module.named_buffers().iter().zip(row["buffers"].as_array().unwrap()) {
            close(&format!("{name}: {path} afterwards"), &buffer.to_f64_vec(), &numbers(&wanted[1]), 1e-5);
        }
        if let Some(wanted) = row.get("eval") {
            module.eval();
            let _guard = no_grad();
            for (out, wanted) in run(&inputs).unwrap().iter().zip(wanted.as_array().unwrap()) {
                close(&format!("{name}: in evaluation"), &out.to_f64_vec(), &numbers(wanted), 1e-5);
            }
        }
    }
}

#[test]
fn initial_values_are_pytorchs() {
    use nn::init::*;
    let golden = read("modules");
    for row in golden["inits"].as_array().unwrap() {
        let _turn = seeded(row["seed"].as_u64().unwrap());
        let t = Tensor::from_vec(vec![7f32; shape(&row["shape"]).iter().product()], shape(&row["shape"])).with_requires_grad();
        let name = row["name"].as_str().unwrap();
        let done = match name {
            "uniform" => uniform_(&t, -1.0, 2.0),
            "normal" | "normal_small" => normal_(&t, 1.0, 0.5),
            "eye" => eye_(&t),
            "dirac" => dirac_(&t, 2),
            "xavier_uniform" => xavier_uniform_(&t, 1.5),
            "xavier_normal" => xavier_normal_(&t, 1.0),
            "kaiming_uniform" => kaiming_uniform_(&t, Fan::In, Nonlinearity::LeakyReLU(0.2)),
            "kaiming_normal" => kaiming_normal_(&t, Fan::Out, Nonlinearity::ReLU),
            "trunc_normal" => trunc_normal_(&t, 0.0, 1.0, -0.8, 1.0),
            "trunc_normal_tail" => trunc_normal_(&t, 0.0, 1.0, 1.5, 3.0),
            "orthogonal_tall" => orthogonal_(&t, 1.0),
            "orthogonal_wide" => orthogonal_(&t, 2.0),
            "sparse" => sparse_(&t, 0.4, 0.1),
            other => panic!("no initialisation {other}"),
        };
        done.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(t.is_leaf() && t.requires_grad(), "{name}");
        if name.starts_with("orthogonal") {
            // PyTorch factorises in float32.
            close(name, &t.detach().to_f64_vec(), &numbers(&row["values"]), 2e-6);
        } else {
            same_bits(name, &t.detach(), &row["values"]);
        }
        let next = Tensor::from_vec(vec![0f32], 1);
        uniform_(&next, 0.0, 1.0).unwrap();
        same_bits(&format!("the draw after {name}"), &next, &row["next"]);
    }
}

#[test]
fn nonsense_is_refused() {
    let message = |e: rushlight::Error| e.message().to_string();
    for (found, wanted) in [
        (
            Conv2d::builder(3, 4, 3).groups(2).try_build().err(),
            "in_channels must be divisible by groups, but got in_channels=3 and groups=2",
        ),
        (Conv2d::builder(3, 4, 3).stride(0).try_build().err(), "stride must be positive, but got [0, 0]"),
        (
            Conv1d::builder(3, 4, 3).stride(2).padding(Padding::Same).try_build().err(),
            "padding='same' is not supported for strided convolutions",
        ),
        (GroupNorm::builder(2, 3).try_build().err(), "num_channels (3) must be divisible by num_groups (2)"),
        (Dropout::try_new(1.5).err(), "dropout probability has to be between 0 and 1, but got 1.5"),
        (
            Embedding::builder(3, 2).padding_idx(3).try_build().err(),
            "Padding_idx must be within num_embeddings: padding_idx=3, num_embeddings=3",
        ),
        (LSTM::builder(3, 0).try_build().err(), "hidden_size must be greater than zero"),
        (MultiheadAttention::builder(5, 2).try_build().err(), "embed_dim must be divisible by num_heads, got 5 and 2"),
        (
            init::xavier_normal_(&Tensor::from_vec(vec![0f32], 1), 1.0).err(),
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions; got shape [1]",
        ),
    ] {
        assert_eq!(found.map(message).as_deref(), Some(wanted));
    }
}

#[test]
fn errors_name_the_module() {
    let _turn = seeded(0);
    let inner = seq![ReLU, Linear::new(4, 2)];
    let model = Sequential::new().add(Identity).named("body", inner);
    let error = model.forward(&Tensor::from_vec(vec![0f32; 6], [2, 3])).unwrap_err();
    assert!(
        error.message().starts_with("in module body.1: Linear: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x2)"),
        "{error}"
    );
    let rnn = RNN::new(3, 2);
    let error = rnn.forward(&Tensor::from_vec(vec![0f32; 8], [2, 1, 4])).unwrap_err();
    assert!(error.message().starts_with("RNN: input.size(-1) must be equal to input_size. Expected 3, got 4"), "{error}");
    let error = BatchNorm2d::new(3).forward(&Tensor::from_vec(vec![0f32; 6], [2, 3])).unwrap_err();
    assert!(error.message().starts_with("BatchNorm2d: expected 4D input (got 2D input)"), "{error}");
}

/// Without a mask of its own, `is_causal` means the triangle, with and without weights.
#[test]
fn causal_attention_needs_no_mask() {
    let _turn = seeded(4);
    let module = MultiheadAttention::new(4, 2);
    let x = fill(0, &[3, 2, 4], DType::F32);
    let triangle = Tensor::from_vec((0..9).map(|i| i % 3 > i / 3).collect::<Vec<bool>>(), [3, 3]);
    let run = |o: AttentionOptions| module.attend(&x, &x, &x, o).unwrap().0.detach().to_f64_vec();
    let wanted = run(AttentionOptions { attn_mask: Some(&triangle), ..Default::default() });
    for need_weights in [true, false] {
        close("causal", &run(AttentionOptions { is_causal: true, need_weights, ..Default::default() }), &wanted, 1e-6);
    }
}

#[test]
fn dropout_only_in_training() {
    let _turn = seeded(3);
    let model = seq![Dropout::new(0.5)];
    let x = Tensor::from_vec(vec![1f32; 1000], 1000);
    let y = model.forward(&x).unwrap().to_vec::<f32>();
    let kept = y.iter().filter(|&&v| v == 2.0).count();
    assert!(kept > 400 && kept < 600 && y.iter().all(|&v| v == 0.0 || v == 2.0), "{kept} of 1000");
    model.eval();
    assert_eq!(model.forward(&x).unwrap().to_vec::<f32>(), vec![1.0; 1000]);
}

#[test]
fn gradients_are_clipped_together() {
    let parameters: Vec<Tensor> = [3, 2].iter().map(|&n| fill(n as u64, &[n], DType::F32).with_requires_grad()).collect();
    assert_eq!(clip_grad_norm_(&parameters, 1.0, 2.0).unwrap(), 0.0);
    parameters[0].set_grad(Some(Tensor::from_vec(vec![3f32, 0.0, 0.0], 3)));
    parameters[1].set_grad(Some(Tensor::from_vec(vec![0f32, -4.0], 2)));
    for (norm, total) in [(1.0, 7.0), (2.0, 5.0), (f64::INFINITY, 4.0), (0.0, 2.0)] {
        assert_eq!(total_grad_norm(&parameters, norm).unwrap(), total);
    }
    assert_eq!(clip_grad_norm_(&parameters, 10.0, 2.0).unwrap(), 5.0);
    assert_eq!(parameters[0].grad().unwrap().to_vec::<f32>(), [3.0, 0.0, 0.0]);
    clip_grad_norm_(&parameters, 1.0, 2.0).unwrap();
    close("clipped", &parameters[1].grad().unwrap().to_f64_vec(), &[0.0, -0.8], 1e-6);
    clip_grad_value_(&parameters, 0.5).unwrap();
    close("clipped", &parameters[0].grad().unwrap().to_f64_vec(), &[0.5, 0.0, 0.0], 1e-6);
    assert!(total_grad_norm(&parameters, -1.0).is_err());

    let vector = parameters_to_vector(&parameters).unwrap();
    assert_eq!(vector.numel(), 5);
    vector_to_parameters(&(&vector.detach() * 2.0), &parameters).unwrap();
    assert_eq!(parameters_to_vector(&parameters).unwrap().to_vec::<f32>(), (&vector.detach() * 2.0).to_vec::<f32>());
    assert!(vector_to_parameters(&Tensor::from_vec(vec![0f32; 4], 4), &parameters).is_err());
}

#[test]
fn losses_take_their_settings() {
    let (x, t) = (Tensor::from_vec(vec![0f32, 2.0, 1.0, -1.0], [2, 2]), Tensor::from_vec(vec![1i64, 0], 2));
    let loss = CrossEntropyLoss { label_smoothing: 0.1, reduction: Reduction::Sum, ..Default::default() };
    // Both rows differ by two towards the right class: log(1 + e⁻²), and 0.05 · 2 for the smoothing, each.
    let wanted = 2.0 * ((1.0 + (-2f64).exp()).ln() + 0.1);
    close("cross entropy", &[loss.forward(&x, &t).unwrap().item::<f64>()], &[wanted], 1e-6);
    let weighted = CrossEntropyLoss { weight: Some(Buffer::new(Tensor::from_vec(vec![1f32, 3.0], 2))), ..Default::default() };
    assert_eq!(weighted.named_buffers().len(), 1);
    let square = MSELoss { reduction: Reduction::None };
    assert_eq!(square.forward(&x, &x).unwrap().to_vec::<f32>(), [0.0; 4]);
    assert!(square.forward(&x, &t).is_ok());
    let error = NLLLoss::default().forward(&x, &Tensor::from_vec(vec![1i64, 5], 2)).unwrap_err();
    assert!(error.message().starts_with("NLLLoss: Target 5 is out of bounds."), "{error}");
}

/// Weights are drawn in the default dtype's stream, and modules move between threads.
#[test]
fn modules_are_values() {
    let _turn = seeded(1);
    fn sendable<T: Send + Sync>(_: &T) {}
    let model = seq![LSTM::new(2, 3), Linear::new(3, 1)];
    sendable(&model);
    let names: Vec<String> = model.named_parameters().into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["0.weight_ih_l0", "0.weight_hh_l0", "0.bias_ih_l0", "0.bias_hh_l0", "1.weight", "1.bias"]);
    let y = model.forward(&Tensor::from_vec(vec![1f32; 8], [2, 2, 2])).unwrap();
    assert_eq!(y.shape().as_slice(), [2, 2, 1]);
    model.to(DType::F64).unwrap();
    assert_eq!(model.forward(&Tensor::from_vec(vec![1f64; 8], [2, 2, 2])).unwrap().dtype(), DType::F64);
    let other = seq![LSTM::new(2, 3), Linear::new(3, 1)];
    other.load_state_dict(&model.state_dict(), true).unwrap();
    let _ = Generator::default_cpu();
}
