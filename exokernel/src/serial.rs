//! The serial port (16550, port 0x3f8): emergency output, and what the operator's side has to say.
//!
//! Output always works and needs nothing set up. Input is a control line, not a terminal: the byte 3 (what Ctrl-C sends)
//! asks for an interrupt, the byte 4 for an orderly stop. The byte 26 (Ctrl-Z), a number in decimal digits and a newline
//! tell how many bytes the console's input has in all, because a virtio-console has no end. Everything else is dropped.

use crate::cpu::{in8, out8, tsc};
use crate::upcall;
use abi::vcpu::{EVENT_INPUT, EVENT_INTERRUPT, EVENT_STOP};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

const BASE: u16 = 0x3f8;
/// The line it interrupts on (ISA).
pub const LINE: u32 = 4;
/// Line status: the port takes another byte.
const HOLDING_EMPTY: u8 = 0x20;
/// Line status: everything has left the port.
const ALL_EMPTY: u8 = 0x40;
/// How long to wait for room before bytes are dropped, in ticks of the time-stamp counter: some five seconds. A machine
/// whose port nobody reads must not hang, and one whose reader is slow must not lose its report.
const PATIENCE: u64 = 1 << 34;

/// Turns on the interrupt for input. The FIFO stays off: turning it on drops what has arrived, and something may have been
/// said already.
pub fn listen() {
    out8(BASE + 4, 0x0b); // DTR, RTS, OUT2 (which lets interrupts through)
    out8(BASE + 1, 0x01); // received data
}

/// The number that is being told, as far as it has come.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The event bits that waiting input asks for.
pub fn events() -> u64 {
    let mut events = 0;
    // A missing port reads as all ones, for ever; a real one is asked again when more comes.
    for _ in 0..64 {
        if in8(BASE + 5) & 1 == 0 {
            break;
        }
        events |= match in8(BASE) {
            3 => EVENT_INTERRUPT,
            4 => EVENT_STOP,
            26 => {
                NUMBER.store(0, Relaxed);
                0
            }
            digit @ b'0'..=b'9' => {
                let number = NUMBER.load(Relaxed).wrapping_mul(10);
                NUMBER.store(number.wrapping_add(u64::from(digit - b'0')), Relaxed);
                0
            }
            b'\n' => {
                upcall::set_input_end(NUMBER.load(Relaxed));
                EVENT_INPUT
            }
            _ => 0,
        };
    }
    events
}

/// Has nobody read for as long as [`PATIENCE`]?
static IS_DEAF: AtomicBool = AtomicBool::new(false);

/// Waits until the line status has this bit; not at all where nobody was there the last time.
fn await_status(bit: u8) {
    let start = tsc();
    let is_over = || IS_DEAF.load(Relaxed) || tsc().wrapping_sub(start) > PATIENCE;
    loop {
        if in8(BASE + 5) & bit != 0 {
            IS_DEAF.store(false, Relaxed);
            return;
        }
        if is_over() {
            IS_DEAF.store(true, Relaxed);
            return;
        }
    }
}

/// Sends one byte.
pub fn put(byte: u8) {
    await_status(HOLDING_EMPTY);
    out8(BASE, byte);
}

/// Waits until all that was sent has left. QEMU keeps up to two bytes where its reader is slow, and drops them when the
/// machine is switched off.
pub fn drain() {
    await_status(ALL_EMPTY);
}

/// Prints text.
pub fn print(text: &str) {
    text.bytes().for_each(put);
}

/// Prints a number in hexadecimal, with `0x`.
pub fn hex(value: u64) {
    print("0x");
    let digits = (64 - value.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        put(b"0123456789abcdef"[(value >> (digit * 4) & 15) as usize]);
    }
}

/// Prints a number in decimal.
pub fn decimal(value: u64) {
    if value >= 10 {
        decimal(value / 10);
    }
    put(b'0' + (value % 10) as u8);
}
