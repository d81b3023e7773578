//! Keyset pages: `?limit=` (1 to 100, 50 when absent) and an opaque `?cursor=`.
//!
//! Ids are UUIDv7, so the last id of a page is all that the next one needs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 100;

/// The id after which a page starts. Its text is opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub Uuid);

impl Cursor {
    /// Writes the cursor as clients carry it.
    pub fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }

    /// Reads a cursor that a client gave back.
    pub fn decode(text: &str) -> Result<Self, InvalidPage> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidPage::Cursor)?;
        Uuid::from_slice(&bytes).map(Self).map_err(|_| InvalidPage::Cursor)
    }
}

/// Says what is wrong with the query of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPage {
    /// `limit` is no whole number in its range.
    #[error("limit must be a whole number from 1 to {MAX_LIMIT}")]
    Limit,
    /// `cursor` was not made by this server.
    #[error("cursor is not one that this server gave")]
    Cursor,
}

/// A checked request for one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    limit: i64,
    after: Option<Cursor>,
}

impl PageRequest {
    /// Checks the query parameters of a list.
    pub fn new(limit: Option<i64>, cursor: Option<&str>) -> Result<Self, InvalidPage> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(InvalidPage::Limit);
        }
        Ok(Self { limit, after: cursor.map(Cursor::decode).transpose()? })
    }

    /// Returns the id that the page starts after.
    pub fn after(&self) -> Option<Uuid> {
        self.after.map(|cursor| cursor.0)
    }

    /// Returns how many items the page holds at the most.
    pub fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or_default()
    }

    /// Returns how many rows to ask the database for: one more than the page holds, which tells whether there is
    /// a next page.
    pub fn fetch_limit(&self) -> i64 {
        self.limit + 1
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Gives the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of rows fetched with [`PageRequest::fetch_limit`]; `id` names the key of an item.
    pub fn from_rows(mut rows: Vec<T>, request: &PageRequest, id: impl Fn(&T) -> Uuid) -> Self {
        let more = rows.len() > request.limit();
        rows.truncate(request.limit());
        let next_cursor = rows.last().filter(|_| more).map(|last| Cursor(id(last)).encode());
        Self { items: rows, next_cursor }
    }

    /// Turns each item into another shape.
    pub fn map<U>(self, shape: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(shape).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserId;

    #[test]
    fn a_full_page_leads_to_the_next_and_the_last_does_not() {
        let ids: Vec<Uuid> = (0..3).map(|_| UserId::generate().as_uuid()).collect();
        let request = PageRequest::new(Some(2), None).unwrap();

        let page = Page::from_rows(ids.clone(), &request, |id| *id);
        assert_eq!(page.items, ids[..2]);
        let next = PageRequest::new(Some(2), page.next_cursor.as_deref()).unwrap();
        assert_eq!(next.after(), Some(ids[1]));

        let last = Page::from_rows(ids[2..].to_vec(), &next, |id| *id);
        assert_eq!(last.next_cursor, None);
    }

    #[test]
    fn limits_and_cursors_outside_the_rules_are_refused() {
        for limit in [i64::MIN, -1, 0, 101, i64::MAX] {
            assert_eq!(PageRequest::new(Some(limit), None), Err(InvalidPage::Limit));
        }
        for cursor in ["", "x", "!!!!", "AAAA", &"A".repeat(10_000)] {
            assert_eq!(PageRequest::new(None, Some(cursor)), Err(InvalidPage::Cursor));
        }
    }
}
