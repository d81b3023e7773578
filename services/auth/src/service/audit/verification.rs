use std::collections::HashMap;
use std::sync::Arc;

use slipway_db::PgConnection;
use slipway_jwt::SecretKey;
use slipway_models::audit::{AuditFault, AuditFaultReason, AuditVerification};

use super::heads::{Heads, SignedHead};
use super::{AuditLog, ROW};
use crate::domain::{AuditRow, RowHash, Tip, fault};
use crate::error::AuthError;
use crate::store;

/// How many rows are looked at in one go: as many are in memory.
const STEP: i64 = 1_000;
const HEADS_AT_ONCE: usize = 1_000;

/// How far rows were found to be good.
struct Walked {
    tip: Tip,
    checked: i64,
    fault: Option<AuditFault>,
}

/// What comparing the log with its signed heads came to.
#[derive(Default)]
struct Compared {
    heads: u64,
    fault: Option<AuditFault>,
}

impl AuditLog {
    /// Checks every row against the one before, then the log against its signed heads. One goes on at a time.
    pub(crate) async fn verify(&self) -> Result<AuditVerification, AuthError> {
        let _one_at_a_time = self.verifying.lock().await;
        let walked = self.walk().await?;
        let (heads, known) = (self.heads.clone(), *self.known());
        let compared = self
            .db
            .run("audit_log.compare_heads", move |connection| compare(connection, heads.as_deref(), known))
            .await?;
        let first_bad = walked.fault.into_iter().chain(compared.fault).min_by_key(|fault| fault.seq);
        Ok(AuditVerification {
            valid: first_bad.is_none(),
            checked: walked.checked,
            head: walked.tip.shown(),
            signed_heads: compared.heads,
            first_bad,
        })
    }

    /// Follows the chain from the first row to the one that is last now.
    async fn walk(&self) -> Result<Walked, AuthError> {
        let end = self.db.run("audit_log.find_tip", |connection| {
            Ok::<_, AuthError>(store::audit_log::find_tip(connection)?)
        });
        let end = end.await?.seq;
        let mut walked = Walked { tip: Tip::START, checked: 0, fault: None };
        while walked.tip.seq < end && walked.fault.is_none() {
            let key = Arc::clone(&self.key);
            walked = self
                .db
                .run("audit_log.verify", move |connection| {
                    let rows = store::audit_log::list_after(connection, walked.tip.seq, STEP)?;
                    Ok::<_, AuthError>(follow(&key, walked, &rows))
                })
                .await?;
        }
        Ok(walked)
    }
}

/// Follows the chain over the rows that come next.
fn follow(key: &SecretKey, mut walked: Walked, rows: &[AuditRow]) -> Walked {
    if rows.is_empty() {
        walked.fault = Some(fault(walked.tip.seq + 1, AuditFaultReason::Missing));
    }
    for row in rows {
        let next = walked.tip.seq + 1;
        if row.seq != next {
            walked.fault = Some(fault(next, AuditFaultReason::Missing));
            break;
        }
        let hash = key.digest(ROW, &row.hashed_bytes(&walked.tip.hash));
        if row.hash != hash {
            walked.fault = Some(fault(next, AuditFaultReason::Changed));
            break;
        }
        walked.tip = Tip { seq: next, hash };
        walked.checked += 1;
    }
    walked
}

/// Compares the log with the signed heads, and with what this process knows of it.
fn compare(connection: &mut PgConnection, heads: Option<&Heads>, known: Tip) -> Result<Compared, AuthError> {
    let mut compared = Compared::default();
    let own = SignedHead { tip: known, is_genuine: true };
    if known.seq > 0 {
        compared.fault = first_fault(connection, &[own])?;
    }
    let Some(heads) = heads else { return Ok(compared) };
    let mut left = heads.read()?;
    loop {
        let some = left.by_ref().take(HEADS_AT_ONCE).collect::<Result<Vec<_>, _>>()?;
        if some.is_empty() {
            return Ok(compared);
        }
        compared.heads += some.len() as u64;
        let found = first_fault(connection, &some)?;
        compared.fault = compared.fault.into_iter().chain(found).min_by_key(|fault| fault.seq);
    }
}

/// Finds the first row that is not as some heads have it. The heads were read before: their rows have been there.
fn first_fault(connection: &mut PgConnection, heads: &[SignedHead]) -> Result<Option<AuditFault>, AuthError> {
    let places: Vec<i64> = heads.iter().map(|head| head.tip.seq).collect();
    let end = store::audit_log::find_tip(connection)?.seq;
    let rows = store::audit_log::list_hashes(connection, &places)?;
    let hashes: HashMap<i64, RowHash> = rows.into_iter().map(|row| (row.seq, row.hash)).collect();
    let faults = heads.iter().filter_map(|head| {
        let Tip { seq, hash } = head.tip;
        match hashes.get(&seq) {
            _ if !head.is_genuine => Some(fault(seq, AuditFaultReason::HeadChanged)),
            Some(found) if *found == hash => None,
            Some(_) => Some(fault(seq, AuditFaultReason::Rewritten)),
            None if seq > end => Some(fault(end + 1, AuditFaultReason::TailCut)),
            None => Some(fault(seq, AuditFaultReason::Missing)),
        }
    });
    Ok(faults.min_by_key(|fault| fault.seq))
}
