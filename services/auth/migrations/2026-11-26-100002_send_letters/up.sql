-- Letters on their way, each gone once the SMTP server has it. No link is in here: its token is made when it is sent. ADR 20.
CREATE TABLE letters (
    id uuid PRIMARY KEY,
    -- What it is to say, and to whom: sealed (AES-256-GCM) for this letter.
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL
);
CREATE INDEX letters_next_attempt_at ON letters (next_attempt_at);

-- The tokens of links in letters. Each works once: its row goes with its use. A newer one takes the older's place.
CREATE TABLE link_tokens (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    -- HMAC-SHA-256 of the token; the token itself is nowhere.
    digest bytea NOT NULL CONSTRAINT link_tokens_digest_key UNIQUE,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, purpose)
);
CREATE INDEX link_tokens_expires_at ON link_tokens (expires_at);
