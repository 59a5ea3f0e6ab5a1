//! The drivers against the device half of the ring, on the host.
