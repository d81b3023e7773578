-- Who goes by which handle in /f/{handle}/{name}: as the owner's own identity said it. Handles never change.
CREATE TABLE owner_handles (
    owner_id uuid PRIMARY KEY,
    handle text NOT NULL CONSTRAINT owner_handles_handle_key UNIQUE
);
