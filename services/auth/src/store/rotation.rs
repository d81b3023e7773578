//! Nearly every refresh: those that come at the same time as one statement, as PostgreSQL's part of a refresh is mostly
//! what each statement and each commit costs.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{self, Array, BigInt, Binary, Nullable, Text, Timestamptz};
use slipway_db::DbError;
use slipway_kernel::TokenId;
use slipway_models::groups::App;
use uuid::Uuid;

use super::apps::from_names;
use super::refresh_tokens::TokenDigest;
use super::users::Credentials;
use super::{sessions, users};
use crate::domain::{Session, User};

/// A refresh token that was shown.
pub(crate) struct Shown {
    pub(crate) digest: TokenDigest,
    pub(crate) successor: TokenDigest,
    /// The access token that goes with the successor.
    pub(crate) access: TokenId,
}

/// What a refresh token that worked was good for.
pub(crate) struct UsedUp {
    pub(crate) session: Session,
    pub(crate) user: User,
    /// What the user's groups state together, where any of them states apps.
    pub(crate) apps_of_groups: Option<Vec<App>>,
}

/// Uses up those tokens that work, and inserts the successor of each and the access token that goes with it. Returns what
/// they were good for, by that access token. Left out are those that do not work, or no more, and those whose session
/// another transaction holds: none waits for another's session. Of uses of one token at the same time one comes first.
///
/// The accounts and their groups are read in one snapshot (see [`crate::service::grants::effective`]).
pub(crate) fn use_up(
    connection: &mut PgConnection,
    shown: &[Shown],
    now: DateTime<Utc>,
    access_expires_at: DateTime<Utc>,
) -> Result<HashMap<TokenId, UsedUp>, DbError> {
    let statement = UseUp {
        count: i64::try_from(shown.len()).unwrap_or(i64::MAX),
        digests: shown.iter().map(|token| token.digest).collect(),
        successors: shown.iter().map(|token| token.successor).collect(),
        access_ids: shown.iter().map(|token| token.access.as_uuid()).collect(),
        now,
        access_expires_at,
        columns: (
            <sessions::Row as Selectable<Pg>>::construct_selection(),
            <users::Row as Selectable<Pg>>::construct_selection(),
        ),
    };
    let rows: Vec<Row> = statement.load(connection)?;
    let used = |(session, user, (_, _, access, _), names): Row| {
        let used = UsedUp {
            session: session.into(),
            user: Credentials::from(user).user,
            apps_of_groups: names.map(|names| from_names(&names.into_iter().flatten().collect::<Vec<_>>())),
        };
        (TokenId::from(access), used)
    };
    Ok(rows.into_iter().map(used).collect())
}

/// The session, the account, what was shown, and what the account's groups state: a group that states no app has none for one.
type Row = (sessions::Row, users::Row, ShownRow, Option<Vec<Option<String>>>);

/// The digest, the successor's, the access token, and the session that the token is of.
type ShownRow = (Vec<u8>, Vec<u8>, Uuid, Uuid);

#[derive(QueryId)]
struct UseUp {
    count: i64,
    digests: Vec<TokenDigest>,
    successors: Vec<TokenDigest>,
    access_ids: Vec<Uuid>,
    now: DateTime<Utc>,
    access_expires_at: DateTime<Utc>,
    columns: (Columns<sessions::Row>, Columns<users::Row>),
}

type Columns<Row> = <Row as Selectable<Pg>>::SelectExpression;
type SqlTypeOf<Row> = <Columns<Row> as Expression>::SqlType;

impl Query for UseUp {
    type SqlType = (
        SqlTypeOf<sessions::Row>,
        SqlTypeOf<users::Row>,
        (Binary, Binary, sql_types::Uuid, sql_types::Uuid),
        Nullable<Array<Nullable<Text>>>,
    );
}

impl RunQueryDsl<PgConnection> for UseUp {}

impl QueryFragment<Pg> for UseUp {
    /// The sessions' rows are locked first, so that the refreshes of one family go one after another, and a session that
    /// ended, or a token that was used, meanwhile is left alone. What is held is skipped, as two that hold what the other
    /// waits for would wait for PostgreSQL to end one of them.
    ///
    /// Tokens and the rows to lock are looked for one by one, not in a join: before a table was analysed, PostgreSQL took it
    /// for best to look through all of a user's sessions for the token's. The limit, which is as many as there are, is
    /// for its planner, which reckons with one row where it knows only that there is one, and so with indexes.
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "WITH shown AS MATERIALIZED (SELECT shown.*, (
                SELECT session_id FROM refresh_tokens WHERE digest = shown.digest AND used_at IS NULL
            ) AS session_id FROM unnest(",
        );
        out.push_bind_param::<Array<Binary>, _>(&self.digests)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.successors)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<sql_types::Uuid>, _>(&self.access_ids)?;
        out.push_sql(") AS shown (digest, successor, access_id) LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.count)?;
        out.push_sql(
            "), held AS MATERIALIZED (SELECT shown.* FROM shown CROSS JOIN LATERAL (
                SELECT FROM sessions WHERE id = shown.session_id AND revoked_at IS NULL AND expires_at > ",
        );
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(
            " FOR NO KEY UPDATE SKIP LOCKED) AS session), session AS (UPDATE sessions SET last_used_at = ",
        );
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(
            " FROM held, users WHERE sessions.id = held.session_id AND users.id = sessions.user_id
                AND users.status = 'active' RETURNING ",
        );
        self.columns.walk_ast(out.reborrow())?;
        out.push_sql(", held.*), used AS (UPDATE refresh_tokens SET used_at = ");
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(
            " FROM session WHERE refresh_tokens.digest = session.digest AND refresh_tokens.used_at IS NULL
                RETURNING session.*
            ), successor AS (INSERT INTO refresh_tokens (digest, session_id, created_at)
                SELECT successor, session_id, ",
        );
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(
            " FROM used), access AS (INSERT INTO access_tokens (id, refresh_digest, issued_at, expires_at)
                SELECT access_id, successor, ",
        );
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&self.access_expires_at)?;
        out.push_sql(
            " FROM used)
            SELECT used.*, (
                SELECT array_agg(app) FROM group_members
                JOIN groups ON groups.id = group_members.group_id AND groups.apps IS NOT NULL
                LEFT JOIN unnest(groups.apps) AS app ON true
                WHERE group_members.user_id = used.user_id
            ) FROM used",
        );
        Ok(())
    }
}
