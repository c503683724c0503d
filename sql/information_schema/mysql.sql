-- The information schema of MySQL connections. A view without a query has no rows.

-- view schemata: what MySQL clients ask for
-- column catalog_name varchar(64): 
-- column schema_name varchar(64): 
-- column default_character_set_name varchar(64): 
-- column default_collation_name varchar(64): 
-- column sql_path varchar(64)?: 
SELECT DISTINCT 'def' AS catalog_name, table_schema AS schema_name, 'utf8mb4' AS default_character_set_name,
    'utf8mb4_general_ci' AS default_collation_name, NULL AS sql_path
FROM information_schema.heapql_columns
ORDER BY schema_name;

-- view tables: what MySQL clients ask for
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column table_type varchar(64): 
-- column engine varchar(64)?: 
-- column version bigint?: 
-- column row_format varchar(64)?: 
-- column table_rows bigint?: 
-- column avg_row_length bigint?: 
-- column data_length bigint?: 
-- column max_data_length bigint?: 
-- column index_length bigint?: 
-- column data_free bigint?: 
-- column auto_increment bigint?: 
-- column create_time datetime?: 
-- column update_time datetime?: 
-- column check_time datetime?: 
-- column table_collation varchar(64)?: 
-- column checksum bigint?: 
-- column create_options varchar(64)?: 
-- column table_comment varchar(4096): 
SELECT 'def' AS table_catalog, table_schema, table_name, table_type, 'HEAPQL' AS engine, NULL AS version, NULL AS row_format,
    NULL AS table_rows, NULL AS avg_row_length, NULL AS data_length, NULL AS max_data_length, NULL AS index_length,
    NULL AS data_free, NULL AS auto_increment, NULL AS create_time, NULL AS update_time, NULL AS check_time,
    NULL AS table_collation, NULL AS checksum, NULL AS create_options, table_comment
FROM information_schema.heapql_columns
WHERE ordinal_position = 1;

-- view columns: what MySQL clients ask for
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column column_name varchar(64): 
-- column ordinal_position bigint: 
-- column column_default varchar(4096)?: 
-- column is_nullable varchar(64): 
-- column data_type varchar(64): 
-- column character_maximum_length bigint?: 
-- column character_octet_length bigint?: 
-- column numeric_precision bigint?: 
-- column numeric_scale bigint?: 
-- column datetime_precision bigint?: 
-- column character_set_name varchar(64)?: 
-- column collation_name varchar(64)?: 
-- column column_type varchar(4096): 
-- column column_key varchar(64): 
-- column extra varchar(64): 
-- column privileges varchar(64): 
-- column column_comment varchar(4096): 
-- column generation_expression varchar(4096): 
SELECT 'def' AS table_catalog, table_schema, table_name, column_name, ordinal_position, NULL AS column_default,
    CASE WHEN is_nullable THEN 'YES' ELSE 'NO' END AS is_nullable, mysql_type_name AS data_type,
    CASE WHEN mysql_type_name = 'varchar' THEN mysql_type_length END AS character_maximum_length,
    CASE WHEN mysql_type_name = 'varchar' THEN mysql_type_length * 4 END AS character_octet_length,
    CASE WHEN mysql_type_name = 'bigint' THEN 19 END AS numeric_precision,
    CASE WHEN mysql_type_name = 'bigint' THEN 0 END AS numeric_scale,
    CASE WHEN mysql_type_name = 'datetime' THEN mysql_type_length END AS datetime_precision,
    CASE WHEN mysql_type_name = 'varchar' THEN 'utf8mb4' END AS character_set_name,
    CASE WHEN mysql_type_name = 'varchar' THEN 'utf8mb4_general_ci' END AS collation_name,
    mysql_type AS column_type, '' AS column_key, '' AS extra, 'select' AS privileges, column_comment,
    '' AS generation_expression
FROM information_schema.heapql_columns;

-- view views: what MySQL clients ask for
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column view_definition varchar(4096): 
-- column check_option varchar(64): 
-- column is_updatable varchar(64): 
-- column definer varchar(64): 
-- column security_type varchar(64): 
SELECT 'def' AS table_catalog, table_schema, table_name, view_definition, 'NONE' AS check_option, 'NO' AS is_updatable,
    'root@%' AS definer, 'DEFINER' AS security_type
FROM information_schema.heapql_columns
WHERE ordinal_position = 1 AND view_definition IS NOT NULL;

-- view statistics: what MySQL clients ask for
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column non_unique bigint: 
-- column index_schema varchar(64): 
-- column index_name varchar(64): 
-- column seq_in_index bigint: 
-- column column_name varchar(64): 
-- column collation varchar(64): 
-- column cardinality bigint: 
-- column sub_part bigint: 
-- column packed varchar(64): 
-- column nullable varchar(64): 
-- column index_type varchar(64): 
-- column comment varchar(64): 
-- column index_comment varchar(64): 

-- view key_column_usage: what MySQL clients ask for
-- column constraint_catalog varchar(64): 
-- column constraint_schema varchar(64): 
-- column constraint_name varchar(64): 
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column column_name varchar(64): 
-- column ordinal_position bigint: 
-- column position_in_unique_constraint bigint: 
-- column referenced_table_schema varchar(64): 
-- column referenced_table_name varchar(64): 
-- column referenced_column_name varchar(64): 

-- view table_constraints: what MySQL clients ask for
-- column constraint_catalog varchar(64): 
-- column constraint_schema varchar(64): 
-- column constraint_name varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column constraint_type varchar(64): 

-- view referential_constraints: what MySQL clients ask for
-- column constraint_catalog varchar(64): 
-- column constraint_schema varchar(64): 
-- column constraint_name varchar(64): 
-- column unique_constraint_catalog varchar(64): 
-- column unique_constraint_schema varchar(64): 
-- column unique_constraint_name varchar(64): 
-- column match_option varchar(64): 
-- column update_rule varchar(64): 
-- column delete_rule varchar(64): 
-- column table_name varchar(64): 
-- column referenced_table_name varchar(64): 

-- view routines: what MySQL clients ask for
-- column specific_name varchar(64): 
-- column routine_catalog varchar(64): 
-- column routine_schema varchar(64): 
-- column routine_name varchar(64): 
-- column routine_type varchar(64): 
-- column data_type varchar(64): 
-- column routine_definition varchar(4096): 
-- column routine_comment varchar(4096): 

-- view parameters: what MySQL clients ask for
-- column specific_catalog varchar(64): 
-- column specific_schema varchar(64): 
-- column specific_name varchar(64): 
-- column ordinal_position bigint: 
-- column parameter_mode varchar(64): 
-- column parameter_name varchar(64): 
-- column data_type varchar(64): 
-- column routine_type varchar(64): 

-- view triggers: what MySQL clients ask for
-- column trigger_catalog varchar(64): 
-- column trigger_schema varchar(64): 
-- column trigger_name varchar(64): 
-- column event_manipulation varchar(64): 
-- column event_object_schema varchar(64): 
-- column event_object_table varchar(64): 
-- column action_statement varchar(4096): 
-- column action_timing varchar(64): 

-- view events: what MySQL clients ask for
-- column event_catalog varchar(64): 
-- column event_schema varchar(64): 
-- column event_name varchar(64): 
-- column event_type varchar(64): 
-- column status varchar(64): 
