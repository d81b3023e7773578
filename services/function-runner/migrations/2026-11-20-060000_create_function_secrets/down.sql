DROP TABLE function_secrets;
