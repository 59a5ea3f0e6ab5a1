//! Names on their way to addresses.

use abi::hostnet::Address;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use device::{Error, Resolved, Watch};
use sync::SpinLock;

use crate::convert;

/// Errno of a name that has no addresses (`ENXIO`; `getaddrinfo` says `EAI_NONAME`).
const NO_SUCH_NAME: i32 = 6;

type Answer = Result<Vec<IpAddr>, Error>;

/// One look-up, as the stack sees it.
pub(crate) struct Pending {
    pub(crate) token: u32,
    pub(crate) name: String,
    answer: SpinLock<Option<Answer>>,
    watch: Arc<dyn Watch>,
}

/// The same, as who asked sees it.
pub(crate) struct Lookup(pub(crate) Arc<Pending>);

impl Pending {
    pub(crate) fn new(token: u32, name: &str, watch: Arc<dyn Watch>) -> Arc<Pending> {
        Arc::new(Pending { token, name: name.into(), answer: SpinLock::new(None), watch })
    }

    /// The answer has come; gives the addresses.
    pub(crate) fn finish(&self, status: i32, addresses: &[Address]) -> Vec<IpAddr> {
        let addresses: Vec<IpAddr> = addresses.iter().filter_map(convert::ip_from_device).collect();
        *self.answer.lock() = Some(match status {
            0 if addresses.is_empty() => Err(Error::Errno(NO_SUCH_NAME)),
            0 => Ok(addresses.clone()),
            number => Err(Error::Errno(number.saturating_neg())),
        });
        self.watch.changed();
        addresses
    }
}

impl Resolved for Lookup {
    fn take(&mut self) -> Option<Answer> {
        self.0.answer.lock().take()
    }

    fn name(&self) -> &String {
        &self.0.name
    }
}
