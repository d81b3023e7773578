CREATE TABLE counters (id int PRIMARY KEY, value int NOT NULL CONSTRAINT counters_value_key UNIQUE);
