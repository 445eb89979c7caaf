//! The embedded home of the store: one process, nothing on disk.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{BACKLOG, Condition, Numbered, Rate, Store, Subscription, Taken, check_size};
use crate::error::{Error, Result};

/// The sessions of one owner may take one of so many parts of all room.
const OWNERS_PART: usize = 4;

/// How often expired keys are swept, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// All state in this process, bounded by a number of bytes.
#[derive(Debug)]
pub struct Memory {
    most_bytes: usize,
    keys: Mutex<Keys>,
    channels: Mutex<Channels>,
}

#[derive(Debug)]
struct Channels {
    listeners: HashMap<String, Vec<mpsc::Sender<Bytes>>>,
    swept: Instant,
}

impl Channels {
    /// Forgets listeners that are gone: the names of most channels are never spoken again.
    fn sweep(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.swept) >= SWEEP_INTERVAL {
            self.swept = now;
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.listeners.retain(|_, listeners| {
            listeners.retain(|listener| !listener.is_closed());
            !listeners.is_empty()
        });
    }
}

#[derive(Debug)]
struct Keys {
    entries: HashMap<String, Entry>,
    /// Keys by when they expire, so that a sweep touches only those.
    expiries: BTreeMap<(Instant, u64), String>,
    bytes: usize,
    /// How many of them the sessions of each owner take.
    by_owner: HashMap<String, usize>,
    serial: u64,
    swept: Instant,
}

#[derive(Debug)]
struct Entry {
    content: Content,
    expires: (Instant, u64),
}

#[derive(Debug)]
enum Content {
    Value(Bytes),
    Log { last: u64, entries: VecDeque<Bytes> },
}

impl Content {
    fn bytes(&self) -> usize {
        match self {
            Self::Value(value) => value.len(),
            Self::Log { entries, .. } => entries.iter().map(Bytes::len).sum(),
        }
    }
}

impl Memory {
    /// An empty store that refuses new values above `most_bytes`.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        let keys = Keys {
            entries: HashMap::new(),
            expiries: BTreeMap::new(),
            bytes: 0,
            by_owner: HashMap::new(),
            serial: 0,
            swept: Instant::now(),
        };
        let channels = Channels { listeners: HashMap::new(), swept: Instant::now() };
        Self { most_bytes, keys: Mutex::new(keys), channels: Mutex::new(channels) }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        // A panic elsewhere leaves the maps whole: every change below is complete before the next line can panic.
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.sweep();
        keys
    }
}

/// What a key costs besides its content: its name, twice, and the nodes of two maps.
fn overhead(key: &str) -> usize {
    2 * key.len() + 160
}

/// Whose session a key is of.
fn owner(key: &str) -> Option<&str> {
    Some(key.strip_prefix("session:{")?.split_once("}:")?.1)
}

fn full() -> Error {
    Error::Unavailable("the embedded store is full; raise `store.most_bytes`, or use fewer sessions".into())
}

