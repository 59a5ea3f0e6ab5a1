//! Comparing and searching bytes and C strings.
//!
//! memcmp, memchr and strlen work sixteen bytes at a time in SSE2. Aligned loads may read beyond a string's end, but never
//! beyond its page.

use core::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_load_si128, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null_mut;

/// # Safety
/// Sixteen bytes at both pointers are readable.
#[inline(always)]
unsafe fn equal_mask(a: *const u8, b: *const u8) -> u32 {
    // SAFETY: the caller's bytes.
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(a.cast()), _mm_loadu_si128(b.cast()))) as u32 }
}

/// # Safety
/// The aligned sixteen bytes at `block` are readable.
#[inline(always)]
unsafe fn byte_mask(block: *const u8, byte: u8) -> u32 {
    // SAFETY: the caller's bytes.
    unsafe {
        let block = _mm_load_si128(block.cast::<__m128i>());
        _mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(byte as i8))) as u32
    }
}

/// C memcmp.
///
/// # Safety
/// `n` bytes at both pointers are readable.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn memcmp(a: *const c_void, b: *const c_void, n: usize) -> c_int {
    let (a, b) = (a.cast::<u8>(), b.cast::<u8>());
    let mut at = 0;
    // SAFETY: everything below `n`.
    unsafe {
        while at + 16 <= n {
            let differ = !equal_mask(a.add(at), b.add(at)) & 0xffff;
            if differ != 0 {
                at += differ.trailing_zeros() as usize;
                return c_int::from(*a.add(at)) - c_int::from(*b.add(at));
            }
            at += 16;
        }
        if n >= 16 && at < n {
            let last = n - 16;
            let differ = !equal_mask(a.add(last), b.add(last)) & 0xffff;
            if differ == 0 {
                return 0;
            }
            at = last + differ.trailing_zeros() as usize;
            return c_int::from(*a.add(at)) - c_int::from(*b.add(at));
        }
        while at < n {
            let difference = c_int::from(a.add(at).read_volatile()) - c_int::from(*b.add(at));
            if difference != 0 {
                return difference;
            }
            at += 1;
        }
    }
    0
}

/// POSIX bcmp: 0 if equal.
///
/// # Safety
/// As [`memcmp`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn bcmp(a: *const c_void, b: *const c_void, n: usize) -> c_int {
    let (x, y) = (a.cast::<u8>(), b.cast::<u8>());
    // SAFETY: everything below `n`; overlapping accesses cover what is between 4 and 16.
    unsafe {
        if (8..=16).contains(&n) {
            let word = |p: *const u8, at: usize| p.add(at).cast::<u64>().read_unaligned();
            return c_int::from(word(x, 0) != word(y, 0) || word(x, n - 8) != word(y, n - 8));
        }
        if (4..8).contains(&n) {
            let word = |p: *const u8, at: usize| p.add(at).cast::<u32>().read_unaligned();
            return c_int::from(word(x, 0) != word(y, 0) || word(x, n - 4) != word(y, n - 4));
        }
        memcmp(a, b, n)
    }
}

/// C strlen.
///
/// # Safety
/// `s` is a C string.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strlen(s: *const c_char) -> usize {
    let start = s as usize;
    let mut block = (start & !15) as *const u8;
    // SAFETY: aligned blocks never cross a page, and the string reaches into each of them.
    unsafe {
        let first = byte_mask(block, 0) >> (start & 15);
        if first != 0 {
            return first.trailing_zeros() as usize;
        }
        loop {
            block = block.add(16);
            let found = byte_mask(block, 0);
            if found != 0 {
                return block as usize + found.trailing_zeros() as usize - start;
            }
        }
    }
}

/// POSIX strnlen.
///
/// # Safety
/// `s` is a C string, or has `n` readable bytes.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strnlen(s: *const c_char, n: usize) -> usize {
    // SAFETY: the caller's bytes.
    let end = unsafe { memchr(s.cast(), 0, n) };
    if end.is_null() { n } else { end as usize - s as usize }
}

