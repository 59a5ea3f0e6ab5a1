//! The serial port (16550, port 0x3f8): emergency output, and the operator's two wishes.
//!
//! Output always works and needs nothing set up. Input is a control line, not a terminal: the byte 3 (what Ctrl-C sends)
//! asks for an interrupt, the byte 4 for an orderly stop. Everything else is dropped.

use crate::cpu::{in8, out8};
use abi::vcpu::{EVENT_INTERRUPT, EVENT_STOP};

const BASE: u16 = 0x3f8;
/// The line it interrupts on (ISA).
pub const LINE: u32 = 4;
/// How often to look for room before a byte is dropped: a machine whose port nobody reads must not hang.
const PATIENCE: u32 = 1_000_000;

/// Turns on the FIFO and the interrupt for input.
pub fn listen() {
    out8(BASE + 2, 0x07); // FIFOs on and empty, an interrupt for every byte
    out8(BASE + 4, 0x0b); // DTR, RTS, OUT2 (which lets interrupts through)
    out8(BASE + 1, 0x01); // received data
}

/// The event bits that waiting input asks for.
pub fn events() -> u64 {
    let mut events = 0;
    // A missing port reads as all ones, for ever; a real one never holds more than its FIFO.
    for _ in 0..64 {
        if in8(BASE + 5) & 1 == 0 {
            break;
        }
        events |= match in8(BASE) {
            3 => EVENT_INTERRUPT,
            4 => EVENT_STOP,
            _ => 0,
        };
    }
    events
}

/// Sends one byte.
pub fn put(byte: u8) {
    for _ in 0..PATIENCE {
        if in8(BASE + 5) & 0x20 != 0 {
            break;
        }
    }
    out8(BASE, byte);
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
