//! Text cut into blocks of whole records, one thread's work, so that other threads can parse them.
//!
//! A record ends at a line break outside quotes. A line without a quote is found by two searches for a byte; only lines
//! with one are walked field by field.

use std::io::{ErrorKind, Read};

use memchr::{memchr, memchr_iter, memchr2};

use crate::error::Problem;
use crate::format::Dialect;
use crate::records::{Fault, LONGEST_RECORD};

/// A block ends with the record that reaches this size, if not sooner.
pub const BLOCK_BYTES: usize = 4 << 20;

/// What parts fields, and what surrounds those that hold it.
#[derive(Clone, Copy)]
struct Quoting {
    separator: u8,
    quote: u8,
}

/// Cuts a stream of bytes.
pub struct Lines<R> {
    input: R,
    quoting: Option<Quoting>,
    held: Vec<u8>,
    start: usize,
    at_end: bool,
    line: u64,
}

/// Whole records; `line` is the line on which they begin, from 1.
pub struct Chunk {
    pub bytes: Vec<u8>,
    pub line: u64,
    /// Without blank lines, if those were to be skipped.
    pub records: u64,
}

/// Where the search for the end of a record stands.
#[derive(Clone, Copy)]
struct Scan {
    at: usize,
    /// The next quote at or after `at`, if it was looked for.
    quote: Option<usize>,
}

impl<R: Read> Lines<R> {
    /// Where the dialect has no quote, or without a dialect, every line is a record.
    pub fn new(input: R, dialect: Option<Dialect>) -> Self {
        let quoting = dialect
            .and_then(|Dialect { separator, quote, .. }| quote.map(|quote| Quoting { separator, quote }));
        Self { input, quoting, held: Vec::new(), start: 0, at_end: false, line: 1 }
    }

    /// The next records: at most `records` of them, and no more than fill a block. `None` at the end of the file.
    pub fn next(&mut self, records: usize, skip_blank: bool) -> Result<Option<Chunk>, Fault> {
        let (end, count) = self.find(records, skip_blank)?;
        if end == self.start {
            return Ok(None);
        }
        let bytes = self.held[self.start..end].to_vec();
        let chunk = Chunk { line: self.line, records: count, bytes };
        self.line += memchr_iter(b'\n', &chunk.bytes).count() as u64;
        self.start = end;
        Ok(Some(chunk))
    }

    /// The bytes of the next record, which [`Lines::next`] will give again.
    pub fn peek(&mut self) -> Result<&[u8], Fault> {
        let (end, _) = self.find(1, false)?;
        Ok(&self.held[self.start..end])
    }

    /// The end of the block that begins at `start`, and how many records it has.
    fn find(&mut self, records: usize, skip_blank: bool) -> Result<(usize, u64), Fault> {
        let mut scan = Scan { at: self.start, quote: None };
        let mut count = 0;
        while (count as usize) < records && scan.at - self.start < BLOCK_BYTES {
            match self.record_end(&mut scan) {
                Some(end) if end - scan.at > LONGEST_RECORD => return Err(self.too_long(scan.at)),
                Some(end) => {
                    let blank = matches!(&self.held[scan.at..end], b"\n" | b"\r\n" | b"\r");
                    count += u64::from(!(blank && skip_blank));
                    scan.at = end;
                }
                None if self.at_end => break,
                None => {
                    let done = scan.at - self.start;
                    self.refill(done)?;
                    scan = Scan { at: self.start + done, quote: None };
                }
            }
        }
        Ok((scan.at, count))
    }

    /// Just after the line break that ends the record at `scan.at`; `None` if it is not there yet, or nothing is left.
    fn record_end(&self, scan: &mut Scan) -> Option<usize> {
        let rest = &self.held[scan.at..];
        if rest.is_empty() {
            return None;
        }
        let line = memchr(b'\n', rest).map(|length| scan.at + length + 1);
        let Some(quoting) = self.quoting else { return line.or(self.rest_of_file()) };
        let quote = match scan.quote.filter(|&quote| quote >= scan.at) {
            Some(quote) => quote,
            None => memchr(quoting.quote, rest).map_or(self.held.len(), |length| scan.at + length),
        };
        scan.quote = Some(quote);
        match line {
            Some(end) if end <= quote => Some(end),
            None if quote == self.held.len() => self.rest_of_file(),
            _ => self.quoted_record_end(scan.at, quoting).or(self.rest_of_file()),
        }
    }

    fn rest_of_file(&self) -> Option<usize> {
        self.at_end.then_some(self.held.len())
    }

