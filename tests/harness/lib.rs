//! The harness of the guarantees.
