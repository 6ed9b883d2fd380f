//! The graph: what no op sample can say. Deep and bushy graphs, in-place writes and views, hooks, modes, errors.

use rushlight::autograd::{self, GradOptions, GradcheckOptions, backward, grad, gradcheck, gradgradcheck};
use rushlight::{DType, Tensor, no_grad};

fn leaf(values: &[f64]) -> Tensor {
    Tensor::from_vec(values.to_vec(), values.len()).with_requires_grad()
}

fn grad_of(t: &Tensor) -> Vec<f64> {
    t.grad().expect("backward has filled it").to_vec::<f64>()
}

#[test]
fn a_million_additions_on_a_small_stack() {
    std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(|| {
            let x = leaf(&[1.0]);
            let mut y = x.clone();
            for _ in 0..1_000_000 {
                y = &y + 1.0;
            }
            y.backward();
            assert_eq!(grad_of(&x), [1.0]);
            drop(y);
            // A chain that is dropped without having run.
            let mut z = x.clone();
            for _ in 0..100_000 {
                z = &z * &z;
            }
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_ladder_of_diamonds_takes_each_node_once() {
    let x = leaf(&[1.0]);
    let mut y = x.clone();
    for _ in 0..60 {
        y = &y + &y;
    }
    y.backward();
    assert_eq!(grad_of(&x), [2f64.powi(60)]);
}

#[test]
fn gradients_accumulate_on_leaves_and_nowhere_else() {
    let x = leaf(&[1.0, 2.0]);
    let y = &x * 3.0;
    y.sum().backward();
    (&x * &x).sum().backward();
    assert_eq!(grad_of(&x), [5.0, 7.0]);
    assert!(y.grad().is_none());
}

#[test]
fn retained_gradients_and_hooks() {
    let x = leaf(&[1.0, 2.0]);
    let y = &x * 3.0;
    y.retain_grad().unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(vec![]));
    let log = seen.clone();
    let handle = y
        .register_hook(move |g| {
            log.lock().unwrap().push(g.to_vec::<f64>());
            Some(g * 2.0)
        })
        .unwrap();
    backward(&[&y.sum()], &[None], true, false).unwrap();
    assert_eq!(grad_of(&x), [6.0, 6.0]);
    assert_eq!(grad_of(&y), [2.0, 2.0]);
    assert_eq!(*seen.lock().unwrap(), [[1.0, 1.0]]);
    handle.remove();
    y.sum().backward();
    assert_eq!(grad_of(&x), [9.0, 9.0]);

    let z = leaf(&[1.0]);
    z.register_hook(|g| Some(g * 10.0)).unwrap();
    // Called once with the whole gradient, though it arrives in two parts.
    (&z + &z).sum().backward();
    assert_eq!(grad_of(&z), [20.0]);

    let w = leaf(&[1.0]);
    let v = &w * 5.0;
    v.grad_fn().unwrap().register_hook(|gs, _| Ok(Some(gs.iter().map(|g| g.as_ref().map(|g| g * 0.0)).collect())));
    v.sum().backward();
    assert_eq!(grad_of(&w), [0.0]);
}

#[test]
fn grad_leaves_leaves_alone_and_checks_what_is_unused() {
    let (x, y) = (leaf(&[2.0]), leaf(&[3.0]));
    let z = (&x * &x).sum();
    let both = grad(&[&z], &[&x, &y], &[], GradOptions { allow_unused: true, retain_graph: true, ..Default::default() }).unwrap();
    assert_eq!(both[0].as_ref().unwrap().to_vec::<f64>(), [4.0]);
    assert!(both[1].is_none() && x.grad().is_none());
    let e = grad(&[&z], &[&y], &[], GradOptions { retain_graph: true, ..Default::default() }).unwrap_err();
    assert!(e.message().contains("appears to not have been used in the graph"), "{e}");
    let e = grad(&[&z], &[&Tensor::scalar(1.0)], &[], GradOptions::default()).unwrap_err();
    assert!(e.message().contains("does not require grad"), "{e}");
    // An intermediate is a fair input, and nothing behind it is computed.
    let m = &x * 2.0;
    let out = (&m * &m).sum();
    let g = grad(&[&out], &[&m], &[], GradOptions::default()).unwrap();
    assert_eq!(g[0].as_ref().unwrap().to_vec::<f64>(), [8.0]);
}

#[test]
fn third_derivative() {
    let x = leaf(&[2.0]);
    let options = GradOptions { create_graph: true, ..Default::default() };
    let mut y = &(&x * &x) * &(&x * &x);
    for expected in [32.0, 48.0, 48.0] {
        y = grad(&[&y], &[&x], &[], options).unwrap().remove(0).unwrap();
        assert_eq!(y.to_vec::<f64>(), [expected]);
    }
}

#[test]
fn broadcast_and_mixed_dtypes_follow_the_edge_rule() {
    let x = leaf(&[1.0, 2.0, 3.0]);
    let w = Tensor::from_vec(vec![1f32, 2.0], [2, 1]).with_requires_grad();
    (&x * &w).sum().backward();
    assert_eq!(grad_of(&x), [3.0; 3]);
    let g = w.grad().unwrap();
    assert_eq!((g.dtype(), g.shape().to_vec(), g.to_vec::<f32>()), (DType::F32, vec![2, 1], vec![6.0, 6.0]));
}

#[test]
fn errors_of_backward() {
    let x = leaf(&[1.0, 2.0]);
    let e = (&x * 2.0).try_backward().unwrap_err();
    assert!(e.message().contains("grad can be implicitly created only for scalar outputs"), "{e}");
    let e = Tensor::scalar(1.0).try_backward().unwrap_err();
    assert!(e.message().contains("element 0 of tensors does not require grad"), "{e}");
    let y = (&x * &x).sum();
    y.backward();
    let e = y.try_backward().unwrap_err();
    assert!(e.message().contains("backward through the graph a second time"), "{e}");
    let _guard = no_grad();
    assert!(!(&x * 2.0).requires_grad());
}

#[test]
fn overwritten_saved_values_are_refused_with_both_lines() {
    let x = leaf(&[1.0, 2.0]);
    let y = &x * 2.0;
    let z = &y * &y;
    y.add_(1.0);
    let e = z.sum().try_backward().unwrap_err().message().to_string();
    for part in ["modified by an inplace operation", "float64 [2]", "saved by mul at", "overwritten by add_ at", "autograd.rs"] {
        assert!(e.contains(part), "{part:?} is not in: {e}");
    }
}

#[test]
fn in_place_keeps_the_old_value_for_its_own_derivative() {
    let x = leaf(&[1.0, 2.0]);
    let w = leaf(&[3.0, 5.0]);
    let y = &x * 1.0;
    y.mul_(&w);
    y.sum().backward();
    assert_eq!((grad_of(&x), grad_of(&w)), (vec![3.0, 5.0], vec![1.0, 2.0]));
    // The same through shared memory, where the old value must be copied.
    let (x, w) = (leaf(&[1.0, 2.0]), leaf(&[3.0, 5.0]));
    let y = &x * 1.0;
    let _view = y.reshape([2, 1]);
    y.mul_(&w);
    y.sum().backward();
    assert_eq!((grad_of(&x), grad_of(&w)), (vec![3.0, 5.0], vec![1.0, 2.0]));
}

#[test]
fn in_place_on_leaves_and_their_views() {
    let x = leaf(&[1.0, 2.0]);
    let e = x.try_add_(1.0).unwrap_err();
    assert_eq!(e.message(), "a leaf Variable that requires grad is being used in an in-place operation.");
    let e = x.reshape([2, 1]).try_add_(1.0).unwrap_err();
    assert!(e.message().starts_with("a view of a leaf Variable"), "{e}");
    let _guard = no_grad();
    x.add_(1.0);
    assert_eq!(x.to_vec::<f64>(), [2.0, 3.0]);
    assert_eq!(x.version(), 1);
}

#[test]
fn writing_through_a_view_changes_the_base_and_its_history() {
    let w = leaf(&[10.0, 20.0]);
    let base = Tensor::from_vec(vec![1.0, 2.0, 3.0, 4.0], [2, 2]);
    let view = base.reshape([4]).reshape([2, 2]);
    view.mul_(&w);
    assert!(base.requires_grad() && view.requires_grad());
    assert_eq!(base.to_vec::<f64>(), [10.0, 40.0, 30.0, 80.0]);
    (&base * &base).sum().backward();
    // d/dw_j of sum_i (b_ij w_j)^2 = 2 w_j sum_i b_ij^2
    assert_eq!(grad_of(&w), [2.0 * 10.0 * 10.0, 2.0 * 20.0 * 20.0]);

    // The view's history is rebuilt from the base, and the base's from the view, in turn.
    let x = leaf(&[1.0, 2.0]);
    let a = &x * 1.0;
    let v = a.unsqueeze(0);
    a.mul_(3.0);
    v.mul_(v.copy());
    (&a + &v).sum().backward();
    assert_eq!(grad_of(&x), [2.0 * 18.0, 2.0 * 36.0]);
}

#[test]
fn in_place_through_views_has_second_derivatives() {
    let f = |args: &[Tensor]| {
        let base = &args[0] * 1.0;
        let v = base.reshape([3, 2]);
        v.mul_(&args[1]);
        let again = v.reshape([6]);
        again.mul_(again.copy());
        Ok(vec![&base * &base])
    };
    let inputs = [leaf(&[0.5, -1.0, 1.5, 2.0, 0.7, -0.3]), leaf(&[1.3, -0.6])];
    gradcheck(f, &inputs, GradcheckOptions::default()).unwrap();
    gradgradcheck(f, &inputs, GradcheckOptions::default()).unwrap();
}

#[test]
fn in_place_shape_dtype_and_overlap_errors() {
    let x = Tensor::from_vec(vec![1i64, 2], 2);
    let e = x.try_add_(0.5).unwrap_err();
    assert!(e.message().contains("result type Float can't be cast to the desired output type Long"), "{e}");
    let e = x.try_add_(Tensor::from_vec(vec![1i64, 2], [2, 1])).unwrap_err();
    assert!(e.message().contains("output with shape [2] doesn't match the broadcast shape [2, 2]"), "{e}");
    let e = Tensor::scalar(1.0).expand([3]).try_add_(1.0).unwrap_err();
    assert!(e.message().contains("single memory location"), "{e}");
    assert_eq!(x.to_vec::<i64>(), [1, 2]);
}

#[test]
fn views_made_without_grad_may_not_be_written_with_it() {
    let x = &leaf(&[1.0, 2.0]) * 1.0;
    let v = {
        let _guard = no_grad();
        x.reshape([2, 1])
    };
    let e = v.try_mul_(2.0).unwrap_err();
    assert!(e.message().contains("created in no_grad mode"), "{e}");
}

#[test]
fn inference_tensors_stay_out_of_graphs() {
    let t = {
        let _guard = rushlight::inference_mode();
        Tensor::from_vec(vec![1.0], 1)
    };
    let x = leaf(&[1.0]);
    let e = t.try_mul(&x).unwrap_err();
    assert!(e.message().contains("Inference tensors cannot be saved for backward"), "{e}");
    assert!(t.try_add_(1.0).unwrap_err().message().contains("inference tensor outside InferenceMode"));
    assert_eq!(t.copy().mul(&x).to_vec::<f64>(), [1.0]);
}

#[test]
fn anomaly_mode_names_op_and_line() {
    let _guard = autograd::detect_anomaly();
    let x = leaf(&[0.0]);
    let y = &x / &x;
    let e = y.sum().try_backward().unwrap_err();
    assert!(e.message().contains("Function 'DivBackward0' returned nan values in its 1th output"), "{e}");
    assert!(e.message().contains("autograd.rs"), "{e}");
}

#[test]
fn graphs_are_shared_between_threads() {
    let x = leaf(&[1.0, 2.0]);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let y = (&x * &x).sum();
                let g = grad(&[&y], &[&x], &[], GradOptions::default()).unwrap();
                assert_eq!(g[0].as_ref().unwrap().to_vec::<f64>(), [2.0, 4.0]);
            });
        }
    });
}

#[test]
fn no_cycle_keeps_memory_alive() {
    // Each pattern once made a node own itself in some library: saved outputs, in-place on saved, views of written bases.
    let before = {
        let x = leaf(&[1.0; 1000]);
        std::sync::Arc::downgrade(&x.storage())
    };
    assert!(before.upgrade().is_none());
    let x = leaf(&[1.0; 1000]);
    let weak = {
        let y = &x / 2.0;
        let v = y.reshape([10, 100]);
        v.mul_(v.copy());
        let z = &y * &v.reshape([1000]);
        z.add_(&y);
        [y.storage(), v.storage(), z.storage()].map(|s| std::sync::Arc::downgrade(&s))
    };
    assert!(weak.iter().all(|w| w.upgrade().is_none()));
}
