//! The properties, one for each word.

use crate::machine::*;
use abi::boot::{SEGMENT_EXECUTE, SEGMENT_WRITE};
use abi::gate::*;
use abi::vcpu::{EVENT_INTERRUPT, EVENT_STOP};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

type Outcome = Result<(), &'static str>;
const PAGE: u64 = abi::PAGE_SIZE;
const PAGE_FAULT: Option<u64> = Some(14);
const PROTECTION: Option<u64> = Some(13);

pub fn check(word: &str) -> Outcome {
    catch();
    match word {
        "sealed" => sealed(),
        "privileged" => privileged(),
        "guards" => guards(),
        "zeroed" => zeroed(),
        "relocated" => relocated(),
        "mappings" => mappings(),
        "refused" => refused(),
        "clock" => clock(),
        "wait" => wait(),
        "slice" => slice(),
        "registers" => registers(),
        "environment" => expect(environment().eq(["A=b c", "Z=1"]), "another environment"),
        "devices" => devices(),
        "backtrace" => {
            let frames = [check as *const () as u64 + 4, 0x1234];
            expect(call(Call::Log, LogKind::Backtrace as u64, frames.as_ptr() as u64, 16) == 0, "refused")
        }
        "status" => exit(139),
        "unhandled" => {
            call(Call::Upcall, 0, 0, 0);
            // Faults inside the handler: the frame of the first fault is never taken.
            vcpu().frame.kind.store(2, Relaxed);
            load(0x10);
            Err("went on")
        }
        "stop" => stop(EVENT_STOP),
        "interrupt" => stop(EVENT_INTERRUPT),
        _ => Err("no such property"),
    }
}