    /// Walks over fields. What is wrong with the quoting is left to the parser, which meets it before any later record.
    fn quoted_record_end(&self, mut at: usize, quoting: Quoting) -> Option<usize> {
        loop {
            if self.held.get(at) == Some(&quoting.quote) {
                at = self.after_closing_quote(at + 1, quoting.quote)?;
            }
            at += memchr2(quoting.separator, b'\n', &self.held[at..])?;
            if self.held[at] == b'\n' {
                return Some(at + 1);
            }
            at += 1;
        }
    }

    fn after_closing_quote(&self, mut at: usize, quote: u8) -> Option<usize> {
        loop {
            at += memchr(quote, &self.held[at..])? + 1;
            match self.held.get(at) {
                Some(&byte) if byte == quote => at += 1,
                _ => return Some(at),
            }
        }
    }

    /// Reads more behind the `done` bytes of whole records and the begun record.
    fn refill(&mut self, done: usize) -> Result<(), Fault> {
        if self.held.len() - self.start - done >= LONGEST_RECORD {
            return Err(self.too_long(self.start + done));
        }
        let first = self.line == 1 && self.held.is_empty();
        self.held.drain(..self.start);
        self.start = 0;
        let more = BLOCK_BYTES.max(self.held.len() - done);
        let got = self.read(more)?;
        self.at_end = got < more;
        if first && self.held.starts_with(b"\xEF\xBB\xBF") {
            self.start = 3;
        }
        Ok(())
    }

    fn too_long(&self, at: usize) -> Fault {
        let line = self.line + memchr_iter(b'\n', &self.held[self.start..at]).count() as u64;
        Fault { problem: Problem::RecordTooLong { bytes: LONGEST_RECORD }, line, field: None }
    }

    /// Appends `more` bytes, fewer only at the end of the file.
    fn read(&mut self, more: usize) -> Result<usize, Fault> {
        let before = self.held.len();
        self.held.resize(before + more, 0);
        let mut filled = before;
        while filled < self.held.len() {
            match self.input.read(&mut self.held[filled..]) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::of_reading(error, self.line)),
            }
        }
        self.held.truncate(filled);
        Ok(filled - before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, records: usize) -> Vec<(String, u64, u64)> {
        let mut lines = Lines::new(text.as_bytes(), Some(Dialect::CSV));
        let mut chunks = Vec::new();
        while let Some(chunk) = lines.next(records, true).unwrap() {
            chunks.push((String::from_utf8(chunk.bytes).unwrap(), chunk.line, chunk.records));
        }
        chunks
    }

    #[test]
    fn records_end_outside_quotes() {
        let text = "\u{feff}a,b\n\n\"x\n,\"\"\n\",2\r\n3,5\" nail\n\n4,\"last\"";
        let chunks = cut(text, 1);
        let expected = [
            ("a,b\n", 1, 1),
            ("\n\"x\n,\"\"\n\",2\r\n", 2, 1),
            ("3,5\" nail\n", 6, 1),
            ("\n4,\"last\"", 7, 1),
        ];
        let expected: Vec<_> = expected.iter().map(|&(text, line, n)| (text.to_string(), line, n)).collect();
        assert_eq!(chunks, expected);
        assert_eq!(cut(text, 100).len(), 1);
        assert_eq!(cut(text, 100)[0].2, 4);
    }

    /// Blocks end with whole records, also where a record is longer than a block.
    #[test]
    fn files_of_any_length_are_cut_between_records() {
        let long = "é".repeat(BLOCK_BYTES);
        let text =
            format!("a,b\n{}1,\"{long}\n\"\n{}", "1,2\n".repeat(BLOCK_BYTES / 4), "3,4\n".repeat(1000));
        let chunks = cut(&text, usize::MAX);
        assert!(chunks.len() > 2);
        assert!(chunks.iter().all(|(chunk, _, _)| chunk.ends_with('\n')));
        assert_eq!(chunks.iter().map(|(chunk, _, _)| chunk.as_str()).collect::<String>(), text);
        assert_eq!(chunks.iter().map(|(_, _, n)| n).sum::<u64>(), 2 + (BLOCK_BYTES / 4) as u64 + 1000);
    }

    #[test]
    fn an_endless_record_is_refused() {
        let text = format!("a\n\"{}", "x\n".repeat(LONGEST_RECORD / 2 + BLOCK_BYTES * 2));
        let mut lines = Lines::new(text.as_bytes(), Some(Dialect::CSV));
        lines.next(1, true).unwrap();
        let fault = lines.next(usize::MAX, true).err().unwrap();
        assert!(matches!(fault.problem, Problem::RecordTooLong { .. }) && fault.line == 2);
    }
}
