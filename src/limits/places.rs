//! Places for heavy calls, so many at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::call::Place;

/// More than anybody needs, where there is no limit.
const MANY: usize = 1 << 20;

/// The places of this replica, and those of each caller.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    each: usize,
    callers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Places {
    /// So many places, and so many for each caller; 0 for any number.
    pub(super) fn new(all: u32, each: u32) -> Self {
        let number = |limit: u32| if limit == 0 { MANY } else { limit as usize };
        Self { all: Arc::new(Semaphore::new(number(all))), each: number(each), callers: Mutex::default() }
    }

    /// A place, if there is one.
    pub(super) fn take(&self, caller: &str) -> Option<Place> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has nothing running needs no memory.
        callers.retain(|_, places| places.available_permits() < self.each);
        let own = callers.entry(caller.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone();
        drop(callers);
        let own = own.try_acquire_owned().ok()?;
        let all = self.all.clone().try_acquire_owned().ok()?;
        Some(Arc::new([own, all]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_replica_and_of_each_caller_and_come_back() {
        let places = Places::new(3, 2);
        let mut held: Vec<_> = (0..2).map(|_| places.take("ann").unwrap()).collect();
        assert!(places.take("ann").is_none());
        held.push(places.take("bob").unwrap());
        assert!(places.take("eve").is_none());
        held.remove(0);
        assert!(places.take("eve").is_some() && places.take("ann").is_some());
        held.clear();
        assert!(places.take("eve").is_some());
        assert_eq!(places.callers.lock().unwrap().len(), 1);
    }

    #[test]
    fn without_limits_there_are_places_for_all() {
        let places = Places::new(0, 0);
        let held: Vec<_> = (0..1000).map(|_| places.take("ann")).collect();
        assert!(held.iter().all(Option::is_some));
    }
}
