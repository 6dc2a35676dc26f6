//! Counts the unauthenticated sessions of each address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use crate::{
    error::RequestError,
    sync::{Mutex, MutexGuard, lock},
};

/// The number of unauthenticated sessions by address. Empty if they are not limited.
#[derive(Debug, Default)]
pub(crate) struct Unauthenticated(Mutex<HashMap<IpAddr, usize>>);

/// Counts one unauthenticated session until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    counts: Arc<Unauthenticated>,
    key: IpAddr,
}

impl Unauthenticated {
    /// Counts a session of this address. Refuses it if there are already `limit`. Boxed, because
    /// few sessions need a slot.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        ip: IpAddr,
        limit: usize,
    ) -> Result<Box<Slot>, RequestError> {
        let key = network(ip);
        let mut counts = self.lock();
        let count = counts.get(&key).copied().unwrap_or(0);
        if count >= limit {
            return Err(RequestError::TooManySessions);
        }
        counts.insert(key, count + 1);
        drop(counts);
        Ok(Box::new(Slot { counts: self.clone(), key }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        lock(&self.0)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        let count = counts.get(&self.key).map_or(0, |count| count.saturating_sub(1));
        if count > 0 {
            counts.insert(self.key, count);
            return;
        }
        counts.remove(&self.key);
        // Frees the memory that a peak of clients needed.
        if counts.capacity() > 64 && counts.len() < counts.capacity() / 4 {
            let target = counts.len() * 2;
            counts.shrink_to(target);
        }
    }
}

/// Returns the key under which an address is counted. An IPv6 address counts as its /64 network,
/// because a client with one of its 2^64 addresses has the others as well.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let counts = Arc::new(Unauthenticated::default());
        let reserve = |ip: &str| counts.reserve(ip.parse().unwrap(), 1);
        let first = reserve("2001:db8::1").unwrap();
        assert_eq!(reserve("2001:db8::2:1").unwrap_err(), RequestError::TooManySessions);
        let _next = reserve("2001:db8:0:1::1").unwrap();
        let _v4 = reserve("192.0.2.1").unwrap();
        assert!(reserve("::ffff:192.0.2.1").is_err());
        let _other = reserve("192.0.2.2").unwrap();
        drop(first);
        assert!(reserve("2001:db8::2:1").is_ok());
    }

    #[test]
    fn an_address_without_sessions_needs_no_memory() {
        let counts = Arc::new(Unauthenticated::default());
        let ips = (0..1000_u32).map(|n| IpAddr::V4(n.into()));
        let slots: Vec<_> = ips.map(|ip| counts.reserve(ip, 1).unwrap()).collect();
        drop(slots);
        assert!(counts.lock().is_empty() && counts.lock().capacity() <= 64);
    }
}
