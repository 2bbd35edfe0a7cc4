//! What can be wrong with a policy, and what is said of it.

/// One policy with one error each, and that error.
pub(super) const WRONG: &[(&str, &str)] = &[
    (
        "[context.web]\nxid = 100\nprox = \"plain\"\n",
        "p:3:1: context \"web\": unknown key \"prox\"; did you mean \"proc\"? known keys: xid, mode, proc, confine, description, records_per_second, record_burst, root, barrier, directories, shared_write, capabilities, capabilities_max, context_capabilities, addresses, primary, loopback, multicast, broadcast, show_any, ping, receive, raw, assign, shared, bind_allow, bind_deny, connect_allow, connect_deny",
    ),
    (
        "[context.web]\nxid = 100\nzzzzzz = 1\n",
        "p:3:1: context \"web\": unknown key \"zzzzzz\"; known keys: xid, mode, proc, confine, description, records_per_second, record_burst, root, barrier, directories, shared_write, capabilities, capabilities_max, context_capabilities, addresses, primary, loopback, multicast, broadcast, show_any, ping, receive, raw, assign, shared, bind_allow, bind_deny, connect_allow, connect_deny",
    ),
    (
        "[context.web]\nxid = 100\n[contxt.db]\nxid = 101\n",
        "p:3:2: top level: unknown key \"contxt\"; did you mean \"context\"? known keys: host, spectator, context",
    ),
    (
        "[host]\nproc-lock = true\n[spectator]\n",
        "p:2:1: [host]: unknown key \"proc-lock\"; did you mean \"proc_lock\"? known keys: proc_lock, addresses, primary, any_ports, directories, barriers",
    ),
    (
        "[spectator]\nmode = \"observe\"\n",
        "p:2:1: [spectator]: the key \"mode\" belongs in [context.NAME]; known keys here: description, records_per_second, record_burst",
    ),
    (
        "[context.web]\nxid = 100\nproc_lock = true\n",
        "p:3:1: context \"web\": the key \"proc_lock\" belongs in [host]; known keys here: xid, mode, proc, confine, description, records_per_second, record_burst, root, barrier, directories, shared_write, capabilities, capabilities_max, context_capabilities, addresses, primary, loopback, multicast, broadcast, show_any, ping, receive, raw, assign, shared, bind_allow, bind_deny, connect_allow, connect_deny",
    ),
    (
        "xid = 100\n[spectator]\n",
        "p:1:1: top level: the key \"xid\" belongs in [context.NAME]; known keys here: host, spectator, context",
    ),
    ("context = 5\n", "p:1:1: \"context\" must be a table, not an integer; write it as [context.NAME]"),
    ("[context]\nweb = 100\n", "p:2:1: \"web\" must be a table, not an integer; write it as [context.web]"),
    (
        "[[context.web]]\nxid = 100\n",
        "p:1:11: \"web\" must be a table, not a list; write it as [context.web]",
    ),
    ("host = true\n[spectator]\n", "p:1:1: \"host\" must be a table, not true or false; write it as [host]"),
    (
        "[context.web]\nxid = \"100\"\n",
        "p:2:7: context \"web\": xid must be an integer without quotes, not a text",
    ),
    (
        "[context.web]\nxid = 100.0\n",
        "p:2:7: context \"web\": xid must be an integer without quotes, not a number with a fraction",
    ),
    (
        "[context.web]\nxid = 100\nmode = true\n",
        "p:3:8: context \"web\": mode must be a text in quotes, not true or false",
    ),
    (
        "[host]\nproc_lock = \"yes\"\n[spectator]\n",
        "p:2:13: [host]: proc_lock must be true or false without quotes, not a text",
    ),
    (
        "[context.web]\nxid = 100\nmode = \"observed\"\n",
        "p:3:8: context \"web\": mode cannot be \"observed\"; did you mean \"observe\"? it is one of: enforce, observe",
    ),
    (
        "[context.web]\nxid = 100\nproc = \"\"\n",
        "p:3:8: context \"web\": proc cannot be \"\"; it is one of: pidns, hidepid, plain",
    ),
    (
        "[context.web]\n",
        "p:1:10: context \"web\": xid is missing; add xid = N with a number from 2 to 49151 that no other context has",
    ),
    (
        "[context.web]\nxid = 0\n",
        "p:2:7: context \"web\": xid 0 is the host's; give a number from 2 to 49151",
    ),
    (
        "[context.web]\nxid = 1\n",
        "p:2:7: context \"web\": xid 1 is the spectator's, which has a table [spectator] of its own; give a number from 2 to 49151",
    ),
    (
        "[context.web]\nxid = 49152\n",
        "p:2:7: context \"web\": xid 49152 is handed out by `vs context create`; give a number from 2 to 49151",
    ),
    (
        "[context.web]\nxid = 65536\n",
        "p:2:7: context \"web\": xid 65536 is no context's; give a number from 2 to 49151",
    ),
    (
        "[context.web]\nxid = -5\n",
        "p:2:7: context \"web\": xid -5 is no context's; give a number from 2 to 49151",
    ),
    (
        "[context.web]\nxid = 4294967297\n",
        "p:2:7: context \"web\": xid 4294967297 is no context's; give a number from 2 to 49151",
    ),
    (
        "[context.web]\nxid = 99999999999999999999\n",
        "p:2:7: context \"web\": xid 99999999999999999999 is no context's; give a number from 2 to 49151",
    ),
    (
        "[context.web]\nxid = 100\n[context.db]\nxid = 0x64\n",
        "p:4:7: context \"db\": xid 100 is that of context \"web\" already, at p:2:7; give each context a number of its own",
    ),
    (
        "[context.web]\nxid = 100\nrecords_per_second = 0\n",
        "p:3:22: context \"web\": records_per_second = 0 is out of bounds; give a number from 1 to 10000, or leave it out for 100",
    ),
    (
        "[context.web]\nxid = 100\nrecords_per_second = 10_001\n",
        "p:3:22: context \"web\": records_per_second = 10001 is out of bounds; give a number from 1 to 10000, or leave it out for 100",
    ),
    (
        "[spectator]\nrecord_burst = 2185\n",
        "p:2:16: [spectator]: record_burst = 2185 is out of bounds; give a number from 1 to 2184, or leave it out for 400",
    ),
    (
        "[spectator]\nrecord_burst = -1\n",
        "p:2:16: [spectator]: record_burst = -1 is out of bounds; give a number from 1 to 2184, or leave it out for 400",
    ),
    (
        "[context.web]\nxid = 100\ndescription = \"two\\nlines\"\n",
        "p:3:15: context \"web\": the description has a line break or another control character in it; use one line of at most 200 bytes",
    ),
    (
        "[context.Web]\nxid = 100\n",
        "p:1:10: context \"Web\": a context cannot have this name: it contains 'W'; use a-z, 0-9, '_', '.' and '-'",
    ),
    (
        "[context.\"a/b\"]\nxid = 100\n",
        "p:1:10: context \"a/b\": a context cannot have this name: it contains '/'; use a-z, 0-9, '_', '.' and '-'",
    ),
    (
        "[context.\"..\"]\nxid = 100\n",
        "p:1:10: context \"..\": a context cannot have this name: it begins with '.'; begin with a letter a-z or a digit",
    ),
    (
        "[context.\"\"]\nxid = 100\n",
        "p:1:10: context \"\": a context cannot have this name: it is empty; give it a name of 1 to 32 characters",
    ),
    (
        "[context.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\nxid = 100\n",
        "p:1:10: context \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\": a context cannot have this name: it has 33 bytes; shorten it to 32",
    ),
    (
        "[context.host]\nxid = 100\n",
        "p:1:10: context \"host\": a context cannot have this name: \"host\" always means something else; choose another",
    ),
    (
        "[context.\"\\u001b[2J\"]\nxid = 100\n",
        "p:1:10: context \"\\u{1b}[2J\": a context cannot have this name: it contains '\\u{1b}'; use a-z, 0-9, '_', '.' and '-'",
    ),
    (
        "",
        "p:1:1: the policy has no context; add a table such as [context.web] with xid = 100, or [spectator]",
    ),
    (
        "# nothing\n[host]\nproc_lock = true\n",
        "p:1:1: the policy has no context; add a table such as [context.web] with xid = 100, or [spectator]",
    ),
    (
        "[context.web]\nxid = 100\n\n[context.web]\nmode = \"observe\"\n",
        "p:4:10: \"web\" is given already, at p:1:10; keep one of them",
    ),
    (
        "[context.db]\nxid = 101\n[context.web]\nxid = 100\nmode = \"observe\"\nxid = 102\n",
        "p:6:1: \"xid\" is given already, at p:4:1; keep one of them",
    ),
    (
        "[context]\nweb = { xid = 100, xid = 101 }\n",
        "p:2:20: \"xid\" is given already, at p:2:9; keep one of them",
    ),
    (
        "[context.web]\nxid = 100\n[spectator]\n['spectator']\n",
        "p:4:2: \"'spectator'\" is given already, at p:3:2; keep one of them",
    ),
    ("[host]\n[spectator]\n[host]\n", "p:3:2: \"host\" is given already, at p:1:2; keep one of them"),
    (
        "[context.web]\nxid = 100\nmode = \"observe\n",
        "p:3:16: TOML syntax: invalid basic string, expected `\"`",
    ),
    ("[context.web]\nxid = \n", "p:2:7: TOML syntax: string values must be quoted, expected literal string"),
];
