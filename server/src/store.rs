//! Records on disk: a database whose transactions are there when they are committed,
//! whatever happens after that (`redb`).
//!
//! A disk that is full makes a commit fail; the database is then opened again by the
//! next one, because it must not be used any more. Everything that was committed stays.

use crate::sled::state::{Change, Record};
use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Records by id, as JSON.
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
/// Changes of state by id and number, as JSON.
const HISTORY: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("history");
/// The last report or inventory by id, as it came.
const REPORTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("reports");

/// How many changes of one sled are kept.
const KEPT: u64 = 200;

/// Why something is not kept, or not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused.
    #[error("the store {} does not work", path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// A record has no JSON form, or what was stored is none.
    #[error("the store {} has something in it that does not read", path.display())]
    Json {
        /// Its file.
        path: PathBuf,
        /// What.
        source: serde_json::Error,
    },
}

/// What is written at once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Records to write; without one the id is removed with all it has.
    pub(crate) records: BTreeMap<String, Option<Record>>,
    /// Additions to histories.
    pub(crate) changes: Vec<(String, Change)>,
    /// Reports by id.
    pub(crate) reports: BTreeMap<String, bytes::Bytes>,
    /// Whether somebody relies on it.
    pub(crate) durable: bool,
}

impl Batch {
    /// Removes an id with all it has, what this batch would add to it, too.
    pub(crate) fn forget(&mut self, id: String) {
        self.changes.retain(|(of, _)| *of != id);
        self.reports.remove(&id);
        self.records.insert(id, None);
    }
}

/// After so many ids that were removed, and after so much that was written by an older
/// server, the file is made smaller: it does not become so by itself.
const REMOVED: usize = 1024;
/// Longest report an older server may have left, in bytes.
const MAX_REPORT: usize = crate::sled::told::OF_SLED * 2;

/// The database.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    database: Option<Database>,
    removed: usize,
}

