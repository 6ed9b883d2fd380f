//! Facts about no single op: promotion, printing, and the streams of random numbers.

use super::{difference, read, report};
use rushlight::op::sample::Sample;
use rushlight::op::{Value, bind};
use rushlight::{DType, Generator, Scalar, Tensor, ops, result_type};
use serde_json::Value as Json;

fn dtype(name: &str) -> DType {
    DType::from_name(name).unwrap_or_else(|| panic!("no dtype {name}"))
}

fn texts(row: &Json) -> [&str; 3] {
    [0, 1, 2].map(|i| row[i].as_str().expect("a text"))
}

#[test]
fn dtypes_promote() {
    let facts = read("facts");
    let rows = facts["promote"].as_array().unwrap();
    assert_eq!(rows.len(), DType::ALL.len().pow(2));
    for row in rows {
        let [a, b, wanted] = texts(row);
        assert_eq!(dtype(a).promote(dtype(b)).to_string(), wanted, "{a} with {b}");
    }
}

/// `float32[2]`, `float32[]`, or a bare number.
fn operand(text: &str) -> Tensor {
    if let Some(name) = text.strip_suffix("[2]") {
        return Tensor::ones(2).to(dtype(name));
    }
    if let Some(name) = text.strip_suffix("[]") {
        return Tensor::scalar(1.0).to(dtype(name));
    }
    Tensor::wrapped_number(match text {
        "True" => Scalar::Bool(true),
        "1" => Scalar::Int(1),
        _ => Scalar::Float(1.5),
    })
}

#[test]
fn operands_promote() {
    let facts = read("facts");
    let rows = facts["result_type"].as_array().unwrap();
    assert!(rows.len() >= 400);
    for row in rows {
        let [a, b, wanted] = texts(row);
        let (x, y) = (operand(a), operand(b));
        assert_eq!(result_type(&[&x, &y]).to_string(), wanted, "{a} with {b}");
        assert_eq!(result_type(&[&y, &x]).to_string(), wanted, "{b} with {a}");
    }
}

fn f32s<const N: usize>(values: [f32; N]) -> Tensor {
    Tensor::from_vec(values.to_vec(), N)
}

/// The tensor that a Python expression makes.
fn shown(expression: &str) -> Tensor {
    let arange = |n: i64| Tensor::arange(0..n);
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    match expression {
        "torch.arange(6).reshape(2,3)" => arange(6).reshape([2, 3]),
        "torch.tensor([[1.5,-2.25,1000.0],[0.0,float('nan'),float('inf')]])" => {
            f32s([1.5, -2.25, 1000.0, 0.0, nan, inf]).reshape([2, 3])
        }
        "torch.tensor([1e-5,1.0,123456.0])" => f32s([1e-5, 1.0, 123456.0]),
        "torch.tensor([1.0,1e9])" => f32s([1.0, 1e9]),
        "torch.tensor([1.0,-20.0,0.0])" => f32s([1.0, -20.0, 0.0]),
        "torch.tensor([1.0,float('inf')])" => f32s([1.0, inf]),
        "torch.tensor(1.23456)" => Tensor::scalar(1.23456f32),
        "torch.tensor([True,False])" => Tensor::from_vec(vec![true, false], 2),
        "torch.empty(0)" => Tensor::empty(0),
        "torch.empty(0,3,dtype=torch.int64)" => Tensor::empty([0, 3]).to(DType::I64),
        "torch.tensor([1.5,2.0],dtype=torch.float16)" => f32s([1.5, 2.0]).to(DType::F16),
        "torch.arange(2000.0)" => arange(2000).to(DType::F32),
        "torch.arange(4000.0).reshape(40,100)" => arange(4000).to(DType::F32).reshape([40, 100]),
        "torch.arange(30)" => arange(30),
        "torch.arange(8).reshape(2,2,2)" => arange(8).reshape([2, 2, 2]),
        "torch.ones(3,requires_grad=True)" => Tensor::ones(3).with_requires_grad(),
        "torch.ones(3,requires_grad=True)*2" => Tensor::ones(3).with_requires_grad() * 2,
        "(torch.arange(12,dtype=torch.float64).reshape(1,12)*1.5).requires_grad_()" => {
            (arange(12).to(DType::F64).reshape([1, 12]) * 1.5).with_requires_grad()
        }
        "torch.tensor([[1]],dtype=torch.int32)" => Tensor::from_vec(vec![1i32], [1, 1]),
        other => panic!("say here how to make {other}"),
    }
}

#[test]
fn tensors_print() {
    let facts = read("facts");
    let rows = facts["repr"].as_array().unwrap();
    assert!(rows.len() >= 19);
    for row in rows {
        let expression = row[0].as_str().unwrap();
        assert_eq!(shown(expression).to_string(), row[1].as_str().unwrap(), "{expression}");
    }
}

/// Draws bit for bit, and the generator's state after them.
#[test]
fn streams_of_random_numbers() {
    let facts = read("facts");
    let mut draws = 0;
    let mut differences = String::new();
    for stream in facts["streams"].as_array().unwrap() {
        let seed = stream["seed"].as_u64().unwrap();
        let generator = Generator::new(seed);
        for draw in stream["draws"].as_array().unwrap() {
            let (name, text) = (draw[0].as_str().unwrap(), draw[1].as_str().unwrap());
            let (positional, mut keyword) = Sample::parse(text).unwrap().make(DType::F32).unwrap();
            keyword.push(("generator".into(), Value::Generator(generator.clone())));
            let (def, values) = bind::resolve(name, positional, keyword).unwrap_or_else(|e| panic!("{name}({text}): {e}"));
            let result = bind::invoke(def, &values).unwrap_or_else(|e| panic!("{name}({text}): {e}"));
            if let Some(d) = difference(&result.tensors()[0], &draw[2], 0.0) {
                differences += &format!("seed {seed}: {name}({text}): {d}\n");
            }
            draws += 1;
        }
        let state = generator.state();
        assert_eq!(state.len() as u64, stream["state_len"].as_u64().unwrap());
        let sum: u64 = state.iter().map(|&b| b as u64).sum();
        if sum != stream["state_sum"].as_u64().unwrap() {
            differences += &format!("seed {seed}: the generator's state\n");
        }
    }
    report(&format!("{draws} draws of random numbers compared"));
    assert!(differences.is_empty(), "\n{differences}");
    // A wrong word in the state changes what follows: one more draw after a round trip.
    let (a, b) = (Generator::new(1), Generator::new(2));
    ops::randn(&[21], Some(&a), None).unwrap();
    b.set_state(&a.state()).unwrap();
    let next = |g: &Generator| ops::randn(&[5], Some(g), None).unwrap().to_vec::<f32>();
    assert_eq!(next(&a), next(&b));
}
