//! The console device of our own monitors: three byte streams over three virtqueues.
//!
//! | queue | direction | a buffer holds |
//! |---|---|---|
//! | [`QUEUE_INPUT`] | to the guest | bytes of standard input; a used length of 0 is the end of input, and nothing follows |
//! | [`QUEUE_OUTPUT`] | from the guest | bytes for standard output |
//! | [`QUEUE_ERROR`] | from the guest | bytes for standard error |
//!
//! Output buffers are used in order once their bytes are written. A host that cannot write (a closed pipe) uses them
//! all the same: a guest never hangs because nobody listens.

/// Queue number: standard input.
pub const QUEUE_INPUT: usize = 0;
/// Queue number: standard output.
pub const QUEUE_OUTPUT: usize = 1;
/// Queue number: standard error.
pub const QUEUE_ERROR: usize = 2;
