//! The terminal while a machine has it: each key as it is typed.
//!
//! A program that draws its own screen wants keys, not lines, and shows them itself. What is left of the terminal's work
//! are its signals: Ctrl-C still asks the machine to stop, which is what an operator expects of it.

use std::io::IsTerminal;

use rustix::termios::{InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// The terminal in this mode, until it is dropped.
pub(crate) struct Raw(Termios);

impl Raw {
    /// Puts standard input into this mode; `None` if it is no terminal.
    pub(crate) fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut modes = before.clone();
        // No lines, no echo, no characters with a meaning but those of signals (termios(3)).
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN);
        modes.input_modes.remove(InputModes::ICRNL | InputModes::IXON);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &modes).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no modes.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
