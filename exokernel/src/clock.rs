//! How fast the time-stamp counter runs, and what time it is.
//!
//! The frequency is taken from the hypervisor where it says it (CPUID leaf 0x40000010, kvmclock, leaf 0x15). QEMU's
//! emulation does not, but its APIC timer counts nanoseconds exactly; so both counters are read at the start and just
//! before the guest is entered, each time by the tightest of several brackets. The brackets are some 0.3 µs wide and the
//! span at least 4 ms, so the frequency is right to 75 ppm at worst. On anything else the old timer chip decides.

use crate::{apic, cpu};
use abi::boot::{CLOCK_TSC, Clock};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The APIC timer's ticks a second under QEMU and KVM.
const QEMU_TICKS: u64 = 1_000_000_000;
/// The least span of a calibration, in ticks of [`QEMU_TICKS`]: 4 ms, most of which passes anyway.
const SPAN_TICKS: u32 = 4_000_000;
/// `PIT` input clock, Hz.
const PIT_HZ: u64 = 1_193_182;

static TSC_BASE: AtomicU64 = AtomicU64::new(0);
static MULTIPLIER: AtomicU64 = AtomicU64::new(0);
/// Timer ticks in a ns, 32.32 fixed point.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// Both counters at one moment.
#[derive(Clone, Copy)]
pub struct Sample {
    tsc: u64,
    ticks: u32,
}

/// Reads both counters, by the tightest of eight brackets.
pub fn sample() -> Sample {
    let mut best = (u64::MAX, Sample { tsc: 0, ticks: 0 });
    for _ in 0..8 {
        let before = cpu::tsc();
        let ticks = apic::counted();
        let width = cpu::tsc() - before;
        if width < best.0 {
            best = (width, Sample { tsc: before + width / 2, ticks });
        }
    }
    best.1
}

/// Nanoseconds since boot.
pub fn now_ns() -> u64 {
    let ticks = cpu::tsc().saturating_sub(TSC_BASE.load(Relaxed));
    ((u128::from(ticks) * u128::from(MULTIPLIER.load(Relaxed))) >> 32) as u64
}

/// The timer's ticks in a span of time; at least 1 for anything but 0.
pub fn timer_ticks(ns: u64) -> u64 {
    let ticks = (u128::from(ns) * u128::from(TICKS.load(Relaxed))) >> 32;
    u64::try_from(ticks).unwrap_or(u64::MAX).max((ns > 0).into())
}

/// Ends the calibration that `first` began. `tsc_base` is when the monotonic clock was 0, `wall_ns` the time of day then.
pub fn finish(tsc_base: u64, first: Sample, wall_ns: Option<u64>) -> Clock {
    let (tsc_hz, tick_hz) = frequencies(first);
    let multiplier = ((1_000_000_000u128 << 32) / u128::from(tsc_hz.max(1))) as u64;
    TSC_BASE.store(tsc_base, Relaxed);
    MULTIPLIER.store(multiplier, Relaxed);
    TICKS.store(((u128::from(tick_hz) << 32) / 1_000_000_000) as u64, Relaxed);
    let wall_base_ns = wall_ns.or_else(|| Some(battery_clock()?.saturating_sub(now_ns()))).unwrap_or(0);
    Clock { kind: CLOCK_TSC, tsc_base, multiplier, wall_base_ns, ..Clock::default() }
}

/// Ticks a second of the time-stamp counter and of the APIC timer.
fn frequencies(first: Sample) -> (u64, u64) {
    let told = told_by_hypervisor().or_else(told_by_cpu);
    let known_timer = [cpu::HYPERVISOR_TCG, cpu::HYPERVISOR_KVM].contains(&cpu::hypervisor());
    if let (Some(tsc), true) = (told, known_timer) {
        return (tsc, QEMU_TICKS);
    }
    let pit_start = (!known_timer && told.is_none()).then(pit::start);
    while apic::counted().wrapping_sub(first.ticks) < SPAN_TICKS {
        core::hint::spin_loop();
    }
    let last = sample();
    let (tsc, ticks) = (u128::from(last.tsc - first.tsc), u128::from(last.ticks.wrapping_sub(first.ticks).max(1)));
    match (told, pit_start) {
        (Some(hz), _) => (hz, (u128::from(hz) * ticks / tsc.max(1)) as u64),
        (None, Some(start)) => {
            let hz = pit::tsc_hz(start);
            (hz, (u128::from(hz) * ticks / tsc.max(1)) as u64)
        }
        (None, None) => ((tsc * u128::from(QEMU_TICKS) / ticks) as u64, QEMU_TICKS),
    }
}

