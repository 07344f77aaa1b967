# The image that `make image` makes, for those who have a container engine:
#
#   docker build --build-arg REVISION=$(git rev-parse HEAD) --tag localhost/pilothouse:0.1.0 .
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The commit, which the image cannot see: .dockerignore leaves the history out.
ARG REVISION
# One place knows how the program is linked and what the image has beside it.
RUN PILOTHOUSE_GIT_REVISION="${REVISION:-unknown}" scripts/make-image --root /image

FROM scratch
COPY --from=build /image/ /
LABEL org.opencontainers.image.title="pilothouse" \
      org.opencontainers.image.description="A control plane for service meshes of stock Envoys" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/bin
USER 1337:1337
EXPOSE 8080 15010 15012 15014 15017
ENTRYPOINT ["/usr/local/bin/pilothouse"]
