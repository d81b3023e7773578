-- What has happened and is not yet on the audit log, which auth keeps. Written in the transaction of what happened.
CREATE TABLE audit_outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- JSON, as it goes to auth.
    event text NOT NULL
);
