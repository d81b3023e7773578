-- What happened on the platform, from every service: rows are added at the end and never changed. ADR 21.
CREATE TABLE audit_log (
    -- 1, 2, 3 and so on, without gaps: whoever adds a row holds a lock.
    seq bigint PRIMARY KEY CHECK (seq > 0),
    event_id uuid NOT NULL CONSTRAINT audit_log_event_id_key UNIQUE,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    service text NOT NULL,
    level text NOT NULL CHECK (level IN ('info', 'warning')),
    action text NOT NULL,
    actor_type text NOT NULL CHECK (actor_type IN ('user', 'service', 'anonymous')),
    actor_id text,
    target_type text,
    target_id text,
    address text,
    request_id text,
    -- JSON, as text: its hash is of these very bytes.
    details text NOT NULL,
    -- HMAC-SHA-256 of the row before's hash and of this row, under a key that is in no database.
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
CREATE INDEX audit_log_actor ON audit_log (actor_id, seq);
CREATE INDEX audit_log_action ON audit_log (action, seq);
CREATE INDEX audit_log_at ON audit_log (at);

-- Whoever serves, by whatever name, has rights by default: of these, reading and adding are left.
DO $$
DECLARE
    serving name;
BEGIN
    FOR serving IN
        SELECT DISTINCT pg_roles.rolname
        FROM pg_class, aclexplode(pg_class.relacl) AS rights JOIN pg_roles ON pg_roles.oid = rights.grantee
        WHERE pg_class.oid = 'audit_log'::regclass AND pg_roles.rolname <> current_user
    LOOP
        EXECUTE format('REVOKE ALL ON audit_log FROM %I', serving);
        EXECUTE format('GRANT SELECT, INSERT ON audit_log TO %I', serving);
    END LOOP;
END $$;
