//! An external sort of fixed-size records by a 64-bit key.
//!
//! A record keeps of its key the bytes in which the keys of its bucket differ: with 4 MiB buckets an edge between a million nodes
//! takes 8 bytes, its row included.
//!
//! Records are dealt into buckets of neighbouring keys as they come, from many threads at once. What exceeds the memory limit is
//! written to one scratch file; a bucket is read back when its turn comes, and one too large for memory is dealt again. So the order
//! of what comes out depends on the records alone, and memory stays within the limit whatever their number.
//!
//! Cost: each record is copied twice in memory and, beyond the limit, written and read once.

use std::cell::RefCell;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::error::{BuildError, Result};
use super::scratch::Scratch;
use crate::slab::{SLAB, Slab, trim};

/// Bytes of a key.
const KEY: usize = 8;
const MOST_BUCKETS: u64 = 1024;
/// A bucket is meant to have about this many bytes, so that sorting it stays in the cache.
const BUCKET_BYTES: u64 = 4 << 20;
/// Buckets may be made smaller than they are meant to be by this power of two.
const MOST_FINER: u32 = 3;
const LEAST_SEGMENT: usize = 1 << 12;
const MOST_SEGMENT: usize = SLAB;
/// Sorting a bucket takes its records, a copy in order, and the arrays that are made of it.
const WORKING_COPIES: u64 = 4;

/// Which keys there are, and how they are counted without the numbers that no key has.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Places of all keys are below it.
    end: u64,
    /// Bits that the lower half of a key has.
    low_bits: u32,
}

impl Keys {
    /// Keys that are less than `end`.
    pub fn below(end: u64) -> Self {
        Self { end, low_bits: 32 }
    }

    /// Keys whose upper half is less than `highs` and whose lower half is less than `lows`; both are numbers of 32 bits.
    pub fn pairs(highs: usize, lows: usize) -> Self {
        let low_bits = u64::BITS - (lows as u64).saturating_sub(1).leading_zeros();
        Self { end: (highs as u64) << low_bits, low_bits }
    }

    /// The place of a key, in the order of keys.
    #[inline]
    fn place(self, key: u64) -> u64 {
        (key >> 32) << self.low_bits | (key & u64::from(u32::MAX))
    }

    #[inline]
    fn key(self, place: u64) -> u64 {
        (place >> self.low_bits) << 32 | (place & ((1 << self.low_bits) - 1))
    }
}

/// How a record is laid out: the place of its key counted from the first of its bucket, lowest byte first, then the payload.
#[derive(Clone, Copy, Debug)]
struct Layout {
    keys: Keys,
    /// Bytes of the place.
    place: usize,
    record: usize,
}

impl Layout {
    /// For buckets of `1 << shift` places.
    fn of(keys: Keys, shift: u32, payload: usize) -> Self {
        let place = shift.div_ceil(8).max(1) as usize;
        Self { keys, place, record: place + payload }
    }

    fn payload(self) -> usize {
        self.record - self.place
    }

    /// The key of the record that `bytes`, of which there are at least eight, begins with.
    #[inline]
    fn key(self, first: u64, bytes: &[u8]) -> u64 {
        let word: [u8; KEY] = bytes[..KEY].try_into().expect("a key has 8 bytes");
        let unused = 8 * (KEY - self.place) as u32;
        self.keys.key(first + (u64::from_le_bytes(word) << unused >> unused))
    }
}

/// Takes records, from any thread.
pub struct Sorter {
    scratch: Scratch,
    /// Places of keys are `first..end`.
    first: u64,
    end: u64,
    shift: u32,
    layout: Layout,
    segment: usize,
    buckets: Vec<Mutex<Bucket>>,
    held: AtomicU64,
    room: Arc<Room>,
    spill: Mutex<Spill>,
}

/// Where the records of a bucket begin, and the records of a batch bucket by bucket. Kept by each thread: fresh pages cost more
/// than filling them.
type Buffers = (Vec<usize>, Vec<u8>);

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// The shift that cuts `width` places into at most `buckets` buckets; or into a few times as many, up to the most, where that
/// saves each record a byte.
fn shift_for(width: u64, buckets: u64) -> u32 {
    let shift = (0..u64::BITS - 1).find(|&shift| (width - 1) >> shift < buckets).unwrap_or(u64::BITS - 1);
    let whole = shift / 8 * 8;
    let saves =
        shift - whole <= MOST_FINER && buckets >= 1 << MOST_FINER && (width - 1) >> whole < MOST_BUCKETS;
    if saves { whole } else { shift }
}

