//! From a valid policy to the rows of the kernel's maps. Pure: no aya, no I/O.
