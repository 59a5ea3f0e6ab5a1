//! What the tool says, word for word. `TRYCMD=overwrite cargo test -p ampoule-tests --test transcripts` writes the
//! transcripts anew.
#![forbid(unsafe_code)]

use ampoule_tests::fleet::Fleet;
use ampoule_tests::tool;

#[test]
fn transcripts() -> anyhow::Result<()> {
    let nobody = Fleet::new()?;
    trycmd::TestCases::new()
        .env("XDG_RUNTIME_DIR", nobody.folder().to_string_lossy())
        .register_bin("ampoule", tool::tool()?)
        .env("CARGO_TERM_COLOR", "never")
        .case("transcripts/*.trycmd")
        .run();
    Ok(())
}
