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

    /// Adds neighbouring pages; the first that was there already, or lies outside the file.
    pub(super) fn add(&mut self, start: u32, pages: u32) -> Option<u32> {
        let mut trouble = None;
        for page in start..start.saturating_add(pages) {
            if page >= self.end {
                return trouble.or(Some(page));
            }
            if self.contains(page) {
                trouble = trouble.or(Some(page));
            } else if let Some(word) = self.bits.get_mut(page as usize / 64) {
                *word |= 1 << (page % 64);
            }
        }
        trouble
    }
}