/// Memory that several sorters share.
pub struct Room {
    held: AtomicU64,
    limit: u64,
}

impl Room {
    pub fn of(limit: u64) -> Arc<Self> {
        Arc::new(Self { held: AtomicU64::new(0), limit })
    }

    fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.limit
    }
}

#[derive(Default)]
struct Bucket {
    segments: Vec<Slab>,
    /// Offset and length in the spill file.
    extents: Vec<(u64, u64)>,
    records: u64,
}

#[derive(Default)]
struct Spill {
    file: Option<File>,
    bytes: u64,
}

/// The records with keys `first..end`, in no order.
pub struct Run {
    pub first: u64,
    pub end: u64,
    /// How many records have smaller keys.
    pub start: u64,
    /// Place of the first key of the bucket.
    base: u64,
    layout: Layout,
    /// The records, and [`KEY`] bytes more.
    bytes: Vec<u8>,
}

impl Run {
    pub fn len(&self) -> usize {
        (self.bytes.len() - KEY) / self.layout.record
    }

    #[inline]
    pub fn key(&self, index: usize) -> u64 {
        self.layout.key(self.base, &self.bytes[index * self.layout.record..])
    }

    pub fn payload(&self, index: usize) -> &[u8] {
        let Layout { place, record, .. } = self.layout;
        &self.bytes[index * record + place..(index + 1) * record]
    }

    /// The number of 32 bits at byte `at` of a payload.
    #[inline]
    pub fn word(&self, index: usize, at: usize) -> u32 {
        let at = index * self.layout.record + self.layout.place + at;
        u32::from_ne_bytes(self.bytes[at..at + 4].try_into().expect("a word has 4 bytes"))
    }
}

impl Sorter {
    /// For about `expected` records with `payload` bytes each.
    pub fn new(scratch: &Scratch, keys: Keys, payload: usize, expected: u64, room: &Arc<Room>) -> Self {
        let buckets = expected.saturating_mul((KEY + payload) as u64) / BUCKET_BYTES;
        Self::within(scratch, keys, 0..keys.end, payload, expected, buckets, room)
    }

    fn within(
        scratch: &Scratch,
        keys: Keys,
        places: Range<u64>,
        payload: usize,
        expected: u64,
        buckets: u64,
        room: &Arc<Room>,
    ) -> Self {
        let (first, end) = (places.start, places.end);
        let width = end.saturating_sub(first).max(1);
        let shift = shift_for(width, buckets.clamp(1, MOST_BUCKETS));
        let layout = Layout::of(keys, shift, payload);
        let count = ((width - 1) >> shift) + 1;
        let share = (room.limit / 8).min(expected.saturating_mul(layout.record as u64) / 4) / count;
        let segment = share.clamp(LEAST_SEGMENT as u64, MOST_SEGMENT as u64) as usize;
        Self {
            scratch: scratch.clone(),
            first,
            end,
            shift,
            layout,
            segment: (segment / layout.record).max(1) * layout.record,
            buckets: (0..count).map(|_| Mutex::default()).collect(),
            held: AtomicU64::new(0),
            room: room.clone(),
            spill: Mutex::default(),
        }
    }

    /// The place of a key, counted from the first of all.
    #[inline]
    fn offset(&self, key: u64) -> u64 {
        let place = self.layout.keys.place(key);
        debug_assert!((self.first..self.end).contains(&place));
        place - self.first
    }

    #[inline]
    fn bucket_of(&self, key: u64) -> usize {
        (self.offset(key) >> self.shift) as usize
    }

    /// Adds one record for each key; `payload` holds theirs one after the other.
    pub fn push(&self, keys: &[u64], payload: &[u8]) -> Result<()> {
        BUFFERS.with_borrow_mut(|buffers| self.push_through(keys, payload, buffers))?;
        self.spill_when_full()
    }

