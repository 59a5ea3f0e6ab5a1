//! All machines of a user: names are taken, found and given up here.
//!
//! Taking a name and giving it up happen under one lock (flock(2) on `lock`), which is held for some file operations and
//! never while something is waited for, except for a runner that a killed supervisor left dying. Looking needs no lock.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal};

use crate::life::{self, Holder, Life};
use crate::process::{Process, start_ticks};
use crate::start::Wanted;
use crate::{Error, Machine, Name, Record, State, clock, folder};

/// How long the lock over the names is waited for.
const BUSY_SECONDS: u64 = 10;
/// How long a runner without a supervisor may take to die.
const DYING: Duration = Duration::from_secs(5);

/// The machines of this user.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A name that was taken, with its folder; and the sign that its holder lives.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) folder: PathBuf,
    store: Store,
    _life: Life,
}

impl Store {
    /// Opens the user's store, and makes it where it is not there.
    ///
    /// # Errors
    /// [`Error::Folder`] where the place is not safe to use.
    pub fn open() -> Result<Self, Error> {
        Self::at(folder::open()?)
    }

    pub(crate) fn at(root: PathBuf) -> Result<Self, Error> {
        let store = Self { root };
        make(&store.machines())?;
        Ok(store)
    }

    fn machines(&self) -> PathBuf {
        self.root.join("machines")
    }

    fn folder(&self, name: &Name) -> PathBuf {
        self.machines().join(name.as_str())
    }

    /// The machine of this name.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Unreadable`].
    pub fn find(&self, name: &Name) -> Result<Machine, Error> {
        Machine::read(&self.folder(name), name)?.ok_or_else(|| Error::Unknown(name.to_string()))
    }

    /// All machines, sorted by name.
    ///
    /// # Errors
    /// The folder cannot be read. A machine whose record cannot be read is an error in the list.
    pub fn list(&self) -> Result<Vec<Result<Machine, Error>>, Error> {
        let path = self.machines();
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(Error::file("read", &path))? {
            let name = entry.map_err(Error::file("read", &path))?.file_name();
            names.extend(name.to_str().and_then(|name| Name::parse(name).ok()));
        }
        names.sort();
        // What has gone meanwhile, or is not yet there, is left out.
        Ok(names.iter().filter_map(|name| Machine::read(&self.folder(name), name).transpose()).collect())
    }

    /// Removes a machine that has ended; with `force` one that runs too, killing it first.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::StillRunning`], [`Error::Unreadable`].
    pub fn remove(&self, name: &Name, force: bool) -> Result<(), Error> {
        let folder = self.folder(name);
        match Machine::read(&folder, name) {
            Ok(None) if !folder.exists() => return Err(Error::Unknown(name.to_string())),
            Ok(Some(machine)) if machine.state == State::Running && !force => {
                return Err(Error::StillRunning(name.to_string()));
            }
            Ok(Some(machine)) => machine.kill()?,
            Ok(None) => {}
            Err(Error::Unreadable(_)) if force => kill_holder(&folder, name)?,
            Err(error) => return Err(error),
        }
        let _names = self.lock_names()?;
        match life::holder(&folder)? {
            Holder::Nobody => self.clear(&folder, name),
            // Somebody took the name meanwhile.
            _ => Err(Error::StillRunning(name.to_string())),
        }
    }

    /// Takes a name and writes the record down under it. What a lost machine left under the name is cleared away.
    pub(crate) fn claim(&self, wanted: &Wanted, record: &mut Record) -> Result<Claim, Error> {
        let _names = self.lock_names()?;
        record.name = match wanted {
            Wanted::Exactly(name) => {
                self.make_free(name)?;
                name.clone()
            }
            Wanted::Like(name) => self.first_free(name),
        };
        let folder = self.folder(&record.name);
        make(&folder)?;
        let life = life::take(&folder)?;
        record.write(&folder)?;
        Ok(Claim { folder, store: self.clone(), _life: life })
    }

    /// The first of `web`, `web-2`, … under which there is nothing.
    fn first_free(&self, name: &Name) -> Name {
        (1..)
            .map(|number| name.numbered(number))
            .find(|name| !self.folder(name).exists())
            .unwrap_or_else(|| name.clone())
    }

    fn make_free(&self, name: &Name) -> Result<(), Error> {
        let folder = self.folder(name);
        if !folder.exists() {
            return Ok(());
        }
        if life::holder(&folder)? != Holder::Nobody {
            return Err(Error::Running(name.to_string()));
        }
        // One that cannot be read, or was never written, is nobody's any more.
        match Record::read(&folder, name) {
            Ok(Some(record)) if record.end.is_some() => Err(Error::Taken(name.to_string())),
            _ => self.clear(&folder, name),
        }
    }

    /// Removes a folder that nobody holds.
    fn clear(&self, folder: &Path, name: &Name) -> Result<(), Error> {
        if let Ok(Some(record)) = Record::read(folder, name) {
            await_runner(&record)?;
        }
        self.vanish(folder)
    }

    /// Removes a folder all at once, so that nobody sees half of it. To be called under the lock over the names.
    fn vanish(&self, folder: &Path) -> Result<(), Error> {
        let gone = self.machines().join(".gone");
        // Somebody may have died here.
        let _ = fs::remove_dir_all(&gone);
        fs::rename(folder, &gone).map_err(Error::file("remove", folder))?;
        fs::remove_dir_all(&gone).map_err(Error::file("remove", &gone))
    }

