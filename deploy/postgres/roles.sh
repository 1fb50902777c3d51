#!/bin/sh
# Makes the three roles and the database of docs/OPERATING.md, section Roles; the official Postgres image runs it once, when
# it makes a new cluster. Needs OWNER_PASSWORD, WRITER_PASSWORD and READER_PASSWORD. Passwords travel as
# psql's variables, quoted by psql: any character may be in them.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set=owner="$OWNER_PASSWORD" --set=writer="$WRITER_PASSWORD" --set=reader="$READER_PASSWORD" <<'SQL'
CREATE ROLE indexer_owner LOGIN PASSWORD :'owner';
CREATE ROLE indexer_writer LOGIN PASSWORD :'writer';
CREATE ROLE indexer_reader LOGIN PASSWORD :'reader';
ALTER ROLE indexer_reader SET statement_timeout = '30s';
CREATE DATABASE indexer OWNER indexer_owner;
REVOKE TEMPORARY ON DATABASE indexer FROM PUBLIC;
\connect indexer
ALTER DEFAULT PRIVILEGES FOR ROLE indexer_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO indexer_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE indexer_owner GRANT SELECT ON TABLES TO indexer_reader;
SQL
