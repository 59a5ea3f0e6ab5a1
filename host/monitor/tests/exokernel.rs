//! The exokernel's properties, each proved by a guest that has no library OS (`exokernel/probe`), on QEMU's machines.
//!
//! The guest prints what is wrong to this test's standard error, and its exit status says whether something is.

use abi::manifest::Manifest;
use ampoule_monitor::qemu::{self, Accelerator, Machine, Setup};
use ampoule_monitor::{Error, Options, Program};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROPERTIES: &[&str] = &[
    "sealed",
    "privileged",
    "guards",
    "zeroed",
    "relocated",
    "clock",
    "wait",
    "slice",
    "registers",
    "refused",
    "devices",
    "environment",
    "backtrace",
    "mappings",
];

/// Runs cargo for a guest-side package; gives the executable.
fn build(folder: &Path, arguments: &[&str], flags: &[&str], name: &str, profile: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let status = Command::new(env!("CARGO"))
        .current_dir(folder)
        .args(["build", "--quiet", "--target", TARGET])
        .args(arguments)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env_remove("RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "cannot build {name}");
    target.join(TARGET).join(profile).join(name)
}

/// The probe's image, built once.
fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let exokernel = build(
            &root,
            &["-p", "ampoule-exokernel", "--profile", "image", "--features", "freestanding"],
            &["-Ctarget-feature=+crt-static", "-Crelocation-model=static", "-Cno-redzone=yes"],
            "ampoule-exokernel",
            "image",
        );
        let guest = build(
            &root.join("exokernel/probe"),
            &["--release"],
            &[
                "-Ctarget-feature=+crt-static",
                "-Crelocation-model=pie",
                "-Clink-arg=-nostartfiles",
                "-Clink-arg=-nostdlib",
                "-Clink-arg=-static-pie",
                "-Clink-arg=-Wl,-z,relro,-z,now,-z,pack-relative-relocs,--build-id=none,--no-dynamic-linker",
            ],
            "exokernel-probe",
            "release",
        );
        let read = |path| std::fs::read(path).expect("cargo built it");
        let manifest = Manifest { name: "probe".into(), memory: 2 << 20, ..Default::default() };
        let (elf, exokernel) = (read(guest), read(exokernel));
        let sealed = image::seal(&image::SealInput {
            elf: &elf,
            manifest: &manifest,
            exokernel: Some(&exokernel),
            symbols: &[],
            files: &[],
            unwind: false,
        })
        .expect("the probe can be sealed");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe.img");
        std::fs::write(&path, sealed.bytes).expect("the image can be written");
        path
    })
}

/// The exit status of the probe on `machine` with `words`; `None` without QEMU.
fn status(machine: Machine, memory: u64, words: &[&str]) -> Option<u8> {
    let path = image();
    let image = image::Image::open(path).expect("what was just sealed opens");
    let program = Program { header: image.header(), bytes: image.bytes(), manifest: image.manifest(), is_whole: None };
    let words = std::iter::once("probe").chain(words.iter().copied());
    let options = Options {
        memory: Some(memory),
        arguments: Some(words.map(str::to_owned).collect()),
        environment: vec!["A=b c".into(), "Z=1".into()],
        ..Options::default()
    };
    let setup = Setup { image: path, machine, accelerator: Accelerator::Tcg, names: None };
    match qemu::run(&program, &options, &setup) {
        Ok(outcome) => Some(outcome.status),
        Err(Error::NoQemu) => {
            eprintln!("skipped: {}", Error::NoQemu);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn hold(machine: Machine, memory: u64, words: &[&str], wanted: u8) {
    if let Some(status) = status(machine, memory, words) {
        assert_eq!(status, wanted, "{words:?} on {machine:?}");
    }
}

#[test]
fn everything_holds_on_microvm_with_2_mib() {
    hold(Machine::Microvm, 2 << 20, PROPERTIES, 0);
}

#[test]
fn everything_holds_on_microvm_with_large_pages() {
    hold(Machine::Microvm, 96 << 20, PROPERTIES, 0);
}

#[test]
fn everything_holds_on_q35() {
    hold(Machine::Q35, 32 << 20, PROPERTIES, 0);
}

#[test]
fn exit_statuses_have_eight_bits() {
    hold(Machine::Microvm, 2 << 20, &["status"], 139);
    hold(Machine::Q35, 8 << 20, &["status"], 139);
    hold(Machine::Microvm, 2 << 20, &["nonsense"], 1);
}

#[test]
fn a_fault_in_the_fault_handler_ends_the_machine() {
    hold(Machine::Microvm, 2 << 20, &["unhandled"], abi::vcpu::STATUS_FAULT as u8);
}
