//! epoll (Linux `epoll(7)`): level, edge and one-shot, nested, at a cost that follows what is ready and not what is open.
//!
//! Each watched file has an [`Item`] among its observers. A notification puts the item into the instance's ready list,
//! once. A wait takes items from that list and only then asks their files what they are ready for; a level-triggered
//! item that is still ready goes back to the list's end. That is the kernel's own algorithm, and it gives the kernel's
//! meaning of "edge": one report for each arrival, even of more data.
//!
//! Locks are taken in this order: a file's observer list, then a ready list, then the next instance's. Files are asked
//! with none held.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use sync::SpinLock;

use crate::errno::{Errno, Result};
use crate::events::{self, EDGE, ERR, HUP, ONESHOT, READABLE};
use crate::file::{Description, File, Kind, Open, READ_WRITE};
use crate::observe::{Observer, Observers};
use crate::patience;
use crate::stat::Stat;

/// How deep instances may watch instances, as on Linux.
const NESTING_MAX: u32 = 5;
/// Bits of an interest that are about reporting, not about readiness.
const MODES: u32 = EDGE | ONESHOT | events::EXCLUSIVE | events::WAKEUP;

/// An epoll instance.
pub struct Epoll {
    ready: SpinLock<VecDeque<Arc<Item>>>,
    watched: SpinLock<Watched>,
    observers: Observers,
}

/// What `epoll_ctl` has added.
#[derive(Default)]
struct Watched {
    /// By descriptor.
    items: Vec<Option<Arc<Item>>>,
    /// Items whose descriptor now means another file, while a duplicate keeps their own open.
    orphans: Vec<Arc<Item>>,
}

/// One watched file.
struct Item {
    /// Itself, for the ready list.
    this: Weak<Item>,
    epoll: Weak<Epoll>,
    file: Weak<Description>,
    /// Bits to report, and [`MODES`]. No bits to report: disarmed.
    interest: AtomicU32,
    /// The program's word.
    data: AtomicU64,
    /// It stands in the ready list (1) or not (0); changed under that list's lock.
    queued: AtomicU32,
}

/// What a wait reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What the file is ready for.
    pub events: u32,
    /// The program's word from `epoll_ctl`.
    pub data: u64,
}

/// What `epoll_ctl` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Starts watching.
    Add(Event),
    /// Changes interest and word; re-arms.
    Modify(Event),
    /// Stops.
    Delete,
}

/// A new instance.
pub fn epoll() -> Open {
    let epoll = Epoll {
        ready: SpinLock::new(VecDeque::new()),
        watched: SpinLock::new(Watched::default()),
        observers: Observers::new(),
    };
    Description::open(EpollFile(Arc::new(epoll)), READ_WRITE)
}

impl Epoll {
    /// `epoll_ctl` on `fd`, which stands for `file`.
    pub fn control(self: &Arc<Self>, fd: i32, file: &Open, control: Control) -> Result<()> {
        let observers = file.file().observers().ok_or(Errno::PERM)?;
        if let Kind::Epoll(other) = file.file().kind() {
            if Arc::ptr_eq(self, other) {
                return Err(Errno::INVAL);
            }
            if matches!(control, Control::Add(_)) && other.reaches(self, NESTING_MAX) {
                return Err(Errno::LOOP);
            }
        }
        let index = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        match control {
            Control::Add(event) => {
                let item = self.add(index, file, event)?;
                if let Err(error) = observers.add(item.clone()) {
                    self.watched.lock().items[index] = None;
                    return Err(error);
                }
                self.check(&item, file);
            }
            Control::Modify(event) => {
                let item = self.watched.lock().find(index, file).ok_or(Errno::NOENT)?;
                item.data.store(event.data, Relaxed);
                item.interest.store(event.events | ERR | HUP, Relaxed);
                self.check(&item, file);
            }
            Control::Delete => {
                let item = self.watched.lock().take(index, file).ok_or(Errno::NOENT)?;
                item.interest.store(0, Relaxed);
                observers.remove(Arc::as_ptr(&item).cast());
            }
        }
        Ok(())
    }

