//! Advisory locks on a file (`flock(2)`): shared or exclusive, each held by an open file, not by a thread.

use crate::error::{Error, Result};

/// What an open file holds, or wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lock {
    /// Nothing.
    #[default]
    None,
    /// Together with others.
    Shared,
    /// Alone.
    Exclusive,
}

/// Who holds a file's lock.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    shared: u32,
    exclusive: bool,
}

impl Locks {
    /// Changes what one holder has. Where that cannot be now, it is [`Error::WouldBlock`], and the holder has lost
    /// nothing that was shared (Linux takes it away first; a caller that waits gives it up itself).
    pub(crate) fn change(&mut self, has: Lock, wants: Lock) -> Result<()> {
        let (shared, exclusive) = match has {
            Lock::None => (self.shared, self.exclusive),
            Lock::Shared => (self.shared - 1, self.exclusive),
            Lock::Exclusive => (self.shared, false),
        };
        match wants {
            Lock::Shared if exclusive => return Err(Error::WouldBlock),
            Lock::Exclusive if exclusive || shared > 0 => return Err(Error::WouldBlock),
            _ => {}
        }
        self.shared = shared + u32::from(wants == Lock::Shared);
        self.exclusive = if wants == Lock::Exclusive { true } else { exclusive };
        Ok(())
    }

    pub(crate) fn is_free(&self) -> bool {
        self.shared == 0 && !self.exclusive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alone_or_many_together() {
        let mut locks = Locks::default();
        assert_eq!(locks.change(Lock::None, Lock::Shared), Ok(()));
        assert_eq!(locks.change(Lock::None, Lock::Shared), Ok(()));
        assert_eq!(locks.change(Lock::Shared, Lock::Exclusive), Err(Error::WouldBlock));
        assert_eq!(locks.change(Lock::Shared, Lock::None), Ok(()));
        assert_eq!(locks.change(Lock::Shared, Lock::Exclusive), Ok(()));
        assert_eq!(locks.change(Lock::None, Lock::Shared), Err(Error::WouldBlock));
        assert_eq!(locks.change(Lock::Exclusive, Lock::Shared), Ok(()));
        assert_eq!(locks.change(Lock::None, Lock::Exclusive), Err(Error::WouldBlock));
        assert_eq!(locks.change(Lock::Shared, Lock::None), Ok(()));
        assert_eq!(locks.change(Lock::None, Lock::Exclusive), Ok(()));
    }
}
