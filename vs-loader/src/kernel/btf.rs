//! The running kernel's types, as far as the loader asks about them: where a member lies, whether a function exists, how many
//! arguments it has.
//!
//! A full BTF library builds an index of every name: 0.1 s of a fast processor, for two dozen questions. This reads the table once
//! and answers from the bytes. Nothing in the bytes is trusted: every read is bounded, and anything that does not fit is an error,
//! never a wrong offset. Format: `Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`.

use std::collections::HashMap;

use aya::Btf;
use aya_obj::btf::{BtfType, Func, FuncLinkage, Ptr};

/// The bytes are no BTF that this reader understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed BTF at byte {at}: {what}")]
pub struct BtfError {
    /// Where in the bytes.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// `BTF_MAGIC`, in the byte order of this machine: another order means another machine's BTF.
const MAGIC: u16 = 0xeb9f;
/// The kinds of `include/uapi/linux/btf.h` that are looked at.
mod kind {
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const TYPE_TAG: u32 = 18;
}
/// Bytes of `struct btf_type`: name, info, size or type.
const TYPE_SIZE: usize = 12;
/// Bytes of `struct btf_member`: name, type, offset.
const MEMBER_SIZE: usize = 12;
/// What the names of all functions begin with that a program is attached to or that is a helper. There are a hundred thousand others,
/// which nobody asks about.
const PREFIX: &[u8] = b"bpf_";
/// How deep structures may be nested and typedefs chained: far beyond the kernel's, and an end to a loop in bad bytes.
const MAX_DEPTH: u32 = 32;

/// A parsed table of types.
pub struct KernelTypes {
    bytes: Vec<u8>,
    /// Where the strings begin and end.
    strings: (usize, usize),
    /// Where each type begins, by id; id 0 is `void`.
    types: Vec<usize>,
    /// Where each structure begins that has a name: one type in ten.
    structures: Vec<usize>,
    /// Functions whose names begin with [`PREFIX`], by name: the ids of their types.
    functions: HashMap<Vec<u8>, u32>,
}

impl std::fmt::Debug for KernelTypes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelTypes").field("types", &self.types.len()).finish_non_exhaustive()
    }
}

/// One type's fixed part.
#[derive(Clone, Copy)]
struct Header {
    at: usize,
    name: u32,
    kind: u32,
    /// `vlen`: members, arguments.
    count: usize,
    /// Bit 31: members' offsets carry the size of a bit field.
    has_bit_fields: bool,
    /// `type`, or the size of a structure.
    referred: u32,
}

/// A member of a structure.
#[derive(Clone, Copy)]
struct Member {
    /// Where it is described.
    at: usize,
    /// Where it begins, in bits from the structure's beginning.
    bits: u64,
    /// Its type.
    id: u32,
    /// Whether it has no address.
    is_bit_field: bool,
}

