//! A set of pages as one bit each.

/// Pages seen so far, of a file of known length.
#[derive(Debug, Default)]
pub(crate) struct PageSet {
    bits: Vec<u64>,
    end: u32,
}

impl PageSet {
    pub(super) fn new(end: u32) -> Self {
        Self { bits: vec![0; end.div_ceil(64) as usize], end }
    }

    pub(super) fn contains(&self, page: u32) -> bool {
        self.bits.get(page as usize / 64).is_some_and(|word| word >> (page % 64) & 1 == 1)
    }

    /// Adds neighbouring pages up to the first that is in the set already or lies outside the file, and returns that
    /// one. So all calls together take no longer than the file has pages, however often some are named.
    pub(super) fn add(&mut self, start: u32, pages: u32) -> Option<u32> {
        for page in start..start.saturating_add(pages) {
            if page >= self.end || self.contains(page) {
                return Some(page);
            }
            if let Some(word) = self.bits.get_mut(page as usize / 64) {
                *word |= 1 << (page % 64);
            }
        }
        None
    }
}
