-- Run once by the image of PostgreSQL, by its superuser, when it makes a new cluster (compose.yaml).
-- The servers get a role that owns its database and can do nothing else.
\getenv password POSTGRES_PASSWORD
CREATE ROLE chat LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE chat OWNER chat;
REVOKE CONNECT, TEMPORARY ON DATABASE chat FROM PUBLIC;
-- The servers know this password. Without one, the superuser signs in from within the container alone.
ALTER ROLE CURRENT_USER PASSWORD NULL;
