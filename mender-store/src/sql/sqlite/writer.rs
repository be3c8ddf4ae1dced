use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::Receiver,
    time::Duration,
};

use mender_core::{StoreError, StoreResult};
use tokio::{sync::oneshot, time::Instant};

use super::{
    Batch, Done, Val,
    conn::{Conn, Refusal},
};

/// The most batches that share a transaction.
const GROUP: usize = 256;

/// How long a transaction takes in further batches.
const WORK: Duration = Duration::from_millis(5);

pub(super) type Reply = oneshot::Sender<StoreResult<Vec<Done>>>;

/// What the writer thread is asked for.
pub(super) enum Request {
    /// Apply a batch.
    Work(Batch, Reply),
    /// Run something between two groups.
    Call(Box<dyn FnOnce(&mut Conn) + Send>),
}

struct Member {
    batch: Batch,
    reply: Reply,
    answer: StoreResult<Vec<Done>>,
}

/// The group's transaction is lost.
struct Lost;

/// Serves requests until all senders are gone.
pub(super) fn run(conn: &mut Conn, requests: &Receiver<Request>) {
    let mut next = None;
    loop {
        let request = match next.take() {
            Some(request) => request,
            None => match requests.recv() {
                Ok(request) => request,
                Err(_) => return,
            },
        };
        // Invariant: whatever panics drops its replies, so that no caller waits for ever.
        let served = catch_unwind(AssertUnwindSafe(|| match request {
            Request::Call(call) => {
                call(conn);
                None
            }
            Request::Work(batch, reply) => group(conn, batch, reply, requests),
        }));
        match served {
            Ok(left) => next = left,
            Err(_) => conn.end(),
        }
    }
}

/// Tells whether a refusal can come after a change, so that the change must be undone alone.
fn needs_savepoint(batch: &Batch) -> bool {
    let many = |vals: &[Val]| matches!(vals.last(), Some(Val::Rows(rows)) if rows.len() > 1);
    let refusable = |(at, step): (usize, &super::super::facade::Step)| {
        step.may_fail() && (at > 0 || many(&step.query.1))
    };
    batch.steps().iter().enumerate().any(refusable)
}

/// Applies a batch within an open transaction. Where the answer is an error, it left no change.
fn apply(conn: &mut Conn, batch: &Batch) -> Result<StoreResult<Vec<Done>>, (Lost, StoreError)> {
    let savepoint = needs_savepoint(batch);
    let lost = |error| (Lost, error);
    if savepoint {
        conn.savepoint().map_err(lost)?;
    }
    let mut wrote = false;
    let mut answers = Vec::with_capacity(batch.steps().len());
    for step in batch.steps() {
        match conn.apply(step, &mut wrote) {
            Ok(done) => answers.push(done),
            Err(Refusal::Refused(error)) if savepoint => {
                conn.undo().map_err(lost)?;
                return Ok(Err(error));
            }
            Err(Refusal::Refused(error)) if !wrote => return Ok(Err(error)),
            Err(Refusal::Refused(error) | Refusal::Broken(error)) => return Err(lost(error)),
        }
    }
    if savepoint {
        conn.release().map_err(lost)?;
    }
    Ok(Ok(answers))
}

/// Applies a batch in a transaction of its own.
fn alone(conn: &mut Conn, batch: &Batch) -> StoreResult<Vec<Done>> {
    conn.begin()?;
    let answer = match apply(conn, batch) {
        Ok(Ok(done)) => conn.commit().map(|()| done),
        Ok(Err(error)) | Err((_, error)) => Err(error),
    };
    conn.end();
    answer
}

fn answer_all(members: Vec<Member>) {
    for member in members {
        // A caller that went away does not wait for its answer.
        let _ = member.reply.send(member.answer);
    }
}

/// Applies a batch, and those that arrive meanwhile, in one transaction; returns the request
/// that ended the group. No answer, success or error, leaves before the commit is synced.
fn group(
    conn: &mut Conn,
    batch: Batch,
    reply: Reply,
    requests: &Receiver<Request>,
) -> Option<Request> {
    if let Err(error) = conn.begin() {
        refuse(&error, reply, requests)
    } else {
        grouped(conn, batch, reply, requests)
    }
}

/// Answers everyone who waits: whatever keeps the transaction from beginning keeps out all.
fn refuse(error: &StoreError, reply: Reply, requests: &Receiver<Request>) -> Option<Request> {
    let same = || StoreError::unavailable(error.to_string());
    let _ = reply.send(Err(same()));
    for request in requests.try_iter().take(GROUP) {
        match request {
            Request::Work(_, reply) => {
                let _ = reply.send(Err(same()));
            }
            call @ Request::Call(_) => return Some(call),
        }
    }
    None
}

fn grouped(
    conn: &mut Conn,
    batch: Batch,
    reply: Reply,
    requests: &Receiver<Request>,
) -> Option<Request> {
    let begun = Instant::now();
    let mut members = Vec::new();
    let mut next = Some(Request::Work(batch, reply));
    let mut lost = false;
    let mut last = None;
    while let Some(request) = next.take() {
        let (batch, reply) = match request {
            Request::Work(batch, reply) => (batch, reply),
            call @ Request::Call(_) => {
                last = Some(call);
                break;
            }
        };
        let applied = apply(conn, &batch);
        lost = applied.is_err();
        members.push(Member {
            batch,
            reply,
            answer: applied.unwrap_or_else(|(Lost, error)| Err(error)),
        });
        if !lost && members.len() < GROUP && begun.elapsed() < WORK {
            next = requests.try_recv().ok();
        }
    }
    if lost || conn.commit().is_err() {
        conn.end();
        for member in &mut members {
            member.answer = alone(conn, &member.batch);
        }
    }
    answer_all(members);
    last
}
