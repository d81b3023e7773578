UPDATE functions SET config = config - 'egress';
UPDATE deployments SET config_patch = config_patch - 'egress';