impl KernelTypes {
    /// Reads the table.
    ///
    /// # Errors
    /// The bytes are cut short, of another byte order, or hold a kind that is unknown: its size is, too, and with it all after it.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let header = bytes.get(..24).ok_or(BtfError { at: 0, what: "no header" })?;
        if u16::from_ne_bytes([header[0], header[1]]) != MAGIC {
            return Err(BtfError { at: 0, what: "no magic number" });
        }
        if header[2] != 1 {
            return Err(BtfError { at: 2, what: "unknown version" });
        }
        let field = |at| word(&bytes, at).and_then(to_usize);
        let (base, types_at, types_len) = (field(4)?, field(8)?, field(12)?);
        let (strings_at, strings_len) = (field(16)?, field(20)?);
        let within = |offset: usize, len: usize, what| {
            let begin = base.checked_add(offset).ok_or(BtfError { at: base, what })?;
            let end = begin.checked_add(len).ok_or(BtfError { at: begin, what })?;
            if end > bytes.len() { Err(BtfError { at: begin, what }) } else { Ok((begin, end)) }
        };
        let (begin, end) = within(types_at, types_len, "types end behind the end")?;
        let strings = within(strings_at, strings_len, "strings end behind the end")?;
        let mut table =
            Self { strings, types: vec![0], structures: Vec::new(), functions: HashMap::new(), bytes };
        table.index(begin, end)?;
        Ok(table)
    }

    fn index(&mut self, begin: usize, end: usize) -> Result<(), BtfError> {
        let mut at = begin;
        while at < end {
            let header = self.header_at(at)?;
            let id = u32::try_from(self.types.len()).map_err(|_| BtfError { at, what: "too many types" })?;
            self.types.push(at);
            if header.kind == kind::STRUCT && header.name != 0 {
                self.structures.push(at);
            }
            if header.kind == kind::FUNC {
                let name = self.string(header.name)?;
                if name.starts_with(PREFIX) {
                    self.functions.insert(name.to_vec(), id);
                }
            }
            at += TYPE_SIZE + tail_size(&header)?;
        }
        if at == end { Ok(()) } else { Err(BtfError { at, what: "the last type is cut short" }) }
    }

    fn header_at(&self, at: usize) -> Result<Header, BtfError> {
        let info = word(&self.bytes, at + 4)?;
        Ok(Header {
            at,
            name: word(&self.bytes, at)?,
            kind: (info >> 24) & 0x1f,
            count: to_usize(info & 0xffff)?,
            has_bit_fields: info >> 31 == 1,
            referred: word(&self.bytes, at + 8)?,
        })
    }

    fn header(&self, id: u32) -> Result<Header, BtfError> {
        let at = self.types.get(to_usize(id)?).copied().filter(|at| *at != 0);
        self.header_at(at.ok_or(BtfError { at: 0, what: "reference to no type" })?)
    }

    /// The string at an offset, without its zero.
    fn string(&self, offset: u32) -> Result<&[u8], BtfError> {
        let at = self.strings.0.saturating_add(to_usize(offset)?);
        let text = self.bytes.get(at..self.strings.1).unwrap_or_default();
        let end =
            text.iter().position(|byte| *byte == 0).ok_or(BtfError { at, what: "string without an end" })?;
        Ok(&text[..end])
    }

    /// Whether this is a type's name. Most names differ early, and are not looked at to their end.
    fn is_named(&self, header: Header, name: &str) -> Result<bool, BtfError> {
        let at = self.strings.0.saturating_add(to_usize(header.name)?);
        let text = self.bytes.get(at..self.strings.1).unwrap_or_default();
        Ok(text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)))
    }

    /// The functions `bpf_...` as aya wants them, each with its id; in the place of every other type is a pointer. With the kernel's own table
    /// aya would search a hundred thousand functions by name for each program, after it has read all types.
    pub fn functions_for_aya(&self) -> Btf {
        let mut functions: Vec<(u32, &[u8])> =
            self.functions.iter().map(|(name, id)| (*id, name.as_slice())).collect();
        functions.sort_unstable();
        let mut table = Btf::new();
        let mut next = 1;
        for (id, name) in functions {
            for _ in next..id {
                table.add_type(BtfType::Ptr(Ptr::new(0, 0)));
            }
            let name = table.add_string(&String::from_utf8_lossy(name));
            table.add_type(BtfType::Func(Func::new(name, 0, FuncLinkage::Static)));
            next = id + 1;
        }
        table
    }

    /// The id of the type of a function `bpf_...`, by which the kernel names what a program is attached to; `None`: the kernel has no
    /// such function.
    pub fn function_id(&self, name: &str) -> Option<u32> {
        self.functions.get(name.as_bytes()).copied()
    }

    /// How many arguments a function `bpf_...` has; `None`: there is no such function.
    ///
    /// # Errors
    /// The function's type is malformed.
    pub fn argument_count(&self, function: &str) -> Result<Option<usize>, BtfError> {
        let Some(id) = self.function_id(function) else { return Ok(None) };
        let prototype = self.header(self.header(id)?.referred)?;
        if prototype.kind != kind::FUNC_PROTO {
            return Err(BtfError { at: prototype.at, what: "function without a prototype" });
        }
        Ok(Some(prototype.count))
    }

    /// Where a member lies in a structure, in bytes; `None`: there is no such structure, or none of that name has the member.
    ///
    /// Dots descend into embedded structures, and anonymous structures and unions are looked through: from 6.18 on `file.f_path`
    /// lies in one.
    ///
    /// # Errors
    /// The types are malformed, or the member is a bit field, which has no address.
    pub fn offset(&self, structure: &str, member: &str) -> Result<Option<u64>, BtfError> {
        match self.find(structure, member)? {
            Some(place) if place.is_bit_field || place.bits % 8 != 0 => {
                Err(BtfError { at: place.at, what: "the member is a bit field" })
            }
            place => Ok(place.map(|place| place.bits / 8)),
        }
    }

    /// Where a member lies in a structure, in bits; it may be a bit field, whose first bit it is then.
    ///
    /// # Errors
    /// The types are malformed.
    pub fn bit_offset(&self, structure: &str, member: &str) -> Result<Option<u64>, BtfError> {
        Ok(self.find(structure, member)?.map(|place| place.bits))
    }

    fn find(&self, structure: &str, member: &str) -> Result<Option<Member>, BtfError> {
        for at in &self.structures {
            let header = self.header_at(*at)?;
            // A name may be that of several structures: a driver's private `path` is no reason to miss the kernel's.
            if self.is_named(header, structure)?
                && let Some(member) = self.descend(header, member)?
            {
                return Ok(Some(member));
            }
        }
        Ok(None)
    }

    fn descend(&self, structure: Header, path: &str) -> Result<Option<Member>, BtfError> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let Some(member) = self.member(structure, first.as_bytes(), MAX_DEPTH)? else { return Ok(None) };
        let Some(rest) = rest else { return Ok(Some(member)) };
        let Some(inner) = self.embedded(member.id)? else { return Ok(None) };
        Ok(self.descend(inner, rest)?.map(|found| Member { bits: member.bits + found.bits, ..found }))
    }

    /// A member of a structure or of what is embedded in it without a name.
    fn member(&self, structure: Header, wanted: &[u8], depth: u32) -> Result<Option<Member>, BtfError> {
        if depth == 0 {
            return Err(BtfError { at: structure.at, what: "structures nested without end" });
        }
        for index in 0..structure.count {
            let at = structure.at + TYPE_SIZE + MEMBER_SIZE * index;
            let (name, id, place) =
                (word(&self.bytes, at)?, word(&self.bytes, at + 4)?, word(&self.bytes, at + 8)?);
            let (bits, width) =
                if structure.has_bit_fields { (place & 0xff_ffff, place >> 24) } else { (place, 0) };
            let name = self.string(name)?;
            if name == wanted {
                return Ok(Some(Member { at, bits: u64::from(bits), id, is_bit_field: width != 0 }));
            }
            if name.is_empty() {
                let Some(inner) = self.embedded(id)? else { continue };
                if let Some(found) = self.member(inner, wanted, depth - 1)? {
                    return Ok(Some(Member { bits: u64::from(bits) + found.bits, ..found }));
                }
            }
        }
        Ok(None)
    }

    /// The structure or union that a type is, once typedefs and qualifiers are taken off; `None`: it is something else, a pointer
    /// for instance, behind which other memory lies.
    fn embedded(&self, mut id: u32) -> Result<Option<Header>, BtfError> {
        for _ in 0..MAX_DEPTH {
            if id == 0 {
                return Ok(None);
            }
            let header = self.header(id)?;
            match header.kind {
                kind::STRUCT | kind::UNION => return Ok(Some(header)),
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = header.referred;
                }
                _ => return Ok(None),
            }
        }
        Err(BtfError { at: 0, what: "typedefs chained without end" })
    }
}

/// Bytes that follow a type's fixed part.
fn tail_size(header: &Header) -> Result<usize, BtfError> {
    Ok(match header.kind {
        // int, var, declaration tag
        1 | 14 | 17 => 4,
        // pointer, forward, typedef, qualifiers, function, float, type tag
        2 | 7..=12 | 16 | 18 => 0,
        // array
        3 => 12,
        // structure, union, section, enum64
        4 | 5 | 15 | 19 => 12 * header.count,
        // enum, function prototype
        6 | 13 => 8 * header.count,
        _ => return Err(BtfError { at: header.at, what: "unknown kind of type" }),
    })
}

fn word(bytes: &[u8], at: usize) -> Result<u32, BtfError> {
    let end = at.saturating_add(4);
    match bytes.get(at..end) {
        Some(&[a, b, c, d]) => Ok(u32::from_ne_bytes([a, b, c, d])),
        _ => Err(BtfError { at, what: "the end" }),
    }
}

fn to_usize(number: u32) -> Result<usize, BtfError> {
    usize::try_from(number).map_err(|_| BtfError { at: 0, what: "too large for this machine" })
}

#[cfg(test)]
pub(super) mod blob;
#[cfg(test)]
mod tests;
