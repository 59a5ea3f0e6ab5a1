//! Numbers from text, sorting, searching: the bits of C's stdlib that C code in crates uses.

use crate::errno;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};

type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> c_int;

/// The digits of `text` in `base`: (magnitude, overflowed, bytes read, negative).
fn digits(text: &[u8], base: c_int) -> (u64, bool, usize, bool) {
    let mut at = text.iter().take_while(|b| b.is_ascii_whitespace() || **b == 0x0b).count();
    let negative = text.get(at) == Some(&b'-');
    at += usize::from(negative || text.get(at) == Some(&b'+'));
    let is_digit = |b: Option<&u8>, base| b.is_some_and(|b| char::from(*b).is_digit(base));
    let hex =
        text.get(at) == Some(&b'0') && matches!(text.get(at + 1), Some(b'x' | b'X')) && is_digit(text.get(at + 2), 16);
    let base = match base {
        16 | 0 if hex => {
            at += 2;
            16
        }
        0 if text.get(at) == Some(&b'0') => 8,
        0 => 10,
        b @ 2..=36 => b as u32,
        _ => return (0, false, 0, false),
    };
    let (start, mut value, mut overflow) = (at, 0u64, false);
    while let Some(digit) = text.get(at).and_then(|b| char::from(*b).to_digit(base)) {
        let next = value.checked_mul(u64::from(base)).and_then(|v| v.checked_add(u64::from(digit)));
        overflow |= next.is_none();
        value = next.unwrap_or(u64::MAX);
        at += 1;
    }
    if at == start { (0, false, 0, false) } else { (value, overflow, at, negative) }
}

/// C strtoul.
///
/// # Safety
/// `text` is a C string; `end` is null or may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strtoul(text: *const c_char, end: *mut *mut c_char, base: c_int) -> u64 {
    // SAFETY: the caller's string, and a place inside it.
    unsafe {
        let (value, overflow, read, negative) = digits(CStr::from_ptr(text).to_bytes(), base);
        if !end.is_null() {
            end.write(text.add(read).cast_mut());
        }
        if overflow {
            errno::set(errno::ERANGE);
            return u64::MAX;
        }
        if negative { value.wrapping_neg() } else { value }
    }
}

/// C strtoull.
///
/// # Safety
/// As [`strtoul`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strtoull(text: *const c_char, end: *mut *mut c_char, base: c_int) -> u64 {
    // SAFETY: passed on.
    unsafe { strtoul(text, end, base) }
}

/// C strtol.
///
/// # Safety
/// As [`strtoul`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strtol(text: *const c_char, end: *mut *mut c_char, base: c_int) -> c_long {
    // SAFETY: the caller's string, and a place inside it.
    unsafe {
        let (value, overflow, read, negative) = digits(CStr::from_ptr(text).to_bytes(), base);
        if !end.is_null() {
            end.write(text.add(read).cast_mut());
        }
        let limit = if negative { i64::MIN.unsigned_abs() } else { i64::MAX as u64 };
        if overflow || value > limit {
            errno::set(errno::ERANGE);
            return if negative { i64::MIN } else { i64::MAX };
        }
        if negative { (value as i64).wrapping_neg() } else { value as i64 }
    }
}

/// C strtoll.
///
/// # Safety
/// As [`strtoul`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn strtoll(text: *const c_char, end: *mut *mut c_char, base: c_int) -> c_long {
    // SAFETY: passed on.
    unsafe { strtol(text, end, base) }
}

/// C atoi.
///
/// # Safety
/// `text` is a C string.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn atoi(text: *const c_char) -> c_int {
    // SAFETY: passed on.
    unsafe { strtol(text, core::ptr::null_mut(), 10) as c_int }
}

/// # Safety
/// Both are elements of `size` bytes that do not overlap.
unsafe fn swap(a: *mut u8, b: *mut u8, size: usize) {
    // SAFETY: the caller's elements.
    unsafe { core::ptr::swap_nonoverlapping(a, b, size) }
}

/// C qsort: a heap sort, so that no input is slow and nothing is allocated.
///
/// # Safety
/// `base` is an array of `count` elements of `size` bytes, which `compare` orders.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn qsort(base: *mut c_void, count: usize, size: usize, compare: Compare) {
    let base = base.cast::<u8>();
    // SAFETY: every index is below `count`.
    unsafe {
        let at = |index: usize| base.add(index * size);
        let sift = |mut root: usize, end: usize| {
            loop {
                let mut child = 2 * root + 1;
                if child >= end {
                    return;
                }
                if child + 1 < end && compare(at(child).cast(), at(child + 1).cast()) < 0 {
                    child += 1;
                }
                if compare(at(root).cast(), at(child).cast()) >= 0 {
                    return;
                }
                swap(at(root), at(child), size);
                root = child;
            }
        };
        for root in (0..count / 2).rev() {
            sift(root, count);
        }
        for end in (1..count).rev() {
            swap(at(0), at(end), size);
            sift(0, end);
        }
    }
}

/// C bsearch.
///
/// # Safety
/// As [`qsort`], in ascending order.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn bsearch(
    key: *const c_void,
    base: *const c_void,
    count: usize,
    size: usize,
    compare: Compare,
) -> *mut c_void {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        // SAFETY: below `count`.
        let (element, order) = unsafe {
            let element = base.byte_add(middle * size);
            (element, compare(key, element))
        };
        match order {
            0 => return element.cast_mut(),
            o if o < 0 => high = middle,
            _ => low = middle + 1,
        }
    }
    core::ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" fn compare(a: *const c_void, b: *const c_void) -> c_int {
        // SAFETY: the tests sort `i32`.
        unsafe { (*a.cast::<i32>()).cmp(&*b.cast::<i32>()) as c_int }
    }

    #[test]
    fn sorts_and_finds() {
        for length in 0..60usize {
            let mut values: Vec<i32> = (0..length).map(|i| (i * 7919 % 31) as i32).collect();
            let mut expected = values.clone();
            expected.sort();
            // SAFETY: arrays of `i32`.
            unsafe {
                qsort(values.as_mut_ptr().cast(), length, 4, compare);
                assert_eq!(values, expected);
                let found = bsearch((&raw const length).cast(), values.as_ptr().cast(), length, 4, compare);
                assert_eq!(!found.is_null(), values.contains(&(length as i32)));
            }
        }
    }

    #[test]
    fn numbers() {
        let mut end = core::ptr::null_mut();
        // SAFETY: literals.
        unsafe {
            let text = c"  -0x1fz";
            assert_eq!(strtol(text.as_ptr(), &mut end, 0), -31);
            assert_eq!(end as usize - text.as_ptr() as usize, 7);
            assert_eq!(strtoul(c"777".as_ptr(), core::ptr::null_mut(), 8), 0o777);
            assert_eq!(strtol(c"99999999999999999999".as_ptr(), core::ptr::null_mut(), 10), i64::MAX);
            assert_eq!(strtol(c"-9223372036854775808".as_ptr(), core::ptr::null_mut(), 10), i64::MIN);
            assert_eq!(atoi(c"12ab".as_ptr()), 12);
        }
    }
}
