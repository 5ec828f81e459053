# Two images from one file: `shop` and `replay`. Needs BuildKit, the builder of Docker since 23; before it, and with
# docker-compose 1.29, set DOCKER_BUILDKIT=1 and COMPOSE_DOCKER_CLI_BUILD=1.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim
ARG POSTGRES_IMAGE=postgres:15-bookworm

# What is downloaded and compiled stays in two caches, so that a change of sources compiles our crates alone. These are
# always compiled: cargo goes by time stamps, and whatever was compiled there last may have come from another checkout.
FROM ${BUILD_IMAGE} AS sources
ENV CARGO_TERM_COLOR=never
WORKDIR /src
COPY . .

# Stripped of its symbols it is a sixth smaller: a panic's backtrace has addresses then, and its message the line all the same.
FROM sources AS shop-build
RUN --mount=type=cache,id=forebay-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=forebay-target,target=/src/target,sharing=locked \
    find crates -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --package forebay-shop --features otlp --bin shop \
 && install -D --strip target/release/shop /out/shop

# A build of its own: were chaos built together with the shop, cargo would give the shop the features that only chaos asks for.
FROM sources AS chaos-build
RUN --mount=type=cache,id=forebay-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=forebay-target,target=/src/target,sharing=locked \
    find crates -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --package forebay-chaos \
 && install -D target/release/forebay-chaos /out/forebay-chaos

# The incident in one container, on a Postgres server of its own: hence this base. Its entry point starts as root, gives
# the server to the account `postgres`, and needs no more rights than compose leaves it.
FROM ${POSTGRES_IMAGE} AS replay
COPY --from=chaos-build /out/forebay-chaos /usr/local/bin/
RUN install -d /scratch /report
ENV TMPDIR=/scratch
WORKDIR /scratch
STOPSIGNAL SIGTERM
ENTRYPOINT ["forebay-chaos", "replay", "--out", "/report"]
CMD []

# The last one is what `docker build .` makes.
FROM ${RUNTIME_IMAGE} AS shop
RUN groupadd --system --gid 10001 forebay \
 && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/forebay --shell /usr/sbin/nologin forebay \
 && install -d -o forebay -g forebay -m 0700 /var/lib/forebay
COPY --from=shop-build /out/shop /usr/local/bin/
USER 10001:10001
WORKDIR /var/lib/forebay
ENV FOREBAY_HTTP=0.0.0.0:8080 FOREBAY_DATA=/var/lib/forebay
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["shop", "health"]
ENTRYPOINT ["shop"]
CMD ["up"]
