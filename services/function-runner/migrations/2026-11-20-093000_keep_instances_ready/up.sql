UPDATE functions SET config = config || '{"min_instances": 0}' WHERE NOT config ? 'min_instances';
