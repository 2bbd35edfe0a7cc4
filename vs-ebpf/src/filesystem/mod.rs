//! Files of the host's mount tree through which a process could reach past its context. Attached only while a context lives there.

mod modify;
mod open;
