//! What a session leaves for the next ones to tell: its conflicts, in the memo of the meta block.
//!
//! | part | holds |
//! | --- | --- |
//! | version | 2 (one byte); of any other nothing is read |
//! | place | `until`, commits, updates made, absorbed, remade |
//! | report | kinds (6), absorbed, escaped; wasted microseconds, rows, bytes |
//! | attempts | how many buckets (8), then the transactions of each |
//! | hot rows, tables, names | how many, then each; as many as have room |
//!
//! A number is seven bits to a byte, the lowest first, the eighth bit set in all but the last; none is 2^56 or more, so
//! that no sum of them overflows. A text or key is its length and its bytes. Whatever is not so is no report: nothing
//! depends on it, so it is passed over and not an error.

use std::time::Duration;

use braid_mvstore::Timestamp;
use braid_vfs::planted;

use super::recorder::{BUCKETS, empty_bucket};
use super::report::{ConflictReport, HotKey, NamedConflicts, TableConflicts, WastedWork};
use super::sketch::KEY_BYTES;
use crate::base::MEMO_BYTES;
use crate::statistics::{ConflictStats, UpdateStats};

const VERSION: u8 = 2;
/// Numbers are below this.
const MOST: u64 = 1 << 56;
/// The bytes that hot rows may take; and tables, and names.
const HOT_KEY_BYTES: usize = 1900;
const LIST_BYTES: usize = 850;
/// What is before the lists, at most.
const HEAD_BYTES: usize = 1 + 25 * 8;
const _: () = assert!(HEAD_BYTES + HOT_KEY_BYTES + 2 * LIST_BYTES + 3 * 8 <= MEMO_BYTES);
/// The longest name of a table, or of a transaction, in a report.
const NAME_BYTES: usize = 128;

/// The conflicts of an earlier session: of the last one, before the present one, that had any.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PastConflicts {
    /// Its last checkpoint that had something to fold, which wrote this down: what came after is not in it. A session
    /// that was [closed](crate::Database::close) has folded its last commit; conflicts after which nothing was committed
    /// may be missing all the same.
    pub until: Timestamp,
    /// The commits of the session by then.
    pub commits: u64,
    /// Its updates.
    pub updates: UpdateStats,
    /// Its report, with the first lines of each list.
    pub report: ConflictReport,
}

impl PastConflicts {
    /// At most [`MEMO_BYTES`].
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { until, commits, updates, report } = self;
        let mut out = vec![VERSION];
        for one in [until.get(), *commits, updates.made, updates.absorbed, updates.remade] {
            number(&mut out, one);
        }
        kinds(&mut out, report.kinds);
        number(&mut out, report.absorbed);
        number(&mut out, report.escaped);
        wasted(&mut out, report.wasted);
        number(&mut out, report.attempts.len().min(BUCKETS) as u64);
        report.attempts.iter().take(BUCKETS).for_each(|bucket| number(&mut out, bucket.transactions));
        list(&mut out, HOT_KEY_BYTES, &report.hot_keys, |out, hot| {
            text(out, hot.table.as_bytes());
            text(out, &hot.key);
            number(out, hot.key_len as u64);
            number(out, hot.count);
            number(out, hot.error);
        });
        list(&mut out, LIST_BYTES, &report.tables, |out, table| {
            text(out, table.table.as_bytes());
            kinds(out, table.kinds);
        });
        list(&mut out, LIST_BYTES, &report.names, |out, named| {
            number(out, u64::from(named.name.is_some()));
            text(out, named.name.as_deref().unwrap_or_default().as_bytes());
            number(out, named.conflicts);
            wasted(out, named.wasted);
        });
        out
    }

    /// What a memo tells; `None` where there is none, or none that this code knows.
    pub(crate) fn decode(memo: &[u8]) -> Option<Self> {
        let mut memo = Reader(memo.strip_prefix(&[VERSION])?);
        let mut past = Self {
            until: Timestamp::new(memo.number()?)?,
            commits: memo.number()?,
            updates: UpdateStats { made: memo.number()?, absorbed: memo.number()?, remade: memo.number()? },
            report: ConflictReport::default(),
        };
        let report = &mut past.report;
        report.kinds = memo.kinds()?;
        report.absorbed = memo.number()?;
        report.escaped = memo.number()?;
        report.wasted = memo.wasted()?;
        let buckets = memo.length(BUCKETS)?;
        for power in 0..buckets {
            let transactions = memo.number()?;
            report.attempts.push(super::AttemptsBucket { transactions, ..empty_bucket(power) });
        }
        for _ in 0..memo.length(HOT_KEY_BYTES)? {
            let (table, key) = (memo.name()?, memo.text(KEY_BYTES)?.to_vec());
            let (key_len, count, error) = (memo.number()?, memo.number()?, memo.number()?);
            let key_len = usize::try_from(key_len).ok().filter(|len| *len >= key.len() && error <= count)?;
            report.hot_keys.push(HotKey { table, key, key_len, count, error });
        }
        for _ in 0..memo.length(LIST_BYTES)? {
            report.tables.push(TableConflicts { table: memo.name()?, kinds: memo.kinds()? });
        }
        for _ in 0..memo.length(LIST_BYTES)? {
            let (has_name, name) = (memo.number()?, memo.name()?);
            let name = (has_name == 1).then_some(name);
            report.names.push(NamedConflicts { name, conflicts: memo.number()?, wasted: memo.wasted()? });
        }
        memo.0.is_empty().then_some(past)
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    let mut left = number.min(MOST - 1);
    loop {
        let [byte, ..] = left.to_le_bytes();
        left >>= 7;
        if left == 0 {
            return out.push(byte & 0x7f);
        }
        out.push(byte | 0x80);
    }
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    number(out, text.len() as u64);
    out.extend_from_slice(text);
}

