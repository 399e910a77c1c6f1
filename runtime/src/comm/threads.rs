//! Ranks as threads of one process.
//!
//! Decided here: how a failure on one rank ends the job. A rank that panics, returns an error, or ends while others wait
//! poisons the hub; every other rank then gets an error from its next collective, and [`Threads::run`] reports the first
//! cause. Collectives must not be called from inside tasks of the rayon pool: a waiting task would hold a worker.

use super::{CommError, Communicator};
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// One rank of a job whose ranks are threads.
#[derive(Debug, Clone)]
pub struct Threads {
    rank: usize,
    hub: Arc<Hub>,
}

/// The first cause of a failed job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure<E> {
    Error { rank: usize, error: E },
    Panic { rank: usize, message: String },
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Error { rank, error } => write!(f, "rank {rank}: {error}"),
            Failure::Panic { rank, message } => write!(f, "rank {rank} panicked: {message}"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for Failure<E> {}

#[derive(Debug)]
struct Hub {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What the ranks brought to the collective being gathered.
    brought: Vec<Option<Payload>>,
    arrived: usize,
    /// Collectives completed.
    generation: u64,
    published: Option<Arc<Vec<Payload>>>,
    /// Ranks that have yet to read `published`.
    readers: usize,
    finished: Option<usize>,
    failed: Option<(usize, String)>,
}

#[derive(Debug, Clone)]
enum Payload {
    Nothing,
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bytes(Vec<u8>),
}

impl Payload {
    /// What must agree on all ranks.
    fn call(&self) -> String {
        match self {
            Payload::Nothing => "barrier".into(),
            Payload::F32(data) => format!("sum of {} f32", data.len()),
            Payload::F64(data) => format!("sum of {} f64", data.len()),
            Payload::Bytes(_) => "gather of bytes".into(),
        }
    }
}

impl Threads {
    /// Runs `body` on `size` ranks, each on a thread of its own, and returns the results by rank.
    ///
    /// # Errors
    /// The first rank that returned an error or panicked; all others have ended by then.
    pub fn run<T: Send, E: fmt::Display + Send>(
        size: usize,
        body: impl Fn(&Threads) -> Result<T, E> + Sync,
    ) -> Result<Vec<T>, Failure<E>> {
        let state = State { brought: vec![None; size], ..State::default() };
        let hub = Arc::new(Hub { size, state: Mutex::new(state), changed: Condvar::new() });
        let (hub, body) = (&hub, &body);
        let ends: Vec<Result<T, Failure<E>>> = std::thread::scope(|scope| {
            let ranks: Vec<_> = (0..size)
                .map(|rank| scope.spawn(move || Threads { rank, hub: hub.clone() }.live(body)))
                .collect();
            ranks.into_iter().enumerate().map(|(rank, thread)| joined(rank, thread.join())).collect()
        });
        first_cause(ends, hub.lock().failed.as_ref().map(|(rank, _)| *rank))
    }

    fn live<T, E: fmt::Display>(self, body: impl Fn(&Threads) -> Result<T, E>) -> Result<T, Failure<E>> {
        let rank = self.rank;
        let end = match catch_unwind(AssertUnwindSafe(|| body(&self))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::Error { rank, error }),
            Err(panic) => Err(Failure::Panic { rank, message: panic_message(panic.as_ref()) }),
        };
        self.hub.leave(rank, end.as_ref().err().map(ToString::to_string));
        end
    }

    fn exchange(&self, mine: Payload) -> Result<Arc<Vec<Payload>>, CommError> {
        self.hub.exchange(self.rank, mine)
    }
}

fn joined<T, E>(rank: usize, end: std::thread::Result<Result<T, Failure<E>>>) -> Result<T, Failure<E>> {
    end.unwrap_or_else(|panic| Err(Failure::Panic { rank, message: panic_message(panic.as_ref()) }))
}

