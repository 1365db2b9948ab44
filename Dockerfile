# The base image needs Debian's apt, and Node.js 20.18 or later with npm. Builds for linux/amd64, linux/arm64 and linux/arm/v7.
ARG BASE_IMAGE=node:22-bookworm-slim

FROM ${BASE_IMAGE} AS build
RUN useradd --create-home --home-dir /build build
USER build
WORKDIR /build
COPY --chown=build package.json package-lock.json ./
RUN npm ci --no-audit --no-fund && rm -rf ~/.npm
COPY --chown=build tsconfig*.json ./
COPY --chown=build bin bin
COPY --chown=build lib lib
COPY --chown=build examples examples
# lib/sources/kubernetes uses two modules of the Kubernetes client. The others are half of node_modules, and go.
RUN npx tsc -b \
    && npm prune --omit=dev --no-audit --no-fund \
    && find node_modules \( -name '*.d.ts' -o -name '*.d.cts' -o -name '*.d.mts' -o -name '*.map' \
       -o -path '*/client-node/dist/*.js' ! -name config_types.js ! -name exec_auth.js \) -delete

FROM ${BASE_IMAGE}
# Debian's iptables has both back ends, nft and legacy.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends iptables \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /opt/kube-portal
COPY --from=build /build/package.json ./
COPY --from=build /build/bin bin
COPY --from=build /build/dist/lib dist/lib
COPY --from=build /build/examples examples
COPY --from=build /build/node_modules node_modules
ENV NODE_ENV=production
ENTRYPOINT ["node", "/opt/kube-portal/bin/kube-portal"]
CMD ["run"]