fn expect(holds: bool, otherwise: &'static str) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn segments() -> impl Iterator<Item = &'static abi::boot::Segment> {
    boot().segments.iter().take(boot().segment_count as usize)
}

fn sealed() -> Outcome {
    for segment in segments() {
        expect(segment.access & (SEGMENT_WRITE | SEGMENT_EXECUTE) != SEGMENT_WRITE | SEGMENT_EXECUTE, "W+X segment")?;
        let (first, last) = (segment.address.0, segment.address.0 + segment.length - 1);
        for at in [first, last] {
            expect(load(at).is_none(), "a segment cannot be read")?;
            if segment.access & SEGMENT_WRITE == 0 {
                expect(store(at) == PAGE_FAULT, "a read-only segment can be written")?;
            }
            if segment.access & SEGMENT_EXECUTE == 0 {
                expect(jump(at) == PAGE_FAULT, "data can be executed")?;
            }
        }
    }
    expect(jump(boot().arena.address.0) == PAGE_FAULT, "the arena can be executed")?;
    expect(jump(boot().stack.address.0) == PAGE_FAULT, "the stack can be executed")?;
    expect(store(boot() as *const _ as u64) == PAGE_FAULT, "the boot information can be written")?;
    expect(store(boot().gate.0) == PAGE_FAULT, "the gate can be written")?;
    expect(store(boot().manifest.address.0) == PAGE_FAULT, "the manifest can be written")
}

fn privileged() -> Outcome {
    for (at, what) in [
        (0, "page 0 can be read"),
        (0x1000, "low memory can be read"),
        (0x10_0000, "the exokernel can be read"),
        (0xfee0_0000, "the APIC can be read"),
        (0xfec0_0000, "the I/O APIC can be read"),
    ] {
        expect(load(at) == PAGE_FAULT, what)?;
    }
    expect(halt(0) == PROTECTION, "hlt does not fault")?;
    expect(disable(0) == PROTECTION, "cli does not fault")?;
    expect(port(0) == PROTECTION, "a port can be reached")?;
    expect(interrupt(0) == PROTECTION, "a device's vector can be raised")?;
    expect(system_call(0) == Some(6), "syscall is not an invalid opcode")?;
    expect(breakpoint(0) == Some(3), "a stray int3 is not a fault")?;
    expect(descriptor(0) == PROTECTION, "sgdt is allowed")?;
    expect(load(1 << 62) == PROTECTION, "a non-canonical address does not fault")
}

fn guards() -> Outcome {
    expect(store(boot().stack.address.0).is_none(), "the stack's last page is missing")?;
    expect(store(boot().stack.address.0 - 1) == PAGE_FAULT, "no guard below the stack")?;
    expect(store(boot().stack.address.0 + boot().stack.length) == PAGE_FAULT, "no guard above the stack")?;
    expect(overflow(0) == PAGE_FAULT, "a stack overflow does not fault")?;
    let arena = boot().arena;
    expect(store(arena.address.0 - 1) == PAGE_FAULT, "something below the arena")?;
    expect(store(arena.address.0 + arena.length) == PAGE_FAULT, "something above the arena")
}

fn zeroed() -> Outcome {
    let arena = boot().arena;
    // SAFETY: the arena belongs to the guest, and nothing else uses it here.
    let words = unsafe { core::slice::from_raw_parts(arena.address.0 as *const u64, arena.length as usize / 8) };
    expect(words.iter().all(|w| *w == 0), "the arena is not zero")
}

fn relocated() -> Outcome {
    static TARGET: AtomicU64 = AtomicU64::new(7);
    static POINTERS: [&AtomicU64; 3] = [&TARGET; 3];
    let base = boot().image_base.0;
    expect(base % abi::image::IMAGE_ALIGN == 0 && base >> 39 != 0 && base >> 47 == 0, "a strange base")?;
    expect(POINTERS.iter().all(|p| core::hint::black_box(p).load(Relaxed) == 7), "a pointer is wrong")
}

fn map(number: Call, offset: u64, length: u64, access: u64) -> i64 {
    call(number, boot().arena.address.0 + offset, length, access)
}

fn mappings() -> Outcome {
    let at = boot().arena.address.0;
    expect(store(at + PAGE).is_none(), "the arena cannot be written")?;
    expect(map(Call::Protect, PAGE, PAGE, ACCESS_READ) == 0, "protect(read)")?;
    expect(store(at + PAGE) == PAGE_FAULT, "a protected page can be written")?;
    expect(store(at).is_none() && store(at + 2 * PAGE).is_none(), "its neighbours cannot be written")?;
    expect(map(Call::Protect, PAGE, PAGE, ACCESS_NONE) == 0, "protect(none)")?;
    expect(load(at + PAGE) == PAGE_FAULT, "a guard page can be read")?;
    expect(map(Call::Map, PAGE, PAGE, ACCESS_READ_WRITE) != 0, "a mapped page could be mapped")?;
    expect(map(Call::Protect, PAGE, PAGE, ACCESS_READ_WRITE) == 0, "protect(read, write)")?;
    // SAFETY: the guest's own arena.
    expect(unsafe { *((at + PAGE) as *const u8) } == 1, "protect lost the contents")?;
    let length = boot().arena.length & !(PAGE - 1);
    for (offset, length) in [(PAGE, 3 * PAGE), (0, length), (length - PAGE, PAGE)] {
        expect(map(Call::Unmap, offset, length, 0) == 0, "unmap")?;
        expect(load(at + offset) == PAGE_FAULT, "an unmapped page can be read")?;
        expect(load(at + offset + length - 1) == PAGE_FAULT, "the last unmapped page can be read")?;
        expect(map(Call::Unmap, offset, length, 0) != 0, "unmapped twice")?;
        expect(map(Call::Protect, offset, length, ACCESS_READ) != 0, "an unmapped page was protected")?;
        expect(map(Call::Map, offset, length, ACCESS_READ_WRITE) == 0, "map")?;
        expect(store(at + offset).is_none(), "a mapped page cannot be written")?;
        // SAFETY: the guest's own arena.
        expect(unsafe { *((at + offset + 1) as *const u8) } == 0, "a mapped page is not zero")?;
    }
    zeroed_but_first()
}

fn zeroed_but_first() -> Outcome {
    // Every large page of the arena split.
    let mut offset = 0;
    while offset + 2 * PAGE <= boot().arena.length {
        expect(map(Call::Protect, offset, PAGE, ACCESS_NONE) == 0, "no memory for splitting a large page")?;
        offset += 2 << 20;
    }
    Ok(())
}

fn refused() -> Outcome {
    let arena = boot().arena;
    let at = |call_: Call, a, b, c| -call(call_, a, b, c);
    let (bad, sealed, argument) =
        (GateError::BadAddress as i64, GateError::Sealed as i64, GateError::BadArgument as i64);
    let start = arena.address.0;
    for (result, wanted) in [
        (at(Call::Protect, start, PAGE, ACCESS_EXECUTE | ACCESS_READ), sealed),
        (at(Call::Protect, start, PAGE, 2), argument),
        (at(Call::Protect, start, PAGE, u64::MAX), sealed),
        (at(Call::Protect, segments().next().map_or(0, |s| s.address.0), PAGE, ACCESS_READ), sealed),
        (at(Call::Protect, start + 1, PAGE, ACCESS_READ), bad),
        (at(Call::Protect, start, PAGE + 1, ACCESS_READ), bad),
        (at(Call::Protect, start, 0, ACCESS_READ), bad),
        (at(Call::Protect, start, arena.length + PAGE, ACCESS_READ), bad),
        (at(Call::Protect, start, u64::MAX & !(PAGE - 1), ACCESS_READ), bad),
        (at(Call::Unmap, boot().stack.address.0, PAGE, 0), bad),
        (at(Call::Unmap, 0x10_0000, PAGE, 0), bad),
        (at(Call::Log, 0, 0x10_0000, 8), bad),
        (at(Call::Log, 0, u64::MAX - 3, 8), bad),
        (at(Call::Log, 0, arena.address.0 - 8, 16), bad),
        (at(Call::Log, 7, start, 8), argument),
        (at(Call::Log, 1, start + 1, 8), argument),
        (at(Call::Upcall, start, start, start), bad),
        (at(Call::Upcall, 1 << 63, 1 << 63, 1 << 63), bad),
        (at(Call::StartCpu, 0, 0, 0), GateError::NoResources as i64),
    ] {
        expect(result == wanted, "a wrong call was not refused as it should be")?;
    }
    // SAFETY: a gate call with a number that nothing has.
    let gate: GateFn = unsafe { core::mem::transmute(boot().gate.0) };
    // SAFETY: as above.
    expect(unsafe { gate(99, 0, 0, 0) } == -(GateError::NoSuchCall as i64), "an unknown call was answered")
}

fn now() -> u64 {
    let clock = boot().clock;
    // SAFETY: reads a counter.
    let tsc = unsafe { core::arch::x86_64::_rdtsc() } - clock.tsc_base;
    ((u128::from(tsc) * u128::from(clock.multiplier)) >> 32) as u64
}

fn clock() -> Outcome {
    // How long the exokernel took, for a person to read.
    print_number(now() / 1000);
    print(" us to here, ");
    expect(boot().clock.kind == abi::boot::CLOCK_TSC, "no clock")?;
    expect(boot().clock.wall_base_ns > 1_700_000_000_000_000_000, "no time of day")?;
    expect(now() < 10_000_000_000, "not near zero at boot")
}

fn wait() -> Outcome {
    for ns in [0, 1, 1000, 100_000, 20_000_000] {
        let start = now();
        let until = start + ns;
        while now() < until {
            call(Call::Wait, until, 0, 0);
        }
    }
    call(Call::Wait, WAIT_POLL, 0, 0);
    vcpu().events.store(1, Relaxed);
    call(Call::Wait, WAIT_FOREVER, 0, 0);
    vcpu().events.store(0, Relaxed);
    Ok(())
}

fn slice() -> Outcome {
    vcpu().mask.store(0, Relaxed);
    SLICES.store(0, Relaxed);
    call(Call::Slice, 500_000, 0, 0);
    while SLICES.load(Relaxed) < 5 {
        core::hint::spin_loop();
    }
    // Masked: a note, and no upcall.
    vcpu().mask.store(1, Relaxed);
    vcpu().pending.store(0, Relaxed);
    let before = SLICES.load(Relaxed);
    while vcpu().pending.load(Relaxed) == 0 {
        core::hint::spin_loop();
    }
    expect(SLICES.load(Relaxed) == before, "a slice came through the mask")?;
    vcpu().mask.store(0, Relaxed);
    // A wait in between keeps the slice going.
    call(Call::Wait, now() + 2_000_000, 0, 0);
    let before = SLICES.load(Relaxed);
    while SLICES.load(Relaxed) < before + 3 {
        core::hint::spin_loop();
    }
    call(Call::Slice, 0, 0, 0);
    let after = SLICES.load(Relaxed);
    call(Call::Wait, now() + 3_000_000, 0, 0);
    expect(SLICES.load(Relaxed) <= after + 1, "slices after they were stopped")
}

/// All registers, vector registers included, survive interrupts.
fn registers() -> Outcome {
    vcpu().mask.store(0, Relaxed);
    SLICES.store(0, Relaxed);
    call(Call::Slice, 100_000, 0, 0);
    let mut good = true;
    while SLICES.load(Relaxed) < 20 && good {
        let (a, b): (u64, u64);
        // SAFETY: computes on registers that are declared; the red zone stays untouched.
        unsafe {
            core::arch::asm!(
                "movq xmm7, {x}", "movq xmm15, {y}", "mov [rsp - 64], {x}",
                "mov {n:e}, 20000",
                "2: dec {n:e}", "jnz 2b",
                "movq {x}, xmm7", "xor {x}, [rsp - 64]", "movq {y}, xmm15",
                x = inout(reg) 0x1234_5678_9abc_def0u64 => a,
                y = inout(reg) 0x0fed_cba9_8765_4321u64 => b,
                n = out(reg) _, out("xmm7") _, out("xmm15") _,
            );
        }
        good = a == 0 && b == 0x0fed_cba9_8765_4321;
    }
    call(Call::Slice, 0, 0, 0);
    expect(good, "a register changed")
}

fn print_number(value: u64) {
    if value >= 10 {
        print_number(value / 10);
    }
    let digit = [b'0' + (value % 10) as u8];
    print(core::str::from_utf8(&digit).unwrap_or("?"));
}

fn devices() -> Outcome {
    for device in boot().devices.iter().take(boot().device_count as usize) {
        let name = device.name.split(|b| *b == 0).next().and_then(|n| core::str::from_utf8(n).ok());
        print(name.unwrap_or("?"));
        print(if device.transport == abi::boot::TRANSPORT_PCI { " pci" } else { " mmio" });
        expect(load(device.registers.0).is_none(), "registers cannot be read")?;
        print(" ");
    }
    expect(boot().device_count > 0, "no devices")
}

/// Says that it is ready, then waits for the operator.
fn stop(wanted: u64) -> Outcome {
    print("ready\n");
    while vcpu().events.load(Relaxed) & wanted == 0 {
        call(Call::Wait, WAIT_FOREVER, 0, 0);
    }
    Ok(())
}
