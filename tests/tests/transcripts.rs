//! What the tool says, word for word. `TRYCMD=overwrite cargo test -p ampoule-tests --test transcripts` writes the
//! transcripts anew.
#![forbid(unsafe_code)]

use ampoule_tests::tool;

#[test]
fn transcripts() -> anyhow::Result<()> {
    trycmd::TestCases::new()
        .register_bin("ampoule", tool::tool()?)
        .env("CARGO_TERM_COLOR", "never")
        .case("transcripts/*.trycmd")
        .run();
    Ok(())
}
