//! What comes out of the serial port (the exokernel's `serial` and `gate`), and QEMU's own complaints with it.
//!
//! Text passes as it is, but for three things: lines of a backtrace get names where there are any; lines of a trace, each
//! behind a mark of its own ([`abi::trace::MARK`]), go where traces go; and the exokernel's account of the end is taken out: a
//! mark, and after it `exit N` where the exit device has too few bits for N.

/// Precedes the end.
const MARK: u8 = 0x1e;
/// The longest account of the end, `exit 255` and its newline, with room; what is longer is none.
const END_MAX: usize = 32;
/// How a line of a backtrace begins.
const FRAME: &[u8] = b"    at image+0x";

/// The stream so far.
pub(super) struct Serial<'a> {
    names: Option<&'a dyn Fn(u64) -> Vec<String>>,
    /// The current line, as far as it has not been shown.
    line: Vec<u8>,
    /// Has a part of the current line been shown?
    shown: bool,
    /// What followed the last mark, if one came.
    end: Option<Vec<u8>>,
    /// Is there a trace? Without one its mark is a byte like others.
    traces: bool,
    /// A line of the trace has begun and not ended.
    in_trace: bool,
    /// What has come of the trace, until it is fetched.
    traced: Vec<u8>,
}

impl<'a> Serial<'a> {
    pub(super) fn new(names: Option<&'a dyn Fn(u64) -> Vec<String>>, traces: bool) -> Self {
        Serial { names, line: Vec::new(), shown: false, end: None, traces, in_trace: false, traced: Vec::new() }
    }

    /// Takes bytes in; gives what is to be shown now.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &byte in bytes {
            if self.in_trace {
                self.traced.push(byte);
                self.in_trace = byte != b'\n';
            } else if self.traces && byte == abi::trace::MARK {
                self.in_trace = true;
            } else if byte == MARK {
                out.append(&mut self.line);
                self.end = Some(Vec::new());
            } else if let Some(end) = &mut self.end {
                end.push(byte);
                if end.len() > END_MAX {
                    out.append(end);
                    self.end = None;
                }
            } else {
                self.line.push(byte);
                if byte == b'\n' {
                    self.end_line(&mut out);
                }
            }
        }
        // Half a line is shown at once unless it may become one of a backtrace.
        if self.shown || !FRAME.starts_with(&self.line[..self.line.len().min(FRAME.len())]) {
            self.shown |= !self.line.is_empty();
            out.append(&mut self.line);
        }
        out
    }

    /// What has come of the trace since the last time.
    pub(super) fn traced(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.traced)
    }

    /// What is left at the end of the stream: also what followed a mark that was none of the exokernel's.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.line);
        if let Some(end) = &self.end
            && self.said().is_none()
        {
            out.extend_from_slice(end);
        }
        out
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.line);
        let offset = line
            .strip_prefix(FRAME)
            .filter(|_| !self.shown)
            .and_then(|hex| u64::from_str_radix(std::str::from_utf8(hex).ok()?.trim_end(), 16).ok());
        self.shown = false;
        // A return address is the instruction after the call.
        let names = offset.and_then(|o| Some(self.names?(o.checked_sub(1)?))).unwrap_or_default();
        match names.is_empty() {
            true => out.extend_from_slice(&line),
            false => names.iter().for_each(|name| out.extend_from_slice(format!("    at {name}\n").as_bytes())),
        }
    }

    /// The status that was said on the line, if one was, and to its end.
    fn said(&self) -> Option<u8> {
        let (line, _) = std::str::from_utf8(self.end.as_ref()?).ok()?.split_once('\n')?;
        line.strip_prefix("exit ")?.parse().ok()
    }

    /// The machine's exit status, given QEMU's exit code; `None` if QEMU ended by itself, or before all was said.
    pub(super) fn status(&self, code: i32) -> Option<u8> {
        let end = self.end.as_ref()?;
        let is_cut = !end.is_empty() && !end.contains(&b'\n');
        self.said().or((!is_cut).then_some((code >> 1) as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_passes_and_the_end_does_not() {
        let mut serial = Serial::new(None, false);
        assert_eq!(serial.take(b"hel"), b"hel");
        assert_eq!(serial.take(b"lo\n\x1eexit 13"), b"lo\n");
        assert_eq!(serial.take(b"9\n"), b"");
        assert_eq!((serial.rest(), serial.status(23)), (vec![], Some(139)));
    }

    #[test]
    fn a_small_status_comes_by_the_exit_code() {
        let mut serial = Serial::new(None, false);
        serial.take(b"\x1e");
        assert_eq!(serial.status(15), Some(7));
        assert_eq!(Serial::new(None, false).status(1), None);
        serial.take(b"exit 13");
        assert_eq!(serial.status(23), None, "less than it would have said");
    }

    #[test]
    fn lines_of_a_trace_go_their_own_way() {
        let mut serial = Serial::new(None, true);
        assert_eq!(serial.take(b"half a \x1d[1] 0.1 read(0, "), b"half a ");
        assert_eq!(serial.traced(), b"[1] 0.1 read(0, ");
        assert_eq!(serial.take(b"\"\", 1) = 0\nline\n\x1dsecond\n"), b"line\n");
        assert_eq!(serial.traced(), b"\"\", 1) = 0\nsecond\n");
        assert_eq!((serial.take(b"\x1e"), serial.status(15)), (vec![], Some(7)));
    }

    #[test]
    fn what_a_guest_says_behind_marks_is_not_kept_for_ever() {
        let mut serial = Serial::new(None, false);
        assert_eq!(serial.take(b"\x1dno trace\n"), b"\x1dno trace\n");
        let text = [b'x'; 3 * END_MAX];
        let shown = [serial.take(b"\x1e"), serial.take(&text), serial.rest()].concat();
        assert_eq!(shown, text);
        assert_eq!((serial.take(b"\x1eexit 200\n"), serial.status(17)), (vec![], Some(200)));
    }

    #[test]
    fn frames_get_names() {
        let names = |offset: u64| if offset == 0x1fff { vec!["main".to_owned()] } else { vec![] };
        let mut serial = Serial::new(Some(&names), false);
        assert_eq!(serial.take(b"    at image+0x2"), b"");
        assert_eq!(serial.take(b"000\n    at image+0x5\n"), b"    at main\n    at image+0x5\n");
    }
}
