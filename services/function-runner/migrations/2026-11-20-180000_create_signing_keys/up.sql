CREATE TABLE signing_keys (
    id uuid PRIMARY KEY,
    function_id uuid NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    owner_id uuid NOT NULL,
    name text,
    scheme text NOT NULL CHECK (scheme IN ('rfc9421', 'containerpub')),
    -- How the secret begins.
    prefix text NOT NULL,
    -- Of slipway-sealing; the context is owner, function and key.
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX signing_keys_function_id_id ON signing_keys (function_id, id);

ALTER TABLE executions
    -- The key that the call was signed with; that may be gone.
    ADD COLUMN signing_key_id uuid,
    -- What its signature is known by: it sets off one run and no second.
    ADD COLUMN signature text;
CREATE INDEX executions_signed ON executions (function_id, queued_at) WHERE signature IS NOT NULL;
