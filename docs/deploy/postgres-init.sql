-- The PostgreSQL image runs this once as superuser, when it creates a new cluster (compose.yaml).
-- The servers get a role that owns its database and has no other rights.
\getenv password POSTGRES_PASSWORD
CREATE ROLE chat LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE chat OWNER chat;
REVOKE CONNECT, TEMPORARY ON DATABASE chat FROM PUBLIC;
-- The servers know this password. Without a password, the superuser can log in only within the container.
ALTER ROLE CURRENT_USER PASSWORD NULL;
