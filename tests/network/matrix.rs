//! Everybody to everybody: who may bind to whose address, who reaches it, and as whom he is seen there.

use anyhow::Result;
use libc::EADDRNOTAVAIL;
use vs_common::hook::Hook;
use vs_tests::report::Checks;

use super::town::{Denied, Fine, Town};

/// Who acts, and where he comes from; none: the host's addresses, from which the kernel takes the one that he goes to.
const ACTORS: [(&str, Option<(&str, &str)>); 5] = [
    ("host", None),
    ("spectator", None),
    ("free", None),
    ("net-a", Some(("192.0.2.10", "2001:db8::10"))),
    ("net-b", Some(("192.0.2.20", "2001:db8::20"))),
];

/// Whose addresses they are.
const OWNERS: [(&str, &str, &str); 3] = [
    ("host", "192.0.2.1", "2001:db8::1"),
    ("net-a", "192.0.2.10", "2001:db8::10"),
    ("net-b", "192.0.2.20", "2001:db8::20"),
];

/// | actor                    | bind to the host's | to a context's own | to another's  | connect, send | seen as                 |
/// |--------------------------|--------------------|--------------------|---------------|---------------|-------------------------|
/// | host                     | yes                | -                  | yes           | yes           | what the kernel chooses |
/// | spectator, no addresses  | yes                | -                  | EADDRNOTAVAIL | yes           | what the kernel chooses |
/// | guest with addresses     | EADDRNOTAVAIL      | yes                | EADDRNOTAVAIL | yes           | its own                 |
pub(super) fn run(town: &mut Town, checks: &mut Checks) -> Result<()> {
    for (owner, four, six) in OWNERS {
        for (family, address, hook) in [("v4", four, Hook::Bind4), ("v6", six, Hook::Bind6)] {
            for kind in ["tcp", "udp"] {
                binds(town, checks, (owner, family, address), kind, hook)?;
                reaches(town, checks, (owner, family, address), kind)?;
            }
        }
    }
    Ok(())
}

/// Everybody binds to somebody's address.
fn binds(
    town: &mut Town,
    checks: &mut Checks,
    (owner, family, address): (&str, &str, &str),
    kind: &str,
    hook: Hook,
) -> Result<()> {
    for (who, own) in ACTORS {
        let may = who == "host" || who == owner || (owner == "host" && own.is_none());
        let answer = if may { Fine } else { Denied(EADDRNOTAVAIL, hook) };
        town.say(checks, who, &format!("socket m {family} {kind}"), Fine)?;
        town.say(checks, who, &format!("bind m {address} 8215"), answer)?;
        town.say(checks, who, "close m", Fine)?;
    }
    Ok(())
}

/// Everybody connects, or sends, to somebody's address.
fn reaches(
    town: &mut Town,
    checks: &mut Checks,
    (owner, family, address): (&str, &str, &str),
    kind: &str,
) -> Result<()> {
    town.say(checks, owner, &format!("socket r {family} {kind}"), Fine)?;
    town.say(checks, owner, &format!("bind r {address} 8216"), Fine)?;
    if kind == "tcp" {
        town.say(checks, owner, "listen r", Fine)?;
    }
    for (who, own) in ACTORS {
        let source = match own {
            Some((four, six)) => {
                if family == "v4" {
                    four
                } else {
                    six
                }
            }
            None => address,
        };
        town.say(checks, who, &format!("socket c {family} {kind}"), Fine)?;
        if kind == "tcp" {
            town.say(checks, who, &format!("connect c {address} 8216"), Fine)?;
            town.comes(checks, owner, "accept r got", &format!("{source} "))?;
            town.say(checks, owner, "close got", Fine)?;
        } else {
            town.say(checks, who, &format!("sendto c {address} 8216 x"), Fine)?;
            town.comes(checks, owner, "receive r", &format!("x {source} "))?;
        }
        town.say(checks, who, "close c", Fine)?;
    }
    town.say(checks, owner, "close r", Fine)
}
