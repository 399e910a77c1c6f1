//! Byte offsets to lines and columns, for people (characters) and for editors (UTF-16 units).

/// Where each line of a text starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineIndex {
    starts: Vec<u32>,
}

impl LineIndex {
    pub fn new(source: &str) -> Self {
        let after_breaks = source.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1);
        Self { starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    /// Number of lines, the empty one after a last line break included.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        false
    }

    /// The line of a byte, from zero.
    pub fn line(&self, offset: u32) -> usize {
        self.starts.partition_point(|start| *start <= offset) - 1
    }

    /// The first byte of a line counted from zero; that of the last line if there are not so many.
    pub fn start(&self, line: usize) -> u32 {
        self.starts[line.min(self.starts.len() - 1)]
    }

    /// The text of a line counted from zero, without its line break.
    pub fn text<'a>(&self, source: &'a str, line: usize) -> &'a str {
        let end = self.starts.get(line + 1).map_or(source.len(), |next| *next as usize);
        let text = source.get(self.start(line) as usize..end).unwrap_or("");
        text.strip_suffix('\n').unwrap_or(text)
    }

    /// Line and column from one, the column in characters.
    pub fn line_column(&self, source: &str, offset: u32) -> (usize, usize) {
        let line = self.line(offset);
        (line + 1, before(source, self.start(line), offset).chars().count() + 1)
    }

    /// Line and column from zero, the column in UTF-16 units, as editors count.
    pub fn line_utf16(&self, source: &str, offset: u32) -> (usize, usize) {
        let line = self.line(offset);
        (line, before(source, self.start(line), offset).encode_utf16().count())
    }

    /// The byte of a line and UTF-16 column, both from zero; past the end of a line, its end.
    pub fn offset_utf16(&self, source: &str, line: usize, column: usize) -> u32 {
        let start = self.start(line);
        let text = source.get(start as usize..).unwrap_or("").lines().next().unwrap_or("");
        let mut units = 0;
        for (at, c) in text.char_indices() {
            if units >= column {
                return start + at as u32;
            }
            units += c.len_utf16();
        }
        start + text.len() as u32
    }
}

fn before(source: &str, start: u32, offset: u32) -> &str {
    let mut end = (offset as usize).min(source.len());
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    source.get(start as usize..end).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns() {
        let source = "a\nžé𝄞x\n\nend";
        let index = LineIndex::new(source);
        assert_eq!(index.len(), 4);
        let x = source.find('x').unwrap() as u32;
        assert_eq!(index.line_column(source, x), (2, 4));
        assert_eq!(index.line_utf16(source, x), (1, 4));
        assert_eq!(index.offset_utf16(source, 1, 4), x);
        assert_eq!(index.offset_utf16(source, 1, 99), x + 1);
        assert_eq!(index.line_column(source, 999), (4, 4));
        assert_eq!(index.offset_utf16(source, 9, 0), source.find("end").unwrap() as u32);
    }
}
