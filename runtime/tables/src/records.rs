//! RFC 4180 records from bytes: fields, quotes, line breaks inside quotes, and where each record begins.
//!
//! A quote may stand only at both ends of a field. In tab-separated text, which has no quoting of its own, a quote in the
//! middle of a field is an ordinary character; where the dialect has no quote, everywhere.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};

use memchr::{memchr, memchr_iter, memchr2, memchr3};

use crate::error::Problem;
use crate::format::Dialect;
use crate::parse::shorten;

const CHUNK: usize = 1 << 20;
pub const LONGEST_RECORD: usize = 64 << 20;

pub struct Records<R> {
    input: R,
    dialect: Dialect,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    line: u64,
    fields: Vec<Field>,
    last: (usize, usize, u64),
}

#[derive(Clone, Copy)]
struct Field {
    start: usize,
    end: usize,
    quoted: bool,
    escaped: bool,
}

/// One record: checked UTF-8, with its fields.
pub struct Record<'a> {
    text: &'a str,
    fields: &'a [Field],
    quote: char,
    pub line: u64,
}

/// What went wrong, on which line and in which field.
#[derive(Debug)]
pub struct Fault {
    pub problem: Problem,
    pub line: u64,
    pub field: Option<usize>,
}

enum Attempt {
    Done { next: usize },
    More,
    Bad { problem: Problem, at: usize },
}

impl Record<'_> {
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// The field's text without its quotes, and whether it had them.
    pub fn field(&self, index: usize) -> (Cow<'_, str>, bool) {
        let field = self.fields[index];
        let text = &self.text[field.start..field.end];
        match field.escaped {
            true => (Cow::Owned(text.replace(&format!("{0}{0}", self.quote), &self.quote.to_string())), true),
            false => (Cow::Borrowed(text), field.quoted),
        }
    }

    pub fn is_blank(&self) -> bool {
        matches!(self.fields, [field] if field.start == field.end && !field.quoted)
    }
}

impl<R: Read> Records<R> {
    pub fn new(input: R, dialect: Dialect) -> Self {
        let buffer = vec![0; CHUNK];
        Self {
            input,
            dialect,
            buffer,
            start: 0,
            end: 0,
            at_end: false,
            line: 1,
            fields: Vec::new(),
            last: (0, 0, 1),
        }
    }

