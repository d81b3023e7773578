diesel::table! {
    functions (id) {
        id -> Uuid,
        owner_id -> Uuid,
        name -> Text,
        runtime -> Text,
        status -> Text,
        active_version -> Nullable<Integer>,
        last_version -> Integer,
        config -> Jsonb,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    deployments (id) {
        id -> Uuid,
        function_id -> Uuid,
        owner_id -> Uuid,
        version -> Integer,
        runtime -> Text,
        entry -> Nullable<Text>,
        status -> Text,
        error -> Nullable<Text>,
        image -> Nullable<Text>,
        config_patch -> Jsonb,
        log -> Text,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    executions (id) {
        id -> Uuid,
        function_id -> Uuid,
        owner_id -> Uuid,
        version -> Integer,
        trigger -> Text,
        status -> Text,
        queued_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        queue_ms -> Nullable<Double>,
        cold_start_ms -> Nullable<Double>,
        duration_ms -> Nullable<Double>,
        peak_memory_bytes -> Nullable<BigInt>,
        cpu_ms -> Nullable<Double>,
        status_code -> Nullable<Integer>,
        result -> Nullable<Json>,
        result_truncated -> Bool,
        error -> Nullable<Json>,
        attempt -> Integer,
        dead_letter -> Bool,
        replayed_from -> Nullable<Uuid>,
        signing_key_id -> Nullable<Uuid>,
        signature -> Nullable<Text>,
    }
}

diesel::table! {
    execution_inputs (execution_id) {
        execution_id -> Uuid,
        head -> Json,
        body -> Bytea,
    }
}

diesel::table! {
    async_runs (execution_id) {
        execution_id -> Uuid,
        function_id -> Uuid,
        owner_id -> Uuid,
        due_at -> Timestamptz,
        is_taken -> Bool,
    }
}

diesel::table! {
    function_secrets (id) {
        id -> Uuid,
        function_id -> Uuid,
        owner_id -> Uuid,
        name -> Text,
        sealed -> Bytea,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    signing_keys (id) {
        id -> Uuid,
        function_id -> Uuid,
        owner_id -> Uuid,
        name -> Nullable<Text>,
        scheme -> Text,
        prefix -> Text,
        sealed -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    owner_handles (owner_id) {
        owner_id -> Uuid,
        handle -> Text,
    }
}

diesel::table! {
    log_lines (id) {
        id -> Uuid,
        function_id -> Uuid,
        execution_id -> Uuid,
        owner_id -> Uuid,
        time -> Timestamptz,
        stream -> Text,
        text -> Text,
    }
}

diesel::table! {
    rollups (function_id, width_seconds, start) {
        function_id -> Uuid,
        owner_id -> Uuid,
        width_seconds -> Integer,
        start -> Timestamptz,
        calls -> BigInt,
        errors -> Jsonb,
        cold_starts -> BigInt,
        durations -> Array<Integer>,
        queues -> Array<Integer>,
        peak_memory_bytes -> Nullable<BigInt>,
        peak_cpu_ms -> Nullable<Double>,
    }
}

diesel::table! {
    sweeps (function_id) {
        function_id -> Uuid,
        executions_to -> Uuid,
    }
}

diesel::table! {
    deleted_owners (owner_id) {
        owner_id -> Uuid,
    }
}

diesel::joinable!(deployments -> functions (function_id));
diesel::allow_tables_to_appear_in_same_query!(deployments, functions);
diesel::allow_tables_to_appear_in_same_query!(deleted_owners, functions);