fn first_cause<T, E>(ends: Vec<Result<T, Failure<E>>>, cause: Option<usize>) -> Result<Vec<T>, Failure<E>> {
    let mut values = Vec::with_capacity(ends.len());
    let mut failures = Vec::new();
    for (rank, end) in ends.into_iter().enumerate() {
        match end {
            Ok(value) => values.push(value),
            Err(failure) => failures.push((rank, failure)),
        }
    }
    let at = failures.iter().position(|(rank, _)| Some(*rank) == cause).unwrap_or(0);
    if failures.is_empty() { Ok(values) } else { Err(failures.swap_remove(at).1) }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn exchange(&self, rank: usize, mine: Payload) -> Result<Arc<Vec<Payload>>, CommError> {
        let call = mine.call();
        let mut state = self.lock();
        while state.readers > 0 && state.failed.is_none() {
            state = self.wait(state);
        }
        state.check(&call)?;
        state.brought[rank] = Some(mine);
        state.arrived += 1;
        let generation = state.generation;
        if state.arrived == self.size {
            state.publish(rank)?;
            self.changed.notify_all();
        }
        while state.generation == generation {
            state.check(&call)?;
            state = self.wait(state);
        }
        let all = state.published.clone();
        state.readers -= 1;
        if state.readers == 0 {
            state.published = None;
            self.changed.notify_all();
        }
        all.ok_or_else(|| CommError { message: format!("the result of the {call} is gone") })
    }

    fn leave(&self, rank: usize, failure: Option<String>) {
        let mut state = self.lock();
        state.finished.get_or_insert(rank);
        if let Some(why) = failure {
            state.failed.get_or_insert((rank, why));
        }
        self.changed.notify_all();
    }
}

impl State {
    fn check(&self, call: &str) -> Result<(), CommError> {
        let message = match (&self.failed, self.finished) {
            (Some((_, why)), _) => format!("stopped in a {call}: {why}"),
            (None, Some(rank)) => format!("rank {rank} ended while others wait in a {call}"),
            (None, None) => return Ok(()),
        };
        Err(CommError { message })
    }

    fn publish(&mut self, rank: usize) -> Result<(), CommError> {
        let all: Vec<Payload> = self.brought.iter_mut().filter_map(Option::take).collect();
        let odd = all.iter().position(|payload| payload.call() != all[0].call());
        if let Some(other) = odd {
            let why = format!("rank 0 is in a {}, rank {other} in a {}", all[0].call(), all[other].call());
            self.failed = Some((rank, why.clone()));
            return Err(CommError { message: why });
        }
        self.readers = all.len();
        self.arrived = 0;
        self.generation += 1;
        self.published = Some(Arc::new(all));
        Ok(())
    }
}

