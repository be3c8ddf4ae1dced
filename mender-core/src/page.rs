//! Pages of lists.

/// The largest page that any list gives.
pub const MAX_PAGE: u32 = 500;

/// Which part of a list is asked for. Pages count from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageRequest {
    /// The number of the page, from 1.
    pub number: u32,
    /// How many items a page has, 1 to [`MAX_PAGE`].
    pub size: u32,
}

impl PageRequest {
    /// The page with this number; both values are brought into their range.
    #[must_use]
    pub fn new(number: u32, size: u32) -> Self {
        Self { number: number.max(1), size: size.clamp(1, MAX_PAGE) }
    }

    /// Returns how many items come before the page.
    #[must_use]
    pub fn skip(self) -> u64 {
        u64::from(self.number - 1) * u64::from(self.size)
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { number: 1, size: 20 }
    }
}

/// One page of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Whether there are more after this page.
    pub more: bool,
}

impl<T> Page<T> {
    /// Makes a page of rows that were read one beyond its size.
    #[must_use]
    pub fn of(mut rows: Vec<T>, request: PageRequest) -> Self {
        let more = rows.len() > request.size as usize;
        rows.truncate(request.size as usize);
        Self { items: rows, more }
    }
}
