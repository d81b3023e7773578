-- Which generation the tokens of an account are of that are signed from now on. Raising it revokes all before.
ALTER TABLE users ADD COLUMN token_generation bigint NOT NULL DEFAULT 0;

ALTER TABLE sessions
    ADD COLUMN last_used_at timestamptz,
    -- Where the sign-in came from, sealed (AES-256-GCM) for this session.
    ADD COLUMN sealed_details bytea;

-- The access tokens of a session, by the refresh token that each was handed over with.
CREATE TABLE access_tokens (
    -- The token's jti.
    id uuid PRIMARY KEY,
    refresh_digest bytea NOT NULL REFERENCES refresh_tokens (digest) ON DELETE CASCADE,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX access_tokens_refresh_digest ON access_tokens (refresh_digest);
CREATE INDEX access_tokens_expires_at ON access_tokens (expires_at);

-- The last raise of an account's generation. It outlives the account: no reference.
CREATE TABLE access_revocations (
    user_id uuid PRIMARY KEY,
    generation bigint NOT NULL,
    revoked_at timestamptz NOT NULL
);
CREATE INDEX access_revocations_revoked_at ON access_revocations (revoked_at);
