CREATE TABLE deployments (
    id uuid PRIMARY KEY,
    function_id uuid NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    owner_id uuid NOT NULL,
    version integer NOT NULL,
    runtime text NOT NULL CHECK (runtime IN ('python', 'node')),
    entry text,
    status text NOT NULL
        CHECK (status IN ('queued', 'building', 'checking', 'active', 'superseded', 'failed')),
    error text,
    -- Names what is in it; deployments of one owner that hold the same share it.
    image text,
    -- What becomes of the function's configuration once this is active.
    config_patch jsonb NOT NULL,
    -- The build's output, its last 1 MiB.
    log text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT deployments_function_id_version_key UNIQUE (function_id, version)
);
CREATE UNIQUE INDEX deployments_one_active ON deployments (function_id) WHERE status = 'active';
-- Lists: a function's deployments by id, newest first.
CREATE INDEX deployments_function_id_id ON deployments (function_id, id);
CREATE INDEX deployments_unfinished ON deployments (owner_id)
    WHERE status IN ('queued', 'building', 'checking');
CREATE INDEX deployments_image ON deployments (image) WHERE image IS NOT NULL;
