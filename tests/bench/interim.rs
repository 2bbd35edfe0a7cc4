#![allow(warnings, clippy::all, clippy::pedantic)]
use anyhow::{Context, Result, anyhow};
use aya::{Btf, Ebpf, EbpfLoader, maps::Map, programs::Lsm};
use std::{fs, os::fd::{AsFd, AsRawFd, BorrowedFd}, process::Command};
use vs_common::hook::{Hook, Need};
struct KernelTypes { btf: Vec<u8>, strings: usize, types: Vec<usize> }
impl KernelTypes {
    fn read() -> Result<Self> {
        let btf = fs::read("/sys/kernel/btf/vmlinux")?;
        let word = |at: usize| u32::from_le_bytes(btf[at..at + 4].try_into().unwrap()) as usize;
        let header = word(4);
        let (begin, end, strings) = (header + word(8), header + word(8) + word(12), header + word(16));
        let mut types = vec![0];
        let mut at = begin;
        while at < end {
            types.push(at);
            let (kind, count) = ((word(at + 4) >> 24) & 31, word(at + 4) & 0xffff);
            at += 12 + match kind { 1 | 14 | 17 => 4, 3 => 12, 4 | 5 | 15 | 19 => 12 * count, 6 | 13 => 8 * count, _ => 0 };
        }
        Ok(Self { btf, strings, types })
    }
    fn word(&self, at: usize) -> usize { u32::from_le_bytes(self.btf[at..at + 4].try_into().unwrap()) as usize }
    fn name(&self, at: usize) -> &str {
        let text = &self.btf[self.strings + at..];
        std::str::from_utf8(&text[..text.iter().position(|c| *c == 0).unwrap()]).unwrap()
    }
    fn member(&self, id: usize, wanted: &str) -> Option<u64> {
        let at = self.types[id];
        let info = self.word(at + 4);
        if !matches!((info >> 24) & 31, 4 | 5) { return None; }
        (0..info & 0xffff).find_map(|n| {
            let m = at + 12 + 12 * n;
            let bits = if info >> 31 == 1 { self.word(m + 8) & 0xff_ffff } else { self.word(m + 8) };
            match self.name(self.word(m)) {
                name if name == wanted => Some(bits as u64 / 8),
                "" => self.member(self.word(m + 4), wanted).map(|inner| bits as u64 / 8 + inner),
                _ => None,
            }
        })
    }
    fn offset(&self, structure: &str, member: &str) -> Result<u64> {
        (1..self.types.len())
            .filter(|id| (self.word(self.types[*id] + 4) >> 24) & 31 == 4 && self.name(self.word(self.types[*id])) == structure)
            .find_map(|id| self.member(id, member))
            .ok_or_else(|| anyhow!("this kernel's BTF has no {structure}.{member}"))
    }
}
fn update(map: i32, key: i32, value: [u64; 2]) -> std::io::Result<()> {
    #[repr(C)]
    struct Attr { fd: u32, pad: u32, key: u64, value: u64, flags: u64 }
    let attr = Attr { fd: map as u32, pad: 0, key: &raw const key as u64, value: value.as_ptr() as u64, flags: 0 };
    let done = unsafe { libc::syscall(libc::SYS_bpf, 2, &raw const attr, size_of::<Attr>()) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
fn dotted(types: &KernelTypes, s: &str, m: &str) -> Result<u64> {
    Ok(match (s, m) {
        ("file", "f_path.dentry") => types.offset("file", "f_path")? + types.offset("path", "dentry")?,
        ("task_struct", "loginuid.val") => types.offset("task_struct", "loginuid")?,
        ("dentry", "d_name.name") => types.offset("dentry", "d_name")? + types.offset("qstr", "name")?,
        ("inode", "i_dentry.first") => types.offset("inode", "i_dentry")?,
        _ => types.offset(s, m)?,
    })
}
pub(crate) struct Real { programs: Ebpf }
impl Real {
    pub(crate) fn attach(object: &str, needs: &[Need]) -> Result<Self> {
        let btf = Btf::from_sys_fs()?;
        let types = KernelTypes::read()?;
        let mut loader = EbpfLoader::new();
        loader.allow_unsupported_maps();
        let offs: Vec<(&str, u64)> = vs_common::kernel_layout::KERNEL_FIELDS.iter().map(|f| (f.global, dotted(&types, f.structure, f.member).unwrap_or(u64::MAX))).collect();
        for (n, o) in &offs { loader.override_global(*n, o, true); }
        let v = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let busy: u32 = if v.starts_with("6.1.") { 1 } else { 0 };
        let idmap: u32 = 1 - busy;
        let inject: u32 = 0;
        loader.override_global("STORAGE_BUSY", &busy, true);
        loader.override_global("SETATTR_IDMAP", &idmap, true);
        let cache: u32 = if std::env::var("NOCACHE").is_ok() || v.starts_with("6.1.") && std::env::var("CACHE").is_err() {0} else {1};
        loader.override_global("STORAGE_CACHE", &cache, false);
        loader.override_global("INJECT", &inject, true);
        let mut e = loader.load_file(object)?;
        for h in Hook::ALL {
            if !needs.contains(&h.info().need) { continue; }
            let p: &mut Lsm = e.program_mut(h.name()).context(h.name())?.try_into()?;
            if let Err(x) = p.load(h.name(), &btf) { let t = format!("{x:?}").replace("\\n", "\n"); return Err(anyhow!("{} {}", h.name(), &t[t.len().saturating_sub(3000)..])); }
        }
        for h in Hook::ALL {
            if !needs.contains(&h.info().need) { continue; }
            let p: &mut Lsm = e.program_mut(h.name()).context(h.name())?.try_into()?;
            p.attach()?;
        }
        Ok(Self { programs: e })
    }
    pub(crate) fn command(&self, program: &str) -> Result<Command> {
        let Some(Map::Unsupported(tasks)) = self.programs.map("TASKS") else { return Err(anyhow!("no TASKS")) };
        let fd = tasks.fd().as_fd().as_raw_fd();
        use std::os::unix::process::CommandExt;
        let mut c = Command::new(program);
        unsafe {
            c.pre_exec(move || {
                let pidfd = libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) as i32;
                update(fd, pidfd, [100 | (1u64 << 32), 7])
            });
        }
        Ok(c)
    }
}
