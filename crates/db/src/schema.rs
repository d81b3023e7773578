diesel::table! {
    idempotency_keys (caller_id, route, key) {
        caller_id -> Uuid,
        route -> Text,
        key -> Text,
        body_digest -> Bytea,
        status -> Nullable<SmallInt>,
        body -> Nullable<Bytea>,
        created_at -> Timestamptz,
        lease_until -> Timestamptz,
        expires_at -> Timestamptz,
    }
}
