//! Cuts the two streams of a command into lines.

use super::Source;

/// What each stream has written since its last line ended.
#[derive(Debug, Default)]
pub(super) struct Lines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Lines {
    /// Takes a piece and hands on the lines that it completes. The kernel's lines are whole already.
    pub(super) fn push(&mut self, source: Source, bytes: &[u8], sink: &mut dyn FnMut(Source, &str)) {
        let pending = match source {
            Source::Kernel => return sink(source, &String::from_utf8_lossy(bytes)),
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        pending.extend_from_slice(bytes);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            sink(source, &String::from_utf8_lossy(&line[..end]));
        }
    }

    /// Hands on what has no end.
    pub(super) fn finish(self, sink: &mut dyn FnMut(Source, &str)) {
        for (source, rest) in [(Source::Stdout, self.stdout), (Source::Stderr, self.stderr)] {
            if !rest.is_empty() {
                sink(source, &String::from_utf8_lossy(&rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_cut_each_by_itself() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut sink = |source: Source, line: &str| seen.push((source, line.to_owned()));
        lines.push(Source::Stdout, b"on", &mut sink);
        lines.push(Source::Stderr, b"oops\n", &mut sink);
        lines.push(Source::Stdout, b"e\ntwo\nthr", &mut sink);
        lines.push(Source::Kernel, b"[ 1.0] x", &mut sink);
        lines.finish(&mut sink);
        let expected = [
            (Source::Stderr, "oops"),
            (Source::Stdout, "one"),
            (Source::Stdout, "two"),
            (Source::Kernel, "[ 1.0] x"),
            (Source::Stdout, "thr"),
        ];
        assert_eq!(seen, expected.map(|(source, line)| (source, line.to_owned())));
    }
}
