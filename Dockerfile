# One image runs every command: `docker run IMAGE launch meli-cnn --workers 4`, `worker NAME`, `dashboard --host 0.0.0.0`.
FROM python:3.12-slim

# git is for the provenance of each trial when a checkout is mounted; nothing here is compiled.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 studies \
    && install --directory --owner=studies --group=studies /home/studies/.local/share/studies /work

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY studies studies
COPY objectives objectives
RUN pip install --no-cache-dir --constraint constraints.txt '.[s3]'

# PostgreSQL and training alike run as this user: nothing needs root.
USER studies
WORKDIR /work
VOLUME /home/studies/.local/share/studies
# The first SIGTERM lets workers finish their epoch; `docker stop --time` decides how long that may take.
STOPSIGNAL SIGTERM
ENTRYPOINT ["studies"]
CMD ["--help"]
