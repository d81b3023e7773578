-- Keys that programs show in the place of a person's access token. ADR 24.
CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name text NOT NULL,
    -- HMAC-SHA-256 of the key's SHA-256; the key itself is nowhere.
    digest bytea NOT NULL CONSTRAINT api_keys_digest_key UNIQUE,
    -- How the key begins, for its owner to know it by.
    prefix text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    -- Set when it is deleted, and kept for as long as gateways have to hear of it.
    revoked_at timestamptz
);
CREATE INDEX api_keys_user_id ON api_keys (user_id, id);
CREATE INDEX api_keys_expires_at ON api_keys (expires_at);
CREATE INDEX api_keys_revoked_at ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL;
