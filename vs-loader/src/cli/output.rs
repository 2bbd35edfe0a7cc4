//! How answers are printed, decided once: for people or as JSON, on standard output; everything else goes to standard error.

use std::io::{self, Write};

use serde::Serialize;

/// The form of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Output {
    /// `--json` was given.
    pub is_json: bool,
}

impl Output {
    /// Prints one answer: `human` writes it for people, and `answer` is what `--json` prints instead, on one line.
    ///
    /// # Errors
    /// Standard output cannot be written. A closed pipe is no error: whoever read it has seen enough.
    pub fn answer<A: Serialize>(
        self,
        answer: &A,
        human: impl FnOnce(&A, &mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let written = if self.is_json {
            serde_json::to_writer(&mut out, answer).map_err(io::Error::from).and_then(|()| writeln!(out))
        } else {
            human(answer, &mut out)
        };
        match written.and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}
