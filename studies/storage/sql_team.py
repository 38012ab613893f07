"""The SQL of the team's server: who may do what.

`owner` has the tables. `worker` may do what a launch and a worker do, `viewer` may look. Nobody logs in as superuser.
A release's functions are created by the owner: who may create a function can have others run it as themselves, so
`worker` may not.
"""

from __future__ import annotations

# What a new cluster gets in single-user mode, a statement a line; the place is for the owner's password as SCRAM keeps
# it. The owner makes the other roles.
CREATE_TEAM = """\
CREATE ROLE owner LOGIN CREATEROLE PASSWORD '{owner}'
CREATE DATABASE studies OWNER owner
REVOKE ALL ON DATABASE studies FROM PUBLIC
"""

# The owner's password again, in single-user mode, too.
SET_OWNER = "ALTER ROLE owner PASSWORD '{owner}'\n"

# A role with its password, once and again: what is kept in the directory is what is valid after a start.
CREATE_ROLES = """
DO $$ BEGIN
    IF to_regrole('worker') IS NULL THEN CREATE ROLE worker LOGIN; END IF;
    IF to_regrole('viewer') IS NULL THEN CREATE ROLE viewer LOGIN; END IF;
END $$;
ALTER ROLE worker PASSWORD %(worker)s;
ALTER ROLE viewer PASSWORD %(viewer)s"""

# What each role may do, with what a later release adds. Deleting a study, and creating or dropping anything, is left to
# the owner; of rows, a worker removes no more than checkpoints and the links to artifacts. A copy of a study arrives in
# tables of its session's own.
GRANT = """
GRANT CONNECT ON DATABASE studies TO worker, viewer;
GRANT TEMPORARY ON DATABASE studies TO worker;
GRANT USAGE ON SCHEMA public, studies TO worker, viewer;
GRANT SELECT ON ALL TABLES IN SCHEMA public, studies TO worker, viewer;
GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA public, studies TO worker;
GRANT DELETE ON study_system_attributes, trial_system_attributes, studies.checkpoints TO worker;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public, studies TO worker;
REVOKE INSERT, UPDATE ON alembic_version, version_info FROM worker;
ALTER DEFAULT PRIVILEGES IN SCHEMA public, studies GRANT SELECT ON TABLES TO worker, viewer;
ALTER DEFAULT PRIVILEGES IN SCHEMA public, studies GRANT INSERT, UPDATE ON TABLES TO worker;
ALTER DEFAULT PRIVILEGES IN SCHEMA public, studies GRANT USAGE ON SEQUENCES TO worker"""
