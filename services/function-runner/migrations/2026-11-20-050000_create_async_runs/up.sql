ALTER TABLE executions
    -- How often it has begun: a run that nobody waits for is tried again where it fails.
    ADD COLUMN attempt integer NOT NULL DEFAULT 1,
    -- True where the last attempt failed too.
    ADD COLUMN dead_letter boolean NOT NULL DEFAULT false,
    -- The run whose input it was given; that one may be gone.
    ADD COLUMN replayed_from uuid;
CREATE INDEX executions_dead_letters ON executions (function_id, id DESC) WHERE dead_letter;

-- What runs were given that nobody waits for. It goes with the record of its run.
CREATE TABLE execution_inputs (
    execution_id uuid PRIMARY KEY REFERENCES executions (id) ON DELETE CASCADE,
    -- The request but for its body. Not jsonb: that refuses the character U+0000.
    head json NOT NULL,
    body bytea NOT NULL
);

-- The queue: runs that nobody waits for and that have not ended.
CREATE TABLE async_runs (
    execution_id uuid PRIMARY KEY REFERENCES executions (id) ON DELETE CASCADE,
    function_id uuid NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    owner_id uuid NOT NULL,
    -- When the next attempt may begin.
    due_at timestamptz NOT NULL,
    -- True from when the runner takes it up until it has ended or waits again.
    is_taken boolean NOT NULL
);
CREATE INDEX async_runs_function_id_due_at ON async_runs (function_id, due_at);
CREATE INDEX async_runs_owner_id ON async_runs (owner_id);
