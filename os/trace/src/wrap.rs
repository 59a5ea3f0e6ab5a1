//! The functions that stand between the program and the library OS.
//!
//! All arguments of all traced calls are integers and pointers, seven at most. By the System V ABI six are in registers and
//! the seventh is on the stack, where the caller's frame is in any case; so one form serves them all: it takes seven words,
//! hands them on, and gives back what it got.

use crate::{flight, wanted};
use abi::trace::{CALLS, Gives};

/// The row of a symbol.
const fn row(symbol: &str) -> usize {
    let (symbol, mut row) = (symbol.as_bytes(), 0);
    loop {
        let other = CALLS[row].symbol.as_bytes();
        let mut at = 0;
        while at < other.len() && at < symbol.len() && other[at] == symbol[at] {
            at += 1;
        }
        if at == other.len() && at == symbol.len() {
            return row;
        }
        row += 1;
    }
}

/// The row of `syscall`, whose first argument says which call it is.
const BY_NUMBER: usize = row("syscall");
/// `exit_group`, which is `exit` where there is one process.
const EXIT_GROUP: usize = 231;
const EXIT: usize = 60;

/// The row of a system call and its arguments; those of `syscall` itself if the table has no such number.
fn numbered(words: [usize; 7]) -> (usize, [usize; 7]) {
    let [number, a, b, c, d, e, f] = words;
    let number = if number == EXIT_GROUP { EXIT } else { number };
    match CALLS.iter().position(|call| call.number.is_some_and(|n| usize::from(n) == number)) {
        Some(row) => (row, [a, b, c, d, e, f, 0]),
        None => (BY_NUMBER, words),
    }
}

/// A call of the C function in this row.
#[inline(always)]
fn around(row: usize, words: [usize; 7], real: impl FnOnce() -> usize) -> usize {
    told(row, words, real, flight::Call::end)
}

/// A call in this row, told of by `end` if it is wanted.
#[inline(always)]
fn told<R: Copy>(row: usize, words: [usize; 7], real: impl FnOnce() -> R, end: impl FnOnce(&mut flight::Call, R)) -> R {
    if !wanted::any() {
        return real();
    }
    let (row, words) = if row == BY_NUMBER { numbered(words) } else { (row, words) };
    if !wanted::wants(row) {
        return real();
    }
    if CALLS[row].gives == Gives::Never {
        flight::last(row, words);
        return real();
    }
    let mut call = flight::Call::new(row, words);
    if !call.begin() {
        return real();
    }
    let result = real();
    end(&mut call, result);
    result
}

macro_rules! functions {
    ($($family:ident { $($symbol:ident $(=$name:ident)? ($($argument:expr),*) $gives:ident $(#$number:literal)?;)* })*) => {
        $($(const _: () = {
            unsafe extern "C" {
                #[link_name = concat!("__real_", stringify!($symbol))]
                fn real(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, g: usize) -> usize;
            }

            #[unsafe(export_name = concat!("__wrap_", stringify!($symbol)))]
            unsafe extern "C" fn wrap(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, g: usize) -> usize {
                const ROW: usize = row(stringify!($symbol));
                // SAFETY: the program's call, as it made it.
                around(ROW, [a, b, c, d, e, f, g], || unsafe { real(a, b, c, d, e, f, g) })
            }
        };)*)*
    };
}

abi::traced_calls!(functions);

unsafe extern "C" {
    fn ampoule_syscall(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> i64;
}

/// What a `syscall` instruction does, told of. The builder names it to the machine's fault path instead of
/// `ampoule_syscall`.
///
/// # Safety
/// As for a system call of this number.
#[unsafe(no_mangle)]
unsafe extern "C" fn ampoule_syscall_traced(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> i64 {
    // SAFETY: the program's call, as it made it.
    let real = || unsafe { ampoule_syscall(number, a, b, c, d, e, f) };
    told(BY_NUMBER, [number, a, b, c, d, e, f], real, flight::Call::end_raw)
}
