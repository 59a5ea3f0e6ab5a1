//! Broken-down time. The machine's zone is UTC.
//!
//! Day counts follow Howard Hinnant's "chrono-compatible low-level date algorithms": years begin in March, so that the
//! leap day is the last, and repeat every 400 years (146,097 days).

use core::ffi::{c_char, c_int, c_long};

/// `struct tm`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Tm {
    /// 0–60.
    pub second: c_int,
    /// 0–59.
    pub minute: c_int,
    /// 0–23.
    pub hour: c_int,
    /// 1–31.
    pub day: c_int,
    /// 0–11.
    pub month: c_int,
    /// Since 1900.
    pub year: c_int,
    /// Since Sunday.
    pub week_day: c_int,
    /// 0–365.
    pub year_day: c_int,
    /// Daylight saving: never.
    pub daylight: c_int,
    /// Seconds east of UTC: 0.
    pub offset: c_long,
    /// `"UTC"`.
    pub zone: *const c_char,
}

const DAY: i64 = 86_400;
const ERA: i64 = 146_097;

/// (year, month 1–12, day 1–31) of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(ERA), z.rem_euclid(ERA));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

/// The day since 1970 of a date; months may be out of range.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    let y = year - i64::from(month <= 2);
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * ERA + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// POSIX gmtime_r.
///
/// # Safety
/// `time` is readable, `out` may be written.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn gmtime_r(time: *const i64, out: *mut Tm) -> *mut Tm {
    // SAFETY: the caller's pointer.
    let time = unsafe { *time };
    let (day, second) = (time.div_euclid(DAY), time.rem_euclid(DAY));
    let (year, month, date) = civil(day);
    let Ok(since_1900) = c_int::try_from(year - 1900) else { return core::ptr::null_mut() };
    let tm = Tm {
        second: (second % 60) as c_int,
        minute: (second / 60 % 60) as c_int,
        hour: (second / 3600) as c_int,
        day: date as c_int,
        month: month as c_int - 1,
        year: since_1900,
        week_day: (day + 4).rem_euclid(7) as c_int,
        year_day: (day - days(year, 1, 1)) as c_int,
        daylight: 0,
        offset: 0,
        zone: c"UTC".as_ptr(),
    };
    // SAFETY: the caller's pointer.
    unsafe { out.write(tm) };
    out
}

/// POSIX localtime_r: the zone is UTC.
///
/// # Safety
/// As [`gmtime_r`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn localtime_r(time: *const i64, out: *mut Tm) -> *mut Tm {
    // SAFETY: passed on.
    unsafe { gmtime_r(time, out) }
}

/// timegm: the seconds of a date in UTC.
///
/// # Safety
/// `tm` is readable.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn timegm(tm: *mut Tm) -> i64 {
    // SAFETY: the caller's pointer.
    let tm = unsafe { &*tm };
    let day = days(i64::from(tm.year) + 1900, i64::from(tm.month) + 1, i64::from(tm.day));
    day * DAY + i64::from(tm.hour) * 3600 + i64::from(tm.minute) * 60 + i64::from(tm.second)
}

/// C mktime: the zone is UTC.
///
/// # Safety
/// As [`timegm`].
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub unsafe extern "C" fn mktime(tm: *mut Tm) -> i64 {
    // SAFETY: passed on.
    unsafe { timegm(tm) }
}

/// POSIX tzset: there is nothing to read.
#[cfg_attr(ampoule_image, unsafe(no_mangle))]
pub extern "C" fn tzset() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_and_back() {
        let mut tm = std::mem::MaybeUninit::<Tm>::uninit();
        for (time, date) in [
            (0, (1970, 1, 1, 4, 0)),
            (951_782_400, (2000, 2, 29, 2, 59)),
            (1_709_164_800, (2024, 2, 29, 4, 59)),
            (-1, (1969, 12, 31, 3, 364)),
            (4_102_444_799, (2099, 12, 31, 4, 364)),
        ] {
            // SAFETY: local variables; `gmtime_r` fills the whole.
            unsafe {
                let tm = &mut *gmtime_r(&time, tm.as_mut_ptr());
                assert_eq!((tm.year + 1900, tm.month + 1, tm.day, tm.week_day, tm.year_day), date);
                assert_eq!(timegm(tm), time);
            }
        }
    }
}
