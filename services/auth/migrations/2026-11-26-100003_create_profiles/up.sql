-- What people say of themselves, beside their name in users.
CREATE TABLE profiles (
    user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    phone text,
    locale text,
    time_zone text,
    discord_username text,
    -- Whoever has its address can write there: sealed (AES-256-GCM) for this user.
    sealed_discord_webhook bytea,
    updated_at timestamptz NOT NULL
);
