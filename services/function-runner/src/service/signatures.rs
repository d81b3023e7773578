//! Signatures that were used, so that none sets off a second run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use slipway_kernel::FunctionId;

use crate::domain::{SIGNATURE_WINDOW_SECONDS, SignatureMark};
use crate::error::FunctionError;

/// How many are known of a function, and of all. One takes some 30 bytes, for 5 to 10 minutes.
const MOST_OF_A_FUNCTION: usize = 500_000;
const MOST_IN_ALL: usize = 2_000_000;
const BUCKET_SECONDS: i64 = 60;

/// The used signatures that are still good by their time. They are in memory alone: those of an earlier process are
/// told to [`UsedSignatures::remember`] before a function's first one is taken.
#[derive(Default)]
pub(super) struct UsedSignatures(Mutex<State>);

/// Signatures by the minute in which they were made.
type Buckets = BTreeMap<i64, HashSet<[u8; 16]>>;

#[derive(Default)]
struct State {
    of: HashMap<FunctionId, Buckets>,
    in_all: usize,
    /// What was made before is not good any more, even if the clock is set back: it may have been forgotten.
    floor: i64,
}

impl UsedSignatures {
    /// Notes that a signature sets off a run of a function, unless it did before.
    pub(super) fn take(
        &self,
        function_id: FunctionId,
        mark: SignatureMark,
        now: DateTime<Utc>,
    ) -> Result<(), FunctionError> {
        let mut state = self.state();
        state.forget_before(now.timestamp() - SIGNATURE_WINDOW_SECONDS);
        if mark.signed_at() < state.floor {
            return Err(FunctionError::SignatureExpired);
        }
        let is_full = state.in_all >= MOST_IN_ALL;
        let buckets = state.of.entry(function_id).or_default();
        let count: usize = buckets.values().map(HashSet::len).sum();
        let bucket = buckets.entry(bucket_of(mark.signed_at())).or_default();
        if bucket.contains(&mark.digest()) {
            return Err(FunctionError::SignatureReplayed);
        }
        if is_full || count >= MOST_OF_A_FUNCTION {
            return Err(FunctionError::TooManySignatures);
        }
        bucket.insert(mark.digest());
        state.in_all += 1;
        Ok(())
    }

    /// Notes signatures that set off runs of a function before.
    pub(super) fn remember(&self, function_id: FunctionId, marks: impl IntoIterator<Item = SignatureMark>) {
        let mut state = self.state();
        let mut new = 0;
        let buckets = state.of.entry(function_id).or_default();
        for mark in marks {
            new += usize::from(buckets.entry(bucket_of(mark.signed_at())).or_default().insert(mark.digest()));
        }
        state.in_all += new;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_before(&mut self, floor: i64) {
        let is_due = bucket_of(floor) > bucket_of(self.floor);
        self.floor = self.floor.max(floor);
        if !is_due {
            return;
        }
        let oldest = bucket_of(self.floor);
        for buckets in self.of.values_mut() {
            *buckets = buckets.split_off(&oldest);
        }
        self.of.retain(|_, buckets| !buckets.is_empty());
        self.in_all = self.of.values().flat_map(BTreeMap::values).map(HashSet::len).sum();
    }
}

fn bucket_of(second: i64) -> i64 {
    second.div_euclid(BUCKET_SECONDS)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn signed(second: i64, first: u8) -> SignatureMark {
        SignatureMark::new(at(second).timestamp(), &[first; 32])
    }

    #[test]
    fn a_signature_is_good_once_for_as_long_as_its_time_is() {
        let (used, function) = (UsedSignatures::default(), FunctionId::generate());
        for second in [-300, 0, 300] {
            assert!(used.take(function, signed(second, 1), at(0)).is_ok());
        }
        for now in [0, 150, 299, 300] {
            let again = used.take(function, signed(0, 1), at(now));
            assert!(matches!(again, Err(FunctionError::SignatureReplayed)), "{now}");
        }
        for now in [301, 400, 10_000, 0, -10_000] {
            let late = used.take(function, signed(0, 1), at(now));
            assert!(matches!(late, Err(FunctionError::SignatureExpired)), "{now}: the clock may be set back");
        }
        let early = used.take(function, signed(9_900, 1), at(10_000));
        assert!(early.is_ok(), "what follows is good");
    }

    #[test]
    fn each_function_has_its_own_and_another_nonce_is_another() {
        let (used, function) = (UsedSignatures::default(), FunctionId::generate());
        assert!(used.take(function, signed(0, 1), at(0)).is_ok());
        assert!(used.take(function, signed(0, 2), at(0)).is_ok());
        assert!(used.take(FunctionId::generate(), signed(0, 1), at(0)).is_ok());
    }

    #[test]
    fn what_an_earlier_process_took_is_not_good_again() {
        let (used, function) = (UsedSignatures::default(), FunctionId::generate());
        used.remember(function, [signed(0, 1), signed(-5, 2)]);
        used.remember(function, [signed(0, 1)]);
        for mark in [signed(0, 1), signed(-5, 2)] {
            assert!(matches!(used.take(function, mark, at(10)), Err(FunctionError::SignatureReplayed)));
        }
        assert_eq!(used.state().in_all, 2);
    }

    #[test]
    fn what_is_out_of_time_takes_no_room() {
        let used = UsedSignatures::default();
        for second in 0..1_000 {
            let now = at(0) + TimeDelta::seconds(second);
            assert!(used.take(FunctionId::generate(), signed(second, 1), now).is_ok());
        }
        let state = used.state();
        assert_eq!(state.in_all, state.of.len());
        assert!(state.in_all <= 360 + 1, "{}", state.in_all);
    }
}
