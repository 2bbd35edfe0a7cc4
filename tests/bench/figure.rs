//! What is left of many batches: a figure.

use serde::{Deserialize, Serialize};

use crate::clock::Unit;
use crate::worker::Batches;

/// What one operation takes, in the run's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Of all batches the least.
    pub(crate) minimum: f64,
    /// *The* figure. Of instructions the least: the same path is the same instructions, and what a batch has beyond them is a tick of the
    /// kernel's clock, or what the kernel frees and refills now and then. Of time the median.
    pub(crate) usual: f64,
    /// Of all batches the most.
    pub(crate) maximum: f64,
}

impl Figure {
    /// Of batches, of which there is at least one.
    #[expect(clippy::cast_precision_loss, reason = "a batch takes far less than 2^52 of anything")]
    pub(crate) fn of(batches: &Batches, unit: Unit) -> Option<Self> {
        let mut elapsed = batches.elapsed.clone();
        elapsed.sort_unstable();
        let per_operation = |batch: u64| batch as f64 / f64::from(batches.size);
        Some(Self {
            minimum: per_operation(*elapsed.first()?),
            usual: per_operation(match unit {
                Unit::Instructions => *elapsed.first()?,
                Unit::Nanoseconds => elapsed[elapsed.len() / 2],
            }),
            maximum: per_operation(*elapsed.last()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_was_interrupted_moves_no_figure() {
        let quiet = Batches { size: 10, elapsed: vec![1000, 1020, 1010] };
        let interrupted = Batches { size: 10, elapsed: vec![9000, 1000, 1020, 1000, 1010] };
        for (unit, usual) in [(Unit::Instructions, 100.0), (Unit::Nanoseconds, 101.0)] {
            let quiet = Figure::of(&quiet, unit).expect("three");
            let interrupted = Figure::of(&interrupted, unit).expect("five");
            assert_eq!(quiet, Figure { minimum: 100.0, usual, maximum: 102.0 });
            assert_eq!((interrupted.usual, interrupted.maximum), (usual, 900.0));
            assert_eq!(Figure::of(&Batches { size: 1, elapsed: vec![] }, unit), None);
        }
    }
}
