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
        print(|out| if self.is_json { write_line(answer, out) } else { human(answer, out) })
    }

    /// Prints a list: `human` writes it for people as a whole, and `--json` prints each item on a line of its own.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn lines<A: Serialize>(
        self,
        answers: &[A],
        human: impl FnOnce(&[A], &mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        print(|out| {
            if self.is_json {
                answers.iter().try_for_each(|answer| write_line(answer, out))
            } else {
                human(answers, out)
            }
        })
    }
}

/// Writes to standard output. A closed pipe is no error: whoever read it has seen enough.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn write_line(answer: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, answer).map_err(io::Error::from).and_then(|()| writeln!(out))
}