impl Communicator for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.hub.size
    }

    fn all_reduce_sum_f32(&self, data: &mut [f32]) -> Result<(), CommError> {
        let all = self.exchange(Payload::F32(data.to_vec()))?;
        data.fill(0.0);
        for payload in all.iter() {
            if let Payload::F32(part) = payload {
                data.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        }
        Ok(())
    }

    fn all_reduce_sum_f64(&self, data: &mut [f64]) -> Result<(), CommError> {
        let all = self.exchange(Payload::F64(data.to_vec()))?;
        data.fill(0.0);
        for payload in all.iter() {
            if let Payload::F64(part) = payload {
                data.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        }
        Ok(())
    }

    fn all_gather_bytes(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, CommError> {
        let all = self.exchange(Payload::Bytes(mine.to_vec()))?;
        let bytes = |payload: &Payload| match payload {
            Payload::Bytes(bytes) => bytes.clone(),
            _ => Vec::new(),
        };
        Ok(all.iter().map(bytes).collect())
    }

    fn broadcast_bytes(&self, root: usize, data: &mut Vec<u8>) -> Result<(), CommError> {
        let mine = if self.rank == root { std::mem::take(data) } else { Vec::new() };
        let all = self.exchange(Payload::Bytes(mine))?;
        if let Some(Payload::Bytes(bytes)) = all.get(root) {
            data.clone_from(bytes);
        }
        Ok(())
    }

    fn barrier(&self) -> Result<(), CommError> {
        self.exchange(Payload::Nothing).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Solo;

    fn sums(size: usize) -> Vec<Vec<f32>> {
        Threads::run(size, |comm| {
            let mut data: Vec<f32> = (0..100).map(|i| 1.0 / (1 + i + 7 * comm.rank()) as f32).collect();
            comm.all_reduce_sum_f32(&mut data)?;
            Ok::<_, CommError>(data)
        })
        .unwrap()
    }

    #[test]
    fn sums_are_in_rank_order_and_equal_on_all_ranks() {
        let all = sums(4);
        let term = |rank: usize, i: usize| 1.0 / (1 + i + 7 * rank) as f32;
        let expected: Vec<f32> =
            (0..100).map(|i| (0..4).fold(0.0, |sum, rank| sum + term(rank, i))).collect();
        assert!(all.iter().all(|data| *data == expected));
        assert_eq!(sums(1)[0], (0..100).map(|i| term(0, i)).collect::<Vec<_>>());
    }

    #[test]
    fn many_collectives_in_a_row_keep_their_order() {
        let totals = Threads::run(3, |comm| {
            let mut total = 0.0;
            for round in 0..500 {
                let mut data = [f64::from(round) + comm.rank() as f64];
                comm.all_reduce_sum_f64(&mut data)?;
                assert_eq!(data[0], 3.0 * f64::from(round) + 3.0);
                total += data[0];
                comm.barrier()?;
            }
            Ok::<_, CommError>(total)
        });
        assert!(totals.unwrap().windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn gather_and_broadcast_carry_any_length() {
        let ends = Threads::run(3, |comm| {
            let mine: Vec<u32> = (0..comm.rank() as u32).collect();
            let all = comm.all_gather_u32(&mine)?;
            let mut word = if comm.rank() == 1 { b"word".to_vec() } else { Vec::new() };
            comm.broadcast_bytes(1, &mut word)?;
            Ok::<_, CommError>((all, word))
        });
        for (all, word) in ends.unwrap() {
            assert_eq!(all, vec![vec![], vec![0], vec![0, 1]]);
            assert_eq!(word, b"word");
        }
        assert_eq!(Solo.all_gather_f32(&[1.5]).unwrap(), vec![vec![1.5]]);
    }

    #[test]
    fn an_error_on_one_rank_ends_all_with_its_message() {
        let end = Threads::run(4, |comm| {
            if comm.rank() == 2 {
                return Err(CommError { message: "the disk is full".into() });
            }
            loop {
                comm.barrier()?;
            }
            #[allow(unreachable_code)]
            Ok(())
        });
        let error = CommError { message: "the disk is full".into() };
        assert_eq!(end, Err(Failure::Error { rank: 2, error }));
    }

    #[test]
    fn a_panic_on_one_rank_ends_all_with_its_message() {
        let end = Threads::run(2, |comm| {
            assert!(comm.rank() == 0, "rank one has a bad day");
            comm.barrier()
        });
        let message = "rank one has a bad day".to_string();
        assert_eq!(end, Err(Failure::Panic { rank: 1, message }));
    }

    #[test]
    fn a_rank_that_ends_early_does_not_leave_the_others_waiting() {
        let end = Threads::run(2, |comm| if comm.rank() == 0 { Ok(()) } else { comm.barrier() });
        let message = end.unwrap_err().to_string();
        assert!(message.contains("rank 0 ended while others wait in a barrier"), "{message}");
    }

    #[test]
    fn ranks_in_different_collectives_are_told_so() {
        let end = Threads::run(2, |comm| {
            let mut data = vec![0f32; 1 + comm.rank()];
            comm.all_reduce_sum_f32(&mut data)
        });
        let message = end.unwrap_err().to_string();
        assert!(message.contains("sum of 1 f32") && message.contains("sum of 2 f32"), "{message}");
    }
}
