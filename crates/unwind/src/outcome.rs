//! How a walk ends: its depth, and why it went no further. Types only; `walk.rs` and the steps return them.

/// The result of a capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Walk {
    /// How many of the frames were written, innermost first.
    pub depth: usize,
    /// Why it stopped there.
    pub end: End,
}

/// Why a walk went no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The last frame has no caller.
    Outermost,
    /// There was no room for more frames, if there are any.
    Full,
    /// The frames are right as far as they go.
    Truncated(Reason),
}

/// Why a walk was given up. `reason as usize` is below [`Reason::COUNT`], for counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The code has no call frame information and no frame pointer that can be believed.
    NoInformation,
    /// The call frame information needs a register or an operation that is not handled.
    Unsupported,
    /// A frame would lie outside the stack, or below the one before.
    StackPointer,
    /// A return address that cannot be one.
    ReturnAddress,
    /// A signal handler interrupted code on a stack whose bounds cannot be found.
    OtherStack,
    /// The bounds of the present stack cannot be found.
    UnknownStack,
}

impl Reason {
    /// How many reasons there are.
    pub const COUNT: usize = 6;
}
