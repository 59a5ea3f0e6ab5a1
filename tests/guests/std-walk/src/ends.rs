//! `std::process`: how a program ends. The test compares status and output with Linux's.

use std::backtrace::Backtrace;
use std::fmt;
use std::process::{ExitCode, Termination, abort, exit};

struct Failure;

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a failure of ours")
    }
}

/// Ends in the way of this name.
pub(crate) fn end(how: &str) -> ExitCode {
    println!("ending by {how}");
    print!("a part of a line");
    match how {
        "exit" => exit(3),
        "exit-300" => exit(300),
        "exit-negative" => exit(-1),
        "exit-in-a-thread" => {
            let _ = std::thread::spawn(|| exit(4)).join();
            ExitCode::from(5)
        }
        "abort" => {
            println!();
            abort()
        }
        "panic" => {
            println!();
            panic!("the program's end")
        }
        "panic-in-a-panic" => {
            struct Panics;
            impl Drop for Panics {
                fn drop(&mut self) {
                    panic!("a second one");
                }
            }
            println!();
            let _panics = Panics;
            panic!("a first one")
        }
        "code" => ExitCode::from(77),
        "failure" => ExitCode::FAILURE,
        "error" => Err::<(), _>(Failure).report(),
        "seed" => {
            println!();
            println!("{:016x}", crate::collections::seed());
            ExitCode::SUCCESS
        }
        "backtrace-1" | "backtrace-full" | "backtrace-0" => {
            println!();
            // SAFETY: there is one thread.
            unsafe { std::env::set_var("RUST_BACKTRACE", how.trim_start_matches("backtrace-")) };
            println!("{:?}", Backtrace::capture().status());
            ExitCode::SUCCESS
        }
        "other-threads" => {
            println!();
            std::thread::spawn(|| {
                loop {
                    std::thread::sleep(std::time::Duration::from_secs(1));
                }
            });
            std::thread::spawn(|| {
                loop {
                    std::hint::spin_loop();
                }
            });
            ExitCode::from(6)
        }
        _ => ExitCode::from(99),
    }
}
