//! Programs that work on files: in a context with directories and in one with a root they do what they do on a machine of their own, and
//! nothing with what is another's.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use vs_tests::report::Checks;
use vs_tests::world::{POLICY, vs_ok};

use super::servers::{Step, fails, steps};

/// Who works in a directory of his own, and who has a whole Debian.
const CONTEXTS: &str = r#"
[context.works]
xid = 311
directories = ["/srv/works"]

[context.deb]
xid = 312
root = "/srv/deb"
"#;

const PROGRAMS: &str = "/tmp/programs.toml";

/// A source, and what its program says.
const SOURCE: &str = "#include <stdio.h>\nint main(void) { puts(\"compiled\"); return 0; }\n";

/// A package with scripts, of which one says what it did.
const CONTROL: &str = "Package: vs-probe\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@localhost>\nDescription: probe\n";
const SCRIPTS: [(&str, &str); 3] = [
    ("preinst", "#!/bin/sh\nset -e\nmkdir -p /var/lib/vs-probe\n"),
    (
        "postinst",
        "#!/bin/sh\nset -e\necho \"$1\" >/var/lib/vs-probe/done\nchown daemon:daemon /var/lib/vs-probe\n",
    ),
    ("postrm", "#!/bin/sh\nset -e\n[ \"$1\" != purge ] || rm -rf /var/lib/vs-probe\n"),
];

/// What programs say of what they may not.
const DENIED: &str = "Permission denied";

/// All of them.
pub(crate) fn run(checks: &mut Checks) -> Result<()> {
    fs::create_dir_all("/srv/works")?;
    fs::write("/srv/works/p.c", SOURCE)?;
    debian()?;
    package("/srv/deb/root/vs-probe.deb")?;
    fs::copy("/srv/deb/root/vs-probe.deb", "/srv/works/vs-probe.deb")?;
    fs::write(PROGRAMS, CONTEXTS)?;
    vs_ok(&["load", POLICY, PROGRAMS])?;
    checks.during("own files", own)?;
    checks.during("a package", packages)?;
    checks.during("others' files", foreign)?;
    vs_ok(&["kill", "--all", "works"])?;
    vs_ok(&["kill", "--all", "deb"])?;
    vs_ok(&["load", POLICY]).map(drop)
}

/// A second Debian, which shares the blocks of the machine's: each name of a file is judged by where it is.
fn debian() -> Result<()> {
    for directory in ["dev", "proc", "sys", "run", "tmp", "root"] {
        fs::create_dir_all(Path::new("/srv/deb").join(directory))?;
    }
    fs::set_permissions("/srv/deb/tmp", fs::Permissions::from_mode(0o1777))?;
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), Path::new("/srv/deb").join(link))?;
    }
    let copied = Command::new("cp").args(["-al", "/usr", "/etc", "/var", "/srv/deb/"]).output()?;
    ensure!(copied.status.success(), "cp: {}", String::from_utf8_lossy(&copied.stderr));
    Ok(())
}

/// Builds the package.
fn package(path: &str) -> Result<()> {
    let tree = Path::new("/tmp/vs-probe");
    fs::create_dir_all(tree.join("DEBIAN"))?;
    fs::create_dir_all(tree.join("usr/bin"))?;
    fs::create_dir_all(tree.join("usr/share/vs-probe"))?;
    fs::write(tree.join("DEBIAN/control"), CONTROL)?;
    fs::write(tree.join("usr/share/vs-probe/data"), "data\n")?;
    let scripts = SCRIPTS.iter().map(|(name, text)| (format!("DEBIAN/{name}"), *text));
    for (name, text) in scripts.chain([("usr/bin/vs-probe".to_owned(), "#!/bin/sh\necho probed\n")]) {
        fs::write(tree.join(&name), text)?;
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(0o755))?;
    }
    let built = Command::new("dpkg-deb").args(["--build", "-Znone"]).arg(tree).arg(path).output();
    let built = built.context("run dpkg-deb")?;
    ensure!(built.status.success(), "dpkg-deb: {}", String::from_utf8_lossy(&built.stderr));
    Ok(())
}

