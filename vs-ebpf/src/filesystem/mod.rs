//! Files: those of the host's mount tree through which a process could reach past its context, and whose the others are. Attached only while
//! a context lives there, or policy gives directories to somebody.

mod barrier;
mod execute;
mod modify;
mod numbers;
mod open;
mod owner;
mod receive;
mod request;
