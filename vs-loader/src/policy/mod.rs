//! From the bytes of policy files to a policy that is valid by construction. Pure: no aya, no I/O.
