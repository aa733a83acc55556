//! Rows whose key is kept as its integer id alone, for engines that have tables with integer keys.

use crate::engine::Result;
use crate::rows::{id_of, key};

/// The id of a key.
pub(super) fn id(key: &[u8]) -> Result<i64> {
    let id = id_of(key).ok_or("a key that has no id")?;
    Ok(i64::try_from(id)?)
}

/// The least id whose key is not before `from`.
pub(super) fn first_id(from: &[u8]) -> Result<i64> {
    // Without an id of its own it is the beginning of one.
    let Some(id) = id_of(from) else {
        let mut start = [0; 8];
        start[..from.len()].copy_from_slice(from);
        return Ok(i64::from_be_bytes(start));
    };
    Ok(i64::try_from(if key(id).as_slice() < from { id + 1 } else { id })?)
}

/// The key of an id that was kept.
pub(super) fn key_of(id: i64) -> Result<[u8; crate::rows::KEY_BYTES]> {
    Ok(key(u64::try_from(id)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_starts_at_the_first_key_that_is_not_before() -> std::result::Result<(), crate::engine::Failure>
    {
        assert_eq!(first_id(&[])?, 0);
        assert_eq!(first_id(&[0, 1])?, 1 << 48);
        assert_eq!(first_id(&key(7))?, 7);
        assert_eq!(first_id(&key(7)[..8])?, 7);
        let mut after = key(7).to_vec();
        after.push(0);
        assert_eq!(first_id(&after)?, 8);
        assert_eq!(key_of(id(&key(7))?)?, key(7));
        assert!(id(b"short").is_err());
        Ok(())
    }
}
