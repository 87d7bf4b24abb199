//! Who keeps the records: one thread, so that everything that happens to a sled happens
//! in an order, and many reports share one write to the disk.
//!
//! What is acknowledged is on the disk. What is not, like that a sled was seen, may be
//! lost with the power.

use crate::sled::room::{ROOM, Waiting, gives_way};
use crate::sled::state::{Event, Millis, Record, State};
use crate::store::{Batch, Error, Store};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use tokio::sync::{broadcast, oneshot};

/// How many events wait at most; more are refused.
const QUEUE: usize = 8192;
/// How many are written at once.
const BATCH: usize = 1024;
/// What the ids of unknown hardware begin with. No name of a sled has a colon.
pub const UNKNOWN: &str = "hw:";

/// Why an event was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many wait.
    Busy,
    /// The store does not work.
    Store,
}

type Answer = Result<(), Refused>;

/// Is told what is wrong with the store, or that nothing is any more.
pub type Trouble = Box<dyn Fn(Option<&Error>) + Send>;

struct Message {
    id: String,
    event: Event,
    address: Option<IpAddr>,
    body: Option<Bytes>,
    answer: Option<oneshot::Sender<Answer>>,
}

/// Records as they are, for everybody to read.
#[derive(Debug, Default)]
pub struct Live {
    records: RwLock<BTreeMap<String, Arc<Record>>>,
    version: AtomicU64,
}

