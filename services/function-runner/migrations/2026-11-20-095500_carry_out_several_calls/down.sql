UPDATE functions SET config = config - 'concurrency';
UPDATE deployments SET config_patch = config_patch - 'concurrency';
