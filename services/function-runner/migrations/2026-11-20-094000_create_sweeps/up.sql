-- How far the runs of a function were swept: an older run that is not there was, and is not to come back.
CREATE TABLE sweeps (
    function_id uuid PRIMARY KEY REFERENCES functions (id) ON DELETE CASCADE,
    executions_to uuid NOT NULL
);
