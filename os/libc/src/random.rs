//! getrandom: ChaCha20, seeded at boot.
//!
//! The key comes from the boot information's seed, which is this boot's alone, mixed with the entropy device's bytes where
//! there is one, and is renewed from that device every mebibyte. Every call begins a fresh block, and what a call gave is
//! not kept.

use core::ffi::{c_uint, c_void};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sync::SpinLock;

struct Generator {
    stream: Option<ChaCha20Rng>,
    until_renewal: usize,
}

const RENEW_AFTER: usize = 1 << 20;
static GENERATOR: SpinLock<Generator> = SpinLock::new(Generator { stream: None, until_renewal: 0 });

impl Generator {
    fn renew(&mut self) {
        let mut seed = machine::boot().seed;
        if let Some(stream) = &mut self.stream {
            stream.fill_bytes(&mut seed);
        }
        let mut fresh = [0; 32];
        if device::entropy().is_some_and(|source| source.fill(&mut fresh)) {
            seed.iter_mut().zip(fresh).for_each(|(byte, fresh)| *byte ^= fresh);
        }
        self.stream = Some(ChaCha20Rng::from_seed(seed));
        self.until_renewal = RENEW_AFTER;
    }

    fn fill(&mut self, out: &mut [u8]) {
        if self.until_renewal < out.len() {
            self.renew();
        }
        self.until_renewal = self.until_renewal.saturating_sub(out.len());
        if let Some(stream) = &mut self.stream {
            stream.fill_bytes(out);
        }
    }
}

/// Fills `out` with random bytes.
pub(crate) fn fill(out: &mut [u8]) {
    // Piece by piece, so that upcalls are not masked for long.
    for piece in out.chunks_mut(4096) {
        GENERATOR.lock().fill(piece);
    }
}

/// Linux getrandom. Never blocks, never short; the flags do not matter.
///
/// # Safety
/// `length` bytes at `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn getrandom(out: *mut c_void, length: usize, _flags: c_uint) -> isize {
    if length > 0 {
        // SAFETY: the caller's bytes.
        fill(unsafe { core::slice::from_raw_parts_mut(out.cast(), length) });
    }
    length as isize
}

/// POSIX getentropy.
///
/// # Safety
/// As [`getrandom`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn getentropy(out: *mut c_void, length: usize) -> core::ffi::c_int {
    // SAFETY: passed on.
    unsafe { getrandom(out, length, 0) };
    0
}