    /// Takes the lock over all names; it is free again when the file is closed.
    fn lock_names(&self) -> Result<File, Error> {
        let path = self.root.join("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(crate::FILE_MODE);
        let file = options.open(&path).map_err(Error::file("open", &path))?;
        let until = Instant::now() + Duration::from_secs(BUSY_SECONDS);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => sleep(Duration::from_millis(2)),
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Busy { path, seconds: BUSY_SECONDS }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::file("lock", &path)(error)),
            }
        }
    }
}

impl Claim {
    /// Gives the name up and removes what was written under it.
    pub(crate) fn discard(self) -> Result<(), Error> {
        let _names = self.store.lock_names()?;
        self.store.vanish(&self.folder)
    }
}

/// Makes a folder of our own in one of our own.
fn make(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(Error::file("make the folder", path)(error)),
        _ => Ok(()),
    }
}

/// Ends the supervisor of a machine whose record says nothing.
fn kill_holder(folder: &Path, name: &Name) -> Result<(), Error> {
    let Holder::Process(pid) = life::holder(folder)? else { return Ok(()) };
    let Ok(process) = Process::open(pid) else { return Ok(()) };
    // If it still holds the lock now, the handle is its own.
    if life::holder(folder)? == Holder::Process(pid) {
        process.signal(Signal::KILL);
        if !process.wait(Instant::now() + DYING) {
            return Err(Error::Undying(name.to_string(), DYING.as_secs()));
        }
    }
    Ok(())
}

/// A runner whose supervisor was killed is being killed too; until it has ended it may keep ports.
fn await_runner(record: &Record) -> Result<(), Error> {
    let Some(runner) = record.runner.filter(|_| record.end.is_none() && record.boot == clock::boot_id()) else {
        return Ok(());
    };
    let Some((pid, process)) = Pid::from_raw(runner.pid).and_then(|pid| Some((pid, Process::open(pid).ok()?))) else {
        return Ok(());
    };
    // Another process of this number started at another time.
    if start_ticks(pid) == Some(runner.start_ticks) {
        process.signal(Signal::KILL);
        if !process.wait(Instant::now() + DYING) {
            return Err(Error::Undying(record.name.to_string(), DYING.as_secs()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::End;
    use crate::folder::tests::Temporary;
    use crate::record::tests::record;

    fn ended() -> Option<End> {
        Some(End { at_ms: 2, after_ms: 1, status: Some(0), signal: None, report: None })
    }

    fn exactly(name: &str) -> Wanted {
        Wanted::Exactly(Name::like(name))
    }

    #[test]
    fn names_are_taken_and_given_up() {
        let temporary = Temporary::new();
        let store = Store::at(temporary.path.clone()).expect("a store");
        let mut web = record("x");
        let claim = store.claim(&exactly("web"), &mut web).expect("free");
        assert_eq!(web.name.as_str(), "web");
        claim.discard().expect("given up");
        assert!(matches!(store.find(&web.name), Err(Error::Unknown(_))));
        assert!(store.list().expect("lists").is_empty());
        assert!(fs::read_dir(store.machines()).expect("there").next().is_none());
    }

    #[test]
    fn like_names_get_numbers() {
        let temporary = Temporary::new();
        let store = Store::at(temporary.path.clone()).expect("a store");
        let like = Wanted::Like(Name::like("web"));
        for name in ["web", "web-2", "web-3"] {
            let mut record = record("x");
            store.claim(&like, &mut record).expect("free");
            assert_eq!(record.name.as_str(), name);
        }
    }

    #[test]
    fn the_ended_keep_their_names_and_the_lost_do_not() {
        let temporary = Temporary::new();
        let store = Store::at(temporary.path.clone()).expect("a store");
        let mut web = record("web");
        let claim = store.claim(&exactly("web"), &mut web).expect("free");
        web.end = ended();
        web.write(&claim.folder).expect("written");
        drop(claim); // its supervisor has ended
        assert!(matches!(store.claim(&exactly("web"), &mut record("x")), Err(Error::Taken(_))));
        web.end = None;
        web.write(&store.folder(&web.name)).expect("written");
        assert_eq!(store.find(&web.name).expect("there").state, State::Lost);
        store.claim(&exactly("web"), &mut record("x")).expect("a lost machine's name is free");
        fs::write(store.folder(&web.name).join("state.json"), "{").expect("damaged");
        store.claim(&exactly("web"), &mut record("x")).expect("so is that of one that cannot be read");
        fs::remove_file(store.folder(&web.name).join("state.json")).expect("removed");
        store.claim(&exactly("web"), &mut record("x")).expect("and of one that was never written");
    }

    #[test]
    fn only_what_has_ended_is_removed() {
        let temporary = Temporary::new();
        let store = Store::at(temporary.path.clone()).expect("a store");
        let mut web = record("web");
        assert!(matches!(store.remove(&web.name, true), Err(Error::Unknown(_))));
        web.end = ended();
        drop(store.claim(&exactly("web"), &mut web).expect("free"));
        store.remove(&web.name, false).expect("removed");
        assert!(matches!(store.remove(&web.name, false), Err(Error::Unknown(_))));
    }

    #[test]
    fn a_number_that_was_reused_is_left_alone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let pid = Pid::from_child(&child);
        let ticks = start_ticks(pid).expect("it runs");
        let mut lost = record("web");
        lost.runner = Some(crate::record::Runner { pid: pid.as_raw_nonzero().get(), start_ticks: ticks + 1 });
        await_runner(&lost).expect("nothing to wait for");
        lost.runner = lost.runner.map(|runner| crate::record::Runner { start_ticks: ticks, ..runner });
        await_runner(&Record { boot: "another".into(), ..lost.clone() }).expect("nothing to wait for");
        assert!(child.try_wait().expect("ours").is_none(), "a stranger was killed");
        await_runner(&lost).expect("killed");
        assert!(child.wait().expect("ours").code().is_none());
    }
}
