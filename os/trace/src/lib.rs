//! `ampoule run --trace`: what the program asks of its operating system, a line a call, as strace shows it.
//!
//! Only a traced image has this crate in it. The builder asks the linker to lead every reference to `open` to `__wrap_open`,
//! which is made here, and `__real_open` to the library OS's own (`--wrap`). So what is told is what the *program* calls:
//! the library OS's calls among its own parts are direct, and the crate never traces itself. A `syscall` instruction of the
//! program's, which the machine's fault path carries out, comes by `wrap` too.
//!
//! | file | what it does |
//! |---|---|
//! | `wrap` | the functions that stand in between, made from the table (`abi::trace`) |
//! | `wanted` | which calls are to be told of |
//! | `flight` | calls that go on, and the lines of those that have ended |
//! | `line` | text of bounded length, with bytes shown as in C |
//! | `peek` | the program's memory: the one place that follows its pointers |
//! | `show` | arguments and results, by their kind |
//!
//! # What a line costs the program
//! Nothing but time. A line is put together in one buffer behind a lock that masks upcalls, and leaves by the gate before the
//! lock is free: lines are whole, in the order in which calls ended, and there is nothing to lose when the machine ends.
//! Nothing is allocated, so `malloc` itself can be traced; `errno` is read and never set. A call that goes on when the
//! machine ends, whatever ends it, is told as `<unfinished ...>`.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(ampoule_image), allow(dead_code, reason = "only an image has the calls"))]

mod flight;
mod line;
mod peek;
mod show;
mod wanted;
#[cfg(ampoule_image)]
mod wrap;
