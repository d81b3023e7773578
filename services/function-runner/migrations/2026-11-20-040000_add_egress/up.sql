-- Functions that are there have had no network.
UPDATE functions SET config = '{"egress": false}'::jsonb || config;
