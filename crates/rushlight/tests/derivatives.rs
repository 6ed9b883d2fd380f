//! Tools built on the graph: products with Jacobians, Hessians, checkpointing, custom functions, pictures of graphs.

use rushlight::autograd::functional::{hessian, jacobian, jvp, vjp};
use rushlight::autograd::{Function, FunctionCtx, GradcheckOptions, checkpoint, gradcheck, gradgradcheck, to_dot};
use rushlight::{Result, Tensor, nn::functional as F, ops};

fn vector(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, values.len())
}

fn close(got: &Tensor, want: &[f64]) {
    let got = got.to_f64_vec();
    assert_eq!(got.len(), want.len());
    assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?} instead of {want:?}");
}

/// `[x y, x² + y, y³]`.
fn curve(x: &[Tensor]) -> Result<Tensor> {
    let (a, b) = (x[0].select(0, 0), x[0].select(0, 1));
    ops::stack(&[&a * &b, &a * &a + &b, &b * &b * &b], 0)
}

#[test]
fn jacobians_and_their_products() {
    let x = [vector(&[2.0, 3.0])];
    let j = jacobian(curve, &x, false).unwrap();
    assert_eq!(j[0].shape().as_slice(), [3, 2]);
    close(&j[0], &[3.0, 2.0, 4.0, 1.0, 0.0, 27.0]);
    let (y, g) = vjp(curve, &x, &vector(&[1.0, 10.0, 100.0])).unwrap();
    close(&y, &[6.0, 7.0, 27.0]);
    close(&g[0], &[43.0, 2712.0]);
    let (y, t) = jvp(curve, &x, &[vector(&[1.0, 10.0])]).unwrap();
    close(&y, &[6.0, 7.0, 27.0]);
    close(&t, &[23.0, 14.0, 270.0]);
    assert!(jvp(curve, &x, &[]).is_err());
    // An input that the value does not depend on, and a value that depends on nothing.
    let two = [vector(&[2.0, 3.0]), vector(&[5.0])];
    close(&jacobian(curve, &two, false).unwrap()[1], &[0.0; 3]);
    let (_, t) = jvp(|_| Ok(vector(&[1.0])), &x, &[vector(&[1.0, 1.0])]).unwrap();
    close(&t, &[0.0]);
}

#[test]
fn a_jacobian_can_be_differentiated() {
    let x = vector(&[2.0, 3.0]).with_requires_grad();
    let j = jacobian(curve, std::slice::from_ref(&x), true).unwrap().remove(0);
    j.sum().backward();
    // sum(J) = x + y + 2x + 1 + 3y²
    close(&x.grad().unwrap(), &[3.0, 19.0]);
}

#[test]
fn hessians_by_blocks() {
    let f = |x: &[Tensor]| (&x[0] * &x[0] * &x[1]).try_sum();
    let h = hessian(f, &[vector(&[2.0, 3.0]), vector(&[5.0, 7.0])]).unwrap();
    close(&h[0][0], &[10.0, 0.0, 0.0, 14.0]);
    close(&h[0][1], &[4.0, 0.0, 0.0, 6.0]);
    close(&h[1][0], &[4.0, 0.0, 0.0, 6.0]);
    close(&h[1][1], &[0.0; 4]);
    let e = hessian(curve, &[vector(&[1.0, 2.0])]).unwrap_err();
    assert!(e.message().contains("should contain a single element"), "{e}");
}

#[test]
fn checkpointing_gives_the_same_gradients_and_the_same_dropout() {
    let w = vector(&[0.5, -1.5, 2.0]).with_requires_grad();
    let segment = {
        let w = w.clone();
        move |x: &[Tensor]| Ok(vec![F::dropout(&(&x[0] * &w), 0.5, true)?.try_tanh()?])
    };
    let gradients = |checkpointed: bool| {
        rushlight::manual_seed(3);
        let x = vector(&[1.0, 2.0, 3.0]).with_requires_grad();
        w.set_grad(None);
        let y =
            if checkpointed { checkpoint(segment.clone(), &[&x]).unwrap() } else { segment(std::slice::from_ref(&x)).unwrap() };
        let after: f64 = Tensor::rand([1]).item();
        y[0].sum().backward();
        (x.grad().unwrap().to_f64_vec(), w.grad().unwrap().to_f64_vec(), after)
    };
    let plain = gradients(false);
    assert!(plain.1.iter().any(|&g| g != 0.0));
    assert_eq!(gradients(true), plain);
}

/// `x³`, with a derivative of its own.
struct Cube;

impl Function for Cube {
    const NAME: &'static str = "cube";
    fn forward(&self, ctx: &mut FunctionCtx, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        ctx.save_for_backward(inputs);
        Ok(vec![inputs[0] * inputs[0] * inputs[0]])
    }
    fn backward(&self, ctx: &FunctionCtx, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let x = &ctx.saved_tensors()[0];
        Ok(vec![grads[0].as_ref().filter(|_| ctx.needs_input_grad(0)).map(|g| g * x * x * 3.0)])
    }
}

#[test]
fn custom_functions_differentiate_twice_and_notice_overwritten_values() {
    let f = |x: &[Tensor]| Cube.apply(&[&x[0]]);
    let x = [vector(&[0.5, -1.0, 2.0]).with_requires_grad()];
    gradcheck(f, &x, GradcheckOptions::default()).unwrap();
    gradgradcheck(f, &x, GradcheckOptions::default()).unwrap();
    let middle = &x[0] * 1.0;
    let y = Cube.apply(&[&middle]).unwrap().remove(0);
    middle.mul_(2.0);
    let e = y.sum().try_backward().unwrap_err();
    assert!(e.message().contains("saved by cube at"), "{e}");
}

#[test]
fn gradcheck_finds_a_wrong_derivative() {
    struct Wrong;
    impl Function for Wrong {
        const NAME: &'static str = "wrong";
        fn forward(&self, _: &mut FunctionCtx, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
            Ok(vec![inputs[0] * 2.0])
        }
        fn backward(&self, _: &FunctionCtx, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
            Ok(vec![grads[0].as_ref().map(|g| g * 3.0)])
        }
    }
    let x = [vector(&[0.5, -1.0]).with_requires_grad()];
    let e = gradcheck(|x| Wrong.apply(&[&x[0]]), &x, GradcheckOptions::default()).unwrap_err();
    assert!(e.message().contains("input 0"), "{e}");
}

#[test]
fn graphs_as_dot() {
    let x = vector(&[1.0, 2.0]).with_requires_grad();
    let y = (&x * &x).sum();
    let dot = to_dot(&[&y]);
    for part in ["digraph", "MulBackward0", "SumBackward0", "[2] float64", "derivatives.rs"] {
        assert!(dot.contains(part), "{part:?} is not in\n{dot}");
    }
    assert_eq!(dot.matches("shape=ellipse").count(), 1);
}
