//! A program that the linker really made, to be sealed.
#![allow(dead_code, reason = "each test takes what it needs")]

use abi::manifest::Manifest;
use ampoule_image::{SealError, SealInput, seal};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

pub(crate) const SOURCE: &str = r#"
    #![no_std]
    #![no_main]
    static NAMES: [&str; 3] = ["one", "two", "three"];
    static mut COUNT: u64 = 7;
    #[unsafe(no_mangle)] #[inline(never)]
    pub extern "C" fn named_function(n: usize) -> usize { NAMES[n % 3].len() }
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn _start() -> ! {
        unsafe { core::arch::asm!("syscall", in("rax") 60, out("rcx") _, out("r11") _) };
        loop {
            unsafe {
                let count = (&raw const COUNT).read_volatile();
                (&raw mut COUNT).write_volatile(named_function(count as usize) as u64);
            }
        }
    }
    #[panic_handler] fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
    #[unsafe(no_mangle)] pub extern "C" fn rust_eh_personality() {}
"#;

/// Compiles and links `source` as a guest; more flags may follow.
pub(crate) fn link(name: &str, source: &str, flags: &[&str]) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (input, output) = (folder.join(format!("{name}.rs")), folder.join(name));
    std::fs::write(&input, source).expect("the source can be written");
    let linker =
        "link-args=-nostartfiles -nostdlib -static-pie -Wl,-z,relro,-z,now,--build-id=none,--no-dynamic-linker";
    let status = Command::new("rustc")
        .args(["--edition", "2024", "--crate-type", "bin", "-O", "-g", "-Cpanic=abort", "-Crelocation-model=pie"])
        .args(["-Ctarget-feature=+crt-static", "--target", "x86_64-unknown-linux-gnu", "-C", linker])
        .args(flags)
        .arg("-o")
        .args([&output, &input])
        .status()
        .expect("rustc runs");
    assert!(status.success());
    std::fs::read(output).expect("rustc linked it")
}

pub(crate) fn guest() -> &'static [u8] {
    static GUEST: OnceLock<Vec<u8>> = OnceLock::new();
    GUEST.get_or_init(|| link("guest", SOURCE, &["-Clink-arg=-Wl,-z,pack-relative-relocs"]))
}

pub(crate) fn manifest() -> Manifest {
    let strings = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect();
    Manifest {
        name: "guest".into(),
        memory: 2 << 20,
        arguments: strings(&["-v"]),
        environment: strings(&["K=V"]),
        ..Default::default()
    }
}

pub(crate) fn sealed(elf: &[u8]) -> Result<ampoule_image::Sealed, SealError> {
    seal(&SealInput { elf, manifest: &manifest(), exokernel: None, symbols: &[], files: &[], unwind: false })
}
