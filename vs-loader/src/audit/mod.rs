//! What the programs denied, from the ring buffer to a line of the audit.
