ALTER TABLE functions
    DROP CONSTRAINT functions_runtime_check,
    ADD CONSTRAINT functions_runtime_check CHECK (runtime IN ('python', 'node', 'binary', 'dart'));
ALTER TABLE deployments
    DROP CONSTRAINT deployments_runtime_check,
    ADD CONSTRAINT deployments_runtime_check CHECK (runtime IN ('python', 'node', 'binary', 'dart'));