    /// The next record, or `None` at the end of the input.
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Fault> {
        let next = loop {
            if self.start == self.end && self.at_end {
                return Ok(None);
            }
            match self.attempt() {
                Attempt::Done { next } => break next,
                Attempt::More => self.refill()?,
                Attempt::Bad { problem, at } => return Err(self.fault(problem, at)),
            }
        };
        let (start, line) = (self.start, self.line);
        self.start = next;
        let bytes = &self.buffer[start..next];
        let quoted = self.fields.iter().any(|field| field.quoted);
        self.line += if quoted { memchr_iter(b'\n', bytes).count() as u64 } else { 1 };
        self.last = (start, next, line);
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(Record { text, fields: &self.fields, quote: self.quote(), line })),
            Err(error) => Err(self.not_utf8(bytes, error.valid_up_to(), line)),
        }
    }

    /// The record that [`Records::next`] gave last, or an empty one if it failed.
    pub fn current(&self) -> Record<'_> {
        let (start, end, line) = self.last;
        let text = std::str::from_utf8(&self.buffer[start..end]).unwrap_or_default();
        Record { text, fields: &self.fields, quote: self.quote(), line }
    }

    fn quote(&self) -> char {
        self.dialect.quote.map_or('"', char::from)
    }

    fn not_utf8(&self, bytes: &[u8], at: usize, line: u64) -> Fault {
        let field = self.fields.iter().position(|field| field.start <= at && at < field.end);
        let around = field.map_or(bytes, |index| &bytes[self.fields[index].start..self.fields[index].end]);
        let found = shorten(&String::from_utf8_lossy(around));
        let line = line + memchr_iter(b'\n', &bytes[..at]).count() as u64;
        Fault { problem: Problem::NotUtf8 { found }, line, field }
    }

    fn fault(&self, problem: Problem, at: usize) -> Fault {
        let line = self.line + memchr_iter(b'\n', &self.buffer[self.start..at]).count() as u64;
        Fault { problem, line, field: Some(self.fields.len()) }
    }

    /// Splits the record at `start`; field positions are relative to it.
    fn attempt(&mut self) -> Attempt {
        self.fields.clear();
        let mut at = self.start;
        loop {
            if at == self.end && !self.at_end {
                return Attempt::More;
            }
            let step = match (self.buffer[at..self.end].first(), self.dialect.quote) {
                (Some(&byte), Some(quote)) if byte == quote => self.quoted_field(at, quote),
                _ => self.plain_field(at),
            };
            match step {
                Ok((field, after)) => {
                    let (start, end) = (field.start - self.start, field.end - self.start);
                    self.fields.push(Field { start, end, ..field });
                    match self.buffer[..self.end].get(after) {
                        Some(&byte) if byte == self.dialect.separator => at = after + 1,
                        Some(b'\r') => return Attempt::Done { next: (after + 2).min(self.end) },
                        Some(_) => return Attempt::Done { next: after + 1 },
                        None => return Attempt::Done { next: after },
                    }
                }
                Err(stop) => return stop,
            }
        }
    }

    /// A field without quotes: ends before the separator, the line break or the end of the file.
    fn plain_field(&self, at: usize) -> Result<(Field, usize), Attempt> {
        let rest = &self.buffer[at..self.end];
        let Dialect { separator, quote, .. } = self.dialect;
        let quote = quote.filter(|_| separator != b'\t');
        let stop = match quote {
            None => memchr2(separator, b'\n', rest),
            Some(quote) => memchr3(separator, b'\n', quote, rest),
        };
        let Some(length) = stop.or_else(|| self.at_end.then_some(rest.len())) else {
            return Err(Attempt::More);
        };
        let mut end = at + length;
        match rest.get(length) {
            Some(byte) if Some(*byte) == quote => {
                let found = shorten(&String::from_utf8_lossy(&rest[..(length + 20).min(rest.len())]));
                return Err(Attempt::Bad { problem: Problem::QuoteInField { found }, at: end });
            }
            Some(b'\n') | None if length > 0 && rest[length - 1] == b'\r' => end -= 1,
            _ => {}
        }
        let after = if rest.get(length) == Some(&b'\n') { end } else { at + length };
        Ok((Field { start: at, end, quoted: false, escaped: false }, after))
    }

    fn quoted_field(&self, at: usize, quote: u8) -> Result<(Field, usize), Attempt> {
        let mut escaped = false;
        let mut from = at + 1;
        let close = loop {
            match memchr(quote, &self.buffer[from..self.end]) {
                None if self.at_end => return Err(Attempt::Bad { problem: Problem::UnclosedQuote, at }),
                None => return Err(Attempt::More),
                Some(length) if self.buffer[..self.end].get(from + length + 1) == Some(&quote) => {
                    escaped = true;
                    from += length + 2;
                }
                Some(length) => break from + length,
            }
        };
        let after = close + 1;
        let field = Field { start: at + 1, end: close, quoted: true, escaped };
        let rest = &self.buffer[after..self.end];
        match rest {
            [] | [b'\r'] if !self.at_end => Err(Attempt::More),
            [] | [b'\n', ..] | [b'\r', b'\n', ..] => Ok((field, after)),
            [b'\r'] => Ok((field, after)),
            [byte, ..] if *byte == self.dialect.separator => Ok((field, after)),
            _ => {
                let found = shorten(&String::from_utf8_lossy(&rest[..rest.len().min(20)]));
                Err(Attempt::Bad { problem: Problem::TextAfterQuote { found }, at: after })
            }
        }
    }

    fn refill(&mut self) -> Result<(), Fault> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end >= LONGEST_RECORD {
            let problem = Problem::RecordTooLong { bytes: LONGEST_RECORD };
            return Err(Fault { problem, line: self.line, field: Some(self.fields.len()) });
        }
        if self.end * 2 > self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let got = loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => break other.map_err(|error| Fault::of_reading(error, self.line))?,
            }
        };
        self.at_end = got == 0;
        self.skip_byte_order_mark(got);
        self.end += got;
        Ok(())
    }

    fn skip_byte_order_mark(&mut self, got: usize) {
        let first = self.line == 1 && self.end == 0 && got >= 3;
        if first && self.buffer.starts_with(b"\xEF\xBB\xBF") {
            self.start = 3;
        }
    }
}

