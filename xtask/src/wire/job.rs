//! What the host asks of the guest's init: a file in the initial file system, read once.
//!
//! The format is a list of strings, each ended by a NUL byte, since that is
//! the one byte that neither an argument nor a variable can contain.

/// Where init finds its job.
pub const PATH: &str = "/.vm/job";

/// One run of one command in the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Environment variables, as `NAME=VALUE`; the command gets these and no others.
    pub environment: Vec<String>,
    /// Kernel modules to load, by path, in order.
    pub modules: Vec<String>,
}

/// The file is not a job.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl Job {
    /// The bytes of the file: each list preceded by its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for list in [&self.command, &self.environment, &self.modules] {
            bytes.extend_from_slice(list.len().to_string().as_bytes());
            bytes.push(0);
            for item in list {
                bytes.extend_from_slice(item.as_bytes());
                bytes.push(0);
            }
        }
        bytes
    }

    /// Reads what [`Job::encode`] wrote.
    ///
    /// # Errors
    ///
    /// When the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = str::from_utf8(bytes).map_err(|_| Malformed)?;
        let mut strings = text.strip_suffix('\0').ok_or(Malformed)?.split('\0');
        let mut list = || {
            let length: usize = strings.next().and_then(|n| n.parse().ok()).ok_or(Malformed)?;
            (0..length)
                .map(|_| strings.next().map(str::to_owned).ok_or(Malformed))
                .collect::<Result<Vec<_>, _>>()
        };
        let job = Self { command: list()?, environment: list()?, modules: list()? };
        if strings.next().is_some() || job.command.is_empty() { Err(Malformed) } else { Ok(job) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_comes_back_as_it_went() {
        let job = Job {
            command: vec!["sh".into(), "-c".into(), "echo 'a\nb' \"\"".into(), String::new()],
            environment: vec!["A=1 2".into()],
            modules: Vec::new(),
        };
        assert_eq!(Job::decode(&job.encode()), Ok(job));
    }

    #[test]
    fn what_is_no_job_is_refused() {
        for bytes in [&b""[..], b"1\0", b"0\x000\x000\0", b"1\0a\x000\x000\0more\0", b"x\0"] {
            assert_eq!(Job::decode(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