fn kinds(out: &mut Vec<u8>, kinds: ConflictStats) {
    let ConflictStats { write_write, read_write, range, schema, timeout, snapshot } = kinds;
    [write_write, read_write, range, schema, timeout, snapshot].into_iter().for_each(|one| number(out, one));
}

fn wasted(out: &mut Vec<u8>, wasted: WastedWork) {
    number(out, u64::try_from(wasted.time.as_micros()).unwrap_or(u64::MAX));
    number(out, wasted.rows);
    number(out, wasted.bytes);
}

/// As many of the lines, from the first, as so many bytes have room for.
fn list<T>(out: &mut Vec<u8>, most: usize, lines: &[T], mut line: impl FnMut(&mut Vec<u8>, &T)) {
    let (mut bytes, mut written) = (Vec::new(), 0);
    for one in lines {
        let before = bytes.len();
        line(&mut bytes, one);
        if bytes.len() > most && !planted!(MemoTooLong) {
            bytes.truncate(before);
            break;
        }
        written += 1;
    }
    number(out, written);
    out.extend_from_slice(&bytes);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        // Eight times seven bits.
        for place in 0..8 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A number that is no more than `most`: nothing is made room for that is not there.
    fn length(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|length| *length <= most)
    }

    fn text(&mut self, most: usize) -> Option<&'a [u8]> {
        let length = self.length(most)?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn name(&mut self) -> Option<String> {
        Some(std::str::from_utf8(self.text(NAME_BYTES)?).ok()?.to_owned())
    }

    fn kinds(&mut self) -> Option<ConflictStats> {
        Some(ConflictStats {
            write_write: self.number()?,
            read_write: self.number()?,
            range: self.number()?,
            schema: self.number()?,
            timeout: self.number()?,
            snapshot: self.number()?,
        })
    }

    fn wasted(&mut self) -> Option<WastedWork> {
        let time = Duration::from_micros(self.number()?);
        Some(WastedWork { time, rows: self.number()?, bytes: self.number()? })
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;
    use crate::core::timestamp;

    fn report(lines: usize, name: &str) -> PastConflicts {
        let mut past = PastConflicts {
            until: timestamp(77),
            commits: 1000,
            updates: UpdateStats { made: 9, absorbed: 3, remade: 1 },
            report: ConflictReport::default(),
        };
        let kinds = ConflictStats { write_write: 300, range: 2, ..ConflictStats::default() };
        let wasted = WastedWork::new(Duration::from_micros(1234), 5, MOST - 1);
        past.report.kinds = kinds;
        past.report.wasted = wasted;
        past.report.absorbed = 299;
        past.report.escaped = 3;
        past.report.attempts = (0..BUCKETS).map(empty_bucket).collect();
        for line in 0..lines {
            let (table, key) = (format!("{line}{name}"), vec![0xff; name.len()]);
            let (count, error) = (1 << line, line as u64);
            past.report.hot_keys.push(HotKey { table: table.clone(), key, key_len: 200, count, error });
            past.report.tables.push(TableConflicts { table, kinds });
            let name = (line > 0).then(|| name.to_owned());
            past.report.names.push(NamedConflicts { name, conflicts: 1, wasted });
        }
        past
    }

    #[test]
    fn what_is_written_is_read_again() {
        for past in [report(0, ""), report(1, "ö"), report(7, "orders")] {
            assert_eq!(PastConflicts::decode(&past.encode()), Some(past));
        }
    }

    #[test]
    fn it_has_room_for_the_first_lines_however_long_they_are() {
        let longest = report(30, &"n".repeat(126));
        let memo = longest.encode();
        assert!(memo.len() <= MEMO_BYTES, "{}", memo.len());
        let Some(PastConflicts { report: read, .. }) = PastConflicts::decode(&memo) else {
            panic!("it is not read again")
        };
        let lines = [read.hot_keys.len(), read.tables.len(), read.names.len()];
        assert_eq!(lines, [7, 6, 6]);
        assert_eq!(read.hot_keys, longest.report.hot_keys[..7]);
    }

    /// Every byte of a report made another, and every prefix of it: a report of bounded size, or none.
    #[test]
    fn whatever_else_is_there_is_bounded_or_no_report() {
        assert_eq!(PastConflicts::decode(&[]), None);
        let memo = report(7, "orders").encode();
        for end in 0..memo.len() {
            assert_eq!(PastConflicts::decode(&memo[..end]), None);
        }
        let (mut read, mut refused) = (0, 0);
        for at in 0..memo.len() {
            for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
                let mut other = memo.clone();
                other[at] ^= flip;
                let Some(past) = PastConflicts::decode(&other) else {
                    refused += 1;
                    continue;
                };
                read += 1;
                let _no_overflow = past.report.kinds.total();
                assert!(past.report.hot_keys.iter().all(|hot| hot.error <= hot.count));
                let again = PastConflicts::decode(&past.encode()).map(|again| again.report.kinds);
                assert_eq!(again, Some(past.report.kinds));
            }
        }
        assert!(read > 100 && refused > 100, "{read} {refused}");
    }
}
