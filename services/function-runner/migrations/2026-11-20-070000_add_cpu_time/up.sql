ALTER TABLE executions ADD COLUMN cpu_ms double precision;
