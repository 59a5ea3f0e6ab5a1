//! The link-time hooks by which a service finds its device without naming a driver.
//!
//! A table of all drivers would put every driver into every image, and a registry filled by constructors would too. An
//! undefined symbol is resolved only if it is reachable, which is exactly the rule an image wants.

use crate::{Console, Entropy, Frames, HostSockets};

#[cfg(ampoule_image)]
use image::*;

#[cfg(ampoule_image)]
mod image {
    use crate::{Console, Entropy, Frames, HostSockets};

    unsafe extern "Rust" {
        pub(super) safe fn ampoule_device_console() -> Option<&'static dyn Console>;
        pub(super) safe fn ampoule_device_entropy() -> Option<&'static dyn Entropy>;
        pub(super) safe fn ampoule_device_frames() -> Option<&'static dyn Frames>;
        pub(super) safe fn ampoule_device_host_sockets() -> Option<&'static dyn HostSockets>;
    }
}

/// Outside an image (a unit test on the host) there are no drivers.
#[cfg(not(ampoule_image))]
mod none {
    use crate::{Console, Entropy, Frames, HostSockets};

    pub(super) fn ampoule_device_console() -> Option<&'static dyn Console> {
        None
    }

    pub(super) fn ampoule_device_entropy() -> Option<&'static dyn Entropy> {
        None
    }

    pub(super) fn ampoule_device_frames() -> Option<&'static dyn Frames> {
        None
    }

    pub(super) fn ampoule_device_host_sockets() -> Option<&'static dyn HostSockets> {
        None
    }
}
#[cfg(not(ampoule_image))]
use none::*;

/// The machine's console, or `None`: emergency output through the gate is all there is.
pub fn console() -> Option<&'static dyn Console> {
    ampoule_device_console()
}

/// The machine's entropy device, if it has one.
pub fn entropy() -> Option<&'static dyn Entropy> {
    ampoule_device_entropy()
}

/// The machine's Ethernet device, if it has one.
pub fn frames() -> Option<&'static dyn Frames> {
    ampoule_device_frames()
}

/// The host's sockets, if this machine has them.
pub fn host_sockets() -> Option<&'static dyn HostSockets> {
    ampoule_device_host_sockets()
}