impl Keys {
    fn sweep(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.swept) < SWEEP_INTERVAL {
            return;
        }
        self.swept = now;
        while let Some(first) = self.expiries.first_entry() {
            if first.key().0 > now {
                break;
            }
            let key = first.get().clone();
            self.remove(&key);
        }
    }

    fn live(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires.0 > Instant::now())
    }

    fn value(&self, key: &str) -> Option<Bytes> {
        match &self.live(key)?.content {
            Content::Value(value) => Some(value.clone()),
            Content::Log { .. } => None,
        }
    }

    fn touch(&mut self, key: &str, ttl: Duration) {
        self.serial += 1;
        let expires = (Instant::now() + ttl, self.serial);
        if let Some(entry) = self.entries.get_mut(key) {
            self.expiries.remove(&entry.expires);
            entry.expires = expires;
            self.expiries.insert(expires, key.to_owned());
        }
    }

    fn remove(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.expiries.remove(&entry.expires);
        let bytes = entry.content.bytes() + overhead(key);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(owner) = owner(key)
            && let Some(share) = self.by_owner.get_mut(owner)
        {
            *share = share.saturating_sub(bytes);
            if *share == 0 {
                self.by_owner.remove(owner);
            }
        }
        Some(entry)
    }

    fn set(&mut self, key: &str, content: Content, ttl: Duration, most_bytes: usize) -> Result<()> {
        let bytes = content.bytes() + overhead(key);
        let freed = self.entries.get(key).map_or(0, |old| old.content.bytes() + overhead(key));
        // Answers and events can be asked for again; sessions, plans and tasks always have room beside them.
        let most_bytes =
            if key.starts_with("result:") || key.starts_with("stream:") { most_bytes / 2 } else { most_bytes };
        // What is there stays when there is no room for what is to come.
        if bytes > freed && self.bytes - freed + bytes > most_bytes {
            return Err(full());
        }
        if let Some(owner) = owner(key) {
            let share = self.by_owner.get(owner).copied().unwrap_or_default();
            if bytes > freed && share - freed + bytes > most_bytes / OWNERS_PART {
                return Err(Error::Unavailable(
                    "the sessions of this caller take all the room that one caller may have: end some".into(),
                ));
            }
        }
        self.remove(key);
        if let Some(owner) = owner(key) {
            *self.by_owner.entry(owner.to_owned()).or_default() += bytes;
        }
        self.serial += 1;
        let expires = (Instant::now() + ttl, self.serial);
        self.bytes += bytes;
        self.expiries.insert(expires, key.to_owned());
        self.entries.insert(key.to_owned(), Entry { content, expires });
        Ok(())
    }
}

