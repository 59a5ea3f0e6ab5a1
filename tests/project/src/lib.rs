//! ```
//! assert_eq!(project::twice(2), 4);
//! ```
#![forbid(unsafe_code)]

/// Twice `number`.
///
/// One that passes:
/// ```
/// assert_eq!(project::twice(21), words::answer!());
/// ```
/// One that fails:
/// ```
/// assert_eq!(project::twice(1), 3);
/// ```
/// One that is to panic, and does:
/// ```should_panic
/// panic!("as it should");
/// ```
/// One that is to panic, and does not:
/// ```should_panic
/// println!("calm");
/// ```
/// Those that are not run:
/// ```compile_fail
/// let number: u32 = "no number";
/// ```
/// ```no_run
/// loop {}
/// ```
/// ```ignore
/// this is no Rust
/// ```
/// One that is a program of its own, with an error for its end:
/// ```standalone_crate
/// assert!(std::env::args().count() > 0);
/// "x".parse::<u32>()?;
/// # Ok::<(), std::num::ParseIntError>(())
/// ```
pub fn twice(number: u32) -> u32 {
    2 * number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes() {
        assert_eq!(twice(2), 4);
    }

    #[test]
    fn fails() {
        println!("this is shown, for the test fails");
        assert_eq!(twice(2), 5, "four is not five");
    }

    #[test]
    #[ignore = "takes for ever"]
    fn is_ignored() {
        unreachable!();
    }

    #[test]
    #[should_panic]
    fn panics_as_it_should() {
        panic!("on purpose");
    }

    #[test]
    #[should_panic(expected = "another reason")]
    fn panics_for_the_wrong_reason() {
        panic!("this reason");
    }

    #[test]
    #[should_panic]
    fn should_panic_and_does_not() {}

    #[test]
    fn a_panic_in_a_thread_is_joined() {
        let thread = std::thread::spawn(|| panic!("in a thread"));
        assert!(thread.join().is_err());
    }

    #[test]
    fn a_panic_in_a_thread_fails() {
        std::thread::Builder::new().name("worker".into()).spawn(|| panic!("in a thread")).unwrap().join().unwrap();
    }

    #[test]
    fn gives_an_error() -> Result<(), std::num::ParseIntError> {
        "x".parse::<u32>().map(drop)
    }

    #[test]
    fn the_user_s_flags_count() {
        assert!(cfg!(of_the_user));
    }
}
