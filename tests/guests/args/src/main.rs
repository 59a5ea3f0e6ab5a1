//! Arguments, environment, and an exit code (7, or the first argument).
#[cfg(feature = "line")]
use ampoule as _;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    assert!(!arguments.is_empty(), "the program's name is always there");
    // SAFETY: one thread.
    unsafe { std::env::set_var("AMPOULE_TEST", "set") };
    assert_eq!(std::env::var("AMPOULE_TEST").as_deref(), Ok("set"));
    // SAFETY: one thread.
    unsafe { std::env::remove_var("AMPOULE_TEST") };
    assert!(std::env::var("AMPOULE_TEST").is_err());
    println!("arguments {:?}, environment {:?}", &arguments[1..], std::env::vars().collect::<Vec<_>>());
    std::process::exit(arguments.get(1).map_or(7, |a| a.parse().expect("a number")));
}
