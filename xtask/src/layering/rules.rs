//! Who may import whom, crate by crate. The reasons stand in ARCHITECTURE.md; here is what can be checked.

use super::references::Reference;

/// One rule: what breaks it, and what to say then.
pub(super) struct Rule {
    /// The package it is about.
    pub(super) package: &'static str,
    pub(super) is_broken_by: fn(&Reference) -> bool,
    pub(super) says: &'static str,
}

/// What every area of the eBPF side may use.
const SHARED: [&str; 6] = ["verdict", "context", "maps", "kernel", "audit", "counters"];

/// Types of `std::net` that only describe; the others talk to the network.
const ADDRESS_TYPES: [&str; 7] =
    ["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6", "AddrParseError"];

/// The rules.
pub(super) const RULES: [Rule; 11] = [
    Rule {
        package: "vs-common",
        is_broken_by: |used| !(used.uses(&["crate"]) || used.uses(&["core"]) || used.uses(&["aya", "Pod"])),
        says: "vs-common uses core only, and aya::Pod for userspace: the kernel side is built from it, too",
    },
    Rule {
        package: "vs-ebpf",
        is_broken_by: reaches_into_another_area,
        says: "an area of vs-ebpf uses only verdict, context, maps, kernel, audit and counters, never another area",
    },
    Rule {
        package: "vs-loader",
        is_broken_by: |used| {
            used.uses(&["crate", "cli"]) && !(used.is_in(&["cli"]) || used.module.is_empty())
        },
        says: "nothing but main uses cli: it is the outermost layer",
    },
    Rule {
        package: "vs-loader",
        is_broken_by: |used| is_pure(used) && (is_aya(used) || used.uses(&["tokio"])),
        says: "policy and compile know no aya and no tokio: they are pure",
    },
    Rule {
        package: "vs-loader",
        is_broken_by: |used| is_pure(used) && does_io(used),
        says: "policy and compile do no I/O: they are pure",
    },
    Rule {
        package: "vs-loader",
        is_broken_by: |used| {
            is_aya(used) && !is_in_any(used, &[&["kernel"], &["maps", "live"], &["audit", "stream"]])
        },
        says: "only kernel, maps::live and audit::stream use aya",
    },
    Rule {
        package: "vs-loader",
        is_broken_by: |used| {
            is_netlink(used) && !is_in_any(used, &[&["host_network"], &["host_sockets"], &["netlink"]])
        },
        says: "only host_network, host_sockets and netlink speak netlink",
    },
    Rule {
        package: "vs-loader",
        is_broken_by: |used| {
            used.uses(&["netlink_sys"]) && (!used.is_in(&["netlink"]) || used.is_in(&["netlink", "message"]))
        },
        says: "only netlink has a socket for it: how messages look is pure",
    },
    Rule {
        package: "vs-loader",
        is_broken_by: |used| {
            used.uses(&["crate", "netlink", "Netlink"])
                && !is_in_any(used, &[&["host_network", "rtnetlink"], &["host_sockets", "sock_diag"]])
        },
        says: "only rtnetlink and sock_diag talk to the kernel: what is planned is pure",
    },
    Rule {
        package: "vs-loader",
        is_broken_by: |used| used.uses(&["tokio"]) && !is_in_any(used, &[&["audit", "stream"], &["cli"]]),
        says: "only audit::stream and cli use tokio",
    },
    Rule {
        package: "vs-loader",
        is_broken_by: |used| used.uses(&["anyhow"]) && !(used.is_in(&["cli"]) || used.module.is_empty()),
        says: "only cli and main use anyhow; elsewhere errors are typed, in the module that raises them",
    },
];

fn reaches_into_another_area(used: &Reference) -> bool {
    let (Some(area), ["crate", target, ..]) =
        (used.module.first(), &used.path.iter().map(String::as_str).collect::<Vec<_>>()[..])
    else {
        return false;
    };
    // A name without an area is an item of the root, which has none that anybody could use.
    area != target && !SHARED.contains(target) && used.path.len() > 2
}

fn is_in_any(used: &Reference, modules: &[&[&str]]) -> bool {
    modules.iter().any(|module| used.is_in(module))
}

fn is_pure(used: &Reference) -> bool {
    is_in_any(used, &[&["policy"], &["compile"]])
}

fn is_aya(used: &Reference) -> bool {
    used.uses(&["aya"]) || used.uses(&["aya_obj"])
}

fn is_netlink(used: &Reference) -> bool {
    ["netlink_sys", "netlink_packet_core", "netlink_packet_route", "netlink_packet_sock_diag"]
        .iter()
        .any(|name| used.uses(&[name]))
}

