#!/bin/sh
# The database, and the role that owns it, migrates it and makes the services' roles (`shop roles`): an ordinary role, so that
# the connections that the server keeps for superusers stay free for whoever has to look after it. Runs once, when the
# volume is made.
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --no-password --dbname postgres \
    --set password="$FOREBAY_DB_PASSWORD" <<'SQL'
create role forebay login createrole password :'password';
create database forebay owner forebay;
-- What the server counts, for `shop advise`, which asks as the owner.
grant pg_read_all_stats to forebay;
\connect forebay
create extension if not exists pg_stat_statements;
SQL