    /// Waits for events until `deadline_ns` (monotonic; `Some(0)` only looks, `None` waits for ever) and gives their
    /// number.
    pub fn wait(self: &Arc<Self>, out: &mut [Event], deadline_ns: Option<u64>) -> usize {
        let mut count = self.collect(out);
        if count > 0 {
            // Somebody who always finds something must not forget the devices.
            patience::look_at_devices();
            return count;
        }
        if deadline_ns == Some(0) {
            thread::poll();
            return self.collect(out);
        }
        self.observers.wait(deadline_ns, &mut || {
            count = self.collect(out);
            count > 0
        });
        count
    }

    /// Takes what is ready now.
    fn collect(&self, out: &mut [Event]) -> usize {
        let mut left = self.ready.lock().len();
        let mut count = 0;
        while left > 0 && count < out.len() {
            left -= 1;
            let Some(item) = self.next() else { break };
            let interest = item.interest.load(Relaxed);
            let Some(file) = item.file.upgrade() else { continue };
            let events = file.file().ready() & interest & !MODES;
            if events == 0 {
                continue;
            }
            out[count] = Event { events, data: item.data.load(Relaxed) };
            count += 1;
            if interest & ONESHOT != 0 {
                item.interest.store(interest & MODES, Relaxed);
            } else if interest & EDGE == 0 {
                self.queue(&item);
            }
        }
        count
    }

    fn next(&self) -> Option<Arc<Item>> {
        let mut ready = self.ready.lock();
        let item = ready.pop_front()?;
        item.queued.store(0, Relaxed);
        Some(item)
    }

    /// Puts `item` into the ready list; true if it was not there.
    fn queue(&self, item: &Item) -> bool {
        let mut ready = self.ready.lock();
        if item.queued.load(Relaxed) != 0 || ready.try_reserve(1).is_err() {
            return false;
        }
        let Some(item) = item.this.upgrade() else { return false };
        item.queued.store(1, Relaxed);
        ready.push_back(item);
        true
    }

    /// Queues `item` if its file is ready already.
    fn check(&self, item: &Item, file: &Open) {
        if file.file().ready() & item.interest.load(Relaxed) != 0 && self.queue(item) {
            self.observers.notify(READABLE);
        }
    }

    fn add(self: &Arc<Self>, index: usize, file: &Open, event: Event) -> Result<Arc<Item>> {
        let item = Arc::new_cyclic(|this| Item {
            this: this.clone(),
            epoll: Arc::downgrade(self),
            file: Arc::downgrade(file),
            interest: AtomicU32::new(event.events | ERR | HUP),
            data: AtomicU64::new(event.data),
            queued: AtomicU32::new(0),
        });
        let mut watched = self.watched.lock();
        if watched.find(index, file).is_some() {
            return Err(Errno::EXIST);
        }
        watched.put(index, item.clone())?;
        Ok(item)
    }

    /// Does this instance watch `target`, itself or through others? An unreasonable depth counts as yes.
    fn reaches(&self, target: &Arc<Epoll>, depth: u32) -> bool {
        let files: Vec<Open> = self.watched.lock().all().filter_map(|i| i.file.upgrade()).collect();
        files.iter().any(|file| match file.file().kind() {
            Kind::Epoll(next) => depth == 0 || Arc::ptr_eq(next, target) || next.reaches(target, depth - 1),
            _ => false,
        })
    }

    /// Would a wait find something?
    fn is_ready(&self) -> bool {
        let items: Vec<Arc<Item>> = self.ready.lock().iter().cloned().collect();
        items.iter().any(|item| match item.file.upgrade() {
            Some(file) => file.file().ready() & item.interest.load(Relaxed) & !MODES != 0,
            None => false,
        })
    }
}

impl Watched {
    fn find(&self, index: usize, file: &Open) -> Option<Arc<Item>> {
        self.items.get(index)?.as_ref().filter(|item| item.is_of(file)).cloned()
    }

