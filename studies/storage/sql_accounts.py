# ruff: noqa: S105 - a token here is what the SQL is about
"""The SQL of the dashboard's users.

Their tables are in a schema of their own: on a team's server the roles `worker` and `viewer` may read everything in the
schema `studies`, and passwords are nothing for them.
"""

from __future__ import annotations

# Passwords as argon2 keeps them; of sessions and tokens the SHA-256 alone. Who is gone takes both along. The audit
# keeps names, so that it outlives its users.
CREATE_ACCOUNTS = """
CREATE SCHEMA IF NOT EXISTS studies_accounts;
CREATE TABLE IF NOT EXISTS studies_accounts.users (
    name       text PRIMARY KEY,
    role       text NOT NULL,
    password   text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS studies_accounts.sessions (
    digest     text PRIMARY KEY,
    user_name  text NOT NULL REFERENCES studies_accounts.users (name) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS studies_accounts.tokens (
    digest     text PRIMARY KEY,
    user_name  text NOT NULL REFERENCES studies_accounts.users (name) ON DELETE CASCADE,
    label      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (user_name, label)
);
CREATE TABLE IF NOT EXISTS studies_accounts.audit (
    at        timestamptz NOT NULL DEFAULT now(),
    user_name text NOT NULL,
    address   text NOT NULL,
    action    text NOT NULL
);
"""

# Whether this role may read the tables, no row where they are not there: one that may not is to know no password.
MAY_READ = """
SELECT has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'studies_accounts' AND c.relname = 'audit'"""

# Users: whether there are any, all of them with what their tokens are called, and one with what a login needs.
HAS_USERS = "SELECT EXISTS (SELECT FROM studies_accounts.users)"
READ_USERS = """
SELECT u.name, u.role, (SELECT coalesce(array_agg(label ORDER BY label), '{}')
    FROM studies_accounts.tokens t WHERE t.user_name = u.name)
FROM studies_accounts.users u ORDER BY u.name"""
READ_USER = "SELECT role, password FROM studies_accounts.users WHERE name = %(name)s"

# A new user, or a new password and role of one that is there, whose sessions and tokens end with the old password.
SET_USER = """
INSERT INTO studies_accounts.users (name, role, password) VALUES (%(name)s, %(role)s, %(password)s)
ON CONFLICT (name) DO UPDATE SET role = excluded.role, password = excluded.password;
DELETE FROM studies_accounts.sessions WHERE user_name = %(name)s;
DELETE FROM studies_accounts.tokens WHERE user_name = %(name)s"""
REMOVE_USER = "DELETE FROM studies_accounts.users WHERE name = %(name)s RETURNING name"

# A session begins; those that are over go.
OPEN_SESSION = """
DELETE FROM studies_accounts.sessions WHERE expires_at <= now();
INSERT INTO studies_accounts.sessions (digest, user_name, expires_at)
SELECT %(digest)s, name, now() + make_interval(secs => %(seconds)s)
FROM studies_accounts.users WHERE name = %(name)s
ON CONFLICT (digest) DO NOTHING"""
CLOSE_SESSION = "DELETE FROM studies_accounts.sessions WHERE digest = %(digest)s"

# A token for a script; one of the same label is replaced.
ADD_TOKEN = """
INSERT INTO studies_accounts.tokens (digest, user_name, label)
SELECT %(digest)s, name, %(label)s FROM studies_accounts.users WHERE name = %(name)s
ON CONFLICT (user_name, label) DO UPDATE SET digest = excluded.digest, created_at = now()
RETURNING user_name"""

# Whose a session or a token is, with the role that they have now.
READ_SESSION = """
SELECT u.name, u.role FROM studies_accounts.sessions s JOIN studies_accounts.users u ON u.name = s.user_name
WHERE s.digest = %(digest)s AND s.expires_at > now()"""
READ_TOKEN = """
SELECT u.name, u.role FROM studies_accounts.tokens t JOIN studies_accounts.users u ON u.name = t.user_name
WHERE t.digest = %(digest)s"""

# Who did what. Where the answer was lost it is added again, and there is but one of a moment.
ADD_AUDIT = """
INSERT INTO studies_accounts.audit (at, user_name, address, action)
SELECT %(at)s, %(name)s, %(address)s, %(action)s WHERE NOT EXISTS (
    SELECT FROM studies_accounts.audit WHERE at = %(at)s AND user_name = %(name)s AND action = %(action)s)"""
READ_AUDIT = """
SELECT at, user_name, address, action FROM studies_accounts.audit ORDER BY at DESC LIMIT %(n)s"""
