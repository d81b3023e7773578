diesel::table! {
    users (id) {
        id -> Uuid,
        handle -> Text,
        email -> Text,
        username -> Nullable<Text>,
        full_name -> Nullable<Text>,
        password_hash -> Text,
        user_type -> Text,
        status -> Text,
        email_verified -> Bool,
        created_at -> Timestamptz,
        last_login_at -> Nullable<Timestamptz>,
        token_generation -> Int8,
        kdf_iterations -> Nullable<Int4>,
        kdf_salt -> Nullable<Bytea>,
        apps -> Nullable<Array<Text>>,
    }
}

diesel::table! {
    groups (id) {
        id -> Uuid,
        name -> Text,
        apps -> Nullable<Array<Text>>,
        created_at -> Timestamptz,
        made_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    group_members (group_id, user_id) {
        group_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        added_at -> Timestamptz,
    }
}

diesel::table! {
    handles (handle) {
        handle -> Text,
    }
}

diesel::table! {
    letters (id) {
        id -> Uuid,
        sealed -> Bytea,
        created_at -> Timestamptz,
        attempts -> Int4,
        next_attempt_at -> Timestamptz,
    }
}

diesel::table! {
    link_tokens (user_id, purpose) {
        user_id -> Uuid,
        purpose -> Text,
        digest -> Bytea,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        sealed_details -> Nullable<Bytea>,
        network_digest -> Nullable<Bytea>,
    }
}

diesel::table! {
    profiles (user_id) {
        user_id -> Uuid,
        phone -> Nullable<Text>,
        locale -> Nullable<Text>,
        time_zone -> Nullable<Text>,
        discord_username -> Nullable<Text>,
        sealed_discord_webhook -> Nullable<Bytea>,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    refresh_tokens (digest) {
        digest -> Bytea,
        session_id -> Uuid,
        created_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    access_tokens (id) {
        id -> Uuid,
        refresh_digest -> Bytea,
        issued_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    access_revocations (user_id) {
        user_id -> Uuid,
        generation -> Int8,
        revoked_at -> Timestamptz,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Uuid,
        user_id -> Uuid,
        name -> Text,
        digest -> Bytea,
        prefix -> Text,
        scopes -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(api_keys -> users (user_id));
diesel::joinable!(group_members -> groups (group_id));
diesel::joinable!(group_members -> users (user_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(refresh_tokens -> sessions (session_id));
diesel::allow_tables_to_appear_in_same_query!(api_keys, users, sessions, refresh_tokens);
diesel::allow_tables_to_appear_in_same_query!(users, group_members, groups);

diesel::table! {
    audit_log (seq) {
        seq -> BigInt,
        event_id -> Uuid,
        at -> Timestamptz,
        recorded_at -> Timestamptz,
        service -> Text,
        level -> Text,
        action -> Text,
        actor_type -> Text,
        actor_id -> Nullable<Text>,
        target_type -> Nullable<Text>,
        target_id -> Nullable<Text>,
        address -> Nullable<Text>,
        request_id -> Nullable<Text>,
        details -> Text,
        hash -> Bytea,
    }
}

diesel::table! {
    deleted_users (position) {
        position -> BigInt,
        user_id -> Uuid,
        deleted_at -> Timestamptz,
    }
}
