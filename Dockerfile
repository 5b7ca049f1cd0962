# One image for both programs: `sage-agent run`, `sage-analyzer serve`.
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    build-essential clang cmake libcap-ng-dev libcurl4-gnutls-dev libcyaml-dev libbpf-dev \
    libelf-dev libjansson-dev libmicrohttpd-dev libmnl-dev libnng-dev \
    libsqlite3-dev libxxhash-dev libyaml-dev llvm nettle-dev ninja-build npm pkg-config uthash-dev zlib1g-dev
COPY . /src
RUN cmake -S /src -B /build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSAGE_TESTS=OFF \
    && ninja -C /build

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
    iproute2 libbpf1 libcap-ng0 libcurl3-gnutls libcyaml1 libelf1 libjansson4 libmicrohttpd12 \
    libmnl0 libnettle8 libnng1 libsqlite3-0 libxxhash0 zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/agent/sage-agent /build/analyzer/sage-analyzer /usr/local/bin/
CMD ["sage-analyzer", "serve"]
