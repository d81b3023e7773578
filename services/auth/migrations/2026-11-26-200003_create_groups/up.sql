-- Groups of people, and the apps that are stated for a person or a group. NULL states nothing, an empty list states that
-- there are none. ADR 22.
CREATE TABLE groups (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    apps text[] CHECK (apps <@ ARRAY['functions', 'vault', 'documents', 'tasks', 'workspace']),
    created_at timestamptz NOT NULL,
    -- Whose it counts as, whoever owns it: nobody's after their account was deleted.
    made_by uuid REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX groups_made_by ON groups (made_by);
-- Asked for at each sign-in, among however many groups somebody was taken into.
CREATE INDEX groups_with_apps ON groups (id) WHERE apps IS NOT NULL;

CREATE TABLE group_members (
    group_id uuid NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'member')),
    added_at timestamptz NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_user_id ON group_members (user_id, group_id);

ALTER TABLE users
    ADD COLUMN apps text[] CHECK (apps <@ ARRAY['functions', 'vault', 'documents', 'tasks', 'workspace']);
