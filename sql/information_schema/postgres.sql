-- The information schema of PostgreSQL connections. A view without a query has no rows.

-- view schemata: what PostgreSQL clients ask for
-- column catalog_name varchar(64): 
-- column schema_name varchar(64): 
-- column schema_owner varchar(64): 
SELECT DISTINCT catalog_name, schema_name, 'root' AS schema_owner
FROM information_schema.heapql_columns
CROSS JOIN (VALUES ('heapql'), ('information_schema'), ('oceanbase'), ('pg_catalog')) AS names (schema_name)
ORDER BY schema_name;

-- view tables: what PostgreSQL clients ask for
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column table_type varchar(64): 
-- column self_referencing_column_name varchar(64)?: 
-- column reference_generation varchar(64)?: 
-- column is_insertable_into varchar(64): 
-- column is_typed varchar(64): 
-- column commit_action varchar(64)?: 
SELECT catalog_name AS table_catalog, table_schema, table_name, table_type, NULL AS self_referencing_column_name,
    NULL AS reference_generation, 'NO' AS is_insertable_into, 'NO' AS is_typed, NULL AS commit_action
FROM information_schema.heapql_columns
WHERE ordinal_position = 1 AND table_schema <> 'information_schema';

-- view columns: what PostgreSQL clients ask for
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column column_name varchar(64): 
-- column ordinal_position bigint: 
-- column column_default varchar(64)?: 
-- column is_nullable varchar(64): 
-- column data_type varchar(64): 
-- column character_maximum_length bigint?: 
-- column character_octet_length bigint?: 
-- column numeric_precision bigint?: 
-- column numeric_precision_radix bigint?: 
-- column numeric_scale bigint?: 
-- column datetime_precision bigint?: 
-- column udt_catalog varchar(64): 
-- column udt_schema varchar(64): 
-- column udt_name varchar(64): 
-- column is_identity varchar(64): 
-- column is_generated varchar(64): 
-- column is_updatable varchar(64): 
SELECT catalog_name AS table_catalog, table_schema, table_name, column_name, ordinal_position, NULL AS column_default,
    CASE WHEN is_nullable THEN 'YES' ELSE 'NO' END AS is_nullable,
    CASE kind WHEN 'text' THEN 'character varying' WHEN 'int' THEN 'bigint' WHEN 'float' THEN 'double precision'
        WHEN 'bool' THEN 'boolean' ELSE 'timestamp without time zone' END AS data_type,
    CASE WHEN kind = 'text' THEN mysql_type_length END AS character_maximum_length,
    CASE WHEN kind = 'text' THEN mysql_type_length * 4 END AS character_octet_length,
    CASE WHEN kind = 'int' THEN 64 END AS numeric_precision,
    CASE WHEN kind = 'int' THEN 2 END AS numeric_precision_radix,
    CASE WHEN kind = 'int' THEN 0 END AS numeric_scale,
    CASE WHEN kind = 'time' THEN 6 END AS datetime_precision,
    catalog_name AS udt_catalog, 'pg_catalog' AS udt_schema,
    CASE kind WHEN 'text' THEN 'varchar' WHEN 'int' THEN 'int8' WHEN 'float' THEN 'float8' WHEN 'bool' THEN 'bool'
        ELSE 'timestamp' END AS udt_name,
    'NO' AS is_identity, 'NEVER' AS is_generated, 'NO' AS is_updatable
FROM information_schema.heapql_columns
WHERE table_schema <> 'information_schema';

-- view views: what PostgreSQL clients ask for
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column view_definition varchar(64): 
-- column check_option varchar(64): 
-- column is_updatable varchar(64): 

-- view key_column_usage: what PostgreSQL clients ask for
-- column constraint_catalog varchar(64): 
-- column constraint_schema varchar(64): 
-- column constraint_name varchar(64): 
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column column_name varchar(64): 
-- column ordinal_position bigint: 
-- column position_in_unique_constraint bigint: 

-- view table_constraints: what PostgreSQL clients ask for
-- column constraint_catalog varchar(64): 
-- column constraint_schema varchar(64): 
-- column constraint_name varchar(64): 
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column constraint_type varchar(64): 

-- view referential_constraints: what PostgreSQL clients ask for
-- column constraint_catalog varchar(64): 
-- column constraint_schema varchar(64): 
-- column constraint_name varchar(64): 
-- column unique_constraint_catalog varchar(64): 
-- column unique_constraint_schema varchar(64): 
-- column unique_constraint_name varchar(64): 
-- column match_option varchar(64): 
-- column update_rule varchar(64): 
-- column delete_rule varchar(64): 

-- view constraint_column_usage: what PostgreSQL clients ask for
-- column table_catalog varchar(64): 
-- column table_schema varchar(64): 
-- column table_name varchar(64): 
-- column column_name varchar(64): 
-- column constraint_catalog varchar(64): 
-- column constraint_schema varchar(64): 
-- column constraint_name varchar(64): 

-- view routines: what PostgreSQL clients ask for
-- column specific_catalog varchar(64): 
-- column specific_schema varchar(64): 
-- column specific_name varchar(64): 
-- column routine_catalog varchar(64): 
-- column routine_schema varchar(64): 
-- column routine_name varchar(64): 
-- column routine_type varchar(64): 
-- column data_type varchar(64): 

-- view triggers: what PostgreSQL clients ask for
-- column trigger_catalog varchar(64): 
-- column trigger_schema varchar(64): 
-- column trigger_name varchar(64): 
-- column event_manipulation varchar(64): 
-- column event_object_schema varchar(64): 
-- column event_object_table varchar(64): 

-- view sequences: what PostgreSQL clients ask for
-- column sequence_catalog varchar(64): 
-- column sequence_schema varchar(64): 
-- column sequence_name varchar(64): 
-- column data_type varchar(64): 
