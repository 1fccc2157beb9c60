# The services of JobTrail: `jobtrail consume`, `monitor`, `dataset:get-status --watch`, `deadletters capture`, `web`, and
# every other command.
# The Python version is the one that the tests run on.
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
COPY broker broker
COPY cli cli
COPY consumer consumer
COPY deadletters deadletters
COPY heartbeat heartbeat
COPY models models
COPY operations operations
COPY publisher publisher
COPY reconciler reconciler
COPY runtime runtime
COPY stack stack
COPY store store
COPY web web
RUN python -m venv /opt/jobtrail \
    && /opt/jobtrail/bin/pip install --no-cache-dir --disable-pip-version-check '.[server]' -c constraints.txt

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin jobtrail
COPY --from=build /opt/jobtrail /opt/jobtrail
ENV PATH=/opt/jobtrail/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    JOBTRAIL_LOG_FORMAT=json \
    JOBTRAIL_HEALTH_HOST=0.0.0.0 \
    JOBTRAIL_WEB_HOST=0.0.0.0
USER 10001
WORKDIR /tmp
# Exec form: SIGTERM reaches jobtrail itself, which finishes its batch and acknowledges it.
ENTRYPOINT ["jobtrail"]
CMD ["--help"]