#[async_trait]
impl Store for Memory {
    fn is_shared(&self) -> bool {
        false
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.keys().value(key))
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration, condition: Condition) -> Result<bool> {
        check_size(&value)?;
        let mut keys = self.keys();
        let holds = match (&condition, keys.live(key).map(|entry| &entry.content)) {
            (Condition::Always, _) | (Condition::Absent, None) => true,
            (Condition::Is(expected), Some(Content::Value(value))) => expected == value,
            _ => false,
        };
        if holds {
            keys.set(key, Content::Value(value), ttl, self.most_bytes)?;
        }
        Ok(holds)
    }

    async fn renew(&self, key: &str, ttl: Duration) -> Result<Option<Bytes>> {
        let mut keys = self.keys();
        let value = keys.value(key);
        if value.is_some() {
            keys.touch(key, ttl);
        }
        Ok(value)
    }

    async fn touch(&self, key: &str, ttl: Duration) -> Result<bool> {
        let mut keys = self.keys();
        let live = keys.live(key).is_some();
        if live {
            keys.touch(key, ttl);
        }
        Ok(live)
    }

    async fn remove(&self, key: &str) -> Result<bool> {
        let mut keys = self.keys();
        let live = keys.live(key).is_some();
        keys.remove(key);
        Ok(live)
    }

    async fn append(&self, key: &str, entry: Bytes, keep: usize, ttl: Duration) -> Result<u64> {
        check_size(&entry)?;
        let mut keys = self.keys();
        if keys.bytes + entry.len() + overhead(key) > self.most_bytes {
            return Err(full());
        }
        let live = keys.live(key).is_some();
        let (mut last, mut entries) = match keys.remove(key) {
            Some(Entry { content: Content::Log { last, entries }, .. }) if live => (last, entries),
            _ => (0, VecDeque::new()),
        };
        last += 1;
        entries.push_back(entry);
        while entries.len() > keep.max(1) {
            entries.pop_front();
        }
        keys.set(key, Content::Log { last, entries }, ttl, self.most_bytes)?;
        Ok(last)
    }

    async fn read(&self, key: &str, after: u64) -> Result<Option<Vec<Numbered>>> {
        Ok(self.keys().live(key).and_then(|entry| match &entry.content {
            Content::Value(_) => None,
            Content::Log { last, entries } => {
                let first = last + 1 - entries.len() as u64;
                Some((first..).zip(entries.iter().cloned()).filter(|(number, _)| *number > after).collect())
            }
        }))
    }

    async fn end(&self, key: &str) -> Result<u64> {
        Ok(self.keys().live(key).map_or(0, |entry| match entry.content {
            Content::Value(_) => 0,
            Content::Log { last, .. } => last,
        }))
    }

    async fn take(&self, key: &str, rate: Rate, units: u32, ahead: Duration) -> Result<Taken> {
        let mut keys = self.keys();
        // The key lives until all has come, and needs to say nothing else.
        let due = keys.live(key).map_or(Duration::ZERO, |entry| entry.expires.0.duration_since(Instant::now()));
        let taken = rate.take(due, units, ahead);
        if taken.granted {
            keys.set(key, Content::Value(Bytes::new()), taken.full, self.most_bytes)?;
        }
        Ok(taken)
    }

    async fn publish(&self, channel: &str, message: Bytes) -> Result<bool> {
        check_size(&message)?;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(listeners) = channels.listeners.get_mut(channel) else { return Ok(false) };
        listeners.retain(|listener| listener.try_send(message.clone()).is_ok());
        let heard = !listeners.is_empty();
        if !heard {
            channels.listeners.remove(channel);
        }
        Ok(heard)
    }

    async fn subscribe(&self, channel: &str) -> Result<Subscription> {
        let (sender, messages) = mpsc::channel(BACKLOG);
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.sweep();
        channels.listeners.entry(channel.to_owned()).or_default().push(sender);
        Ok(Subscription::new(messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_expired_key_is_gone_and_its_bytes_are_free_again() {
        let store = Memory::new(400);
        assert!(store.put("k", Bytes::from(vec![0; 200]), Duration::ZERO, Condition::Always).await.unwrap());
        assert_eq!(store.get("k").await.unwrap(), None);
        assert!(store.put("k", Bytes::from(vec![0; 200]), MINUTE, Condition::Absent).await.unwrap());
        assert!(store.put("l", Bytes::from(vec![0; 200]), MINUTE, Condition::Absent).await.is_err());
        assert!(store.remove("k").await.unwrap());
        assert!(store.put("l", Bytes::from(vec![0; 200]), MINUTE, Condition::Absent).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_store_keeps_what_it_has() {
        let store = Memory::new(500);
        store.append("log", "a".into(), 9, MINUTE).await.unwrap();
        store.put("k", "old".into(), MINUTE, Condition::Always).await.unwrap();
        let large = Bytes::from(vec![0; 400]);
        assert!(store.put("k", large.clone(), MINUTE, Condition::Always).await.is_err());
        assert!(store.append("log", large, 9, MINUTE).await.is_err());
        assert_eq!(store.get("k").await.unwrap(), Some("old".into()));
        assert_eq!(store.read("log", 0).await.unwrap().unwrap(), [(1, "a".into())]);
    }

    #[tokio::test]
    async fn the_sessions_of_one_caller_leave_room_for_those_of_others() {
        let store = Memory::new(4000);
        let put = async |key: &str| store.put(key, "record".into(), MINUTE, Condition::Absent).await;
        let mut begun = 0;
        while put(&format!("session:{{{begun}}}:ann")).await.is_ok() {
            begun += 1;
        }
        assert!((2..6).contains(&begun), "{begun}");
        assert!(put("session:{b}:bob").await.unwrap());
        assert!(store.remove("session:{0}:ann").await.unwrap());
        assert!(put("session:{c}:ann").await.unwrap());
    }

    #[tokio::test]
    async fn a_message_reaches_those_who_listen_and_a_dropped_listener_is_forgotten() {
        let store = Memory::new(1 << 20);
        let mut first = store.subscribe("c").await.unwrap();
        let second = store.subscribe("c").await.unwrap();
        drop(second);
        assert!(store.publish("c", "hello".into()).await.unwrap());
        assert_eq!(first.next().await, Some("hello".into()));
        drop(first);
        assert!(!store.publish("c", "hello".into()).await.unwrap());
        let third = store.subscribe("d").await.unwrap();
        drop(third);
        store.channels.lock().unwrap().forget();
        assert!(store.channels.lock().unwrap().listeners.is_empty());
    }
}
