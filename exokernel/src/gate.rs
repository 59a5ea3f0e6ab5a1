//! The gate's calls ([`abi::gate`]): arguments checked, then done.

use crate::{boot, clock, cpu, paging, ram, serial, timer, upcall};
use abi::PAGE_SIZE;
use abi::boot::SEGMENT_EXECUTE;
use abi::gate::{
    ACCESS_EXECUTE, ACCESS_NONE, ACCESS_READ, ACCESS_READ_WRITE, BACKTRACE_MAX, Call, GateError, LOG_MAX, LogKind,
    WAIT_POLL,
};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The return address of the gate's `int3`: the one place it may come from.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub static EXOKERNEL_GATE_RETURN: AtomicU64 = AtomicU64::new(0);

/// The gate as the guest sees it: `int3; ret`.
pub const CODE: [u8; 2] = [0xcc, 0xc3];
/// Precedes the end on the serial line: ASCII's record separator.
const EXIT_MARK: u8 = 0x1e;
/// The port of QEMU's isa-debug-exit device, as the tool places it.
const EXIT_PORT: u16 = 0xf4;

/// Says where [`CODE`] lies.
pub fn set_address(address: u64) {
    EXOKERNEL_GATE_RETURN.store(address + 1, Relaxed);
}

/// A call arrives.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn exokernel_call(number: u64, a: u64, b: u64, c: u64) -> i64 {
    let result = match Call::from_number(number) {
        Some(Call::Exit) => exit(a),
        Some(Call::Log) => log(a, b, c),
        Some(Call::Wait) => {
            wait(a);
            Ok(())
        }
        // Drivers reach every doorbell themselves.
        Some(Call::Kick) => Err(GateError::BadArgument),
        Some(Call::Map) => map(a, b, c),
        Some(Call::Unmap) => change(a, b, true, 0),
        Some(Call::Protect) => flags(c).and_then(|flags| change(a, b, true, flags)),
        Some(Call::Upcall) => set_upcall(a, b, c),
        Some(Call::Slice) => {
            timer::set_slices(a);
            Ok(())
        }
        Some(Call::StartCpu) => Err(GateError::NoResources),
        None => Err(GateError::NoSuchCall),
    };
    result.map_or_else(|error| -(error as i64), |()| 0)
}

/// Ends the machine. QEMU's exit device carries seven bits, so a status above 127 is also said on the serial line, after
/// an invisible mark; the mark alone says that this end was the machine's own and no failure of QEMU's.
pub fn exit(status: u64) -> ! {
    let status = status & 0xff;
    serial::put(EXIT_MARK);
    if status > 127 {
        serial::print("exit ");
        serial::decimal(status);
        serial::print("\n");
    }
    serial::drain();
    cpu::out32(EXIT_PORT, status as u32);
    // Without that device: power off as q35's chipset and then microvm's reset port know it.
    cpu::out16(0x604, 0x2000);
    cpu::out8(0x64, 0xfe);
    serial::print("ampoule: the machine has ended with status ");
    serial::decimal(status);
    serial::print(" and cannot switch itself off\n");
    cpu::halt()
}

fn log(kind: u64, address: u64, length: u64) -> Result<(), GateError> {
    if kind == LogKind::Text as u64 {
        each_piece(address, length.min(LOG_MAX), &mut |piece| piece.iter().for_each(|b| serial::put(*b)))
    } else if cfg!(feature = "trace") && kind == LogKind::Trace as u64 {
        serial::put(abi::trace::MARK);
        each_piece(address, length.min(LOG_MAX), &mut |piece| piece.iter().for_each(|b| serial::put(*b)))
    } else if kind == LogKind::Backtrace as u64 && address.is_multiple_of(8) {
        each_piece(address, length.min(BACKTRACE_MAX * 8) & !7, &mut |piece| {
            for frame in piece.as_chunks::<8>().0 {
                serial::print("    at ");
                boot::print_address(u64::from_le_bytes(*frame));
                serial::print("\n");
            }
        })
    } else {
        Err(GateError::BadArgument)
    }
}

/// Shows guest memory piece by piece, each inside one page.
fn each_piece(address: u64, length: u64, show: &mut dyn FnMut(&[u8])) -> Result<(), GateError> {
    let end = address.checked_add(length).ok_or(GateError::BadAddress)?;
    let mut at = address;
    while at < end {
        let piece = (PAGE_SIZE - at % PAGE_SIZE).min(end - at);
        let physical = paging::translate(at).filter(|p| *p < ram::MAPPED_END).ok_or(GateError::BadAddress)?;
        // SAFETY: mapped RAM of the guest, which stands still while the one CPU is here.
        show(unsafe { ram::bytes(physical, piece) });
        at += piece;
    }
    Ok(())
}

/// Sleeps until an event or the deadline. The check and the sleep cannot be torn apart: interrupts are off until
/// [`cpu::idle`] lets them in, and a pending one wakes it at once.
fn wait(until_ns: u64) {
    if until_ns == WAIT_POLL {
        return;
    }
    while upcall::events() == 0 {
        let now = clock::now_ns();
        if now >= until_ns {
            break;
        }
        timer::wake_by(until_ns, now);
        cpu::idle();
    }
    timer::resume();
}

fn flags(access: u64) -> Result<u64, GateError> {
    match access {
        ACCESS_NONE => Ok(paging::OWNED),
        ACCESS_READ => Ok(paging::OWNED | paging::PRESENT),
        ACCESS_READ_WRITE => Ok(paging::OWNED | paging::PRESENT | paging::WRITE),
        _ if access & ACCESS_EXECUTE != 0 => Err(GateError::Sealed),
        _ => Err(GateError::BadArgument),
    }
}

/// Refuses ranges that are not whole pages of the arena.
fn check_range(address: u64, length: u64) -> Result<(), GateError> {
    let end = address.checked_add(length).ok_or(GateError::BadAddress)?;
    let arena = boot::arena();
    if !(address | length).is_multiple_of(PAGE_SIZE) || length == 0 {
        Err(GateError::BadAddress)
    } else if boot::segments().any(|s| address < s.address.0 + s.length && s.address.0 < end) {
        Err(GateError::Sealed)
    } else if address < arena.address.0 || end > arena.address.0 + arena.length {
        Err(GateError::BadAddress)
    } else {
        Ok(())
    }
}

fn change(address: u64, length: u64, owned: bool, flags: u64) -> Result<(), GateError> {
    check_range(address, length)?;
    let allowed = |value: u64| (value & paging::OWNED != 0) == owned;
    paging::change(address, length, allowed, flags).map_err(|error| match error {
        paging::PagingError::NoFrames => GateError::NoResources,
        paging::PagingError::Refused => GateError::BadArgument,
    })
}

fn map(address: u64, length: u64, access: u64) -> Result<(), GateError> {
    let flags = flags(access)?;
    change(address, length, false, flags)?;
    let arena = boot::arena();
    // SAFETY: pages of the arena that nobody could reach until now; its physical memory is contiguous.
    unsafe { ram::clear(arena.bus.0 + (address - arena.address.0), length) };
    Ok(())
}

fn set_upcall(entry: u64, start: u64, end: u64) -> Result<(), GateError> {
    let code = |at: u64| {
        boot::segments().any(|s| s.access & SEGMENT_EXECUTE != 0 && at >= s.address.0 && at - s.address.0 <= s.length)
    };
    if start > end || !code(entry) || !code(start) || !code(end) {
        return Err(GateError::BadAddress);
    }
    upcall::set_entry(entry, start, end);
    Ok(())
}
