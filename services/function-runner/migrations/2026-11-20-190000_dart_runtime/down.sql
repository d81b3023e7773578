-- What the runner before cannot run goes, with its record.
DELETE FROM functions WHERE runtime = 'dart';
DELETE FROM deployments WHERE runtime = 'dart';
ALTER TABLE functions
    DROP CONSTRAINT functions_runtime_check,
    ADD CONSTRAINT functions_runtime_check CHECK (runtime IN ('python', 'node', 'binary'));
ALTER TABLE deployments
    DROP CONSTRAINT deployments_runtime_check,
    ADD CONSTRAINT deployments_runtime_check CHECK (runtime IN ('python', 'node', 'binary'));
