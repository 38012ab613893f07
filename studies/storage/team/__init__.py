"""A team's own PostgreSQL server, without root, Docker or an administrator: `studies storage serve`.

The wheel's PostgreSQL is built without TLS, so it listens on a Unix socket alone, and `front` speaks TLS on the port
and passes on what is inside. `server` is that PostgreSQL with its three roles, `certificates` and `passwords` make
what clients trust and type, `place` is the directory that keeps all of it, `serve` puts them together. With `unit`,
systemd keeps it running.
"""
