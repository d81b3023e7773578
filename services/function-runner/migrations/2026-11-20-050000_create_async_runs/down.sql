DROP TABLE async_runs;
DROP TABLE execution_inputs;
DROP INDEX executions_dead_letters;
ALTER TABLE executions DROP COLUMN attempt, DROP COLUMN dead_letter, DROP COLUMN replayed_from;
