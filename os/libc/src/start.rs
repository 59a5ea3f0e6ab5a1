//! From the first thread to `main`, and the arguments on the way.

use crate::{env, exit};
use core::ffi::{c_char, c_int};

type Initialiser = unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char);

unsafe extern "C" {
    fn main(argc: c_int, argv: *mut *mut c_char, envp: *mut *mut c_char) -> c_int;
    static __init_array_start: [Initialiser; 0];
    static __init_array_end: [Initialiser; 0];
}

/// What the machine runs once its first instructions are done.
#[unsafe(no_mangle)]
fn ampoule_main() -> ! {
    thread::start(run)
}

fn run() -> ! {
    let (argc, argv, envp) = env::lay_out();
    // SAFETY: the linker provides the array of initialisers (gABI, "Initialization and Termination Functions"); std's
    // takes the arguments from here. `main` is the program's.
    let status = unsafe {
        let mut initialiser = __init_array_start.as_ptr();
        while initialiser < __init_array_end.as_ptr() {
            (*initialiser)(argc, argv, envp);
            initialiser = initialiser.add(1);
        }
        machine::cpu::mark_main();
        main(argc, argv, envp)
    };
    exit::exit(status)
}
