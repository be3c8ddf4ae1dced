//! What is remembered of every device in memory: its token, and when it was last in contact.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ring::digest;

use crate::{
    auth::{events::DeviceEvent, logic, model::Seen, service::Service},
    ctx::Actor,
    env::Time,
    error::Result,
    event::{Event, Fact},
    feed::Invalidate,
    id::{DeviceId, TenantId, Version},
    outbox,
    secret::same,
};

const SHARDS: usize = 64;

/// How old a recorded contact may become before a newer one is recorded.
const RECORD_AFTER: Duration = Duration::from_secs(6 * 3600);

/// How many contacts one write records.
const CHUNK: usize = 500;

type Place = [u8; 16];

/// What is remembered of one device, in less than 100 bytes with its place in the map.
pub(super) struct Remembered {
    /// The start of the hash of its valid token; zeros: none.
    token: [u8; 16],
    /// Its tenant, abridged.
    tenant: u32,
    /// When it was last in contact.
    seen: Time,
    /// The contact that is recorded, or about to be.
    saved: Time,
}

impl Remembered {
    /// No contact was ever recorded.
    pub(super) const NEVER: Time = Time(i64::MIN);
}

#[derive(Default)]
struct Shard {
    /// Grows with every invalidation: what was loaded before one is not kept.
    epoch: u64,
    devices: HashMap<Place, Remembered>,
}

/// The permission to remember what is loaded now.
#[derive(Clone, Copy)]
pub(super) struct Ticket(u64);

/// The memory of all devices.
pub(super) struct Contacts {
    shards: Vec<Mutex<Shard>>,
    per_shard: usize,
    due: Mutex<Vec<(Seen, bool)>>,
}

fn place(tenant: &TenantId, device: &DeviceId) -> Place {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(tenant.as_str().as_bytes());
    context.update(&[0]);
    context.update(device.as_str().as_bytes());
    let mut place = [0; 16];
    place.copy_from_slice(&context.finish().as_ref()[..16]);
    place
}

fn abridge(tenant: &TenantId) -> u32 {
    let hash = digest::digest(&digest::SHA256, tenant.as_str().as_bytes());
    hash.as_ref()[..4].iter().fold(0, |n, byte| n << 8 | u32::from(*byte))
}

impl Contacts {
    pub(super) fn new(capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, per_shard: (capacity / SHARDS).max(1), due: Mutex::default() }
    }

    fn shard(&self, place: &Place) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(place[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether this is the token that was verified for the device.
    pub(super) fn knows(&self, tenant: &TenantId, device: &DeviceId, hash: &[u8]) -> bool {
        let place = place(tenant, device);
        let shard = self.shard(&place);
        let shown = &hash[..16];
        shard.devices.get(&place).is_some_and(|d| d.token != [0; 16] && same(&d.token, shown))
    }

    /// Begins a load.
    pub(super) fn ticket(&self, tenant: &TenantId, device: &DeviceId) -> Ticket {
        Ticket(self.shard(&place(tenant, device)).epoch)
    }

    /// Returns the contact that is recorded, where it is known.
    pub(super) fn saved(&self, tenant: &TenantId, device: &DeviceId) -> Option<Time> {
        let place = place(tenant, device);
        let saved = self.shard(&place).devices.get(&place).map(|device| device.saved);
        saved.filter(|saved| *saved != Remembered::NEVER)
    }

    /// Remembers a verified token, unless something was revoked since the ticket.
    pub(super) fn remember(
        &self,
        ticket: Ticket,
        tenant: &TenantId,
        device: &DeviceId,
        hash: &[u8],
        saved: Option<Time>,
    ) {
        let place = place(tenant, device);
        let mut shard = self.shard(&place);
        if shard.epoch == ticket.0 {
            let device = self.entry(&mut shard, place, tenant);
            device.token.copy_from_slice(&hash[..16]);
            if let Some(saved) = saved {
                device.saved = device.saved.max(saved);
            }
        }
    }

    fn entry<'a>(
        &self,
        shard: &'a mut Shard,
        place: Place,
        tenant: &TenantId,
    ) -> &'a mut Remembered {
        if shard.devices.len() >= self.per_shard && !shard.devices.contains_key(&place) {
            // Any will do: what is forgotten is loaded again when it is asked for.
            if let Some(other) = shard.devices.keys().next().copied() {
                shard.devices.remove(&other);
            }
        }
        shard.devices.entry(place).or_insert_with(|| Remembered {
            token: [0; 16],
            tenant: abridge(tenant),
            seen: Remembered::NEVER,
            saved: Remembered::NEVER,
        })
    }

    /// Notes a contact. It is recorded on the first of each UTC day, and when the recorded one
    /// has become old.
    pub(super) fn contact(&self, tenant: &TenantId, id: &DeviceId, now: Time) {
        let place = place(tenant, id);
        let mut shard = self.shard(&place);
        let device = self.entry(&mut shard, place, tenant);
        device.seen = device.seen.max(now);
        let known = device.saved != Remembered::NEVER;
        let first = !known || device.saved.day() < now.day();
        // Spread over an hour, so that a fleet that started at once does not stay in step.
        let jitter = Duration::from_secs(u64::from(place[1]) * 14);
        if first || now.since(device.saved) > RECORD_AFTER + jitter {
            device.saved = now;
            drop(shard);
            self.push(tenant, id, now, first);
        }
    }

    /// Notes that a device got a token. Whether that is its first contact of the day is known
    /// where it is remembered; the first token after an acceptance counts as one.
    pub(super) fn issued(&self, tenant: &TenantId, id: &DeviceId, now: Time, first: bool) {
        let known = self.saved(tenant, id).is_some();
        if first || known {
            self.contact(tenant, id, now);
        } else {
            let place = place(tenant, id);
            let mut shard = self.shard(&place);
            let device = self.entry(&mut shard, place, tenant);
            device.seen = device.seen.max(now);
        }
    }

    fn push(&self, tenant: &TenantId, device: &DeviceId, at: Time, first: bool) {
        let seen = Seen { tenant: tenant.clone(), device: device.clone(), at };
        self.due.lock().unwrap_or_else(PoisonError::into_inner).push((seen, first));
    }

    /// Returns when the device was last in contact with this node.
    pub(super) fn last(&self, tenant: &TenantId, device: &DeviceId) -> Option<Time> {
        let place = place(tenant, device);
        let seen = self.shard(&place).devices.get(&place).map(|device| device.seen)?;
        (seen != Remembered::NEVER).then_some(seen)
    }

    /// Forgets a device that is gone.
    pub(super) fn forget(&self, tenant: &TenantId, device: &DeviceId) {
        let place = place(tenant, device);
        let mut shard = self.shard(&place);
        shard.epoch += 1;
        shard.devices.remove(&place);
        drop(shard);
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.retain(|(seen, _)| seen.tenant != *tenant || seen.device != *device);
    }

    fn take(&self) -> Vec<(Seen, bool)> {
        std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put_back(&self, contacts: Vec<(Seen, bool)>) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).extend(contacts);
    }
}

