//! Sockets without a kernel.

use std::collections::{BTreeMap, BTreeSet};

use super::holder::Holder;
use super::*;
use crate::audit::printable::Printable;

mod message;
mod service;
mod stray;
