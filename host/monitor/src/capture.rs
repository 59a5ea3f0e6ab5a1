//! `run --pcap`: the file that takes what goes over the machine's network (`host_device::capture`). It is opened, and begun,
//! while there are rights to do so; afterwards the machine's own process appends to it.

use crate::Error;
use crate::network::Link;
use host_device::capture::{LinkType, file_header};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// Makes the file for a machine that is connected like this.
pub(crate) fn create(path: &Path, link: Link) -> Result<File, Error> {
    let failed = |cause| Error::Capture { path: path.to_owned(), cause };
    let kind = if link == Link::Frames { LinkType::Ethernet } else { LinkType::Raw };
    let mut file = File::create(path).map_err(failed)?;
    file.write_all(&file_header(kind)).map_err(failed)?;
    Ok(file)
}
