CREATE TABLE function_secrets (
    id uuid PRIMARY KEY,
    function_id uuid NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    owner_id uuid NOT NULL,
    name text NOT NULL,
    -- Of slipway-sealing; the context is owner, function and name.
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT function_secrets_function_id_name_key UNIQUE (function_id, name)
);
