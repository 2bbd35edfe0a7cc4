//! What is left of many batches: a figure.

use serde::{Deserialize, Serialize};

use crate::worker::Batches;

/// What one operation takes, in the run's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Of all batches the least.
    pub(crate) minimum: f64,
    /// Half of the batches took less. This is *the* figure: a batch with a tick of the kernel's clock in it does not move it.
    pub(crate) median: f64,
    /// Of all batches the most.
    pub(crate) maximum: f64,
}

impl Figure {
    /// Of batches, of which there is at least one.
    #[expect(clippy::cast_precision_loss, reason = "a batch takes far less than 2^52 of anything")]
    pub(crate) fn of(batches: &Batches) -> Option<Self> {
        let mut elapsed = batches.elapsed.clone();
        elapsed.sort_unstable();
        let per_operation = |batch: u64| batch as f64 / f64::from(batches.size);
        Some(Self {
            minimum: per_operation(*elapsed.first()?),
            median: per_operation(elapsed[elapsed.len() / 2]),
            maximum: per_operation(*elapsed.last()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_was_interrupted_does_not_move_the_median() {
        let quiet = Batches { size: 10, elapsed: vec![1000, 1000, 1010] };
        let interrupted = Batches { size: 10, elapsed: vec![9000, 1000, 1010, 1000, 1000] };
        let (quiet, interrupted) =
            (Figure::of(&quiet).expect("three"), Figure::of(&interrupted).expect("five"));
        assert_eq!(quiet, Figure { minimum: 100.0, median: 100.0, maximum: 101.0 });
        assert_eq!((interrupted.median, interrupted.maximum), (100.0, 900.0));
        assert_eq!(Figure::of(&Batches { size: 1, elapsed: vec![] }), None);
    }
}
