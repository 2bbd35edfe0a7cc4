//! Which exit code a failure of the loader's has. One place, so that a code means one thing whatever command it comes from.

use super::{Failure, exit_code};
use crate::context::create::CreateError;
use crate::context::enter::user::UserError;
use crate::context::enter::{EnterError, WaitError};
use crate::context::host_tree::HostTreeError;
use crate::context::join::JoinError;
use crate::context::processes::ProcessError;
use crate::context::registry::RegistryError;
use crate::context::sealed::SealError;
use crate::context::state::StateError;
use crate::context::stop::StopError;
use crate::host_files::HostFilesError;
use crate::host_network::HostNetworkError;
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
    CreateError => |_| exit_code::FAILURE;
    EnterError => of_enter;
    HostTreeError => |_| exit_code::FAILURE;
    HostFilesError => |_| exit_code::DIRECTORY_MISSING;
    HostNetworkError => of_host_network;
    JoinError => of_join;
    RegistryError => of_registry;
    SealError => |_| exit_code::FAILURE;
    StateError => of_state;
    StopError => of_stop;
    UserError => |_| exit_code::FAILURE;
    WaitError => |_| exit_code::FAILURE;
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
        PinsError::NotOurs { .. } | PinsError::Damaged { .. } | PinsError::NoBpffs | PinsError::Io { .. } => {
            exit_code::FAILURE
        }
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
        ProgramsError::Object(ObjectError::Refused { .. } | ObjectError::Program { .. }) => {
            exit_code::NO_HOOK
        }
        ProgramsError::Canary(
            CanaryError::NotDenied { .. } | CanaryError::NotCounted { .. } | CanaryError::HostDenied { .. },
        ) => exit_code::CANARY_NOT_DENIED,
        ProgramsError::Object(_) | ProgramsError::Canary(_) | ProgramsError::Share { .. } => {
            exit_code::FAILURE
        }
    }
}

fn of_apply(error: &ApplyError<ProgramsError>) -> u8 {
    match error {
        ApplyError::Programs(error) => of_programs(error),
        ApplyError::NotUndone { cause, .. } => of_apply(cause),
        _ => exit_code::FAILURE,
    }
}

fn of_host_network(error: &HostNetworkError) -> u8 {
    match error {
        HostNetworkError::Flaws(_) | HostNetworkError::Add { .. } => exit_code::ADDRESS_MISSING,
        HostNetworkError::Socket(_)
        | HostNetworkError::List { .. }
        | HostNetworkError::Restless { .. }
        | HostNetworkError::TooManySources { .. }
        | HostNetworkError::TooManyRoutes { .. }
        | HostNetworkError::Entry { .. } => exit_code::FAILURE,
    }
}

fn of_lock(error: &LockError) -> u8 {
    match error {
        LockError::Held { .. } => exit_code::LOCKED,
        LockError::NotOurs { .. } | LockError::Io { .. } => exit_code::FAILURE,
    }
}

fn of_join(error: &JoinError) -> u8 {
    match error {
        JoinError::Registry(error) => of_registry(error),
        _ => exit_code::FAILURE,
    }
}

fn of_registry(error: &RegistryError) -> u8 {
    match error {
        RegistryError::NotLoaded => exit_code::NOT_LOADED,
        RegistryError::NoSuchContext { .. } | RegistryError::NoSpectator => exit_code::NO_SUCH_CONTEXT,
        RegistryError::Dying(_) => exit_code::LOCKED,
        RegistryError::BadRow(_) => exit_code::UNKNOWN_LAYOUT,
        RegistryError::Changed(_) | RegistryError::NotTagged { .. } | RegistryError::Store(_) => {
            exit_code::FAILURE
        }
    }
}

fn of_enter(error: &EnterError) -> u8 {
    match error {
        EnterError::Registry(error) => of_registry(error),
        EnterError::Lock(error) => of_lock(error),
        _ => exit_code::FAILURE,
    }
}

fn of_state(error: &StateError) -> u8 {
    match error {
        StateError::Busy(_) => exit_code::LOCKED,
        StateError::Io { .. } => exit_code::FAILURE,
    }
}

fn of_stop(error: &StopError) -> u8 {
    match error {
        StopError::State(error) => of_state(error),
        StopError::Undead { .. } => exit_code::PROCESSES_ALIVE,
        StopError::Process(_) | StopError::Store(_) | StopError::Io { .. } => exit_code::FAILURE,
    }
}
