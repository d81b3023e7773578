CREATE TABLE users (
    id uuid PRIMARY KEY,
    -- A slug, never changed and never given to another: it is in URLs.
    handle text NOT NULL CONSTRAINT users_handle_key UNIQUE,
    -- In lower case.
    email text NOT NULL CONSTRAINT users_email_key UNIQUE CHECK (email = lower(email)),
    username text CONSTRAINT users_username_key UNIQUE CHECK (username = lower(username)),
    full_name text,
    -- bcrypt over a keyed digest of the password.
    password_hash text NOT NULL,
    user_type text NOT NULL CHECK (user_type IN ('admin', 'qvp', 'regular')),
    status text NOT NULL CHECK (status IN ('pending', 'active', 'disabled')),
    email_verified boolean NOT NULL,
    created_at timestamptz NOT NULL,
    last_login_at timestamptz
);
