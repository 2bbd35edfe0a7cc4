//! Builds BTF by hand, for tests.

/// A table under construction.
pub(in crate::kernel) struct Blob {
    types: Vec<u32>,
    strings: Vec<u8>,
    next: u32,
}

impl Blob {
    pub(in crate::kernel) fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0], next: 1 }
    }

    pub(in crate::kernel) fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    /// Appends a type and gives its id.
    pub(in crate::kernel) fn add(&mut self, name: &str, info: u32, referred: u32, tail: &[u32]) -> u32 {
        let name = self.name(name);
        self.types.extend([name, info, referred]);
        self.types.extend(tail);
        self.next += 1;
        self.next - 1
    }

    pub(in crate::kernel) fn int(&mut self) -> u32 {
        self.add("int", 1 << 24, 4, &[32])
    }

    pub(in crate::kernel) fn pointer(&mut self, to: u32) -> u32 {
        self.add("", 2 << 24, to, &[])
    }

    pub(in crate::kernel) fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.add(name, 8 << 24, of, &[])
    }

    /// A structure (kind 4) or union (kind 5) of members (name, type, offset in bits).
    pub(in crate::kernel) fn aggregate(
        &mut self,
        kind: u32,
        name: &str,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let tail: Vec<u32> =
            members.iter().flat_map(|(name, id, bits)| [self.name(name), *id, *bits]).collect();
        self.add(name, kind << 24 | u32::try_from(members.len()).unwrap(), 64, &tail)
    }

    pub(in crate::kernel) fn structure(&mut self, name: &str, members: &[(&str, u32, u32)]) -> u32 {
        self.aggregate(4, name, members)
    }

    pub(in crate::kernel) fn function(&mut self, name: &str, arguments: u32) -> u32 {
        let tail: Vec<u32> = (0..arguments).flat_map(|_| [0, 1]).collect();
        let prototype = self.add("", 13 << 24 | arguments, 1, &tail);
        self.add(name, 12 << 24, prototype, &[])
    }

    pub(in crate::kernel) fn bytes(&self) -> Vec<u8> {
        let types = u32::try_from(4 * self.types.len()).unwrap();
        let strings = u32::try_from(self.strings.len()).unwrap();
        let mut bytes = Vec::from(0xeb9f_u16.to_ne_bytes());
        bytes.extend([1, 0]);
        for word in [24, 0, types, types, strings].iter().chain(&self.types) {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(&self.strings);
        bytes
    }
}
