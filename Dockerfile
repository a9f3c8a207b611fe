# Two stages: the first builds, the second has the result and no tools to build anything with.
# Bases are pinned by version; whoever wants them pinned for good adds their digests.
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS build
WORKDIR /source
# An environment without pip: what installs into it stays behind.
RUN python -m venv --without-pip /opt/entrepot
COPY .ci/image-requirements.txt .ci/
RUN python -m pip --python /opt/entrepot/bin/python install \
        --no-cache-dir --no-compile --no-deps --only-binary :all: --requirement .ci/image-requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY auth/ auth/
COPY storage_drivers/ storage_drivers/
COPY registry/ registry/
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python -m pip --python /opt/entrepot/bin/python install --no-cache-dir --no-deps /wheels/*.whl \
    && python -m pip --python /opt/entrepot/bin/python check \
    && /opt/entrepot/bin/python -m compileall -q /opt/entrepot/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="Entrepot" \
      org.opencontainers.image.description="A private container registry" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes --root-user-action ignore wheel setuptools pip \
    && groupadd --gid 10001 entrepot \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin entrepot \
    && install --directory --owner 10001 --group 10001 --mode 750 /data
COPY --from=build /opt/entrepot /opt/entrepot
ENV PATH=/opt/entrepot/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENTREPOT_DATA=/data \
    ENTREPOT_SERVER__LISTEN=0.0.0.0:5000
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 5000
STOPSIGNAL SIGTERM
# By HTTPS when the environment asks for that. It looks whether the process answers, not by which name.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", "\
import http.client, os, ssl; \
encrypted = any(map(os.environ.get, ('ENTREPOT_SERVER__TLS', 'ENTREPOT_SERVER__TLS_CERTIFICATE'))); \
context = {'context': ssl._create_unverified_context()} if encrypted else {}; \
kind = http.client.HTTPSConnection if encrypted else http.client.HTTPConnection; \
connection = kind('127.0.0.1', 5000, timeout=3, **context); \
connection.request('GET', '/healthz'); \
raise SystemExit(connection.getresponse().status != 200)"]
ENTRYPOINT ["entrepot"]
CMD ["serve"]