/// C memchr.
///
/// # Safety
/// `n` bytes at `s` are readable, up to the first match.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn memchr(s: *const c_void, byte: c_int, n: usize) -> *mut c_void {
    if n == 0 {
        return null_mut();
    }
    let (start, byte) = (s as usize, byte as u8);
    let end = start.saturating_add(n);
    let mut block = start & !15;
    // SAFETY: as in `strlen`; a match beyond the end does not count.
    unsafe {
        let mut found = byte_mask(block as *const u8, byte) >> (start & 15) << (start & 15);
        while found == 0 {
            block += 16;
            if block >= end {
                return null_mut();
            }
            found = byte_mask(block as *const u8, byte);
        }
        let at = block + found.trailing_zeros() as usize;
        if at < end { at as *mut c_void } else { null_mut() }
    }
}

/// glibc memrchr.
///
/// # Safety
/// `n` bytes at `s` are readable.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn memrchr(s: *const c_void, byte: c_int, n: usize) -> *mut c_void {
    // SAFETY: the caller's bytes.
    unsafe {
        let bytes = core::slice::from_raw_parts(s.cast::<u8>(), n);
        bytes.iter().rposition(|b| *b == byte as u8).map_or(null_mut(), |at| s.byte_add(at).cast_mut())
    }
}

/// C strcmp.
///
/// # Safety
/// Both are C strings.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strcmp(a: *const c_char, b: *const c_char) -> c_int {
    // SAFETY: the caller's strings.
    unsafe { strncmp(a, b, usize::MAX) }
}

/// C strncmp.
///
/// # Safety
/// Both are C strings, or have `n` readable bytes.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strncmp(a: *const c_char, b: *const c_char, n: usize) -> c_int {
    for at in 0..n {
        // SAFETY: no NUL came before.
        let (x, y) = unsafe { (*a.add(at) as u8, *b.add(at) as u8) };
        if x != y || x == 0 {
            return c_int::from(x) - c_int::from(y);
        }
    }
    0
}

/// POSIX strcasecmp in the C locale.
///
/// # Safety
/// Both are C strings.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strcasecmp(a: *const c_char, b: *const c_char) -> c_int {
    // SAFETY: the caller's strings.
    unsafe { strncasecmp(a, b, usize::MAX) }
}

/// POSIX strncasecmp in the C locale.
///
/// # Safety
/// As [`strncmp`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strncasecmp(a: *const c_char, b: *const c_char, n: usize) -> c_int {
    for at in 0..n {
        // SAFETY: no NUL came before.
        let (x, y) = unsafe { ((*a.add(at) as u8).to_ascii_lowercase(), (*b.add(at) as u8).to_ascii_lowercase()) };
        if x != y || x == 0 {
            return c_int::from(x) - c_int::from(y);
        }
    }
    0
}

/// C strchr.
///
/// # Safety
/// `s` is a C string.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strchr(s: *const c_char, byte: c_int) -> *mut c_char {
    // SAFETY: the caller's string, its NUL included.
    unsafe { memchr(s.cast(), byte, strlen(s) + 1).cast() }
}

/// C strrchr.
///
/// # Safety
/// `s` is a C string.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strrchr(s: *const c_char, byte: c_int) -> *mut c_char {
    // SAFETY: the caller's string, its NUL included.
    unsafe { memrchr(s.cast(), byte, strlen(s) + 1).cast() }
}

/// C strspn.
///
/// # Safety
/// Both are C strings.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strspn(s: *const c_char, set: *const c_char) -> usize {
    // SAFETY: the caller's strings.
    let (s, set) = unsafe { (CStr::from_ptr(s).to_bytes(), CStr::from_ptr(set).to_bytes()) };
    s.iter().position(|b| !set.contains(b)).unwrap_or(s.len())
}

/// C strcspn.
///
/// # Safety
/// Both are C strings.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strcspn(s: *const c_char, set: *const c_char) -> usize {
    // SAFETY: the caller's strings.
    let (s, set) = unsafe { (CStr::from_ptr(s).to_bytes(), CStr::from_ptr(set).to_bytes()) };
    s.iter().position(|b| set.contains(b)).unwrap_or(s.len())
}

