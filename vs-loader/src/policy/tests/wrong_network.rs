//! What can be wrong with a context's addresses, and what is said of it.

/// What one context's table has behind `xid = 100` with one error each, and that error.
pub(super) const WRONG: &[(&str, &str)] = &[
    (
        "addresses = []\nbind_allow = [\"tcp/80-79\"]\n",
        "p:4:15: context \"web\": \"tcp/80-79\" is no port; write a protocol (tcp, udp, udplite) alone or with a port or a range: \"udp\", \"tcp/80\", \"tcp/8000-8099\", with 0 for ports that the kernel chooses",
    ),
    (
        "connect_deny = [\"tcp\"]\n",
        "p:3:16: context \"web\": connect_deny is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take connect_deny out",
    ),
    (
        "confine = \"network\"\n",
        "p:3:11: context \"web\": confine = \"network\" is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take confine = \"network\" out",
    ),
    (
        "confine = \"network\"\nproc = \"plain\"\naddresses = []\n",
        "p:4:8: context \"web\": proc is for contexts that confine their processes, and with confine = \"network\" they are the host's; take one of the two out",
    ),
    (
        "addresses = [\"192.0.2.1\"]\nshared = true\n[context.db]\nxid = 101\naddresses = [\"192.0.2.0/24\"]\nshared = true\n",
        "p:7:14: context \"db\": \"192.0.2.0/24\" contains \"192.0.2.1\" of context \"web\", at p:3:14; write what they share alike in both",
    ),
    (
        "addresses = [\"192.0.2.1\"]\n[host]\naddresses = [\"192.0.2.1\"]\n",
        "p:3:14: context \"web\": \"192.0.2.1\" is an address of the host, at p:5:14; what is a context's cannot be the host's own",
    ),
    (
        "[host]\naddresses = [\"192.0.2.1\"]\n",
        "p:4:13: [host]: the host is confined only beside contexts with addresses, and no context has any; give one addresses, or take these out",
    ),
    (
        "addresses = []\n[host]\nany_ports = [\"udp/68\"]\n",
        "p:5:13: [host]: any_ports is for a host that is confined; add addresses = [\"192.0.2.1\"] with its own, or take any_ports out",
    ),
    (
        "addresses = []\n[host]\naddresses = []\n",
        "p:5:13: [host]: the host needs an address that its services on 0.0.0.0 or :: get; list its own, or take addresses out",
    ),
    (
        "addresses = [\"eth0\"]\n",
        "p:3:14: context \"web\": \"eth0\" is no address; write one as \"192.0.2.10\" or \"2001:db8::10\", or a prefix as \"192.0.2.0/28\"",
    ),
    (
        "addresses = [\"192.0.2.256\"]\n",
        "p:3:14: context \"web\": \"192.0.2.256\" is no address; write one as \"192.0.2.10\" or \"2001:db8::10\", or a prefix as \"192.0.2.0/28\"",
    ),
    (
        "addresses = [\"fe80::1%eth0\"]\n",
        "p:3:14: context \"web\": \"fe80::1%eth0\" is no address; write one as \"192.0.2.10\" or \"2001:db8::10\", or a prefix as \"192.0.2.0/28\"",
    ),
    (
        "addresses = [\"192.0.2.10\", \"\"]\n",
        "p:3:28: context \"web\": \"\" is no address; write one as \"192.0.2.10\" or \"2001:db8::10\", or a prefix as \"192.0.2.0/28\"",
    ),
    (
        "addresses = [\"192.0.2.0/33\"]\n",
        "p:3:14: context \"web\": \"192.0.2.0/33\" has a length that is none; give one from 1 to 32",
    ),
    (
        "addresses = [\"192.0.2.0/255.255.255.0\"]\n",
        "p:3:14: context \"web\": \"192.0.2.0/255.255.255.0\" has a length that is none; give one from 1 to 32",
    ),
    (
        "addresses = [\"192.0.2.0/+24\"]\n",
        "p:3:14: context \"web\": \"192.0.2.0/+24\" has a length that is none; give one from 1 to 32",
    ),
    (
        "addresses = [\"192.0.2.0/\"]\n",
        "p:3:14: context \"web\": \"192.0.2.0/\" has a length that is none; give one from 1 to 32",
    ),
    (
        "addresses = [\"2001:db8::/129\"]\n",
        "p:3:14: context \"web\": \"2001:db8::/129\" has a length that is none; give one from 1 to 128",
    ),
    (
        "addresses = [\"192.0.2.10/28\"]\n",
        "p:3:14: context \"web\": \"192.0.2.10/28\" has bits beyond the first 28; write \"192.0.2.0/28\" for all that begin so, or \"192.0.2.10\" for the one address",
    ),
    (
        "addresses = [\"2001:db8::10/64\"]\n",
        "p:3:14: context \"web\": \"2001:db8::10/64\" has bits beyond the first 64; write \"2001:db8::/64\" for all that begin so, or \"2001:db8::10\" for the one address",
    ),
    (
        "addresses = [\"::ffff:192.0.2.10\"]\n",
        "p:3:14: context \"web\": \"::ffff:192.0.2.10\" is an IPv4 address written as one of IPv6; write \"192.0.2.10\"",
    ),
    (
        "addresses = [\"::ffff:192.0.2.0/124\"]\n",
        "p:3:14: context \"web\": \"::ffff:192.0.2.0/124\" is an IPv4 address written as one of IPv6; write \"192.0.2.0/28\"",
    ),
    (
        "addresses = [\"0.0.0.0/0\"]\n",
        "p:3:14: context \"web\": \"0.0.0.0/0\" is every address there is; list those that the context has, or leave addresses out and it uses the host's",
    ),
    (
        "addresses = [\"::/0\"]\n",
        "p:3:14: context \"web\": \"::/0\" is every address there is; list those that the context has, or leave addresses out and it uses the host's",
    ),
    (
        "addresses = [\"0.0.0.0\"]\n",
        "p:3:14: context \"web\": \"0.0.0.0\" is the address that means any; list those that the context has; bound to this one its sockets get the primary address",
    ),
    (
        "addresses = [\"::\"]\n",
        "p:3:14: context \"web\": \"::\" is the address that means any; list those that the context has; bound to this one its sockets get the primary address",
    ),
    (
        "addresses = [\"127.0.0.1\"]\n",
        "p:3:14: context \"web\": \"127.0.0.1\" is loopback; leave it out, and see loopback: a context has one of its own anyway",
    ),
    (
        "addresses = [\"64.0.0.0/2\"]\n",
        "p:3:14: context \"web\": \"64.0.0.0/2\" contains loopback; leave it out, and see loopback: a context has one of its own anyway",
    ),
    (
        "addresses = [\"::1\"]\n",
        "p:3:14: context \"web\": \"::1\" is loopback; leave it out, and see loopback: a context has one of its own anyway",
    ),
    (
        "addresses = [\"239.1.0.0/16\"]\n",
        "p:3:14: context \"web\": \"239.1.0.0/16\" is multicast; leave it out, and set multicast = true if the context may use groups",
    ),
    (
        "addresses = [\"ff02::1\"]\n",
        "p:3:14: context \"web\": \"ff02::1\" is multicast; leave it out, and set multicast = true if the context may use groups",
    ),
    (
        "addresses = [\"255.255.255.255\"]\n",
        "p:3:14: context \"web\": \"255.255.255.255\" is the broadcast address; leave it out, and set broadcast = true if the context may use it",
    ),
    (
        "addresses = [\"240.0.0.0/4\"]\n",
        "p:3:14: context \"web\": \"240.0.0.0/4\" contains the broadcast address; leave it out, and set broadcast = true if the context may use it",
    ),
    (
        "addresses = [\"fe80::1\"]\n",
        "p:3:14: context \"web\": \"fe80::1\" is link-local, the same on every link; give the context an address that is the machine's",
    ),
    (
        "addresses = [\"fd56:7365:7276::1\"]\n",
        "p:3:14: context \"web\": \"fd56:7365:7276::1\" is contexts' own loopback; choose another network",
    ),
    (
        "addresses = [\"fd56:7365:7276:ffff::/64\"]\n",
        "p:3:14: context \"web\": \"fd56:7365:7276:ffff::/64\" is contexts' own loopback; choose another network",
    ),
    (
        "addresses = [\"fd00::/8\"]\n",
        "p:3:14: context \"web\": \"fd00::/8\" contains contexts' own loopback; choose another network",
    ),
    (
        "addresses = [\"0:0:0:0:0:8000::/81\"]\n",
        "p:3:14: context \"web\": \"0:0:0:0:0:8000::/81\" contains IPv4 written as IPv6; list addresses of IPv4 as such, and longer prefixes of IPv6",
    ),
    (
        "addresses = [\"192.0.2.10\", \"192.0.2.10/32\"]\n",
        "p:3:28: context \"web\": \"192.0.2.10/32\" is given already, at p:3:14; keep one of them",
    ),
    (
        "addresses = [\"192.0.2.0/28\", \"192.0.2.10\"]\n",
        "p:3:30: context \"web\": \"192.0.2.10\" is part of \"192.0.2.0/28\", which is given already, at p:3:14; keep one of them",
    ),
    (
        "addresses = [\"2001:db8::10\", \"2001:db8::/64\"]\n",
        "p:3:30: context \"web\": \"2001:db8::/64\" contains \"2001:db8::10\", which is given already, at p:3:14; keep one of them",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nprimary = \"192.0.2.11\"\n",
        "p:4:11: context \"web\": primary is \"192.0.2.11\", which is none of the context's addresses; add it to addresses, or choose one of those",
    ),
    (
        "addresses = []\nprimary = [\"2001:db8::1\"]\n",
        "p:4:12: context \"web\": primary is \"2001:db8::1\", which is none of the context's addresses; add it to addresses, or choose one of those",
    ),
    (
        "addresses = [\"192.0.2.0/28\"]\nprimary = \"192.0.2.0/28\"\n",
        "p:4:11: context \"web\": primary cannot be \"192.0.2.0/28\", a prefix; give one address of it",
    ),
    (
        "addresses = [\"192.0.2.0/28\"]\nprimary = [\"192.0.2.1\", \"192.0.2.2\"]\n",
        "p:4:25: context \"web\": primary has an address of IPv4 already, at p:4:12; keep one of them",
    ),
    (
        "addresses = [\"2001:db8::/64\"]\nprimary = [\"2001:db8::1\", \"2001:db8::1\"]\n",
        "p:4:27: context \"web\": primary has an address of IPv6 already, at p:4:12; keep one of them",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nprimary = \"::ffff:192.0.2.10\"\n",
        "p:4:11: context \"web\": \"::ffff:192.0.2.10\" is an IPv4 address written as one of IPv6; write \"192.0.2.10\"",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nloopback = \"privat\"\n",
        "p:4:12: context \"web\": loopback cannot be \"privat\"; did you mean \"private\"? it is one of: private, shared, none",
    ),
    (
        "addresses = \"192.0.2.10\"\n",
        "p:3:13: context \"web\": addresses must be a list of texts in quotes, not a text",
    ),
    (
        "addresses = [\"192.0.2.10\", 5]\nprimary = \"192.0.2.11\"\n",
        "p:3:28: context \"web\": each of addresses must be a text in quotes, not an integer",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nprimary = [[]]\n",
        "p:4:12: context \"web\": each of primary must be a text in quotes, not a list",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nprimary = true\n",
        "p:4:11: context \"web\": primary must be a text in quotes or a list of such, not true or false",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nmulticast = \"yes\"\n",
        "p:4:13: context \"web\": multicast must be true or false without quotes, not a text",
    ),
    (
        "primary = \"192.0.2.10\"\n",
        "p:3:11: context \"web\": primary is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take primary out",
    ),
    (
        "loopback = \"private\"\n",
        "p:3:12: context \"web\": loopback is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take loopback out",
    ),
    (
        "multicast = false\n",
        "p:3:13: context \"web\": multicast is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take multicast out",
    ),
    (
        "broadcast = true\n",
        "p:3:13: context \"web\": broadcast is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take broadcast out",
    ),
    (
        "ping = true\n",
        "p:3:8: context \"web\": ping is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take ping out",
    ),
    (
        "receive = \"strict\"\n",
        "p:3:11: context \"web\": receive is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take receive out",
    ),
    (
        "addresses = []\nreceive = \"own\"\n",
        "p:4:11: context \"web\": receive cannot be \"own\"; it is one of: kernel, strict",
    ),
    (
        "raw = [\"icmp\"]\n",
        "p:3:7: context \"web\": raw is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take raw out",
    ),
    (
        "addresses = []\nraw = [\"icmp\", \"tcp\"]\n",
        "p:4:16: context \"web\": \"tcp\" is no protocol that a context can have raw sockets of; write \"icmp\" or \"icmpv6\", or take it out",
    ),
    (
        "show_any = true\n",
        "p:3:12: context \"web\": show_any is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take show_any out",
    ),
    (
        "[spectator]\naddresses = [\"192.0.2.10\"]\n",
        "p:4:1: [spectator]: the key \"addresses\" belongs in [context.NAME]; known keys here: description, records_per_second, record_burst",
    ),
    (
        "addresses = [\"192.0.2.10\"]\n[context.db]\nxid = 101\naddresses = [\"192.0.2.10\"]\n",
        "p:6:14: context \"db\": \"192.0.2.10\" is an address of context \"web\", at p:3:14; give each address to one context, or write shared = true in both",
    ),
    (
        "addresses = [\"192.0.2.0/28\"]\n[context.db]\nxid = 101\naddresses = [\"192.0.2.10\"]\n",
        "p:6:14: context \"db\": \"192.0.2.10\" is part of \"192.0.2.0/28\" of context \"web\", at p:3:14; give each address to one context, or write shared = true in both",
    ),
    (
        "addresses = [\"2001:db8::10\"]\n[context.db]\nxid = 101\naddresses = [\"2001:db8::/64\"]\n",
        "p:6:14: context \"db\": \"2001:db8::/64\" contains \"2001:db8::10\" of context \"web\", at p:3:14; give each address to one context, or write shared = true in both",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nassign = \"\"\n",
        "p:4:10: context \"web\": assign cannot be \"\", which is no interface's name; give one as `ip link` shows it, of 1 to 15 bytes without '/', ':' and white space",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nassign = \"eth0:1\"\n",
        "p:4:10: context \"web\": assign cannot be \"eth0:1\", which is no interface's name; give one as `ip link` shows it, of 1 to 15 bytes without '/', ':' and white space",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nassign = \"eth 0\"\n",
        "p:4:10: context \"web\": assign cannot be \"eth 0\", which is no interface's name; give one as `ip link` shows it, of 1 to 15 bytes without '/', ':' and white space",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nassign = \"../eth0\"\n",
        "p:4:10: context \"web\": assign cannot be \"../eth0\", which is no interface's name; give one as `ip link` shows it, of 1 to 15 bytes without '/', ':' and white space",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nassign = \"..\"\n",
        "p:4:10: context \"web\": assign cannot be \"..\", which is no interface's name; give one as `ip link` shows it, of 1 to 15 bytes without '/', ':' and white space",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nassign = \"interface-number\"\n",
        "p:4:10: context \"web\": assign cannot be \"interface-number\", which is no interface's name; give one as `ip link` shows it, of 1 to 15 bytes without '/', ':' and white space",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nassign = \"eth0\\u001b\"\n",
        "p:4:10: context \"web\": assign cannot be \"eth0\\u{1b}\", which is no interface's name; give one as `ip link` shows it, of 1 to 15 bytes without '/', ':' and white space",
    ),
    (
        "addresses = []\nassign = \"eth0\"\n",
        "p:4:10: context \"web\": assign is for contexts that have an address; add one to addresses, or take assign out",
    ),
    (
        "addresses = [\"192.0.2.10\"]\nassign = true\n",
        "p:4:10: context \"web\": assign must be a text in quotes, not true or false",
    ),
    (
        "assign = \"eth0\"\n",
        "p:3:10: context \"web\": assign is for contexts that have addresses; add addresses = [\"192.0.2.10\"] with its own, or [] for none but its loopback, or take assign out",
    ),
];
