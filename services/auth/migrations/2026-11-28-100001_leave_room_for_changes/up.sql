-- Room beside each row for the version that follows it, so that indexes need not learn of it: each refresh changes a
-- token once and its session's time of use.
ALTER TABLE sessions SET (fillfactor = 50);
ALTER TABLE refresh_tokens SET (fillfactor = 50);
