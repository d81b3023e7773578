//! Queries on deployments.

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, exists};
use diesel::prelude::*;
use serde_json::Value;
use slipway_db::DbError;
use slipway_kernel::{DeploymentId, FunctionId, PageRequest, UserId};
use slipway_models::functions::DeploymentStatus;
use uuid::Uuid;

use super::stored::{from_json, from_text, to_json, to_text};
use crate::domain::Deployment;
use crate::schema::deployments;

const UNFINISHED: [&str; 3] = ["queued", "building", "checking"];
const BUILT: [&str; 2] = ["active", "superseded"];

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = deployments, treat_none_as_null = true)]
pub(super) struct DeploymentRow {
    id: Uuid,
    function_id: Uuid,
    owner_id: Uuid,
    version: i32,
    runtime: String,
    entry: Option<String>,
    status: String,
    error: Option<String>,
    image: Option<String>,
    config_patch: Value,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// Inserts a deployment; its log is empty.
pub(crate) fn insert(connection: &mut PgConnection, deployment: &Deployment) -> Result<(), DbError> {
    let row = DeploymentRow::try_from(deployment)?;
    diesel::insert_into(deployments::table).values(row).execute(connection)?;
    Ok(())
}

/// Finds an owner's deployment.
pub(crate) fn find(
    connection: &mut PgConnection,
    owner: UserId,
    id: DeploymentId,
) -> Result<Option<Deployment>, DbError> {
    let row = of(owner, id).select(DeploymentRow::as_select()).first(connection).optional()?;
    row.map(Deployment::try_from).transpose()
}

/// Finds the deployment that answers calls of an owner's function.
pub(crate) fn find_active(
    connection: &mut PgConnection,
    owner: UserId,
    function: FunctionId,
) -> Result<Option<Deployment>, DbError> {
    let row = of_function(owner, function)
        .filter(deployments::status.eq("active"))
        .select(DeploymentRow::as_select())
        .first(connection)
        .optional()?;
    row.map(Deployment::try_from).transpose()
}

/// Finds the deployment that made a version of an owner's function, or is to make it.
pub(crate) fn find_version(
    connection: &mut PgConnection,
    owner: UserId,
    function: FunctionId,
    version: i32,
) -> Result<Option<Deployment>, DbError> {
    let row = of_function(owner, function)
        .filter(deployments::version.eq(version))
        .select(DeploymentRow::as_select())
        .first(connection)
        .optional()?;
    row.map(Deployment::try_from).transpose()
}

/// Finds the log of an owner's deployment.
pub(crate) fn find_log(
    connection: &mut PgConnection,
    owner: UserId,
    id: DeploymentId,
) -> Result<Option<String>, DbError> {
    Ok(of(owner, id).select(deployments::log).first(connection).optional()?)
}

/// Lists the deployments of an owner's function, newest first.
pub(crate) fn list(
    connection: &mut PgConnection,
    owner: UserId,
    function: FunctionId,
    page: &PageRequest,
) -> Result<Vec<Deployment>, DbError> {
    let mut query = of_function(owner, function).into_boxed();
    if let Some(after) = page.after() {
        query = query.filter(deployments::id.lt(after));
    }
    let rows: Vec<DeploymentRow> = query
        .order(deployments::id.desc())
        .limit(page.fetch_limit())
        .select(DeploymentRow::as_select())
        .load(connection)?;
    rows.into_iter().map(Deployment::try_from).collect()
}

/// Lists everyone's deployments that are neither active nor over, oldest first: what a start takes up again.
pub(crate) fn list_unfinished(connection: &mut PgConnection) -> Result<Vec<Deployment>, DbError> {
    let rows: Vec<DeploymentRow> = deployments::table
        .filter(deployments::status.eq_any(UNFINISHED))
        .order(deployments::id.asc())
        .select(DeploymentRow::as_select())
        .load(connection)?;
    rows.into_iter().map(Deployment::try_from).collect()
}

/// Tells whether an owner's function has a deployment on its way, other than `except`.
pub(crate) fn has_unfinished(
    connection: &mut PgConnection,
    owner: UserId,
    function: FunctionId,
    except: DeploymentId,
) -> Result<bool, DbError> {
    let others = of_function(owner, function)
        .filter(deployments::status.eq_any(UNFINISHED).and(deployments::id.ne(except.as_uuid())));
    Ok(diesel::select(exists(others)).get_result(connection)?)
}

/// Counts an owner's deployments that are on their way.
pub(crate) fn count_unfinished(connection: &mut PgConnection, owner: UserId) -> Result<i64, DbError> {
    Ok(deployments::table
        .filter(deployments::owner_id.eq(owner.as_uuid()).and(deployments::status.eq_any(UNFINISHED)))
        .select(count_star())
        .first(connection)?)
}

/// Writes a deployment, all but its log; tells whether it is still there.
pub(crate) fn update(connection: &mut PgConnection, deployment: &Deployment) -> Result<bool, DbError> {
    let row = DeploymentRow::try_from(deployment)?;
    Ok(diesel::update(of(deployment.owner, deployment.id)).set(row).execute(connection)? == 1)
}

/// Writes the log of an owner's deployment.
pub(crate) fn update_log(
    connection: &mut PgConnection,
    owner: UserId,
    id: DeploymentId,
    log: &str,
) -> Result<(), DbError> {
    diesel::update(of(owner, id)).set(deployments::log.eq(log)).execute(connection)?;
    Ok(())
}

/// Ends the reign of the deployment that is active in an owner's function.
pub(crate) fn supersede_active(
    connection: &mut PgConnection,
    owner: UserId,
    function: FunctionId,
) -> Result<(), DbError> {
    diesel::update(of_function(owner, function).filter(deployments::status.eq("active")))
        .set(deployments::status.eq(to_text(&DeploymentStatus::Superseded)?))
        .execute(connection)?;
    Ok(())
}

/// Lists the functions, each with its owner, of which more than `most` versions have an image.
pub(crate) fn list_functions_beyond(
    connection: &mut PgConnection,
    most: i64,
) -> Result<Vec<(UserId, FunctionId)>, DbError> {
    let functions: Vec<(Uuid, Uuid)> = deployments::table
        .filter(deployments::image.is_not_null().and(deployments::status.eq_any(BUILT)))
        .group_by((deployments::owner_id, deployments::function_id))
        .having(count_star().gt(most))
        .select((deployments::owner_id, deployments::function_id))
        .load(connection)?;
    Ok(functions.into_iter().map(|(owner, function)| (owner.into(), function.into())).collect())
}

/// Has the superseded versions of an owner's function name no image any more: those that are not among its `most`
/// newest that do, and were built before `before`. Returns how many.
pub(crate) fn forget_images(
    connection: &mut PgConnection,
    owner: UserId,
    function: FunctionId,
    most: i64,
    before: DateTime<Utc>,
) -> Result<usize, DbError> {
    let newest: Vec<Uuid> = of_function(owner, function)
        .filter(deployments::image.is_not_null().and(deployments::status.eq_any(BUILT)))
        .order(deployments::version.desc())
        .limit(most)
        .select(deployments::id)
        .load(connection)?;
    let superseded = of_function(owner, function)
        .filter(deployments::status.eq("superseded").and(deployments::image.is_not_null()))
        .filter(deployments::finished_at.lt(before).and(deployments::id.ne_all(newest)));
    Ok(diesel::update(superseded).set(deployments::image.eq(None::<String>)).execute(connection)?)
}

/// Lists the images that the deployments of an owner's function name.
pub(crate) fn list_images(
    connection: &mut PgConnection,
    owner: UserId,
    function: FunctionId,
) -> Result<Vec<String>, DbError> {
    let images: Vec<Option<String>> =
        of_function(owner, function).select(deployments::image).distinct().load(connection)?;
    Ok(images.into_iter().flatten().collect())
}

/// Tells whether any deployment names `image`.
pub(crate) fn is_image_named(connection: &mut PgConnection, image: &str) -> Result<bool, DbError> {
    let named = deployments::table.filter(deployments::image.eq(image));
    Ok(diesel::select(exists(named)).get_result(connection)?)
}

#[diesel::dsl::auto_type(no_type_alias)]
fn of(owner: UserId, id: DeploymentId) -> _ {
    let (owner, id): (Uuid, Uuid) = (owner.as_uuid(), id.as_uuid());
    deployments::table.filter(deployments::id.eq(id).and(deployments::owner_id.eq(owner)))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn of_function(owner: UserId, function: FunctionId) -> _ {
    let (owner, function): (Uuid, Uuid) = (owner.as_uuid(), function.as_uuid());
    deployments::table.filter(deployments::function_id.eq(function).and(deployments::owner_id.eq(owner)))
}

impl TryFrom<DeploymentRow> for Deployment {
    type Error = DbError;

    fn try_from(row: DeploymentRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id.into(),
            function_id: row.function_id.into(),
            owner: row.owner_id.into(),
            version: row.version,
            runtime: from_text(row.runtime)?,
            entry: row.entry,
            status: from_text(row.status)?,
            error: row.error,
            image: row.image,
            config: from_json(row.config_patch)?,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

impl TryFrom<&Deployment> for DeploymentRow {
    type Error = DbError;

    fn try_from(deployment: &Deployment) -> Result<Self, DbError> {
        Ok(Self {
            id: deployment.id.as_uuid(),
            function_id: deployment.function_id.as_uuid(),
            owner_id: deployment.owner.as_uuid(),
            version: deployment.version,
            runtime: to_text(&deployment.runtime)?,
            entry: deployment.entry.clone(),
            status: to_text(&deployment.status)?,
            error: deployment.error.clone(),
            image: deployment.image.clone(),
            config_patch: to_json(&deployment.config)?,
            created_at: deployment.created_at,
            finished_at: deployment.finished_at,
        })
    }
}
