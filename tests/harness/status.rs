//! `vs status` as the suite reads it: its JSON.

use anyhow::{Context as _, Result};
use serde_json::Value;
use vs_common::hook::Hook;

use crate::world::vs;

/// What `vs status` said.
#[derive(Debug)]
pub struct Status {
    /// Its exit code.
    pub code: Option<i32>,
    answer: Value,
}

impl Status {
    /// Asks.
    ///
    /// # Errors
    /// There is no answer, or it is not JSON.
    pub fn ask() -> Result<Self> {
        Self::ask_with(&[])
    }

    /// Asks with further arguments.
    ///
    /// # Errors
    /// There is no answer, or it is not JSON.
    pub fn ask_with(arguments: &[&str]) -> Result<Self> {
        let output = vs(&[&["--json", "status"], arguments].concat())?;
        let answer = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("vs status: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
        Ok(Self { code: output.status.code(), answer })
    }

    /// The epoch in force.
    pub fn epoch(&self) -> u64 {
        self.answer["epoch"].as_u64().unwrap_or(0)
    }

    /// What is wrong.
    pub fn alarms(&self) -> Vec<String> {
        let alarms = self.answer["alarms"].as_array().into_iter().flatten();
        alarms.map(|alarm| alarm.as_str().unwrap_or("an alarm that is no text").to_owned()).collect()
    }

    /// What is said of a hook; null: nothing.
    pub fn hook(&self, hook: Hook) -> &Value {
        self.row("hooks", |row| row["hook"] == hook.name())
    }

    /// A counter of a hook's: "denials", "observed", "failures", "lost" or "calls".
    pub fn count(&self, hook: Hook, counter: &str) -> u64 {
        self.hook(hook)[counter].as_u64().unwrap_or(0)
    }

    /// What is said of a context; null: nothing.
    pub fn context(&self, xid: u32) -> &Value {
        self.row("contexts", |row| row["xid"] == xid)
    }

    fn row(&self, table: &str, is_wanted: impl Fn(&Value) -> bool) -> &Value {
        let rows = self.answer[table].as_array();
        rows.and_then(|rows| rows.iter().find(|row| is_wanted(row))).unwrap_or(&Value::Null)
    }
}
