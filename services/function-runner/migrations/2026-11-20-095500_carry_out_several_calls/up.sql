UPDATE functions SET config = config || '{"concurrency": 1}' WHERE NOT config ? 'concurrency';
