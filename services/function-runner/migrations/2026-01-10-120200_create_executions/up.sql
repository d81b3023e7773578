CREATE TABLE executions (
    id uuid PRIMARY KEY,
    function_id uuid NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    owner_id uuid NOT NULL,
    version integer NOT NULL,
    trigger text NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'timed_out', 'cancelled')),
    queued_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    queue_ms double precision,
    cold_start_ms double precision,
    duration_ms double precision,
    peak_memory_bytes bigint,
    status_code integer,
    -- Not jsonb: that refuses the character U+0000, which a handler may well return.
    result json,
    result_truncated boolean NOT NULL,
    error json
);

CREATE INDEX executions_function_id_id ON executions (function_id, id DESC);
