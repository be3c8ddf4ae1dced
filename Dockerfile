# syntax=docker/dockerfile:1
# The server alone, without a shell, as a user who may write /data and nothing else.
#
#   docker build -t mender-server .
#   docker run -p 127.0.0.1:8080:8080 -v mender-data:/data mender-server

# The bundled libraries (SQLite, zstd, xz) need the C compiler that comes with this image.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --package mender-server \
    && cp target/dist/mender-server /mender-server \
    && mkdir /data

# glibc of the same release, authorities' certificates, user 65532. Time zones are in the program.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /mender-server /usr/local/bin/mender-server
COPY --from=build --chown=65532:65532 --chmod=700 /data /data
ENV MENDER_DATA_DIR=/data \
    MENDER_LISTEN=0.0.0.0:8080 \
    MENDER_LOG_FORMAT=json
USER 65532:65532
WORKDIR /data
VOLUME /data
# The internal listener stays on the loopback interface of the container: it asks nobody who they
# are. Where health checks come from outside, set MENDER_INTERNAL_LISTEN and guard it.
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/mender-server"]
CMD ["serve"]
