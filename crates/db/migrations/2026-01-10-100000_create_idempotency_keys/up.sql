-- One row for each Idempotency-Key that a caller used on a route. `status` is null while the request is carried out.
CREATE TABLE idempotency_keys (
    caller_id uuid NOT NULL,
    route text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    body_digest bytea NOT NULL,
    status smallint,
    body bytea,
    created_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (caller_id, route, key)
);
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);