fn does_io(used: &Reference) -> bool {
    match used.path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["std", "fs" | "io" | "process", ..] | ["rustix" | "nix" | "libc", ..] => true,
        ["std", "net", name, ..] => !ADDRESS_TYPES.contains(&name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::references::of_source;
    use super::*;

    /// The messages of the rules that a module's source breaks.
    fn broken(package: &str, module: &[&str], source: &str) -> Vec<&'static str> {
        let parsed = syn::parse_file(source).expect("valid Rust");
        let module: Vec<String> = module.iter().map(|name| (*name).to_owned()).collect();
        let used = of_source(&parsed, Path::new("x.rs"), &module, &package.replace('-', "_"));
        let rules = RULES.iter().filter(|rule| rule.package == package);
        rules.filter(|rule| used.iter().any(rule.is_broken_by)).map(|rule| rule.says).collect()
    }

    #[track_caller]
    fn good(package: &str, module: &[&str], source: &str) {
        assert_eq!(broken(package, module, source), Vec::<&str>::new(), "{source}");
    }

    #[track_caller]
    fn bad(package: &str, module: &[&str], source: &str, says: &str) {
        let broken = broken(package, module, source);
        assert!(broken.iter().any(|found| found.contains(says)), "{source}: {broken:?}");
    }

    #[test]
    fn the_shared_crate_uses_core_only() {
        let core = "uses core only";
        good(
            "vs-common",
            &["id"],
            "use core::fmt; use crate::limits::MAX; fn f(x: u32) -> u32 { u32::MAX - x }",
        );
        good("vs-common", &["id"], "use core::mem; fn f() -> usize { mem::size_of::<u8>() }");
        good("vs-common", &["id"], "unsafe impl aya::Pod for Xid {}");
        good("vs-common", &["id"], "#[cfg(test)] mod tests { use std::vec::Vec; use proptest::prelude::*; }");
        bad("vs-common", &["id"], "use std::fmt;", core);
        bad("vs-common", &["id"], "fn f() { let x = std::vec::Vec::<u8>::new(); }", core);
        bad("vs-common", &["id"], "use aya::maps::HashMap;", core);
        bad("vs-common", &["id"], "extern crate alloc;", core);
        bad("vs-common", &["id"], "fn f() { assert_eq!(1, std::mem::size_of::<u8>()); }", core);
    }

    #[test]
    fn areas_stay_apart() {
        let apart = "never another area";
        good(
            "vs-ebpf",
            &["network", "bind"],
            "use crate::{verdict::conclude, maps, context::current}; use super::create;",
        );
        good(
            "vs-ebpf",
            &["network", "bind"],
            "use crate::network::create::family; use vs_common::hook::Hook;",
        );
        good("vs-ebpf", &[], "mod network; mod ipc; use crate::network::bind::x;");
        bad("vs-ebpf", &["network", "bind"], "use crate::{maps, ipc::keys};", apart);
        bad("vs-ebpf", &["network", "bind"], "use super::super::ipc::keys::key;", apart);
        bad("vs-ebpf", &["capability"], "fn f() -> i32 { crate::visibility::signal::f() }", apart);
        bad("vs-ebpf", &["verdict"], "use crate::network::bind;", apart);
    }

    #[test]
    fn the_loader_is_layered() {
        good(
            "vs-loader",
            &["policy", "model"],
            "use std::net::{IpAddr, Ipv4Addr}; use std::collections::BTreeMap;",
        );
        good("vs-loader", &["maps", "live"], "use aya::maps::MapData;");
        good("vs-loader", &["cli", "load"], "use anyhow::Result; use tokio::runtime; use super::output;");
        good(
            "vs-loader",
            &[],
            "use vs_loader::cli; use anyhow::Result; fn main() -> Result<()> { cli::main() }",
        );
        bad("vs-loader", &["policy", "read"], "use std::{fs, path::Path};", "no I/O");
        bad("vs-loader", &["policy", "read"], "fn f() { std::process::exit(1) }", "no I/O");
        bad("vs-loader", &["compile", "network"], "use std::net::{IpAddr, TcpStream};", "no I/O");
        bad("vs-loader", &["compile", "network"], "use aya::Pod;", "no aya");
        bad("vs-loader", &["maps", "store"], "use aya::maps::MapData;", "use aya");
        bad("vs-loader", &["maps", "live"], "type T = tokio::task::JoinHandle<()>;", "use tokio");
        bad("vs-loader", &["kernel", "load"], "use crate::cli::output;", "outermost");
        bad("vs-loader", &["kernel"], "use super::cli::output;", "outermost");
        good("vs-loader", &["netlink"], "use netlink_sys::Socket;");
        good("vs-loader", &["host_network", "rtnetlink"], "use crate::netlink::Netlink;");
        good("vs-loader", &["host_network", "message"], "use netlink_packet_core::NetlinkMessage;");
        good("vs-loader", &["host_network", "message"], "use crate::netlink::message::encode;");
        bad("vs-loader", &["netlink", "message"], "use netlink_sys::Socket;", "is pure");
        bad("vs-loader", &["host_network", "rtnetlink"], "use netlink_sys::Socket;", "has a socket");
        bad("vs-loader", &["host_network", "plan"], "use crate::netlink::Netlink;", "is pure");
        bad("vs-loader", &["cli", "load"], "use netlink_packet_route::AddressFamily;", "speak netlink");
        bad("vs-loader", &["server", "build"], "use anyhow as failure;", "typed");
        bad("vs-loader", &["server"], "fn f() -> ::anyhow::Result<()> { anyhow::bail!(\"x\") }", "typed");
    }
}