    fn push_through(&self, keys: &[u64], payload: &[u8], (next, dealt): &mut Buffers) -> Result<()> {
        let (size, record) = (self.layout.payload(), self.layout.record);
        assert_eq!(payload.len(), keys.len() * size, "each key has a payload");
        next.clear();
        next.resize(self.buckets.len() + 1, 0);
        if dealt.len() < keys.len() * record {
            dealt.resize(keys.len() * record, 0);
        }
        let dealt = &mut dealt[..keys.len() * record];
        keys.iter().for_each(|&key| next[self.bucket_of(key) + 1] += 1);
        for bucket in 1..next.len() {
            next[bucket] += next[bucket - 1];
        }
        let bounds = next.clone();
        match (self.layout.place, size) {
            (3, 4) => self.deal::<3, 4>(keys, payload, next, dealt),
            (4, 4) => self.deal::<4, 4>(keys, payload, next, dealt),
            (5, 4) => self.deal::<5, 4>(keys, payload, next, dealt),
            _ => self.deal_any(keys, payload, next, dealt),
        }
        for (bucket, range) in bounds.windows(2).enumerate().filter(|(_, range)| range[0] < range[1]) {
            self.append(bucket, &dealt[range[0] * record..range[1] * record]);
        }
        self.held.fetch_add(dealt.len() as u64, Ordering::Relaxed);
        self.room.held.fetch_add(dealt.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn deal<const PLACE: usize, const SIZE: usize>(
        &self,
        keys: &[u64],
        payload: &[u8],
        next: &mut [usize],
        dealt: &mut [u8],
    ) {
        for (key, payload) in keys.iter().zip(payload.as_chunks::<SIZE>().0) {
            let offset = self.offset(*key);
            let slot = &mut next[(offset >> self.shift) as usize];
            let record = &mut dealt[*slot * (PLACE + SIZE)..][..PLACE + SIZE];
            record[..PLACE].copy_from_slice(&self.within_bucket(offset).to_le_bytes()[..PLACE]);
            record[PLACE..].copy_from_slice(payload);
            *slot += 1;
        }
    }

    fn deal_any(&self, keys: &[u64], payload: &[u8], next: &mut [usize], dealt: &mut [u8]) {
        let Layout { place, record, .. } = self.layout;
        let size = self.layout.payload();
        for (index, key) in keys.iter().enumerate() {
            let offset = self.offset(*key);
            let slot = &mut next[(offset >> self.shift) as usize];
            let to = &mut dealt[*slot * record..][..record];
            to[..place].copy_from_slice(&self.within_bucket(offset).to_le_bytes()[..place]);
            to[place..].copy_from_slice(&payload[index * size..(index + 1) * size]);
            *slot += 1;
        }
    }

    #[inline]
    fn within_bucket(&self, offset: u64) -> u64 {
        offset & ((1 << self.shift) - 1)
    }

    fn append(&self, bucket: usize, mut records: &[u8]) {
        let mut bucket = self.buckets[bucket].lock().expect("no thread panics here");
        bucket.records += (records.len() / self.layout.record) as u64;
        while !records.is_empty() {
            if bucket.segments.last().is_none_or(|segment| segment.len() == self.segment) {
                bucket.segments.push(Slab::with_room_for(self.segment));
            }
            let segment = bucket.segments.last_mut().expect("one was pushed");
            let (fits, rest) = records.split_at(records.len().min(self.segment - segment.len()));
            segment.extend_from_slice(fits);
            records = rest;
        }
    }

    /// The sorter that finds the room full makes some, unless it holds next to nothing.
    fn spill_when_full(&self) -> Result<()> {
        let worth_it = || self.room.is_full() && self.held.load(Ordering::Relaxed) >= self.segment as u64;
        if !worth_it() {
            return Ok(());
        }
        let mut spill = self.spill.lock().expect("no thread panics here");
        if !worth_it() {
            return Ok(());
        }
        for bucket in &self.buckets {
            let (segments, held) = {
                let mut bucket = bucket.lock().expect("no thread panics here");
                let segments = std::mem::take(&mut bucket.segments);
                let held: u64 = segments.iter().map(|segment| segment.len() as u64).sum();
                if held > 0 {
                    bucket.extents.push((spill.bytes, held));
                }
                (segments, held)
            };
            spill.write(&self.scratch, &segments)?;
            self.held.fetch_sub(held, Ordering::Relaxed);
            self.room.held.fetch_sub(held, Ordering::Relaxed);
        }
        Ok(())
    }

    pub fn records(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.lock().expect("no thread panics here").records).sum()
    }

    /// No more records come.
    pub fn finish(self) -> Sorted {
        let buckets = self.buckets.into_iter().map(|b| b.into_inner().expect("no thread panics here"));
        Sorted {
            scratch: self.scratch,
            places: self.first..self.end,
            shift: self.shift,
            layout: self.layout,
            room: self.room,
            buckets: buckets.collect(),
            spill: self.spill.into_inner().expect("no thread panics here"),
        }
    }
}

impl Spill {
    fn write(&mut self, scratch: &Scratch, segments: &[Slab]) -> Result<()> {
        if segments.is_empty() {
            return Ok(());
        }
        let failed = |error| BuildError::Scratch { file: scratch.folder.clone(), error };
        if self.file.is_none() {
            self.file = Some(scratch.file().map_err(failed)?);
        }
        let file = self.file.as_ref().expect("it was created");
        for segment in segments {
            file.write_all_at(segment, self.bytes).map_err(failed)?;
            self.bytes += segment.len() as u64;
        }
        Ok(())
    }
}

/// All records, bucket by bucket in ascending order of keys.
pub struct Sorted {
    scratch: Scratch,
    places: Range<u64>,
    shift: u32,
    layout: Layout,
    room: Arc<Room>,
    buckets: Vec<Bucket>,
    spill: Spill,
}

impl Sorted {
    /// Calls `process` for runs that together are all records, several at once, and `consume` with what it makes of them, in ascending
    /// order of keys. Two records of one key are in one run, unless those of one key alone exceed `memory`.
    pub fn drain<T: Send>(
        self,
        memory: u64,
        process: &(dyn Fn(Run) -> Result<T> + Sync),
        consume: &mut dyn FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let done = self.drain_from(0, memory, process, consume);
        trim();
        done
    }