impl Records<std::io::Empty> {
    /// The records of a block of text that begins on line `line`.
    pub fn of_block(bytes: Vec<u8>, dialect: Dialect, line: u64) -> Self {
        let end = bytes.len();
        Self {
            input: std::io::empty(),
            dialect,
            buffer: bytes,
            start: 0,
            end,
            at_end: true,
            line,
            fields: Vec::new(),
            last: (0, 0, line),
        }
    }
}

impl Fault {
    /// What could not be read: a damaged file, or one that is out of reach.
    pub fn of_reading(error: std::io::Error, line: u64) -> Self {
        let problem = match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
                Problem::Corrupt { reason: error.to_string() }
            }
            // Decoders of compressed text have errors of their own, which the system knows nothing of.
            _ if error.raw_os_error().is_none() => Problem::Corrupt { reason: error.to_string() },
            _ => Problem::Io(error),
        };
        Fault { problem, line, field: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, dialect: Dialect) -> Result<Vec<Vec<String>>, Fault> {
        let mut records = Records::new(text.as_bytes(), dialect);
        let mut rows = Vec::new();
        while let Some(record) = records.next()? {
            rows.push((0..record.len()).map(|i| record.field(i).0.into_owned()).collect());
        }
        Ok(rows)
    }

    #[test]
    fn quotes_breaks_and_line_ends() {
        let text = "\u{feff}a,b\r\n\"x,\"\"y\"\"\",\"two\nlines\"\n1,\n\"\",2";
        let expected = [["a", "b"], ["x,\"y\"", "two\nlines"], ["1", ""], ["", "2"]];
        assert_eq!(rows(text, Dialect::CSV).unwrap(), expected);
        assert_eq!(rows("a\tb\n1\"\t\"2\"\r\n", Dialect::TSV).unwrap(), [["a", "b"], ["1\"", "2"]]);
        assert_eq!(rows("a,b\n\"1\",\"2\"\r", Dialect::CSV).unwrap(), [["a", "b"], ["1", "2"]]);
    }

    #[test]
    fn dialects() {
        let semicolons = Dialect { separator: b';', quote: Some(b'\''), header: true };
        assert_eq!(rows("a;b\n'1;''x''';\"2,\n", semicolons).unwrap(), [["a", "b"], ["1;'x'", "\"2,"]]);
        let unquoted = Dialect { quote: None, ..Dialect::CSV };
        assert_eq!(rows("a,b\n\"1,5\" nail\n", unquoted).unwrap(), [["a", "b"], ["\"1", "5\" nail"]]);
    }

    #[test]
    fn a_record_longer_than_the_buffer_is_whole() {
        let long = "é".repeat(CHUNK);
        let text = format!("a,b\n1,\"{long}\"\n2,{long}\n");
        let rows = rows(&text, Dialect::CSV).unwrap();
        assert_eq!((rows.len(), rows[1][1] == long, rows[2][1] == long), (3, true, true));
    }

    #[test]
    fn bad_quoting_names_its_line() {
        let fault = rows("a,b\n1,2\n3,\"4\n5,6\n", Dialect::CSV).unwrap_err();
        assert!(matches!(fault.problem, Problem::UnclosedQuote) && fault.line == 3 && fault.field == Some(1));
        let fault = rows("a,b\n\"1\n\"x,2\n", Dialect::CSV).unwrap_err();
        assert!(matches!(fault.problem, Problem::TextAfterQuote { .. }) && fault.line == 3);
        let fault = rows("a,b\n1,5\" pipe\n", Dialect::CSV).unwrap_err();
        assert!(matches!(fault.problem, Problem::QuoteInField { .. }) && fault.line == 2);
    }
}
