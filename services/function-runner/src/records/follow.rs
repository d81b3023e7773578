//! Lines as they are printed: what is stored, what waits for PostgreSQL, and what is still to come, as one.
//!
//! Ids of lines sort in the order in which the lines are recorded, whatever run printed them, and lines reach PostgreSQL in that
//! order. So a follower is no more than the id of the last line that it saw: it collects nothing while its reader is slow,
//! and another one goes on where it stopped.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slipway_db::DbError;
use slipway_kernel::{FunctionId, LogLineId, UserId};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::Records;
use crate::domain::{LogFilter, LogLine};
use crate::store;

/// How many lines are read at a time.
const PAGE: usize = 200;
const FOLLOWERS_PER_OWNER: usize = 10;
const FOLLOWERS_IN_ALL: usize = 200;
/// After that a reader has to connect again, and to show again who it is.
const FOLLOWED_FOR: Duration = Duration::from_hours(1);

/// Says that enough is followed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many logs are followed; {FOLLOWERS_PER_OWNER} is the most")]
pub struct TooManyFollowers;

/// Says why there are no more lines.
#[derive(Debug, thiserror::Error)]
pub enum FollowEnd {
    /// The function was deleted.
    #[error("the function was deleted")]
    Deleted,
    /// The reader has to connect again.
    #[error("it was followed for long enough")]
    TooLong,
    /// Older lines cannot be read.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// How many followers each owner has.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<HashMap<UserId, usize>>);

/// Counts as a follower for as long as it lives.
#[derive(Debug)]
pub struct FollowerPlace {
    followers: Arc<Followers>,
    owner: UserId,
}

/// Reads an owner's function's lines in the order in which they were recorded, without end.
pub struct Follower {
    records: Arc<Records>,
    owner: UserId,
    filter: LogFilter,
    changes: watch::Receiver<()>,
    /// Every line up to this one was read.
    reached: Uuid,
    /// True when there was no later one.
    is_up_to_date: bool,
    read: VecDeque<LogLine>,
    until: Instant,
    _place: FollowerPlace,
}

impl Records {
    /// Follows an owner's function: from after the line `after`, else from the filter's beginning, else from now on.
    pub fn follow(
        self: &Arc<Self>,
        owner: UserId,
        filter: LogFilter,
        after: Option<LogLineId>,
    ) -> Result<Follower, TooManyFollowers> {
        let place = self.admit_follower(owner)?;
        let changes = self.pending.watch(filter.function_id);
        let reached = match (after, filter.since) {
            (Some(after), _) => after.as_uuid(),
            (None, Some(_)) => filter.first_id(),
            (None, None) => self.pending.newest_line(),
        };
        Ok(Follower {
            records: Arc::clone(self),
            owner,
            filter,
            changes,
            reached,
            is_up_to_date: false,
            read: VecDeque::new(),
            until: Instant::now() + FOLLOWED_FOR,
            _place: place,
        })
    }

    /// Counts one follower more of an owner's, of whatever log.
    pub fn admit_follower(&self, owner: UserId) -> Result<FollowerPlace, TooManyFollowers> {
        self.followers.admit(owner).ok_or(TooManyFollowers)
    }

    /// Lets go of those who follow a function that was deleted.
    pub fn end_followers(&self, function_id: FunctionId) {
        self.pending.end_watches(function_id);
    }
}

impl Follower {
    /// Returns the next line when there is one. May be cancelled: no line is lost.
    pub async fn next(&mut self) -> Result<LogLine, FollowEnd> {
        loop {
            if let Some(line) = self.read.pop_front() {
                return Ok(line);
            }
            if self.is_up_to_date {
                let change = tokio::time::timeout_at(self.until, self.changes.changed());
                change.await.map_err(|_| FollowEnd::TooLong)?.map_err(|_| FollowEnd::Deleted)?;
            }
            self.read_on().await?;
        }
    }

    async fn read_on(&mut self) -> Result<(), DbError> {
        // Before the lines: what changes from here on is a change.
        self.changes.mark_unchanged();
        // Before the database is asked: what moves there in between is found twice, never missed.
        let news = self.records.pending.lines_after(self.owner, &self.filter, self.reached, PAGE);
        let (mut reached, mut is_up_to_date) = (news.complete_to, news.is_all);
        let mut lines: BTreeMap<LogLineId, LogLine> =
            news.lines.into_iter().map(|line| (line.id, line)).collect();
        if news.others_are_stored {
            let (owner, filter, after) = (self.owner, self.filter.clone(), self.reached);
            let stretch = self
                .records
                .database
                .run("log_line.follow", move |connection| {
                    store::log_lines::list_after(connection, owner, &filter, after, PAGE)
                })
                .await?;
            if let Some(end) = stretch.end {
                reached = reached.min(end);
                is_up_to_date = false;
            }
            lines.extend(stretch.lines.into_iter().map(|line| (line.id, line)));
        }
        self.read = lines.into_values().filter(|line| line.id.as_uuid() <= reached).collect();
        (self.reached, self.is_up_to_date) = (reached, is_up_to_date);
        Ok(())
    }
}

impl Followers {
    fn admit(self: &Arc<Self>, owner: UserId) -> Option<FollowerPlace> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let in_all: usize = counts.values().sum();
        let own = counts.entry(owner).or_default();
        if *own >= FOLLOWERS_PER_OWNER || in_all >= FOLLOWERS_IN_ALL {
            return None;
        }
        *own += 1;
        Some(FollowerPlace { followers: Arc::clone(self), owner })
    }
}

impl Drop for FollowerPlace {
    fn drop(&mut self) {
        let mut counts = self.followers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = counts.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.owner);
            }
        }
    }
}
