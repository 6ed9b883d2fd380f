//! Whether the libraries do the same: networks of the same size, and losses that are finite and fall.

use crate::libraries::LIBRARIES;
use crate::sides::Sides;
use crate::worker::{Answer, Checked, Request};

/// Runs some steps of every case with every library; says whether all is well.
pub fn run(cases: &[&str], threads: usize) -> bool {
    let mut sides = Sides::default();
    let mut well = true;
    for &case in cases {
        let mut size = None;
        for library in LIBRARIES {
            let verdict = match sides.ask(library, threads, &Request::Check { case: case.to_string() }) {
                Answer::Check(checked) => judge(&checked, *size.get_or_insert(checked.parameters)),
                Answer::Failed(text) => Err(text),
                Answer::Time { .. } => Err("answered something else".to_string()),
            };
            well &= verdict.is_ok();
            let (sign, said) = verdict.map_or_else(|e| ("FAILED", e), |said| ("ok", said));
            println!("{sign:6} {case}, {}: {said}", library.name());
        }
    }
    well
}

/// Describes the training, or says what is wrong with it. Dropout makes single losses jump, so some at each end are averaged.
fn judge(checked: &Checked, expected: usize) -> Result<String, String> {
    let Checked { parameters, losses } = checked;
    let end = losses.len().div_ceil(4);
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let (first, last) = (mean(&losses[..end]), mean(&losses[losses.len() - end..]));
    let said = format!("{parameters} parameters, loss {first:.4} → {last:.4}");
    if *parameters != expected {
        Err(format!("{said}; another library has {expected} parameters"))
    } else if losses.iter().any(|loss| !loss.is_finite()) {
        Err(format!("{said}; losses {losses:?}"))
    } else if last >= first {
        Err(format!("{said}; it does not fall"))
    } else {
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_is_judged_by_its_size_and_its_losses() {
        let checked = |losses: &[f32]| Checked { parameters: 3, losses: losses.to_vec() };
        let falling = checked(&[2.0, 1.9, 1.5, 1.6, 1.0]);
        assert_eq!(judge(&falling, 3).unwrap(), "3 parameters, loss 1.9500 → 1.3000");
        assert!(judge(&falling, 4).unwrap_err().contains("another library has 4"));
        assert!(judge(&checked(&[1.0, 1.0, 1.0, 1.0]), 3).unwrap_err().contains("does not fall"));
        assert!(judge(&checked(&[1.0, f32::NAN, 0.5, 0.1]), 3).unwrap_err().contains("NaN"));
    }
}
