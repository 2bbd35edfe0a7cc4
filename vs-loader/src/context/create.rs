//! Contexts that no policy file names: their rows.
//!
//! They get the lowest free number of the upper range and a name of their own. A number may come again, a generation never:
//! what is left of an earlier context of that number belongs to nobody.

use std::str::FromStr;

use vs_common::capability::DEFAULT_SET;
use vs_common::id::{Generation, Xid};
use vs_common::policy_entry::{ContextRules, Mode, ProcMode, context_flag};

use crate::compile::{Rows, name_of};
use crate::policy::{ContextName, NameError, RecordRate};

/// Why a context cannot be created or removed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CreateError {
    /// Not a name.
    #[error("{name} cannot be a context's name: {cause}")]
    BadName {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        cause: NameError,
    },
    /// Another context has the name.
    #[error("there is a context {name} already, with xid {xid}; choose another name")]
    NameTaken {
        /// The name.
        name: String,
        /// Whose it is.
        xid: Xid,
    },
    /// All numbers are in use.
    #[error(
        "every xid from {} to {} is in use; remove contexts with `vs context remove`",
        Xid::FIRST_DYNAMIC,
        Xid::LAST_DYNAMIC
    )]
    NoneFree,
    /// A policy file names it.
    #[error(
        "the context {0} comes from a policy file; take it out there and load the policy again, or stop it with `vs kill --all {0}`"
    )]
    Static(String),
}

/// What a context is to be like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wish<'n> {
    /// Its name; none: it gets one from its number.
    pub name: Option<&'n str>,
    /// What becomes of denials.
    pub mode: Mode,
    /// How it sees processes.
    pub proc_mode: ProcMode,
    /// Bits of [`context_flag`] beside [`context_flag::DYNAMIC`].
    pub flags: u32,
}

/// The row of a new context among those in force, and its number.
///
/// # Errors
/// The name is none or taken, or no number is free.
pub fn row(rows: &Rows, wish: &Wish<'_>) -> Result<(Xid, ContextRules), CreateError> {
    let xid = (Xid::FIRST_DYNAMIC.0..=Xid::LAST_DYNAMIC.0)
        .map(Xid)
        .find(|xid| !rows.contains_key(xid))
        .ok_or(CreateError::NoneFree)?;
    let name = wish.name.map_or_else(|| format!("dynamic-{xid}"), str::to_owned);
    let checked =
        ContextName::from_str(&name).map_err(|cause| CreateError::BadName { name: name.clone(), cause })?;
    if let Some((xid, _)) = rows.iter().find(|(_, rules)| name_of(rules) == name) {
        return Err(CreateError::NameTaken { name, xid: *xid });
    }
    // The second lock on /proc is for all contexts or for none.
    let lock = rows.values().fold(0, |flags, rules| flags | rules.flags & context_flag::PROC_LOCK);
    let (records_per_second, record_burst) = RecordRate::DEFAULT;
    let rules = ContextRules {
        // The one that it gets is known only when the row is written.
        generation: Generation(0),
        mode: wish.mode as u32,
        proc_mode: wish.proc_mode as u32,
        flags: context_flag::DYNAMIC | lock | wish.flags,
        records_per_second,
        record_burst,
        reserved: 0,
        capabilities: DEFAULT_SET,
        capabilities_max: DEFAULT_SET,
        name: checked.to_padded(),
    };
    Ok((xid, rules))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish<'_> =
        Wish { name: Some("try"), mode: Mode::Observe, proc_mode: ProcMode::Hidepid, flags: 0 };

    fn rows(names: &[(u32, &str, u32)]) -> Rows {
        names
            .iter()
            .map(|(xid, name, flags)| {
                let (_, rules) = row(&Rows::new(), &Wish { name: Some(name), ..WISH }).unwrap();
                (Xid(*xid), ContextRules { flags: *flags, ..rules })
            })
            .collect()
    }

    #[test]
    fn the_lowest_free_number_and_what_was_wished() {
        let (xid, rules) = row(&rows(&[(5, "web", 0), (49_152, "a", 1), (49_154, "b", 1)]), &WISH).unwrap();
        assert_eq!(xid, Xid(49_153));
        assert_eq!(name_of(&rules), "try");
        assert_eq!((rules.mode, rules.proc_mode), (Mode::Observe as u32, ProcMode::Hidepid as u32));
        assert_eq!(rules.flags, context_flag::DYNAMIC);
    }

    #[test]
    fn a_context_without_a_name_is_called_after_its_number() {
        let (_, rules) = row(&rows(&[(49_152, "a", 1)]), &Wish { name: None, ..WISH }).unwrap();
        assert_eq!(name_of(&rules), "dynamic-49153");
    }

    #[test]
    fn the_second_lock_on_proc_is_for_all() {
        let locked = rows(&[(5, "web", context_flag::PROC_LOCK)]);
        let (_, rules) = row(&locked, &WISH).unwrap();
        assert_eq!(rules.flags, context_flag::DYNAMIC | context_flag::PROC_LOCK);
    }

    #[test]
    fn names_are_names_and_one_context_has_each() {
        let taken = row(&rows(&[(5, "try", 0)]), &WISH).unwrap_err();
        assert_eq!(taken, CreateError::NameTaken { name: "try".into(), xid: Xid(5) });
        for bad in ["", "..", "a/b", "Web", "host", "spectator"] {
            let error = row(&Rows::new(), &Wish { name: Some(bad), ..WISH }).unwrap_err();
            assert!(matches!(error, CreateError::BadName { .. }), "{bad}");
        }
    }

    #[test]
    fn when_every_number_is_in_use_there_is_none() {
        let (_, rules) = row(&Rows::new(), &Wish { name: Some("x"), ..WISH }).unwrap();
        let all: Rows = (Xid::FIRST_DYNAMIC.0..=Xid::LAST_DYNAMIC.0).map(|xid| (Xid(xid), rules)).collect();
        assert_eq!(row(&all, &WISH), Err(CreateError::NoneFree));
    }
}
