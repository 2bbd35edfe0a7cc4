//! `vs doctor`: what this kernel can enforce, and whether it really does.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use vs_common::hook::Hook;

use super::output::Output;
use super::processes::join_host;
use super::{CommandResult, Failure, exit_code, services};
use crate::compile::needed_hooks;
use crate::host_sockets::{CURE, Service};
use crate::kernel::attach::ProgramsError;
use crate::kernel::object::{EMBEDDED, canary_of};
use crate::kernel::pins::Pins;
use crate::kernel::support::{GuaranteeSupport, Level, Refusal, Support, guarantees};
use crate::kernel::watch::{State, watch};
use crate::kernel::{canary, trial};
use crate::lock::{Lock, PATIENCE};
use crate::maps::apply::rows_of;
use crate::maps::live::{LiveStore, OpenError};
use crate::maps::store::Store;

/// The answer.
#[derive(Serialize, Debug)]
struct Answer {
    kernel: String,
    /// Whether the kernel was built with the BPF LSM.
    compiled_in: Check,
    /// Whether the kernel asks it.
    active: Check,
    /// Whether a forbidden act was really denied, and an allowed one was not.
    canary: Check,
    /// Whether a policy is loaded; if not, the canary was tried on programs attached for a moment.
    loaded: bool,
    guarantees: Vec<GuaranteeAnswer>,
    /// Services on ANY, whose ports no context with addresses can have.
    services_in_the_way: Vec<Service>,
    /// Why it is not known which there are.
    services_unknown: Option<String>,
}

/// One of the three questions.
#[derive(Serialize, Debug)]
struct Check {
    /// Null: it could not be found out.
    is_so: Option<bool>,
    /// What is behind it, or what to change.
    detail: String,
}

#[derive(Serialize, Debug)]
struct GuaranteeAnswer {
    guarantee: &'static str,
    /// "full", "partial" or "none".
    support: &'static str,
    hooks: Vec<&'static str>,
    missing: Vec<&'static str>,
    /// Why it is not full, and what to change.
    why: Option<String>,
}

/// What was tried, beyond looking.
#[derive(Debug)]
struct Trial {
    is_loaded: bool,
    failed: BTreeMap<Hook, String>,
    canary: Result<(), ProgramsError>,
}

