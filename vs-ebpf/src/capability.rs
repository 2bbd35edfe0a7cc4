//! No context uses a capability beyond the safe ones, in whatever user namespace.
//!
//! Entry has dropped the others for good, so this is the second lock: it holds where capabilities come back, which a user namespace
//! would do (`kernel/user_namespace.c:create_user_ns` hands out a full set).

use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;

use vs_common::capability::{NET_RAW, decide_capability};
use vs_common::context::Identity;
use vs_common::hook::Hook;
use vs_common::verdict::Verdict;

use crate::audit::Target;
use crate::context;
use crate::kernel::task::Task;
use crate::verdict::{ALLOW, allow_host, conclude};

/// `security_capable(cred, ns, cap, opts)`: see [`decide_capability`].
#[lsm(hook = "capable")]
fn capable(ctx: LsmContext) -> i32 {
    let actor = context::current();
    if matches!(actor, Identity::Host) {
        return allow_host();
    }
    let number: u32 = ctx.arg(2);
    let verdict = decide_capability(actor, number);
    if verdict == Verdict::Allow {
        if number == NET_RAW {
            context::take_raw_back(Task::current());
        }
        return ALLOW;
    }
    conclude(Hook::Capable, verdict, actor, &Target::capability(number), u64::from(number))
}
