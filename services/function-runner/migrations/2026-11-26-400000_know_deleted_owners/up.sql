-- Owners whose accounts auth said were deleted. What is theirs goes, and what comes late too.
CREATE TABLE deleted_owners (owner_id uuid CONSTRAINT deleted_owners_pkey PRIMARY KEY);