/// Examines the kernel.
pub(super) fn run(output: Output) -> CommandResult {
    let support = Support::probe();
    let refusal = support.refusal();
    let (trial, canary) = match &refusal {
        Some(refusal) => (None, Check { is_so: None, detail: format!("not tried: {refusal}") }),
        None => match try_it(&support) {
            Ok(trial) => {
                let check = check_of(&trial);
                (Some(trial), check)
            }
            Err(failure) => (None, Check { is_so: None, detail: format!("not tried: {:#}", failure.error) }),
        },
    };
    let obstacle = match (&refusal, canary.is_so) {
        (Some(refusal), _) => Some(refusal.to_string()),
        (None, Some(true)) => None,
        (None, _) => Some(canary.detail.clone()),
    };
    let nothing = BTreeMap::new();
    let guarantees = guarantees(obstacle.as_deref(), trial.as_ref().map_or(&nothing, |trial| &trial.failed));
    let is_full = guarantees.iter().all(|guarantee| guarantee.level == Level::Full);
    let (services, services_unknown) = match services::find() {
        Ok(services) => (services, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let answer = Answer {
        compiled_in: compiled_in(&support),
        active: active(&support),
        kernel: support.release,
        canary,
        loaded: trial.is_some_and(|trial| trial.is_loaded),
        guarantees: guarantees.into_iter().map(GuaranteeAnswer::of).collect(),
        services_in_the_way: services,
        services_unknown,
    };
    output.answer(&answer, print)?;
    Ok(match refusal {
        Some(Refusal::NotRoot(_)) => exit_code::NOT_ROOT,
        _ if is_full => exit_code::SUCCESS,
        _ => exit_code::PARTIAL_SUPPORT,
    })
}

/// Tries the canary on what is loaded, or on programs attached for a moment.
fn try_it(support: &Support) -> Result<Trial, Failure> {
    join_host(support)?;
    let _lock = Lock::shared(PATIENCE)?;
    let mut store = match LiveStore::open() {
        Ok(store) => store,
        Err(OpenError::NotLoaded) => {
            let tried = trial::run(EMBEDDED, support)?;
            print_verifier_logs(&tried.verifier_logs);
            return Ok(Trial { is_loaded: false, failed: tried.failed, canary: tried.canary });
        }
        Err(error) => return Err(error.into()),
    };
    let failed = detached(support, &store)?;
    let object = Pins::default().object_of(store.epoch()?).unwrap_or_default();
    let canary = canary::run(&mut store, canary_of(&object)).map_err(ProgramsError::from);
    Ok(Trial { is_loaded: true, failed, canary })
}

/// Prints what the verifier said, if that was asked for as `vs load --verifier-log` does by its variable.
#[expect(clippy::print_stderr, reason = "beside the answer, for a program's author")]
fn print_verifier_logs(logs: &[(Hook, String)]) {
    if std::env::var_os("VS_VERIFIER_LOG").is_some_and(|value| value == "1") {
        for (hook, log) in logs {
            eprintln!("{}:\n{log}", hook.name());
        }
    }
}

/// The hooks that the kernel lacks, and those that the policy in force needs and that are not attached.
fn detached(support: &Support, store: &LiveStore) -> Result<BTreeMap<Hook, String>, OpenError> {
    let mut failed = trial::missing(support);
    let epoch = store.epoch()?;
    let needed = support.expected(needed_hooks(&rows_of(store, epoch)?));
    let Ok(types) = &support.types else { return Ok(failed) };
    // Only counting can fail, and nothing is counted.
    let watched = watch(&Pins::default(), types, epoch, None).unwrap_or_default();
    for hook in needed {
        if watched.get(&hook).is_none_or(|watch| watch.state != State::Attached) {
            failed
                .entry(hook)
                .or_insert_with(|| "it is not attached just now; load the policy again".to_owned());
        }
    }
    Ok(failed)
}

fn check_of(trial: &Trial) -> Check {
    let detail = match &trial.canary {
        Ok(()) => "a guest's forbidden acts were denied, the host's were not".to_owned(),
        // One program less may be all that is wrong.
        Err(error) => trial
            .failed
            .iter()
            .fold(error.to_string(), |text, (hook, why)| format!("{text}; {}: {why}", hook.name())),
    };
    Check { is_so: Some(trial.canary.is_ok()), detail }
}

fn compiled_in(support: &Support) -> Check {
    match &support.types {
        Err(error) => Check { is_so: None, detail: error.to_string() },
        Ok(_) if support.is_compiled_in() => {
            Check { is_so: Some(true), detail: "the kernel has the BPF LSM's hooks".to_owned() }
        }
        Ok(_) => Check { is_so: Some(false), detail: Refusal::NotCompiledIn.to_string() },
    }
}

fn active(support: &Support) -> Check {
    match &support.lsms {
        Ok(active) if support.is_active() == Some(true) => {
            Check { is_so: Some(true), detail: format!("the kernel asks {}", active.join(",")) }
        }
        Ok(active) => {
            Check { is_so: Some(false), detail: Refusal::NoBpfLsm { active: active.clone() }.to_string() }
        }
        Err(error) => Check { is_so: None, detail: error.to_string() },
    }
}

impl GuaranteeAnswer {
    fn of(guarantee: GuaranteeSupport) -> Self {
        let names = |hooks: &[Hook]| hooks.iter().map(|hook| hook.name()).collect();
        let (support, missing, why) = match guarantee.level {
            Level::Full => ("full", Vec::new(), None),
            Level::Partial { missing } => {
                let hooks: Vec<_> = missing.iter().map(|(hook, _)| *hook).collect();
                let why: Vec<_> =
                    missing.iter().map(|(hook, why)| format!("{}: {why}", hook.name())).collect();
                ("partial", names(&hooks), Some(why.join("; ")))
            }
            Level::None { why } => ("none", names(&guarantee.hooks), Some(why)),
        };
        Self { guarantee: guarantee.guarantee, support, hooks: names(&guarantee.hooks), missing, why }
    }
}

fn print(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "kernel       {}", answer.kernel)?;
    for (question, check) in
        [("compiled in", &answer.compiled_in), ("active", &answer.active), ("canary", &answer.canary)]
    {
        let word = match check.is_so {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "unknown",
        };
        writeln!(out, "{question:<12} {word}: {}", check.detail)?;
    }
    writeln!(out)?;
    // One obstacle for all is told once, above.
    let common = answer.guarantees.first().and_then(|guarantee| guarantee.why.as_ref());
    let is_common = answer.guarantees.iter().all(|guarantee| guarantee.why.as_ref() == common);
    for guarantee in &answer.guarantees {
        writeln!(out, "{:<8} {}", guarantee.support, guarantee.guarantee)?;
        if let Some(why) = guarantee.why.as_ref().filter(|_| !is_common) {
            writeln!(out, "         {why}")?;
        }
    }
    print_services(answer, out)
}

fn print_services(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    if let Some(why) = &answer.services_unknown {
        writeln!(out, "\nservices in the way of contexts with addresses are unknown: {why}")?;
    }
    if answer.services_in_the_way.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", services::HEADING)?;
    for service in &answer.services_in_the_way {
        writeln!(out, "  {service}")?;
    }
    writeln!(out, "  {CURE}")
}
