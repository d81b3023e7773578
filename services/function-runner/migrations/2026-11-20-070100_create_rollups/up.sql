CREATE TABLE rollups (
    function_id uuid NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    owner_id uuid NOT NULL,
    width_seconds integer NOT NULL,
    start timestamptz NOT NULL,
    calls bigint NOT NULL,
    -- How many of each kind.
    errors jsonb NOT NULL,
    cold_starts bigint NOT NULL,
    -- Histograms: bucket, count, bucket, count, …
    durations integer[] NOT NULL,
    queues integer[] NOT NULL,
    peak_memory_bytes bigint,
    peak_cpu_ms double precision,
    PRIMARY KEY (function_id, width_seconds, start)
)
-- Room beside each row for the versions that follow it: the newest are written several times a second.
WITH (fillfactor = 50);
