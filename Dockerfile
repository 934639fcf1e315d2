# The images of all parts that are written in Python: `make images`, or
# `docker build --build-arg PART=detector .` The broker has a Dockerfile of its own.
# docs/decisions/0007-images.md says how to pin the base by digest.
ARG BASE=debian:trixie-slim
ARG PART

FROM ${BASE} AS build
# The SDK comes as source only: it is pure Python, and setuptools comes from Debian, not unlocked.
# PyAV's wheels come with 25 MB of symbols, which binutils takes out.
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils python3-pip python3-setuptools \
    && rm -rf /var/lib/apt/lists/*
ARG PART
COPY requirements/${PART}.txt /requirements.txt
RUN python3 -m pip install --no-cache-dir --no-compile --target /opt/facepipe/lib \
        --require-hashes --no-build-isolation --only-binary :all: \
        --no-binary ibm-cos-sdk,ibm-cos-sdk-core,ibm-cos-sdk-s3transfer -r /requirements.txt \
    && find /opt/facepipe/lib -depth -type d \( -name tests -o -name bin \) -exec rm -r {} + \
    && find /opt/facepipe/lib -path '*/av/*.so' -exec strip --strip-unneeded {} +
COPY common /opt/facepipe/common
COPY doctor /opt/facepipe/doctor
COPY ${PART} /opt/facepipe/${PART}
# The doctor works in two of the images: docs/decisions/0024-doctor.md.
# Compiled here, for the container cannot write; by hash, so that the same source makes the same.
RUN case "${PART}" in detector | processor) ;; *) rm -r /opt/facepipe/doctor ;; esac \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/facepipe \
    && chmod -R a+rX /opt/facepipe

FROM ${BASE} AS python
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* \
        /var/cache/ldconfig/* /var/lib/dpkg/*-old \
    && groupadd --gid 10001 facepipe \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin facepipe \
    && install -d -o facepipe -g facepipe /etc/facepipe /secrets /var/lib/facepipe
COPY --from=build /opt/facepipe /opt/facepipe
WORKDIR /opt/facepipe
ENV PYTHONPATH=/opt/facepipe:/opt/facepipe/lib
USER 10001:10001
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 \
    CMD ["python3", "-m", "common.runtime.probe"]
ARG PART
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="facepipe ${PART}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0"

FROM python AS detector
ENV HTTP_HOST=0.0.0.0 HTTP_PORT=9111 METRICS_PORT=9101
ENTRYPOINT ["python3", "-m", "detector"]
LABEL org.opencontainers.image.description="Finds the faces that pass a camera, and sends each until its receipt comes back"

FROM python AS forwarder
ENV HTTP_HOST=0.0.0.0 HTTP_PORT=9102
ENTRYPOINT ["python3", "-m", "forwarder"]
LABEL org.opencontainers.image.description="Relays faces, receipts and status between the edge broker and the cloud broker"

FROM python AS processor
ENV HTTP_HOST=0.0.0.0 HTTP_PORT=9103
# Pictures go back to the system at once: a peak of 70 MB in place of 92 with PNGs of 2 MB.
ENV MALLOC_MMAP_THRESHOLD_=262144
ENTRYPOINT ["python3", "-m", "processor"]
LABEL org.opencontainers.image.description="Stores each face that comes off the cloud broker as one object in the bucket"

FROM python AS gallery
ENV HTTP_HOST=0.0.0.0 HTTP_PORT=9104 METRICS_PORT=9114 GALLERY_DATA=/var/lib/facepipe
# Pictures go back to the system at once, as in the processor.
ENV MALLOC_MMAP_THRESHOLD_=262144
ENTRYPOINT ["python3", "-m", "gallery"]
LABEL org.opencontainers.image.description="Shows the faces in the bucket to people who have a password"

FROM python AS enroll
USER 0:0
RUN install -d -o facepipe -g facepipe /authority /identities/broker /identities/processor \
        /identities/gallery /identities/doctor
USER 10001:10001
ENTRYPOINT ["python3", "-m", "enroll"]
# A command that ends, not a service.
HEALTHCHECK NONE
LABEL org.opencontainers.image.description="Makes, renews and revokes the identities of devices and services"

# hadolint ignore=DL3006
FROM ${PART}
