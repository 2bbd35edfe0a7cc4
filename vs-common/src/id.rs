//! The numbers that name contexts and processes, one newtype each, so that none can be taken for another.

/// A context id, the number VServer puts on every process (`xid_t`).
///
/// 0 is the host, 1 the spectator, [`Xid::FIRST_STATIC`]..=[`Xid::LAST_STATIC`] are given by policy, and what lies above is
/// handed out by the loader. The ranges are VServer's (`vserver/context.h`: `MIN_D_CONTEXT` 49152).
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Xid(pub u32);

impl Xid {
    /// The host: not confined, sees and controls all.
    pub const HOST: Self = Self(0);
    /// The spectator: sees all, changes nothing.
    pub const SPECTATOR: Self = Self(1);
    /// The lowest number that a policy may give.
    pub const FIRST_STATIC: Self = Self(2);
    /// The highest number that a policy may give.
    pub const LAST_STATIC: Self = Self(49_151);
    /// The lowest number that the loader hands out to a context no policy names.
    pub const FIRST_DYNAMIC: Self = Self(49_152);
    /// Whom the loader's canary acts as, for an instant and in one process: a guest of no policy. What it is denied is counted, and no
    /// record is written of it.
    pub const CANARY: Self = Self(u32::MAX - 1);
    /// The highest number there is. VServer's `xid_t` was 16 bits wide on disk, and classic tools print five digits.
    pub const LAST_DYNAMIC: Self = Self(65_535);

    /// Which of the three kinds of context this number stands for.
    #[inline(always)]
    pub const fn kind(self) -> ContextKind {
        match self.0 {
            0 => ContextKind::Host,
            1 => ContextKind::Spectator,
            _ => ContextKind::Guest,
        }
    }
}

impl core::fmt::Display for Xid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// The three kinds of context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContextKind {
    /// Not confined.
    Host,
    /// Sees all, changes nothing.
    Spectator,
    /// Sees and touches only itself.
    Guest,
}

/// Tells two uses of the same [`Xid`] apart: a number may be given again, an (xid, generation) never.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Generation(pub u64);

/// The number of a policy load. 0: nothing was ever loaded. Programs read it once per call.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(pub u32);