    fn take(&mut self, index: usize, file: &Open) -> Option<Arc<Item>> {
        self.find(index, file)?;
        self.items[index].take()
    }

    fn put(&mut self, index: usize, item: Arc<Item>) -> Result<()> {
        if index >= self.items.len() {
            let missing = index + 1 - self.items.len();
            self.items.try_reserve(missing).map_err(|_| Errno::NOMEM)?;
            self.items.resize(index + 1, None);
        }
        if let Some(old) = self.items[index].replace(item)
            && old.file.strong_count() > 0
        {
            self.orphans.retain(|o| o.file.strong_count() > 0);
            self.orphans.push(old);
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.items.iter().flatten().chain(&self.orphans)
    }
}

impl Item {
    fn is_of(&self, file: &Open) -> bool {
        core::ptr::addr_eq(self.file.as_ptr(), Arc::as_ptr(file))
    }
}

impl Observer for Item {
    fn notify(&self, events: u32) {
        let interest = self.interest.load(Relaxed) & !MODES;
        if interest == 0 || (events != 0 && events & interest == 0) {
            return;
        }
        let Some(epoll) = self.epoll.upgrade() else { return };
        if epoll.queue(self) && epoll.observers.watched() {
            epoll.observers.notify(READABLE);
        }
    }
}

struct EpollFile(Arc<Epoll>);

impl File for EpollFile {
    fn read(&self, _: &mut [u8]) -> Result<usize> {
        Err(Errno::INVAL)
    }

    fn write(&self, _: &[u8]) -> Result<usize> {
        Err(Errno::INVAL)
    }

    fn ready(&self) -> u32 {
        if self.0.is_ready() { READABLE } else { 0 }
    }

    fn observers(&self) -> Option<&Observers> {
        Some(&self.0.observers)
    }

