//! How a program of each kind is loaded and attached, and where a link holds it.
//!
//! Programs at socket addresses are attached at the root of the cgroup-2 hierarchy, where every socket is below; those of a cgroup further
//! down run before ours (`kernel/bpf/cgroup.c:compute_effective_progs`), so nobody who manages one goes past them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use aya::Btf;
use aya::programs::links::{FdLink, LinkError};
use aya::programs::{CgroupAttachMode, CgroupSkbAttachType, Program, ProgramError};
use aya_obj::generated::{bpf_attach_type, bpf_link_info, bpf_link_type};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use vs_common::hook::{Hook, ProgramKind};

use super::btf::KernelTypes;
use super::support::attach_function;

/// The network namespace whose incoming connections are looked at: the loader's.
const NETWORK_NAMESPACE: &str = "/proc/self/ns/net";

/// Has the verifier check a program.
pub(super) fn load(program: &mut Program, hook: Hook, types: &Btf) -> Result<(), ProgramError> {
    match program {
        Program::Lsm(program) => {
            program.load(hook.lsm_name().ok_or(ProgramError::UnexpectedProgramType)?, types)
        }
        Program::LsmCgroup(program) => {
            program.load(hook.lsm_name().ok_or(ProgramError::UnexpectedProgramType)?, types)
        }
        Program::CgroupSockAddr(program) => program.load(),
        Program::SockOps(program) => program.load(),
        Program::CgroupSkb(program) => program.load(),
        Program::SkLookup(program) => program.load(),
        Program::Iter(program) => program.load("udp", types),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Attaches a program that was loaded, for as long as the link or a pin of it lives.
pub(super) fn attach(program: &mut Program) -> Result<FdLink, ProgramError> {
    let no_link = |_: LinkError| ProgramError::NotAttached;
    match program {
        Program::Lsm(program) => {
            let link = program.attach()?;
            Ok(program.take_link(link)?.into())
        }
        Program::LsmCgroup(program) => {
            let link = program.attach(control_group_root()?)?;
            Ok(program.take_link(link)?.into())
        }
        Program::CgroupSockAddr(program) => {
            let link = program.attach(control_group_root()?, CgroupAttachMode::Single)?;
            program.take_link(link)?.try_into().map_err(no_link)
        }
        Program::SockOps(program) => {
            let link = program.attach(control_group_root()?, CgroupAttachMode::Single)?;
            program.take_link(link)?.try_into().map_err(no_link)
        }
        Program::CgroupSkb(program) => {
            let direction = CgroupSkbAttachType::Ingress;
            let link = program.attach(control_group_root()?, direction, CgroupAttachMode::Single)?;
            program.take_link(link)?.try_into().map_err(no_link)
        }
        Program::Iter(program) => {
            let link = program.attach()?;
            program.take_link(link)?.try_into().map_err(no_link)
        }
        Program::SkLookup(program) => {
            let link = program.attach(File::open(NETWORK_NAMESPACE)?)?;
            Ok(program.take_link(link)?.into())
        }
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// The root of the cgroup-2 hierarchy, by a mount of our own that nobody else sees: it may be mounted anywhere or nowhere, and beside it
/// there may be hierarchies of version 1.
fn control_group_root() -> io::Result<OwnedFd> {
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    Ok(rustix::fs::openat(&mount, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Whether a link holds its program where the hook is. A link to a cgroup or a namespace that is gone holds it nowhere.
pub(super) fn is_at(hook: Hook, link: &bpf_link_info, attached_to: u32, types: &KernelTypes) -> bool {
    let is_of = |kind: bpf_link_type| link.type_ == kind as u32;
    match hook.info().kind {
        ProgramKind::Lsm | ProgramKind::LsmOf(_) => {
            types.function_id(&attach_function(hook)) == Some(attached_to)
        }
        ProgramKind::ControlGroupLsm(_) => {
            is_of(bpf_link_type::BPF_LINK_TYPE_CGROUP)
                && cgroup_attach_type(link) == Some(bpf_attach_type::BPF_LSM_CGROUP as u32)
        }
        ProgramKind::SocketAddress(number) => {
            is_of(bpf_link_type::BPF_LINK_TYPE_CGROUP) && cgroup_attach_type(link) == Some(number)
        }
        ProgramKind::SocketEvents => {
            is_of(bpf_link_type::BPF_LINK_TYPE_CGROUP)
                && cgroup_attach_type(link) == Some(bpf_attach_type::BPF_CGROUP_SOCK_OPS as u32)
        }
        ProgramKind::ReceivedPackets => {
            is_of(bpf_link_type::BPF_LINK_TYPE_CGROUP)
                && cgroup_attach_type(link) == Some(bpf_attach_type::BPF_CGROUP_INET_INGRESS as u32)
        }
        ProgramKind::DatagramSockets => is_of(bpf_link_type::BPF_LINK_TYPE_ITER),
        ProgramKind::SocketLookup => {
            // SAFETY: the kernel filled in this member for a link of this kind; all members are integers.
            let namespace = unsafe { link.__bindgen_anon_1.netns };
            is_of(bpf_link_type::BPF_LINK_TYPE_NETNS)
                && namespace.netns_ino != 0
                && namespace.attach_type == bpf_attach_type::BPF_SK_LOOKUP as u32
        }
    }
}

/// To what of its cgroup a link's program is attached; none: the cgroup is gone.
fn cgroup_attach_type(link: &bpf_link_info) -> Option<u32> {
    // SAFETY: the kernel filled in this member for a link to a cgroup, which the callers have seen it is; all members are integers.
    let group = unsafe { link.__bindgen_anon_1.cgroup };
    (group.cgroup_id != 0).then_some(group.attach_type)
}
