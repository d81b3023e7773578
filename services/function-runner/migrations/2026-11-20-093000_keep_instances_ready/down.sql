UPDATE functions SET config = config - 'min_instances';
UPDATE deployments SET config_patch = config_patch - 'min_instances';
