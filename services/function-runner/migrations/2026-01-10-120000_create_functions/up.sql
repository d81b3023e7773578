CREATE TABLE functions (
    id uuid PRIMARY KEY,
    -- A user of the auth service, which owns that table.
    owner_id uuid NOT NULL,
    name text NOT NULL,
    runtime text NOT NULL CHECK (runtime IN ('python', 'node')),
    status text NOT NULL CHECK (status IN ('building', 'active', 'failed')),
    active_version integer,
    last_version integer NOT NULL,
    config jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT functions_owner_id_name_key UNIQUE (owner_id, name),
    CHECK ((status = 'active') = (active_version IS NOT NULL))
);
-- Lists: an owner's functions by id, newest first.
CREATE INDEX functions_owner_id_id ON functions (owner_id, id);
