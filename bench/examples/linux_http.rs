//! Runs the Linux reference guest with a program and measures HTTP.
use ampoule_bench::{linux_guest, namespace};
use std::path::Path;
use std::process::Stdio;
fn main() -> anyhow::Result<()> {
    let program = std::env::args().nth(1).unwrap();
    let bin = std::env::current_exe()?.parent().unwrap().parent().unwrap().to_path_buf();
    let cache = Path::new("/tmp/bench-cache");
    std::fs::create_dir_all(cache)?;
    let kernel = linux_guest::kernel(cache)?;
    let initrd = linux_guest::initrd(&kernel, cache, &bin.join("bench-init"), Path::new(&program))?;
    let ns = namespace::Namespace::new()?;
    let mut qemu = ns.command("qemu-system-x86_64");
    qemu.args("-M q35 -accel tcg,thread=multi -cpu max -smp 1,maxcpus=2 -m 128 -nodefaults -no-user-config -display none -serial stdio -netdev tap,id=n,ifname=tap0,script=no,downscript=no -device virtio-net-pci,netdev=n -no-reboot".split(' '));
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&initrd).arg("-append").arg("console=ttyS0 quiet panic=-1");
    let mut child = qemu.stdin(Stdio::null()).spawn()?;
    for _ in 0..60 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let out = ns.command(bin.join("bench-load")).args(["10.99.0.2:8080", "32", "5"]).output()?;
        if out.status.success() { print!("{}", String::from_utf8_lossy(&out.stdout)); break; } else { eprint!("{}", String::from_utf8_lossy(&out.stderr)); }
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}
