//! The registers a walk carries. How the present ones are read is the architecture's business.

/// A point in a frame from which its callers can be found.
///
/// Either the present state of a function ([`Registers::here`]), or what a function sees when the one it called
/// returns: `pc` the return address, `sp` the stack pointer after the return, `bp` the value of the frame pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registers {
    /// A return address; of the present function, an address inside it that is not its first.
    pub pc: usize,
    /// rsp, sp
    pub sp: usize,
    /// rbp or x29, whatever it holds
    pub bp: usize,
}