impl Store {
    /// Opens or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut store = Self { path: path.to_owned(), database: None, removed: 0 };
        store.database()?;
        store.shorten()?;
        Ok(store)
    }

    fn database(&mut self) -> Result<&Database, Error> {
        if self.database.is_none() {
            let open = || -> Result<Database, redb::Error> {
                let database = Database::create(&self.path)?;
                // Whoever only reads finds the tables there.
                let transaction = database.begin_write()?;
                transaction.open_table(RECORDS)?;
                transaction.open_table(HISTORY)?;
                transaction.open_table(REPORTS)?;
                transaction.commit()?;
                Ok(database)
            };
            self.database = Some(open().map_err(|e| self.fail(e))?);
        }
        match &self.database {
            Some(database) => Ok(database),
            None => Err(self.fail(redb::Error::DatabaseClosed)),
        }
    }

    /// Removes reports that are longer than any is now, and what they took on the disk.
    fn shorten(&mut self) -> Result<(), Error> {
        let shorten = |database: &Database| -> Result<bool, redb::Error> {
            let transaction = database.begin_write()?;
            let mut removed = false;
            transaction.open_table(REPORTS)?.retain(|_, report| {
                removed |= report.len() > MAX_REPORT;
                report.len() <= MAX_REPORT
            })?;
            transaction.commit()?;
            Ok(removed)
        };
        if shorten(self.database()?).map_err(|e| self.fail(e))? {
            self.compact();
        }
        Ok(())
    }

    /// Makes the file smaller. One that stays as it is is no trouble; what is wrong with
    /// the disk is said by the next write.
    fn compact(&mut self) {
        self.removed = 0;
        if let Some(database) = &mut self.database
            && database.compact().is_err()
        {
            self.database = None;
        }
    }

    fn fail(&self, source: redb::Error) -> Error {
        Error::Database { path: self.path.clone(), source: Box::new(source) }
    }

    fn json(&self, source: serde_json::Error) -> Error {
        Error::Json { path: self.path.clone(), source }
    }

    /// All records.
    pub(crate) fn records(&mut self) -> Result<BTreeMap<String, Record>, Error> {
        let read = |database: &Database| -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
            let table = database.begin_read()?.open_table(RECORDS)?;
            let pair = |entry: Result<(redb::AccessGuard<'_, &str>, redb::AccessGuard<'_, &[u8]>), _>| {
                entry.map(|(id, record)| (id.value().to_owned(), record.value().to_vec()))
            };
            Ok(table.iter()?.map(pair).collect::<Result<_, redb::StorageError>>()?)
        };
        let rows = read(self.database()?).map_err(|e| self.fail(e))?;
        let parse = |(id, json): (String, Vec<u8>)| Ok((id, serde_json::from_slice(&json)?));
        rows.into_iter().map(parse).collect::<Result<_, _>>().map_err(|e| self.json(e))
    }

    /// The history of a sled, oldest first, and its last report.
    pub(crate) fn detail(&mut self, id: &str) -> Result<(Vec<Change>, Option<Vec<u8>>), Error> {
        type Rows = (Vec<Vec<u8>>, Option<Vec<u8>>);
        let read = |database: &Database| -> Result<Rows, redb::Error> {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(HISTORY)?;
            let rows = table.range((id, 0)..=(id, u64::MAX))?;
            let changes = rows.map(|row| row.map(|(_, change)| change.value().to_vec()));
            let changes = changes.collect::<Result<_, redb::StorageError>>()?;
            let report = transaction.open_table(REPORTS)?.get(id)?.map(|report| report.value().to_vec());
            Ok((changes, report))
        };
        let (changes, report) = read(self.database()?).map_err(|e| self.fail(e))?;
        let changes = changes.iter().map(|json| serde_json::from_slice(json));
        Ok((changes.collect::<Result<_, _>>().map_err(|e| self.json(e))?, report))
    }

    /// Writes a batch: all of it or nothing.
    pub(crate) fn write(&mut self, batch: &Batch) -> Result<(), Error> {
        let json = |e| self.json(e);
        let mut records = Vec::with_capacity(batch.records.len());
        for (id, record) in &batch.records {
            records.push((id, record.as_ref().map(serde_json::to_vec).transpose().map_err(json)?));
        }
        let changes = batch.changes.iter().map(|(id, change)| Ok((id, serde_json::to_vec(change)?)));
        let changes: Vec<_> = changes.collect::<Result<_, _>>().map_err(json)?;
        let write = |database: &Database| -> Result<(), redb::Error> {
            let mut transaction = database.begin_write()?;
            if !batch.durable {
                transaction.set_durability(Durability::None)?;
            }
            {
                let mut table = transaction.open_table(RECORDS)?;
                let mut history = transaction.open_table(HISTORY)?;
                let mut reports = transaction.open_table(REPORTS)?;
                for (id, record) in &records {
                    let id = id.as_str();
                    match record {
                        Some(record) => drop(table.insert(id, record.as_slice())?),
                        None => {
                            table.remove(id)?;
                            reports.remove(id)?;
                            history.retain_in((id, 0)..=(id, u64::MAX), |_, _| false)?;
                        }
                    }
                }
                for (id, change) in &changes {
                    let id = id.as_str();
                    let last = history.range((id, 0)..=(id, u64::MAX))?.next_back().transpose()?;
                    let number = last.map_or(0, |(key, _)| key.value().1.saturating_add(1));
                    history.insert((id, number), change.as_slice())?;
                    if let Some(old) = number.checked_sub(KEPT) {
                        history.retain_in((id, 0)..=(id, old), |_, _| false)?;
                    }
                }
                for (id, report) in &batch.reports {
                    reports.insert(id.as_str(), report.as_ref())?;
                }
            }
            Ok(transaction.commit()?)
        };
        let done = self.database().and_then(|database| {
            write(database)
                .map_err(|source| Error::Database { path: PathBuf::new(), source: Box::new(source) })
        });
        match done {
            Ok(()) => {
                self.removed += batch.records.values().filter(|record| record.is_none()).count();
                if self.removed >= REMOVED {
                    self.compact();
                }
                Ok(())
            }
            Err(Error::Database { source, .. }) => {
                // After an error of the disk it refuses everything until it is opened again.
                self.database = None;
                Err(self.fail(*source))
            }
            Err(other) => Err(other),
        }
    }
}
