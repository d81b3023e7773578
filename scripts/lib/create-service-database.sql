-- The roles and the database of one service (psql variable `service`). Idempotent; run by scripts/create-databases.
-- Passwords come from the environment, so that no process list shows them, and stay out of the server's log.
\set owner slipway_ :service _owner
\set runtime slipway_ :service
\getenv owner_password OWNER_PASSWORD
\getenv runtime_password SERVICE_PASSWORD

SET client_min_messages = warning;
SELECT current_setting('is_superuser')::boolean AS superuser \gset
\if :superuser
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = panic;
\endif

SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY[:'owner', :'runtime']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"owner" LOGIN NOCREATEDB NOCREATEROLE PASSWORD :'owner_password';
ALTER ROLE :"runtime" LOGIN NOCREATEDB NOCREATEROLE PASSWORD :'runtime_password';

-- Where the administrator is no superuser (managed servers), it must be a member of the owner to act for it.
\if :superuser
\else
GRANT :"owner" TO CURRENT_USER;
\endif

SELECT format('CREATE DATABASE %I OWNER %I ENCODING ''UTF8'' TEMPLATE template0', :'runtime', :'owner')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'runtime') \gexec
REVOKE ALL ON DATABASE :"runtime" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"runtime" TO :"runtime";

\connect :"runtime"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO :"owner";
GRANT USAGE ON SCHEMA public TO :"runtime";
-- Default privileges only: a migration may take rights from the runtime role, and another run must not give them back.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"runtime";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO :"runtime";
