//! Runs out of memory: what can be refused is refused, and at the end a report; ends with 137.
#[cfg(feature = "line")]
use ampoule as _;

fn main() {
    let mut big = Vec::<u8>::new();
    assert!(big.try_reserve_exact(1 << 40).is_err());
    println!("refused");
    for round in 0..3 {
        let mut blocks = Vec::new();
        while let Some(block) = {
            let mut block = Vec::<u8>::new();
            block.try_reserve_exact(1 << 20).is_ok().then(|| {
                block.resize(1 << 20, round);
                block
            })
        } {
            blocks.push(block);
        }
        assert!(blocks.iter().all(|b| b.iter().all(|x| *x == round)));
        println!("filled");
    }
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1u8; 300_000]);
    }
}
