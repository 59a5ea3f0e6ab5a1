//! Ctrl-C and SIGTERM, while there are machines to be ended before this process may end.

use anyhow::{Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether one of them came.
pub(super) struct Interrupt {
    asked: Arc<AtomicBool>,
    /// From here on they do what they always did.
    is_over: Arc<AtomicBool>,
}

impl Interrupt {
    pub(super) fn watch() -> Result<Self> {
        let this = Interrupt { asked: Arc::default(), is_over: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_default(signal, this.is_over.clone())?;
            flag::register(signal, this.asked.clone())?;
        }
        Ok(this)
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.asked.load(Ordering::Relaxed) { bail!("interrupted") } else { Ok(()) }
    }

    /// Gives the signals back; an error if one came.
    pub(super) fn conclude(self) -> Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        self.check()
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
