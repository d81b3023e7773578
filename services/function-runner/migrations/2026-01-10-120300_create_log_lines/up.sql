CREATE TABLE log_lines (
    id uuid PRIMARY KEY,
    function_id uuid NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    execution_id uuid NOT NULL,
    owner_id uuid NOT NULL,
    time timestamptz NOT NULL,
    stream text NOT NULL CHECK (stream IN ('stdout', 'stderr', 'log', 'system')),
    text text NOT NULL
);

CREATE INDEX log_lines_function_id_id ON log_lines (function_id, id DESC);
CREATE INDEX log_lines_execution_id_id ON log_lines (execution_id, id DESC);
