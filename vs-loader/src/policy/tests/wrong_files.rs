//! What can be wrong with directories.

/// One policy with one error each, and that error.
pub(super) const WRONG_FILES: &[(&str, &str)] = &[
    (
        "[context.web]\nxid = 100\ndirectories = [\"srv/web\"]\n",
        "p:3:16: context \"web\": \"srv/web\" does not begin with /; write the path of a directory from / on, such as /srv/web",
    ),
    (
        "[context.web]\nxid = 100\ndirectories = [\"/\"]\n",
        "p:3:16: context \"web\": \"/\" is everybody's; write the path of a directory from / on, such as /srv/web",
    ),
    (
        "[context.web]\nxid = 100\ndirectories = [\"/srv/../etc\"]\n",
        "p:3:16: context \"web\": \"/srv/../etc\" has an empty name, . or .. in it; write the path of a directory from / on, such as /srv/web",
    ),
    (
        "[context.web]\nxid = 100\ndirectories = [\"/proc/sys\"]\n",
        "p:3:16: context \"web\": \"/proc/sys\" holds no files that could be somebody's; write the path of a directory from / on, such as /srv/web",
    ),
    (
        "[context.web]\nxid = 100\ndirectories = [\"/srv/a\"]\n[context.db]\nxid = 101\ndirectories = [\"/srv/b\", \"/srv/a\"]\n",
        "p:6:26: context \"db\": \"/srv/a\" is given to context \"web\" already, at p:3:16; a directory belongs to one",
    ),
    (
        "[host]\ndirectories = [\"/srv/a\"]\n[context.web]\nxid = 100\ndirectories = [\"/srv/a\"]\n",
        "p:5:16: context \"web\": \"/srv/a\" is given to [host] already, at p:2:16; a directory belongs to one",
    ),
    (
        "[context.web]\nxid = 100\nproc = \"plain\"\nroot = \"/srv/web\"\n",
        "p:4:8: context \"web\": in the host's mount tree a root is held by its barrier only; add barrier = true, or leave proc = \"plain\" out",
    ),
    (
        "[context.web]\nxid = 100\nbarrier = true\n",
        "p:3:11: context \"web\": barrier is for contexts with a root, above which it stands; add root = \"/srv/contexts/NAME\", or remove it",
    ),
    (
        "[context.web]\nxid = 100\nroot = \"/srv\"\nbarrier = true\n",
        "p:4:11: context \"web\": the barrier above \"/srv\" would be /, which everybody passes; put the root one level deeper, such as /srv/contexts/NAME",
    ),
    (
        "[context.web]\nxid = 100\nroot = \"/srv/web\"\nbarrier = true\n[context.db]\nxid = 101\ndirectories = [\"/srv/db\"]\n",
        "p:4:11: context \"web\": the barrier \"/srv\" is in the way to \"/srv/db\", which context \"db\" needs, see p:7:16; give roots a directory of their own to be in",
    ),
    (
        "[context.web]\nxid = 100\nroot = \"/srv/a/b/web\"\nbarrier = true\n[context.db]\nxid = 101\nroot = \"/srv/a\"\n",
        "p:4:11: context \"web\": the barrier \"/srv/a/b\" is in the way to \"/srv/a\", which context \"db\" needs, see p:7:8; give roots a directory of their own to be in",
    ),
    (
        "[host]\nbarriers = [\"/srv/a\"]\n[context.db]\nxid = 101\ndirectories = [\"/srv/a/db\"]\n",
        "p:2:13: [host]: the barrier \"/srv/a\" is in the way to \"/srv/a/db\", which context \"db\" needs, see p:5:16; give roots a directory of their own to be in",
    ),
    (
        "[host]\nbarriers = [\"srv\"]\n[context.db]\nxid = 101\n",
        "p:2:13: [host]: \"srv\" does not begin with /; write the path of a directory from / on, such as /srv/web",
    ),
    (
        "[context.web]\nxid = 100\nroot = \"/\"\n",
        "p:3:8: context \"web\": \"/\" is everybody's; write the path of a directory from / on, such as /srv/web",
    ),
    (
        "[context.web]\nxid = 100\nshared_write = true\n",
        "p:3:16: context \"web\": shared_write is for contexts with directories; add directories = [\"/srv/NAME\"], or [] for none",
    ),
    (
        "[context.web]\nxid = 100\naddresses = [\"192.0.2.1\"]\nconfine = \"network\"\ndirectories = []\n",
        "p:5:15: context \"web\": root and directories are not for confine = \"network\", beyond whose addresses all is the host's; remove one of them",
    ),
    (
        "[context.web]\nxid = 100\ndirectories = \"/srv/web\"\n",
        "p:3:15: context \"web\": directories must be a list of texts in quotes, not a text",
    ),
];
