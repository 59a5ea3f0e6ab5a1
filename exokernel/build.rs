//! Links the freestanding program by its own script.

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".into());
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wl,--gc-sections"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-z,norelro,-z,max-page-size=4096");
    // Not after `-Wl`, which would cut a folder's name at its commas.
    println!("cargo:rustc-link-arg-bins=-T{folder}/link.ld");
}
