//! Panics, and shows where.

fn main() {
    let drawers = vec!["keys", "letters", "string"];
    println!("{}", open(&drawers, std::env::args().count() + 2));
}

#[inline(never)]
fn open<'a>(drawers: &[&'a str], index: usize) -> &'a str {
    drawers[index]
}
