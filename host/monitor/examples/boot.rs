//! Boots an image under QEMU without the tool: `boot IMAGE microvm|q35 [MEMORY-MIB [WORD...]]`. Ends with its status.

use ampoule_monitor::qemu::{self, Accelerator, Machine, Setup};
use ampoule_monitor::{Options, Program};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match boot(&words) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("boot: {error}");
            ExitCode::from(2)
        }
    }
}

fn boot(words: &[String]) -> Result<u8, Box<dyn std::error::Error>> {
    let [path, machine, rest @ ..] = words else {
        return Err("usage: boot IMAGE microvm|q35 [MEMORY-MIB [WORD...]]".into());
    };
    let machine = if machine == "q35" { Machine::Q35 } else { Machine::Microvm };
    let image = image::Image::open(path)?;
    let program = Program { header: image.header(), bytes: image.bytes(), manifest: image.manifest(), is_whole: None };
    let memory = rest.first().map(|m| m.parse::<u64>()).transpose()?.map(|m| m << 20);
    let arguments = (rest.len() > 1)
        .then(|| std::iter::once(image.manifest().name.clone()).chain(rest[1..].iter().cloned()).collect());
    let options = Options { memory, arguments, notify: Some(|n| eprintln!("{n}")), ..Options::default() };
    // Names come from the debug file beside the image, if it is there.
    let debug = std::fs::read(Path::new(path).with_extension("debug")).unwrap_or_default();
    let symboliser = image::debug::Symboliser::new(&debug, Some(image.digest())).ok();
    let names = |offset| {
        let places = symboliser.as_ref().map_or_else(Vec::new, |s| s.places(offset));
        places.into_iter().map(|p| p.to_string()).collect()
    };
    let setup = Setup { image: Path::new(path), machine, accelerator: Accelerator::Auto, names: Some(&names) };
    Ok(qemu::run(&program, &options, &setup)?.status)
}