/// C strstr.
///
/// # Safety
/// Both are C strings.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strstr(s: *const c_char, wanted: *const c_char) -> *mut c_char {
    // SAFETY: the caller's strings; the result lies inside `s`.
    unsafe {
        let (text, wanted) = (CStr::from_ptr(s).to_bytes(), CStr::from_ptr(wanted).to_bytes());
        if wanted.is_empty() {
            return s.cast_mut();
        }
        text.windows(wanted.len()).position(|w| w == wanted).map_or(null_mut(), |at| s.add(at).cast_mut())
    }
}

/// C strcpy.
///
/// # Safety
/// `s` is a C string and `to` has room for it.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strcpy(to: *mut c_char, s: *const c_char) -> *mut c_char {
    // SAFETY: the caller's buffers.
    unsafe { to.copy_from_nonoverlapping(s, strlen(s) + 1) };
    to
}

/// C strncpy: pads with NULs.
///
/// # Safety
/// `s` is a C string or has `n` readable bytes, and `to` has room for `n`.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strncpy(to: *mut c_char, s: *const c_char, n: usize) -> *mut c_char {
    // SAFETY: the caller's buffers.
    unsafe {
        let length = strnlen(s, n);
        to.copy_from_nonoverlapping(s, length);
        to.add(length).write_bytes(0, n - length);
    }
    to
}

/// POSIX strdup.
///
/// # Safety
/// `s` is a C string.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strdup(s: *const c_char) -> *mut c_char {
    // SAFETY: the caller's string, and a new block of its length.
    unsafe {
        let length = strlen(s) + 1;
        let copy = crate::heap::malloc(length).cast::<c_char>();
        if !copy.is_null() {
            copy.copy_from_nonoverlapping(s, length);
        }
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agree_with_slices() {
        let text: Vec<u8> = (0..100u8).map(|i| i % 7 + 1).chain([0]).collect();
        for start in 0..40 {
            let s = &text[start..];
            // SAFETY: `s` ends with a NUL.
            unsafe {
                assert_eq!(strlen(s.as_ptr().cast()), s.len() - 1);
                for n in 0..40 {
                    for byte in 0..9 {
                        let expected = s[..n].iter().position(|b| *b == byte);
                        let found = memchr(s.as_ptr().cast(), c_int::from(byte), n);
                        let found = (!found.is_null()).then(|| found as usize - s.as_ptr() as usize);
                        assert_eq!(found, expected, "start {start} n {n} byte {byte}");
                    }
                    for other in 0..10 {
                        let (a, b) = (&text[start..start + n], &text[other..other + n]);
                        let got = memcmp(a.as_ptr().cast(), b.as_ptr().cast(), n);
                        assert_eq!(got.cmp(&0), a.cmp(b));
                        assert_eq!(bcmp(a.as_ptr().cast(), b.as_ptr().cast(), n) == 0, a == b);
                    }
                }
            }
        }
    }

    #[test]
    fn strings() {
        // SAFETY: literals.
        unsafe {
            let s = c"hello, world";
            assert_eq!(strcspn(s.as_ptr(), c",".as_ptr()), 5);
            assert_eq!(strspn(s.as_ptr(), c"hel".as_ptr()), 4);
            assert_eq!(strchr(s.as_ptr(), 0) as usize - s.as_ptr() as usize, 12);
            assert_eq!(strrchr(s.as_ptr(), c_int::from(b'o')) as usize - s.as_ptr() as usize, 8);
            assert_eq!(strstr(s.as_ptr(), c"wor".as_ptr()) as usize - s.as_ptr() as usize, 7);
            assert_eq!(strcasecmp(c"ABc".as_ptr(), c"abC".as_ptr()), 0);
            assert!(strcmp(c"a".as_ptr(), c"b".as_ptr()) < 0);
        }
    }
}
