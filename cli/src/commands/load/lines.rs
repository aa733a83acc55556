//! Numbered lines of bounded length.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use super::record::MAX_RECORD_BYTES;

/// The mark that some programs begin a UTF-8 file with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One line without its end, `\n` or `\r\n`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The first is 1.
    pub(super) number: u64,
    /// At most [`MAX_RECORD_BYTES`], or what [`Lines::allow`] says.
    pub(super) bytes: Vec<u8>,
    /// Whether more followed, which was dropped.
    pub(super) cut: bool,
}

/// The lines of an input; those that were read too far can be put back.
#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    number: u64,
    limit: usize,
    put_back: VecDeque<Line>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, number: 0, limit: MAX_RECORD_BYTES, put_back: VecDeque::new() }
    }

    /// Has lines of up to `bytes` be read from now on.
    pub(super) fn allow(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// The next line, which [`next`](Self::next) gives once more.
    pub(super) fn peek(&mut self) -> io::Result<Option<&Line>> {
        if let Some(line) = self.next()? {
            self.put_back.push_front(line);
        }
        Ok(self.put_back.front())
    }

    /// The next line, or `None` at the end. A last line needs no end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.put_back.pop_front() {
            return Ok(Some(line));
        }
        let mut line = Line { number: self.number + 1, bytes: Vec::new(), cut: false };
        let mut any = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            any |= !available.is_empty();
            let end = available.iter().position(|&byte| byte == b'\n');
            let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            let room = self.limit.saturating_sub(line.bytes.len());
            line.bytes.extend_from_slice(part.get(..room).unwrap_or(part));
            line.cut |= part.len() > room;
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() || used == 0 {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        if line.bytes.last() == Some(&b'\r') {
            line.bytes.pop();
        }
        self.number = line.number;
        if line.number == 1 && line.bytes.starts_with(BYTE_ORDER_MARK) {
            line.bytes.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some(line))
    }

    /// Gives lines back, in their order, before those that come next.
    pub(super) fn put_back(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.put_back.push_front(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> Vec<(u64, Vec<u8>)> {
        // A buffer of 3 bytes: every line spans several reads.
        let mut lines = Lines::new(io::BufReader::with_capacity(3, input));
        std::iter::from_fn(|| lines.next().unwrap()).map(|line| (line.number, line.bytes)).collect()
    }

    #[test]
    fn lines_are_numbered_and_their_ends_removed() {
        assert_eq!(all(b""), vec![]);
        assert_eq!(all(b"\n"), vec![(1, b"".to_vec())]);
        assert_eq!(
            all(b"\xef\xbb\xbfone\r\ntwo\n\nlast"),
            vec![(1, b"one".to_vec()), (2, b"two".to_vec()), (3, b"".to_vec()), (4, b"last".to_vec())]
        );
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let mut input = vec![b'x'; MAX_RECORD_BYTES + 5];
        input.extend(b"\nnext");
        let mut lines = Lines::new(&input[..]);
        let long = lines.next().unwrap().unwrap();
        assert!(long.cut && long.bytes.len() == MAX_RECORD_BYTES);
        let next = lines.next().unwrap().unwrap();
        assert_eq!((next.number, next.bytes, next.cut), (2, b"next".to_vec(), false));
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn lines_put_back_come_first() {
        let mut lines = Lines::new(&b"1\n2\n3"[..]);
        let first = lines.next().unwrap().unwrap();
        let second = lines.next().unwrap().unwrap();
        lines.put_back(vec![first.clone(), second.clone()]);
        assert_eq!(lines.next().unwrap(), Some(first));
        assert_eq!(lines.next().unwrap(), Some(second));
        assert_eq!(lines.next().unwrap().unwrap().number, 3);
    }
}
