//! As many lines as its first argument says, in turn on standard output and on standard error. With a second one it then
//! stays. It never listens at the port that its manifest lists.
#[cfg(feature = "line")]
use ampoule as _;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let lines: u32 = arguments.next().expect("how many lines").parse().expect("a number");
    for number in 0..lines {
        match number % 2 {
            0 => println!("line {number:07} on standard output"),
            _ => eprintln!("line {number:07} on standard error"),
        }
    }
    while arguments.len() > 0 {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
}
