//! Seals a linked program by hand: `seal GUEST.elf EXOKERNEL.elf|- OUT.img [MEMORY-BYTES]`, for trying things out without the tool.

use ampoule_image as image;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seal: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [guest, exokernel, out, rest @ ..] = arguments else {
        return Err("usage: seal GUEST.elf EXOKERNEL.elf|- OUT.img [MEMORY-BYTES]".into());
    };
    let elf = std::fs::read(guest)?;
    let exokernel = if exokernel == "-" { None } else { Some(std::fs::read(exokernel)?) };
    let memory = rest.first().map_or(Ok(8 << 20), |m| m.parse())?;
    let manifest = abi::manifest::Manifest { name: "guest".into(), memory, ..Default::default() };
    let input = image::SealInput {
        elf: &elf,
        manifest: &manifest,
        exokernel: exokernel.as_deref(),
        symbols: &[],
        files: &[],
        unwind: false,
    };
    let sealed = image::seal(&input)?;
    std::fs::write(out, &sealed.bytes)?;
    std::fs::write(format!("{out}.debug"), image::debug::write(&elf, &sealed, None))?;
    let image = image::Image::open(out)?;
    let report = image::inspect::inspect(&image);
    println!("{report:#x?}");
    Ok(())
}
