# A worker without a GPU. From the checkout: docker build -f docker/worker.Dockerfile -t suture-worker .
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# The compiler is the distribution's of the day; llama.cpp itself is pinned by its checksum.
# hadolint ignore=DL3008
RUN apt-get update -q \
    && apt-get install -q -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home suture \
    && install -d -o suture -g suture /opt/suture /data
USER 1000:1000
WORKDIR /opt/suture

# first what changes seldom, so that a change of the code keeps this layer
COPY --chown=suture:suture pyproject.toml constraints.txt README.md LICENSE ./
COPY --chown=suture:suture suture/__init__.py suture/
RUN python3 -m venv .venv \
    && .venv/bin/pip install --no-cache-dir -c constraints.txt -e '.[flows]' cmake ninja
COPY --chown=suture:suture suture suture
RUN SUTURE_CACHE=/opt/suture/cache .venv/bin/suture toolchain install \
    && rm -rf cache/packages

FROM ${BASE_IMAGE}
RUN useradd --uid 1000 --create-home suture \
    && install -d -o suture -g suture /data
COPY --from=build --chown=suture:suture /opt/suture /opt/suture
COPY --chown=suture:suture . /opt/suture
USER 1000:1000
WORKDIR /opt/suture
ENV PATH=/opt/suture/.venv/bin:$PATH \
    SUTURE_STORE=/data/store \
    SUTURE_STATE=/data/server \
    SUTURE_CACHE=/opt/suture/cache
VOLUME /data
ENTRYPOINT ["suture"]
CMD ["--help"]
