//! Standard input on its way to QEMU.
//!
//! A virtio-console of one port has no end of input (VIRTIO 1.2 §5.3.6.2 has one for multi-port devices alone), so it is told
//! beside it: on the serial line, as the number of bytes that there were in all. Whichever of the two arrives first, the
//! machine's driver compares them, and nothing is cut off.
//!
//! A thread of its own waits for both ends of the way: a program that reads nothing must not keep the tool from what else it
//! has to do. The thread ends with its input, or with the process.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ChildStdin;

/// Precedes the number on the serial line (the exokernel's `serial`).
const END: u8 = 26;
/// Bytes taken ahead of a program that does not read: as few as a pipe can hold, since whoever reads the same input after
/// the machine misses them.
const AHEAD: usize = 4096;

/// Copies our standard input to QEMU's from now on, and tells its end on `serial`.
pub(super) fn pass_on(mut input: ChildStdin, mut serial: UnixStream) {
    // Where it cannot be made small, more is taken ahead.
    let _ = rustix::pipe::fcntl_setpipe_size(&input, AHEAD);
    std::thread::spawn(move || {
        let mut buffer = [0; AHEAD];
        let mut passed = 0u64;
        loop {
            match std::io::stdin().lock().read(&mut buffer) {
                Ok(length @ 1..) if input.write_all(&buffer[..length]).is_ok() => passed += length as u64,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // The end; an input that cannot be read has ended too. If it was QEMU that ended, nobody hears this.
                _ => break,
            }
        }
        let _ = serial.write_all(&[&[END], passed.to_string().as_bytes(), b"\n"].concat());
    });
}