impl Invalidate for Contacts {
    fn invalidate(&self, tenant: &TenantId, kind: &str, key: &str) {
        if kind == logic::DEVICE_TOPIC
            && let Ok(device) = key.parse()
        {
            let place = place(tenant, &device);
            let mut shard = self.shard(&place);
            shard.epoch += 1;
            if let Some(device) = shard.devices.get_mut(&place) {
                device.token = [0; 16];
            }
        } else if kind == logic::TOKENS_TOPIC {
            let tenant = abridge(tenant);
            self.forget_tokens(|device| device.tenant == tenant);
        }
    }

    fn clear(&self) {
        self.forget_tokens(|_| true);
    }
}

impl Contacts {
    /// Forgets the tokens of many devices, but not when those were in contact.
    fn forget_tokens(&self, which: impl Fn(&Remembered) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.epoch += 1;
            for device in shard.devices.values_mut().filter(|device| which(device)) {
                device.token = [0; 16];
            }
        }
    }
}

impl Service {
    /// Records the contacts that are due; returns how many.
    ///
    /// # Errors
    /// Those of the store. What was not recorded is tried again with the next call.
    pub async fn record_contacts(&self) -> Result<usize> {
        let due = self.contacts.take();
        let mut chunks = due.chunks(CHUNK);
        while let Some(chunk) = chunks.next() {
            if let Err(error) = self.record_chunk(chunk).await {
                self.contacts.put_back(chunk.to_vec());
                chunks.for_each(|rest| self.contacts.put_back(rest.to_vec()));
                return Err(error);
            }
        }
        Ok(due.len())
    }

    async fn record_chunk(&self, chunk: &[(Seen, bool)]) -> Result<()> {
        let seen: Vec<Seen> = chunk.iter().map(|(seen, _)| seen.clone()).collect();
        let mut events = Vec::new();
        for (seen, _) in chunk.iter().filter(|(_, first)| *first) {
            let event = DeviceEvent::Seen { device: seen.device.clone(), at: seen.at }.event();
            if self.kernel.outbox.is_heard(&event.kind) {
                events.push(Event {
                    id: self.kernel.event_id()?,
                    tenant: seen.tenant.clone(),
                    aggregate: "auth.seen".into(),
                    key: seen.device.to_string(),
                    version: Version(seen.at.0),
                    kind: event.kind,
                    v: event.v,
                    at: seen.at,
                    actor: Actor::Device(seen.device.clone()),
                    trace: String::new(),
                    payload: event.payload,
                });
            }
        }
        let lease_until = self.kernel.env().now() + outbox::LEASE;
        self.store.record_seen(&seen, &events, lease_until).await?;
        self.kernel.outbox.enqueue(&self.journal, events, lease_until);
        Ok(())
    }
}