    fn stat(&self) -> Stat {
        Stat::special(0o600)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Epoll(&self.0)
    }
}

impl Drop for EpollFile {
    /// Takes the items out of their files' lists.
    fn drop(&mut self) {
        let watched = core::mem::take(&mut *self.0.watched.lock());
        for item in watched.all() {
            if let Some(file) = item.file.upgrade()
                && let Some(observers) = file.file().observers()
            {
                observers.remove(Arc::as_ptr(item).cast());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventfd::eventfd;
    use crate::events::{IN, OUT};
    use crate::file::NON_BLOCKING;
    use crate::pipe::pipe;

    fn of(file: &Open) -> Arc<Epoll> {
        match file.file().kind() {
            Kind::Epoll(epoll) => epoll.clone(),
            _ => unreachable!("made by epoll()"),
        }
    }

    fn look(epoll: &Open) -> Vec<Event> {
        let mut out = [Event::default(); 8];
        let count = of(epoll).collect(&mut out);
        out[..count].to_vec()
    }

    fn event(events: u32, data: u64) -> Event {
        Event { events, data }
    }

    #[test]
    fn level_reports_as_long_as_it_lasts() {
        let (watcher, (reader, writer)) = (epoll(), pipe(NON_BLOCKING));
        of(&watcher).control(5, &reader, Control::Add(event(IN, 42))).expect("new");
        assert_eq!(look(&watcher), []);
        writer.file().write(b"ab").expect("room");
        assert_eq!(look(&watcher), [event(IN, 42)]);
        assert_eq!(look(&watcher), [event(IN, 42)]);
        reader.file().read(&mut [0; 2]).expect("data");
        assert_eq!(look(&watcher), []);
    }

    #[test]
    fn edge_reports_each_arrival_once() {
        let (watcher, (reader, writer)) = (epoll(), pipe(NON_BLOCKING));
        writer.file().write(b"before").expect("room");
        of(&watcher).control(5, &reader, Control::Add(event(IN | EDGE, 1))).expect("new");
        assert_eq!(look(&watcher).len(), 1);
        assert_eq!(look(&watcher), []);
        writer.file().write(b"more").expect("room");
        assert_eq!(look(&watcher), [event(IN, 1)]);
        assert_eq!(look(&watcher), []);
        drop(writer);
        assert_eq!(look(&watcher), [event(IN | HUP, 1)]);
    }

    #[test]
    fn one_shot_is_silent_until_modified() {
        let (watcher, counter) = (epoll(), eventfd(1, 0).expect("valid"));
        of(&watcher).control(5, &counter, Control::Add(event(IN | ONESHOT, 1))).expect("new");
        assert_eq!(look(&watcher), [event(IN, 1)]);
        counter.file().write(&1u64.to_ne_bytes()).expect("room");
        assert_eq!(look(&watcher), []);
        of(&watcher).control(5, &counter, Control::Modify(event(IN | OUT | ONESHOT, 2))).expect("known");
        assert_eq!(look(&watcher), [event(IN | OUT, 2)]);
    }

    #[test]
    fn a_closed_file_is_forgotten() {
        let (watcher, counter) = (epoll(), eventfd(1, 0).expect("valid"));
        of(&watcher).control(5, &counter, Control::Add(event(IN, 1))).expect("new");
        drop(counter);
        assert_eq!(look(&watcher), []);
        let next = eventfd(1, 0).expect("valid");
        of(&watcher).control(5, &next, Control::Add(event(IN, 2))).expect("the number is free again");
        assert_eq!(look(&watcher), [event(IN, 2)]);
    }

    #[test]
    fn a_reused_number_does_not_replace_a_duplicate() {
        let (watcher, first, second) = (epoll(), eventfd(1, 0).expect("valid"), eventfd(1, 0).expect("valid"));
        of(&watcher).control(5, &first, Control::Add(event(IN, 1))).expect("new");
        of(&watcher).control(5, &second, Control::Add(event(IN, 2))).expect("another file");
        assert_eq!(look(&watcher).len(), 2);
    }

    #[test]
    fn answers_mistakes_as_linux_does() {
        let (watcher, counter) = (epoll(), eventfd(0, 0).expect("valid"));
        let this = of(&watcher);
        assert_eq!(this.control(3, &watcher, Control::Add(event(IN, 0))), Err(Errno::INVAL));
        assert_eq!(this.control(5, &counter, Control::Delete), Err(Errno::NOENT));
        assert_eq!(this.control(5, &counter, Control::Modify(event(IN, 0))), Err(Errno::NOENT));
        this.control(5, &counter, Control::Add(event(IN, 0))).expect("new");
        assert_eq!(this.control(5, &counter, Control::Add(event(IN, 0))), Err(Errno::EXIST));
        let outer = epoll();
        of(&outer).control(3, &watcher, Control::Add(event(IN, 0))).expect("nesting is allowed");
        assert_eq!(this.control(6, &outer, Control::Add(event(IN, 0))), Err(Errno::LOOP));
    }

    #[test]
    fn nested_instances_pass_readiness_on() {
        let (outer, inner, counter) = (epoll(), epoll(), eventfd(0, 0).expect("valid"));
        of(&inner).control(5, &counter, Control::Add(event(IN, 7))).expect("new");
        of(&outer).control(4, &inner, Control::Add(event(IN, 8))).expect("new");
        assert_eq!(look(&outer), []);
        counter.file().write(&1u64.to_ne_bytes()).expect("room");
        assert_eq!(look(&outer), [event(IN, 8)]);
        assert_eq!(look(&inner), [event(IN, 7)]);
    }

    #[test]
    fn deleting_or_closing_leaves_no_observer_behind() {
        let (watcher, counter) = (epoll(), eventfd(1, 0).expect("valid"));
        of(&watcher).control(5, &counter, Control::Add(event(IN, 1))).expect("new");
        of(&watcher).control(5, &counter, Control::Delete).expect("known");
        assert_eq!(look(&watcher), []);
        of(&watcher).control(5, &counter, Control::Add(event(IN, 1))).expect("new");
        drop(watcher);
        assert!(!counter.file().observers().expect("watchable").watched());
    }
}