impl Live {
    /// A sled's record.
    pub fn get(&self, id: &str) -> Option<Arc<Record>> {
        self.records.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// All records.
    pub fn all(&self) -> BTreeMap<String, Arc<Record>> {
        self.records.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that is another one after every change.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn update(&self, records: BTreeMap<String, Option<Record>>) {
        let mut live = self.records.write().unwrap_or_else(PoisonError::into_inner);
        for (id, record) in records {
            match record {
                Some(record) => drop(live.insert(id, Arc::new(record))),
                None => drop(live.remove(&id)),
            }
        }
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

/// The way to the thread.
#[derive(Debug)]
pub struct Keeper {
    /// Records as they are.
    pub live: Arc<Live>,
    /// Ids of records that have changed.
    pub changes: broadcast::Sender<String>,
    store: Arc<Mutex<Store>>,
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Opens the store and begins. `trouble` is told when the store stops or starts to work.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub fn start(path: &Path, clock: fn() -> Millis, trouble: Trouble) -> Result<Self, Error> {
        let mut store = Store::open(path)?;
        let records = store.records()?.into_iter().map(|(id, record)| (id, Arc::new(record))).collect();
        let live = Arc::new(Live { records: RwLock::new(records), version: AtomicU64::new(0) });
        let (sender, receiver) = sync_channel(QUEUE);
        let changes = broadcast::channel(4096).0;
        let store = Arc::new(Mutex::new(store));
        let work = Work {
            live: Arc::clone(&live),
            changes: changes.clone(),
            store: Arc::clone(&store),
            clock,
            trouble,
            works: true,
        };
        let thread = std::thread::spawn(move || work.run(&receiver));
        Ok(Self { live, changes, store, sender: Some(sender), thread: Some(thread) })
    }

    /// What happened, for the record; nobody relies on it.
    pub fn note(&self, id: &str, event: Event, address: Option<IpAddr>) -> Answer {
        self.send(Message { id: id.to_owned(), event, address, body: None, answer: None })
    }

    /// What a sled said. Returns when it is on the disk.
    ///
    /// # Errors
    /// When it is not kept.
    pub async fn keep(&self, id: &str, event: Event, address: Option<IpAddr>, body: Bytes) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.send(Message { id: id.to_owned(), event, address, body: Some(body), answer: Some(answer) })?;
        answered.await.unwrap_or(Err(Refused::Store))
    }

    fn send(&self, message: Message) -> Answer {
        let sender = self.sender.as_ref().ok_or(Refused::Store)?;
        sender.try_send(message).map_err(|e| match e {
            TrySendError::Full(_) => Refused::Busy,
            TrySendError::Disconnected(_) => Refused::Store,
        })
    }

    /// History and last report of a sled. Reads from the disk.
    ///
    /// # Errors
    /// When the store does not work.
    pub fn detail(&self, id: &str) -> Result<(Vec<crate::sled::state::Change>, Option<Vec<u8>>), Error> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).detail(id)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // What waits is still written.
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    live: Arc<Live>,
    changes: broadcast::Sender<String>,
    store: Arc<Mutex<Store>>,
    clock: fn() -> Millis,
    trouble: Trouble,
    works: bool,
}

impl Work {
    fn run(mut self, receiver: &Receiver<Message>) {
        while let Ok(first) = receiver.recv() {
            let rest = receiver.try_iter().take(BATCH - 1);
            let messages: Vec<_> = std::iter::once(first).chain(rest).collect();
            let mut batch = Batch::default();
            let mut answers = Vec::new();
            for Message { id, event, address, body, answer } in messages {
                self.apply(&mut batch, id, event, address, body);
                batch.durable |= answer.is_some();
                answers.extend(answer);
            }
            let written = self.store.lock().unwrap_or_else(PoisonError::into_inner).write(&batch);
            let answer = match &written {
                Ok(()) => Ok(()),
                Err(_) => Err(Refused::Store),
            };
            if written.is_ok() != self.works {
                self.works = written.is_ok();
                (self.trouble)(written.as_ref().err());
            }
            if answer.is_ok() {
                let ids: Vec<_> = batch.records.keys().cloned().collect();
                self.live.update(batch.records);
                // Nobody may be listening.
                for id in ids {
                    let _ = self.changes.send(id);
                }
            }
            // Who has gone away does not want to know.
            for to in answers {
                let _ = to.send(answer);
            }
        }
    }

    fn apply(
        &self,
        batch: &mut Batch,
        id: String,
        event: Event,
        address: Option<IpAddr>,
        body: Option<Bytes>,
    ) {
        let now = (self.clock)();
        let before = |id: &str| match batch.records.get(id) {
            Some(record) => record.clone(),
            None => self.live.get(id).map(|record| (*record).clone()),
        };
        let reported = matches!(event, Event::Reported { .. });
        let old = before(&id);
        if old.is_none() && id.starts_with(UNKNOWN) {
            self.make_room(batch, address, now);
        }
        let mut record = old.unwrap_or_default();
        // What a rival says is not what is looked at.
        let rival = matches!(&event, Event::Unknown { facts, .. } if !record.is_source(facts, address, now));
        let body = body.filter(|_| !rival);
        let change = record.apply(event, address, now);
        // Hardware that reports as a sled is not unknown any more.
        let bound = record.facts.fingerprint().map(|print| format!("{UNKNOWN}{print}"));
        if let Some(bound) = bound
            .filter(|bound| reported && (self.live.get(bound).is_some() || batch.records.contains_key(bound)))
        {
            batch.forget(bound);
        }
        batch.changes.extend(change.map(|change| (id.clone(), change)));
        batch.reports.extend(body.map(|body| (id.clone(), body)));
        batch.records.insert(id, Some(record));
    }

    fn make_room(&self, batch: &mut Batch, newcomer: Option<IpAddr>, now: Millis) {
        let live = self.live.all();
        let goes = {
            let old = live.iter().filter(|(id, _)| !batch.records.contains_key(*id));
            let old = old.map(|(id, record)| (id, &**record));
            let new = batch.records.iter().filter_map(|(id, record)| Some((id, record.as_ref()?)));
            let unknown =
                old.chain(new).filter(|(id, r)| id.starts_with(UNKNOWN) && r.state == State::Unknown);
            let waiting = unknown.map(|(id, record)| Waiting {
                id,
                address: record.address,
                since: record.since,
                heard: record.heard.unwrap_or_default(),
            });
            gives_way(waiting, newcomer, now, ROOM).map(str::to_owned)
        };
        goes.into_iter().for_each(|id| batch.forget(id));
    }
}
