//! The graph as a picture: Graphviz DOT.

use super::node::{Edge, Node};
use crate::Tensor;
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

/// The graph behind `tensors` in Graphviz's DOT language: recorded ops as boxes with their source lines, leaves as ellipses with their
/// shapes. `dot -Tsvg graph.dot > graph.svg` draws it.
pub fn to_dot(tensors: &[&Tensor]) -> String {
    let mut out = String::from("digraph autograd {\n  rankdir=BT;\n  node [fontname=\"monospace\", fontsize=10];\n");
    let mut seen: HashSet<u64> = HashSet::new();
    let mut leaves = HashSet::new();
    let mut stack: Vec<Arc<Node>> = Vec::new();
    for (i, t) in tensors.iter().enumerate() {
        let _ = writeln!(out, "  out{i} [label=\"output {i}\\n{:?}\", shape=plaintext];", t.shape().as_slice());
        if let Some(n) = t.grad_fn() {
            let _ = writeln!(out, "  n{} -> out{i};", n.seq);
            stack.push(n);
        }
    }
    while let Some(n) = stack.pop() {
        if !seen.insert(n.seq) {
            continue;
        }
        let place = n.location().map_or(String::new(), |l| format!("\\n{}:{}", escape(l.file()), l.line()));
        let _ = writeln!(out, "  n{} [label=\"{}{place}\", shape=box];", n.seq, n.name());
        for edge in &n.edges {
            match edge {
                Edge::None => {}
                Edge::Node(m, _) => {
                    let _ = writeln!(out, "  n{} -> n{};", m.seq, n.seq);
                    stack.push(m.clone());
                }
                Edge::Leaf(t) => {
                    let id = Arc::as_ptr(&t.0) as usize;
                    if leaves.insert(id) {
                        let _ =
                            writeln!(out, "  leaf{id:x} [label=\"{:?} {}\", shape=ellipse];", t.shape().as_slice(), t.dtype());
                    }
                    let _ = writeln!(out, "  leaf{id:x} -> n{};", n.seq);
                }
            }
        }
    }
    out.push_str("}\n");
    out
}

fn escape(s: &str) -> String {
    s.replace('\\', "\\\\").replace('"', "\\\"")
}