/// kHz in a leaf that VMware defined and others took over; or kvmclock's scale.
fn told_by_hypervisor() -> Option<u64> {
    if cpu::hypervisor() == 0 {
        return None;
    }
    let khz = u64::from(cpu::cpuid(0x4000_0010, 0).eax);
    if khz != 0 {
        return Some(khz * 1000);
    }
    let kvm = cpu::hypervisor() == cpu::HYPERVISOR_KVM && cpu::cpuid(0x4000_0001, 0).eax & 1 << 3 != 0;
    kvm.then(kvmclock).flatten()
}

/// The frequency behind kvmclock's scale (Linux, Documentation/virt/kvm/x86/msr.rst).
fn kvmclock() -> Option<u64> {
    /// `struct pvclock_vcpu_time_info`; KVM writes it when its register is written.
    #[repr(C, align(64))]
    struct Info([AtomicU64; 4]);
    static INFO: Info = Info([const { AtomicU64::new(0) }; 4]);
    const REGISTER: u32 = 0x4b56_4d01;
    cpu::write_msr(REGISTER, (&raw const INFO) as u64 | 1);
    let scale = INFO.0[3].load(Relaxed);
    cpu::write_msr(REGISTER, 0);
    let (multiplier, shift) = (scale & 0xffff_ffff, (scale >> 32) as i8);
    if multiplier == 0 {
        return None;
    }
    // ns = (ticks << shift) × multiplier >> 32
    let hz = (1_000_000_000u64 << 32) / multiplier;
    Some(if shift < 0 { hz << shift.unsigned_abs() } else { hz >> shift })
}

/// Leaf 0x15: crystal frequency and ratio.
fn told_by_cpu() -> Option<u64> {
    let leaf = cpu::cpuid(0x15, 0);
    (leaf.eax != 0 && leaf.ecx != 0).then(|| u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax))
}

/// The 8254's second channel, gated by port 0x61: an honest 10 ms.
mod pit {
    use crate::cpu;

    const COUNT: u16 = (super::PIT_HZ / 100) as u16;

    pub(super) fn start() -> u64 {
        cpu::out8(0x61, cpu::in8(0x61) & !2 | 1);
        cpu::out8(0x43, 0xb0); // channel 2, low then high byte, interrupt on terminal count
        cpu::out8(0x42, COUNT as u8);
        cpu::out8(0x42, (COUNT >> 8) as u8);
        cpu::tsc()
    }

    pub(super) fn tsc_hz(start: u64) -> u64 {
        // Without a timer chip the bit never comes; some seconds of any CPU are enough to tell.
        while cpu::in8(0x61) & 0x20 == 0 && cpu::tsc() - start < 1 << 34 {
            core::hint::spin_loop();
        }
        (cpu::tsc() - start) * super::PIT_HZ / u64::from(COUNT)
    }
}

/// The battery-backed clock (MC146818), to the second, ns since 1970; `None` without one.
fn battery_clock() -> Option<u64> {
    let read = |register: u8| {
        cpu::out8(0x70, register);
        cpu::in8(0x71)
    };
    let all = || [0, 2, 4, 7, 8, 9].map(read);
    let format = read(0x0b);
    // Two equal readings are not torn by an update.
    let values = (0..100).find_map(|_| {
        let first = all();
        (first == all() && read(0x0a) & 0x80 == 0).then_some(first)
    })?;
    let number = |v: u8| if format & 4 != 0 { v } else { (v >> 4) * 10 + (v & 15) };
    let [second, minute, hour, day, month, year] = values.map(|v| u64::from(number(v)));
    let seconds = days(2000 + year, month, day)? * 86_400 + hour * 3600 + minute * 60 + second;
    (second < 60 && minute < 60 && hour < 24 && year < 100).then_some(seconds * 1_000_000_000)
}

/// Days since 1970 of a Gregorian date.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = BEFORE.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    let leap =
        u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) && month > 2);
    let leaps = (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 - 477;
    Some((year - 1970) * 365 + leaps + before + leap + day.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::days;

    #[test]
    fn dates_are_days() {
        assert_eq!(days(2000, 1, 1), Some(10_957));
        assert_eq!(days(2024, 2, 29), Some(19_782));
        assert_eq!(days(2026, 11, 22), Some(20_779));
        assert_eq!(days(2026, 0, 1), None);
        assert_eq!(days(2026, 13, 1), None);
    }
}