fn all<'a>(commands: &[(&str, &'a str)]) -> Vec<Step<'a>> {
    commands.iter().map(|(command, said)| ((*command).to_owned(), 0, *said)).collect()
}

/// In its own directory.
fn own(checks: &mut Checks) -> Result<()> {
    let done = all(&[
        ("cd /srv/works; export HOME=/srv/works", ""),
        ("git init -q r && echo one >r/one && git -C r add one", ""),
        ("git -C r -c user.name=n -c user.email=e@localhost commit -q -m one", ""),
        ("git clone -q r c && cat c/one", "one"),
        ("git -C c gc -q && git -C c fsck && git -C c log --format=%s", "one"),
        ("tar -cf r.tar r && mkdir x && tar -xpf r.tar -C x && diff -r r x/r && echo same", "same"),
        ("rsync -aHX r/ y/ && diff -r r y && echo same", "same"),
        ("gcc -O1 -o p p.c && ./p", "compiled"),
        ("sqlite3 db 'create table t(x)'", ""),
        (
            "for w in 1 2; do yes 'insert into t values(1);' | head -25 | sqlite3 -cmd '.timeout 30000' db & done; wait; \
             sqlite3 db 'select count(*) from t'",
            "50",
        ),
        ("mkdir d e && mv y/one d/ && mv d e/ && find e -type f", "e/d/one"),
    ]);
    steps("works", &done, checks)
}

/// A package goes into a context's own Debian, and out of it, and the machine's has nothing of it.
fn packages(checks: &mut Checks) -> Result<()> {
    let done = all(&[
        ("dpkg -i /root/vs-probe.deb", ""),
        ("vs-probe", "probed"),
        ("cat /var/lib/vs-probe/done", "configure"),
        ("stat -c %U /var/lib/vs-probe", "daemon"),
        (
            "dpkg -i /root/vs-probe.deb && dpkg -V vs-probe && dpkg -s vs-probe | grep Status",
            "install ok installed",
        ),
    ]);
    steps("deb", &done, checks)?;
    for (path, is_there) in [("/srv/deb/usr/bin/vs-probe", true), ("/usr/bin/vs-probe", false)] {
        checks.equal(path, &Path::new(path).exists(), &is_there);
    }
    let unknown = "is not installed and no information is available";
    fails("host", "dpkg -s vs-probe", 1, unknown, checks)?;
    steps("deb", &all(&[("dpkg -P vs-probe && ! test -e /usr/bin/vs-probe && echo gone", "gone")]), checks)?;
    fails("deb", "cat /srv/works/p.c", 1, "No such file", checks)
}

/// What is in another context's directories, and the machine's own Debian.
fn foreign(checks: &mut Checks) -> Result<()> {
    let lent = [
        ("cp -r /srv/works/r /srv/works/db /srv/works/p.c /srv/deb/root/".to_owned(), 0, ""),
        ("chmod -R a+rwX /srv/deb/root".to_owned(), 0, ""),
    ];
    steps("host", &lent, checks)?;
    for (command, status, why) in [
        ("cat /srv/deb/root/p.c", 1, DENIED),
        ("HOME=/srv/works git clone -q /srv/deb/root/r /srv/works/z", 128, ""),
        ("tar -cf /srv/works/z.tar /srv/deb/root/r", 2, DENIED),
        ("rsync -a /srv/deb/root/r /srv/works/z", 23, DENIED),
        ("cd /srv/works; gcc -o q /srv/deb/root/p.c", 1, DENIED),
        ("sqlite3 /srv/deb/root/db 'select count(*) from t'", 1, "unable to open"),
        ("find /srv/deb/root", 1, DENIED),
        ("mv /srv/deb/root/p.c /srv/works/q.c", 1, DENIED),
        ("mv /srv/works/p.c /srv/deb/root/q.c", 1, DENIED),
        ("dpkg -i /srv/works/vs-probe.deb", 2, ""),
    ] {
        fails("works", command, status, why, checks)?;
    }
    checks.check(!Path::new("/usr/bin/vs-probe").exists(), || "the package is in the machine's Debian");
    checks.check(Path::new("/srv/deb/root/p.c").exists(), || "another's file is gone");
    Ok(())
}
