# syntax=docker/dockerfile:1
# The image of `dify-etl serve`: no compiler, no cache, no secret, not root, nothing to write to but
# the volume /data and /tmp. deploy/image.sh holds the steps, so that a test can take them as well.
FROM python:3.13-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY deploy/requirements.lock deploy/image.sh ./
RUN sh image.sh dependencies requirements.lock /opt/dify-etl
COPY pyproject.toml dagster.yaml README.md README.zh-CN.md SECURITY.md CHANGELOG.md ./
COPY sql sql
COPY docs docs
COPY dify_simulated dify_simulated
COPY dify_etl dify_etl
RUN sh image.sh program /src /opt/dify-etl

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin dify-etl \
    && install -d -o dify-etl -g dify-etl -m 0700 /data
COPY --from=build /opt/dify-etl /opt/dify-etl
ENV PATH=/opt/dify-etl/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAGSTER_DISABLE_TELEMETRY=1 \
    DIFY_ETL_HOME=/data/home
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=15s --start-period=120s --retries=3 \
    CMD ["dify-etl", "serve", "--check"]
ENTRYPOINT ["dify-etl"]
CMD ["serve", "--host", "0.0.0.0"]
