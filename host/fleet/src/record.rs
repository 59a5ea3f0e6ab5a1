//! What is written down about a machine: one JSON file, replaced as a whole, so that a reader sees an old state or a new
//! one and never half of one.

use std::fmt;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};

use crate::{Error, Name};

/// The file's name in the machine's folder.
const FILE: &str = "state.json";
/// A longer file is none of ours.
const LENGTH_MAX: u64 = 1 << 20;

/// A machine, as far as it is not the kernel that says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: Name,
    /// The image's file.
    pub image: String,
    /// The image's SHA-256, in hexadecimal.
    pub digest: String,
    /// What runs it, as `--on` names it.
    pub backend: String,
    /// When it was started: milliseconds since 1970.
    pub started_ms: u64,
    /// The same moment in milliseconds since the host's start.
    pub started_boot_ms: u64,
    /// That start of the host (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// The runner, from when it was started.
    pub runner: Option<Runner>,
    /// The ports at which it is reached.
    pub ports: Vec<Port>,
    /// How it ended, once it has.
    pub end: Option<End>,
}

/// The process that runs a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// Its number.
    pub pid: i32,
    /// Its start, in ticks since the host's (`/proc/PID/stat`, field 22): with the number it names a process for good.
    pub start_ticks: u64,
}

/// A port of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it is on the host.
    pub host: SocketAddr,
    /// Its number in the machine.
    pub port: u16,
}

/// A port's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When: milliseconds since 1970.
    pub at_ms: u64,
    /// How long it had run, in milliseconds.
    pub after_ms: u64,
    /// Its exit status, where its runner ended by itself.
    pub status: Option<u8>,
    /// The signal that killed its runner, where one did.
    pub signal: Option<i32>,
    /// What it died of, where it was not the program's own doing.
    pub report: Option<String>,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}/{}", self.host, self.port, self.protocol)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

impl Record {
    /// Reads the record of a folder; `None`: it has none.
    pub(crate) fn read(folder: &Path, name: &Name) -> Result<Option<Self>, Error> {
        let path = folder.join(FILE);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", &path)(error)),
        };
        let text = if length <= LENGTH_MAX { fs::read(&path).map_err(Error::file("read", &path))? } else { Vec::new() };
        let record: Record = serde_json::from_slice(&text).map_err(|_| Error::Unreadable(name.to_string()))?;
        if record.name == *name { Ok(Some(record)) } else { Err(Error::Unreadable(name.to_string())) }
    }

    /// Writes it in place of the one before.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        let (path, fresh) = (folder.join(FILE), folder.join("state.json.new"));
        let text = serde_json::to_vec_pretty(self).map_err(Error::file("write", &path))?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(crate::FILE_MODE);
        let mut file = options.open(&fresh).map_err(Error::file("write", &fresh))?;
        // Blocks that are there already keep ext4 from writing the file out before it takes the other's place
        // (`auto_da_alloc`), which takes some 10 ms. After a crash of the host the record is worth nothing anyway.
        let _ = fallocate(&file, FallocateFlags::empty(), 0, text.len() as u64);
        file.write_all(&text).map_err(Error::file("write", &fresh))?;
        fs::rename(&fresh, &path).map_err(Error::file("write", &path))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::folder::tests::Temporary;

    pub(crate) fn record(name: &str) -> Record {
        Record {
            name: Name::like(name),
            image: "web.img".into(),
            digest: "00".into(),
            backend: "process".into(),
            started_ms: 1,
            started_boot_ms: 1,
            boot: crate::clock::boot_id(),
            runner: None,
            ports: vec![Port { protocol: Protocol::Tcp, host: ([127, 0, 0, 1], 80).into(), port: 8080 }],
            end: None,
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = Temporary::new();
        let mut record = record("web");
        assert_eq!(Record::read(&folder.path, &record.name).expect("no record is no error"), None);
        record.write(&folder.path).expect("writes");
        record.end = Some(End { at_ms: 2, after_ms: 1, status: Some(7), signal: None, report: Some("a\nb".into()) });
        record.write(&folder.path).expect("writes again");
        assert_eq!(Record::read(&folder.path, &record.name).expect("reads"), Some(record.clone()));
        assert_eq!(record.ports[0].to_string(), "127.0.0.1:80->8080/tcp");
    }

    #[test]
    fn nonsense_is_named() {
        let folder = Temporary::new();
        let name = Name::like("web");
        for text in ["", "{", "[]", "{\"name\":\"web\"}"] {
            fs::write(folder.path.join(FILE), text).expect("writes");
            assert!(matches!(Record::read(&folder.path, &name), Err(Error::Unreadable(_))), "{text}");
        }
        record("other").write(&folder.path).expect("writes");
        assert!(matches!(Record::read(&folder.path, &name), Err(Error::Unreadable(_))));
    }
}
