//! Which exit code a failure of the loader's has. One place, so that a code means one thing whatever command it comes from.

use super::{Failure, exit_code};
use crate::context::processes::ProcessError;
use crate::kernel::attach::ProgramsError;
use crate::kernel::canary::CanaryError;
use crate::kernel::object::ObjectError;
use crate::kernel::pins::PinsError;
use crate::kernel::support::Refusal;
use crate::lock::LockError;
use crate::maps::apply::ApplyError;
use crate::maps::live::OpenError;
use crate::maps::store::StoreError;

/// Gives errors their exit code on the way to [`Failure`].
macro_rules! failures {
    ($($error:ty => $code:expr;)*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let code: fn(&$error) -> u8 = $code;
                Self { code: code(&error), error: error.into() }
            }
        })*
    };
}

failures! {
    Refusal => of_refusal;
    PinsError => of_pins;
    OpenError => of_open;
    ProgramsError => of_programs;
    ApplyError<ProgramsError> => of_apply;
    LockError => of_lock;
    StoreError => |_| exit_code::FAILURE;
    ProcessError => |_| exit_code::FAILURE;
}

fn of_refusal(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::NotRoot(_) => exit_code::NOT_ROOT,
        Refusal::NoBpfLsm { .. } | Refusal::UnknownLsms(_) | Refusal::NotCompiledIn => exit_code::NO_BPF_LSM,
        Refusal::Layout(_) => exit_code::NO_KERNEL_LAYOUT,
        Refusal::MissingHooks { .. } => exit_code::NO_HOOK,
    }
}

fn of_pins(error: &PinsError) -> u8 {
    match error {
        PinsError::UnknownLayout { .. } => exit_code::UNKNOWN_LAYOUT,
        PinsError::NotOurs { .. }
        | PinsError::Damaged { .. }
        | PinsError::NoBpffs
        | PinsError::Io { .. } => exit_code::FAILURE,
    }
}

fn of_open(error: &OpenError) -> u8 {
    match error {
        OpenError::NotLoaded => exit_code::NOT_LOADED,
        OpenError::Pins(error) => of_pins(error),
        OpenError::Foreign { .. } => exit_code::UNKNOWN_LAYOUT,
        OpenError::Refused { .. } | OpenError::Store(_) => exit_code::FAILURE,
    }
}

fn of_programs(error: &ProgramsError) -> u8 {
    match error {
        ProgramsError::Refused(refusal) => of_refusal(refusal),
        ProgramsError::Pins(error) => of_pins(error),
        ProgramsError::Open(error) => of_open(error),
        ProgramsError::Object(ObjectError::Btf(_)) => exit_code::NO_KERNEL_LAYOUT,
        ProgramsError::Object(ObjectError::Refused { .. } | ObjectError::Program { .. }) => exit_code::NO_HOOK,
        ProgramsError::Canary(
            CanaryError::NotDenied { .. } | CanaryError::NotCounted { .. } | CanaryError::HostDenied { .. },
        ) => exit_code::CANARY_NOT_DENIED,
        ProgramsError::Object(_) | ProgramsError::Canary(_) | ProgramsError::Share { .. } => exit_code::FAILURE,
    }
}

fn of_apply(error: &ApplyError<ProgramsError>) -> u8 {
    match error {
        ApplyError::Programs(error) => of_programs(error),
        ApplyError::NotUndone { cause, .. } => of_apply(cause),
        _ => exit_code::FAILURE,
    }
}

fn of_lock(error: &LockError) -> u8 {
    match error {
        LockError::Held { .. } => exit_code::LOCKED,
        LockError::NotOurs { .. } | LockError::Io { .. } => exit_code::FAILURE,
    }
}