    fn drain_from<T: Send>(
        mut self,
        start: u64,
        memory: u64,
        process: &(dyn Fn(Run) -> Result<T> + Sync),
        consume: &mut dyn FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let at_once = 2 * rayon::current_num_threads();
        let room = memory / WORKING_COPIES;
        let (mut next, mut start) = (0, start);
        while next < self.buckets.len() {
            let bytes = |bucket: &Bucket| bucket.records * self.layout.record as u64;
            if bytes(&self.buckets[next]) > room && self.shift > 0 {
                let records = self.buckets[next].records;
                self.deal_again(next, room)?.drain_from(start, memory, process, consume)?;
                (next, start) = (next + 1, start + records);
                continue;
            }
            let (mut upto, mut taken) = (next, 0);
            while upto < self.buckets.len().min(next + at_once) {
                taken += bytes(&self.buckets[upto]);
                if upto > next && taken > room {
                    break;
                }
                upto += 1;
            }
            let mut starts = Vec::with_capacity(upto - next);
            for bucket in &self.buckets[next..upto] {
                starts.push(start);
                start += bucket.records;
            }
            let taken: Vec<(usize, Bucket)> =
                (next..upto).map(|index| (index, std::mem::take(&mut self.buckets[index]))).collect();
            let made: Vec<Result<T>> = taken
                .into_par_iter()
                .zip(starts)
                .map(|((index, bucket), start)| process(self.load(index, bucket, start)?))
                .collect();
            for one in made {
                consume(one?)?;
            }
            next = upto;
        }
        Ok(())
    }

    fn range(&self, index: usize) -> Range<u64> {
        let first = self.places.start + ((index as u64) << self.shift);
        first..self.places.end.min(first.saturating_add(1 << self.shift))
    }

    fn load(&self, index: usize, bucket: Bucket, start: u64) -> Result<Run> {
        let Range { start: base, end } = self.range(index);
        let mut bytes = Vec::with_capacity(bucket.records as usize * self.layout.record + KEY);
        for &(offset, length) in &bucket.extents {
            let at = bytes.len();
            bytes.resize(at + length as usize, 0);
            self.read(offset, &mut bytes[at..])?;
        }
        for segment in bucket.segments {
            bytes.extend_from_slice(&segment);
            self.room.held.fetch_sub(segment.len() as u64, Ordering::Relaxed);
        }
        bytes.extend_from_slice(&[0; KEY]);
        let keys = self.layout.keys;
        let (first, end) = (keys.key(base), keys.key(end.max(base + 1) - 1) + 1);
        Ok(Run { first, end, start, base, layout: self.layout, bytes })
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let file = self.spill.file.as_ref().expect("extents are in a file");
        let failed = |error| BuildError::Scratch { file: self.scratch.folder.clone(), error };
        file.read_exact_at(into, offset).map_err(failed)
    }

