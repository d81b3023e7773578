-- Every handle that ever named an account. It outlives the account, so that it never names another: no reference.
CREATE TABLE handles (handle text CONSTRAINT handles_pkey PRIMARY KEY);
INSERT INTO handles SELECT handle FROM users;
