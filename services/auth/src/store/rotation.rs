//! Nearly every refresh, as one statement: PostgreSQL's part of a refresh is mostly its round trips.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{self, Array, Binary, Nullable, Text, Timestamptz};
use slipway_db::DbError;
use slipway_models::groups::App;
use uuid::Uuid;

use super::access_tokens::AccessTokenRecord;
use super::apps::from_names;
use super::refresh_tokens::TokenDigest;
use super::users::Credentials;
use super::{sessions, users};
use crate::domain::{Session, User};

/// What a refresh token that worked was good for.
pub(crate) struct UsedUp {
    pub(crate) session: Session,
    pub(crate) user: User,
    /// What the user's groups state together, where any of them states apps.
    pub(crate) apps_of_groups: Option<Vec<App>>,
}

/// Uses up a token that works, and inserts its successor and the access token that goes with it. `None` where the token
/// does not work, or no more: of uses at the same time one comes first.
///
/// The account and its groups are read in one snapshot (see [`crate::service::grants::effective`]).
pub(crate) fn use_up(
    connection: &mut PgConnection,
    digest: &TokenDigest,
    successor: &TokenDigest,
    access: AccessTokenRecord,
) -> Result<Option<UsedUp>, DbError> {
    let AccessTokenRecord { id, issued_at, expires_at } = access;
    let statement = UseUp {
        digest: *digest,
        successor: *successor,
        access_id: id.as_uuid(),
        now: issued_at,
        access_expires_at: expires_at,
        columns: (
            <sessions::Row as Selectable<Pg>>::construct_selection(),
            <users::Row as Selectable<Pg>>::construct_selection(),
        ),
    };
    let row: Option<Row> = statement.get_result(connection).optional()?;
    Ok(row.map(|(session, user, names)| UsedUp {
        session: session.into(),
        user: Credentials::from(user).user,
        apps_of_groups: names.map(|names| from_names(&names.into_iter().flatten().collect::<Vec<_>>())),
    }))
}

/// The session, the account, and what its groups state: a group that states no app has none for one.
type Row = (sessions::Row, users::Row, Option<Vec<Option<String>>>);

#[derive(QueryId)]
struct UseUp {
    digest: TokenDigest,
    successor: TokenDigest,
    access_id: Uuid,
    now: DateTime<Utc>,
    access_expires_at: DateTime<Utc>,
    columns: (Columns<sessions::Row>, Columns<users::Row>),
}

type Columns<Row> = <Row as Selectable<Pg>>::SelectExpression;
type SqlTypeOf<Row> = <Columns<Row> as Expression>::SqlType;

impl Query for UseUp {
    type SqlType = (SqlTypeOf<sessions::Row>, SqlTypeOf<users::Row>, Nullable<Array<Nullable<Text>>>);
}

impl RunQueryDsl<PgConnection> for UseUp {}

impl QueryFragment<Pg> for UseUp {
    /// The session's row is changed first, and so locked: refreshes of one family go one after another. Whoever waited
    /// sees the rows that it changes as they are by then: a session that was revoked, or a token that was used, meanwhile
    /// is left alone.
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH session AS (UPDATE sessions SET last_used_at = ");
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(" FROM refresh_tokens, users WHERE refresh_tokens.digest = ");
        out.push_bind_param::<Binary, _>(&self.digest)?;
        out.push_sql(
            " AND refresh_tokens.used_at IS NULL AND sessions.id = refresh_tokens.session_id
                AND sessions.revoked_at IS NULL AND users.id = sessions.user_id AND users.status = 'active'
                AND sessions.expires_at > ",
        );
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(" RETURNING ");
        self.columns.walk_ast(out.reborrow())?;
        out.push_sql("), used AS (UPDATE refresh_tokens SET used_at = ");
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(" WHERE refresh_tokens.digest = ");
        out.push_bind_param::<Binary, _>(&self.digest)?;
        out.push_sql(
            " AND refresh_tokens.used_at IS NULL AND EXISTS (SELECT FROM session)
                RETURNING refresh_tokens.session_id
            ), successor AS (INSERT INTO refresh_tokens (digest, session_id, created_at) SELECT ",
        );
        out.push_bind_param::<Binary, _>(&self.successor)?;
        out.push_sql(", used.session_id, ");
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(
            " FROM used), access AS (INSERT INTO access_tokens (id, refresh_digest, issued_at, expires_at) SELECT ",
        );
        out.push_bind_param::<sql_types::Uuid, _>(&self.access_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, _>(&self.successor)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&self.access_expires_at)?;
        out.push_sql(
            " FROM used)
            SELECT session.*, (
                SELECT array_agg(app) FROM group_members
                JOIN groups ON groups.id = group_members.group_id AND groups.apps IS NOT NULL
                LEFT JOIN unnest(groups.apps) AS app ON true
                WHERE group_members.user_id = session.user_id
            ) FROM session, used",
        );
        Ok(())
    }
}