    /// The records of one bucket in finer buckets.
    fn deal_again(&mut self, index: usize, limit: u64) -> Result<Sorted> {
        let bucket = std::mem::take(&mut self.buckets[index]);
        let (layout, places) = (self.layout, self.range(index));
        let base = places.start;
        let buckets = (2 * bucket.records * layout.record as u64 / limit.max(1)).max(2);
        let room = Room::of(limit);
        let (keys, payload) = (layout.keys, layout.payload());
        let finer = Sorter::within(&self.scratch, keys, places, payload, bucket.records, buckets, &room);
        let push = |records: &[u8]| {
            let (mut keys, mut payloads) = (Vec::new(), Vec::new());
            for record in records.chunks_exact(layout.record) {
                let mut place = [0; KEY];
                place[..layout.place].copy_from_slice(&record[..layout.place]);
                keys.push(layout.key(base, &place));
                payloads.extend_from_slice(&record[layout.place..]);
            }
            finer.push(&keys, &payloads)
        };
        for &(offset, length) in &bucket.extents {
            let mut at = 0;
            let step = (MOST_SEGMENT / layout.record).max(1) as u64 * layout.record as u64;
            while at < length {
                let mut records = vec![0; step.min(length - at) as usize];
                self.read(offset + at, &mut records)?;
                push(&records)?;
                at += records.len() as u64;
            }
        }
        for segment in bucket.segments {
            push(&segment)?;
            self.room.held.fetch_sub(segment.len() as u64, Ordering::Relaxed);
        }
        Ok(finer.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(keys: &[u64], all: Keys, expected: u64, limit: u64, memory: u64) -> (Vec<(u64, u32)>, bool) {
        let scratch = Scratch::temporary().unwrap();
        let sorter = Sorter::new(&scratch, all, 4, expected, &Room::of(limit));
        for (batch, keys) in keys.chunks(7).enumerate() {
            let payload: Vec<u8> =
                (0..keys.len() as u32).flat_map(|i| (batch as u32 * 7 + i).to_ne_bytes()).collect();
            sorter.push(keys, &payload).unwrap();
        }
        let sorted = sorter.finish();
        let spilled = sorted.spill.file.is_some();
        assert_eq!(sorted.buckets.iter().map(|bucket| bucket.records).sum::<u64>(), keys.len() as u64);
        let mut out = Vec::new();
        let process = |run: Run| {
            let mut all: Vec<(u64, u32)> = (0..run.len()).map(|i| (run.key(i), run.word(i, 0))).collect();
            assert!(all.iter().all(|(key, _)| (run.first..run.end).contains(key)));
            all.sort_unstable();
            Ok((run.start, all))
        };
        let mut consume = |(start, run): (u64, Vec<(u64, u32)>)| {
            assert_eq!(start, out.len() as u64);
            out.extend(run);
            Ok(())
        };
        sorted.drain(memory, &process, &mut consume).unwrap();
        (out, spilled)
    }

    proptest! {
        #[test]
        fn records_come_in_order_whatever_the_memory(
            keys in prop::collection::vec(0u64..5000, 0..400),
            expected in 0u64..10_000_000,
            limit in 0u64..8000,
            memory in 0u64..40_000,
        ) {
            let mut plain: Vec<(u64, u32)> = keys.iter().copied().zip(0..).collect();
            plain.sort_unstable();
            prop_assert_eq!(sorted(&keys, Keys::below(5000), expected, limit, memory).0, plain);
        }

        #[test]
        fn pairs_come_in_order_whatever_their_halves(
            pairs in prop::collection::vec((0u32.., 0u32..), 0..200),
            (high_bits, low_bits) in (0u32..=32, 0u32..=32),
            expected in 0u64..100_000_000,
            memory in 0u64..10_000,
        ) {
            let half = |number: u32, bits: u32| u64::from(number) & ((1 << bits) - 1);
            let key = |&(high, low): &(u32, u32)| half(high, high_bits) << 32 | half(low, low_bits);
            let keys: Vec<u64> = pairs.iter().map(key).collect();
            let mut plain: Vec<(u64, u32)> = keys.iter().copied().zip(0..).collect();
            plain.sort_unstable();
            let most = |bits: u32| (1usize << bits).min(u32::MAX as usize);
            let within = |key: &u64| key >> 32 < most(high_bits) as u64 && (*key as u32 as usize) < most(low_bits);
            prop_assume!(keys.iter().all(within));
            let all = Keys::pairs(most(high_bits), most(low_bits));
            prop_assert_eq!(sorted(&keys, all, expected, 1 << 20, memory).0, plain);
        }
    }

    #[test]
    fn what_exceeds_the_limit_goes_to_the_scratch_folder_and_leaves_nothing() {
        let keys: Vec<u64> = (0..10_000).map(|i| i * 7919 % 10_007).collect();
        let scratch = Scratch::temporary().unwrap();
        let (out, spilled) = sorted(&keys, Keys::below(10_007), 10_000, 1000, 1 << 20);
        assert!(spilled && out.is_sorted());
        assert_eq!(std::fs::read_dir(&scratch.folder).unwrap().count(), 0);
    }

    #[test]
    fn one_key_alone_may_exceed_memory() {
        let (out, _) = sorted(&[3; 500], Keys::below(10), 500, 100, 100);
        assert_eq!(out.len(), 500);
    }
}
