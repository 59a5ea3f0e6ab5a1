//! What a thread has in the CPU's vector registers is there when it goes on after others had the CPU: all of them, over their
//! whole width, and the masks of AVX-512. Ends with 0.

#[cfg(feature = "line")]
use ampoule as _;
use std::arch::asm;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

const THREADS: u64 = 3;
/// So often each thread has to find that others had the CPU in the middle.
const TURNS: u32 = 12;
/// Between filling the registers and looking at them.
const SPIN: u64 = 300_000;

/// Fills registers from eight words that are this thread's, spins, and gives what they hold then.
type Look = unsafe fn(&[u64; 8], &mut [[u64; 8]]);

#[rustfmt::skip]
unsafe fn sse(from: &[u64; 8], to: &mut [[u64; 8]]) {
    // SAFETY: reads 16 bytes of `from`; writes the first 16 bytes of each of the 16 lines of `to`.
    unsafe {
        asm!(
            "movdqu xmm0, [{f}]", "movdqa xmm1, xmm0", "movdqa xmm2, xmm0", "movdqa xmm3, xmm0", "movdqa xmm4, xmm0",
            "movdqa xmm5, xmm0", "movdqa xmm6, xmm0", "movdqa xmm7, xmm0", "movdqa xmm8, xmm0", "movdqa xmm9, xmm0",
            "movdqa xmm10, xmm0", "movdqa xmm11, xmm0", "movdqa xmm12, xmm0", "movdqa xmm13, xmm0",
            "movdqa xmm14, xmm0", "movdqa xmm15, xmm0",
            "2:", "dec {n}", "jnz 2b",
            "movdqu [{t}], xmm0", "movdqu [{t} + 64], xmm1", "movdqu [{t} + 128], xmm2", "movdqu [{t} + 192], xmm3",
            "movdqu [{t} + 256], xmm4", "movdqu [{t} + 320], xmm5", "movdqu [{t} + 384], xmm6",
            "movdqu [{t} + 448], xmm7", "movdqu [{t} + 512], xmm8", "movdqu [{t} + 576], xmm9",
            "movdqu [{t} + 640], xmm10", "movdqu [{t} + 704], xmm11", "movdqu [{t} + 768], xmm12",
            "movdqu [{t} + 832], xmm13", "movdqu [{t} + 896], xmm14", "movdqu [{t} + 960], xmm15",
            f = in(reg) from, t = in(reg) to.as_mut_ptr(), n = inout(reg) SPIN => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _,
            out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _,
            out("xmm13") _, out("xmm14") _, out("xmm15") _, options(nostack),
        );
    }
}

#[rustfmt::skip]
#[target_feature(enable = "avx")]
unsafe fn avx(from: &[u64; 8], to: &mut [[u64; 8]]) {
    // SAFETY: reads 32 bytes of `from`; writes the first 32 bytes of each of the 16 lines of `to`.
    unsafe {
        asm!(
            "vmovdqu ymm0, [{f}]", "vmovdqa ymm1, ymm0", "vmovdqa ymm2, ymm0", "vmovdqa ymm3, ymm0",
            "vmovdqa ymm4, ymm0", "vmovdqa ymm5, ymm0", "vmovdqa ymm6, ymm0", "vmovdqa ymm7, ymm0",
            "vmovdqa ymm8, ymm0", "vmovdqa ymm9, ymm0", "vmovdqa ymm10, ymm0", "vmovdqa ymm11, ymm0",
            "vmovdqa ymm12, ymm0", "vmovdqa ymm13, ymm0", "vmovdqa ymm14, ymm0", "vmovdqa ymm15, ymm0",
            "2:", "dec {n}", "jnz 2b",
            "vmovdqu [{t}], ymm0", "vmovdqu [{t} + 64], ymm1", "vmovdqu [{t} + 128], ymm2",
            "vmovdqu [{t} + 192], ymm3", "vmovdqu [{t} + 256], ymm4", "vmovdqu [{t} + 320], ymm5",
            "vmovdqu [{t} + 384], ymm6", "vmovdqu [{t} + 448], ymm7", "vmovdqu [{t} + 512], ymm8",
            "vmovdqu [{t} + 576], ymm9", "vmovdqu [{t} + 640], ymm10", "vmovdqu [{t} + 704], ymm11",
            "vmovdqu [{t} + 768], ymm12", "vmovdqu [{t} + 832], ymm13", "vmovdqu [{t} + 896], ymm14",
            "vmovdqu [{t} + 960], ymm15",
            f = in(reg) from, t = in(reg) to.as_mut_ptr(), n = inout(reg) SPIN => _,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _, out("ymm6") _,
            out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _, out("ymm12") _,
            out("ymm13") _, out("ymm14") _, out("ymm15") _, options(nostack),
        );
    }
}

/// The low registers' upper halves, the high registers, and the masks are three components of their own.
#[rustfmt::skip]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn avx512(from: &[u64; 8], to: &mut [[u64; 8]]) {
    // SAFETY: reads 64 bytes of `from`; writes six lines of `to`.
    unsafe {
        asm!(
            "vmovdqu64 zmm0, [{f}]", "vmovdqa64 zmm7, zmm0", "vmovdqa64 zmm15, zmm0", "vmovdqa64 zmm16, zmm0",
            "vmovdqa64 zmm31, zmm0", "kmovq k1, [{f}]", "kmovq k7, [{f} + 8]",
            "2:", "dec {n}", "jnz 2b",
            "vmovdqu64 [{t}], zmm0", "vmovdqu64 [{t} + 64], zmm7", "vmovdqu64 [{t} + 128], zmm15",
            "vmovdqu64 [{t} + 192], zmm16", "vmovdqu64 [{t} + 256], zmm31",
            "vmovdqu64 [{t} + 320], zmm0", "kmovq [{t} + 320], k1", "kmovq [{t} + 328], k7",
            f = in(reg) from, t = in(reg) to.as_mut_ptr(), n = inout(reg) SPIN => _,
            out("zmm0") _, out("zmm7") _, out("zmm15") _, out("zmm16") _, out("zmm31") _, out("k1") _, out("k7") _,
            options(nostack),
        );
    }
}

/// `words` of each of the first `lines` lines have to be what they were.
fn survives(what: &str, look: Look, lines: usize, words: usize) {
    // Who filled its registers last, and how many threads have seen enough. Until all have, all go on.
    let (last, done) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for number in 1..=THREADS {
            let (last, done) = (&last, &done);
            scope.spawn(move || {
                let (mut turns, mut round) = (0, 0_u64);
                while done.load(Relaxed) < THREADS {
                    round += 1;
                    let own: [u64; 8] = std::array::from_fn(|word| number << 56 | round << 8 | word as u64);
                    let mut seen = [[0; 8]; 16];
                    last.store(number, Relaxed);
                    // SAFETY: the caller has seen that the CPU has what it uses; there are 16 lines.
                    unsafe { look(&own, &mut seen) };
                    for (line, seen) in seen.iter().take(lines).enumerate() {
                        assert_eq!(seen[..words], own[..words], "{what}: register {line} of thread {number}");
                    }
                    let was_interrupted = last.load(Relaxed) != number;
                    turns += u32::from(was_interrupted);
                    done.fetch_add(u64::from(was_interrupted && turns == TURNS), Relaxed);
                }
            });
        }
    });
}

fn main() {
    survives("SSE", sse, 16, 2);
    if std::is_x86_feature_detected!("avx") {
        survives("AVX", avx, 16, 4);
    }
    if std::is_x86_feature_detected!("avx512bw") {
        survives("AVX-512", avx512, 6, 8);
    }
    println!("every register is as it was");
}
