# Thin names over cargo and scripts. `make help` lists them.

ARCH := $(shell uname -m)
STATIC := $(ARCH)-unknown-linux-musl
# Everything the demo compiles goes here: release code without link-time optimisation.
DEMO_BINARIES := target/$(STATIC)/demo

.PHONY: help demo test test-docker test-release lint bench release stacks builder sbom toolchain

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: toolchain ## build the Rust sample app into an image with creator, and start it with launcher
	cargo build --locked --profile demo --target $(STATIC) --bin creator --bin launcher --bin demo
	$(DEMO_BINARIES)/demo $(DEMO_BINARIES)

# What spec tests start, talk to, or measure with.
TEST_PARTS := docker-registry skopeo umoci openssl strace busybox script=bsdutils unshare=util-linux

test: toolchain ## run every unit test and spec test, as root
	@sh .ci/needs $(TEST_PARTS)
	@test "$$(id -u)" = 0 || { echo "missing: root, for tests that chroot and mount" >&2; exit 1; }
	cargo build --locked --workspace --bins
	cargo test --locked --workspace

test-docker: toolchain ## build into daemons of its own, as root: Docker, Docker with the containerd image store, Podman
	@sh .ci/needs busybox openssl dockerd=docker.io docker=docker.io mmdebstrap podman unshare=util-linux docker-registry dpkg-deb=dpkg
	@test "$$(id -u)" = 0 || { echo "missing: root, to start a Docker daemon" >&2; exit 1; }
	cargo build --locked --profile demo --target $(STATIC) --package lifecycle --package launcher --bins
	LIFECYCLE_DIR=$(CURDIR)/$(DEMO_BINARIES) cargo test --locked --package spec-tests --test daemon --test dockerfiles --test extensions

# Not of the release's profile: what is tested here is not its speed.
test-release: RELEASE_PROFILE = demo
test-release: builder ## test what `make builder` makes, and let pack, Tekton's and kpack's command lines use it, as root
	@sh .ci/needs docker-registry skopeo busybox qemu-aarch64-static=qemu-user-static dockerd=docker.io docker=docker.io
	@test "$$(id -u)" = 0 || { echo "missing: root, to start a Docker daemon" >&2; exit 1; }
	sh .ci/pack
	sh builders/make spec-tests/platforms/extended.toml target/stacks/$(STACK)/build target/dist target/builders/extended $(ARCHITECTURES)
	cargo test --locked --package spec-tests --test release --test platforms

lint: toolchain ## check formatting and run clippy; warnings are errors
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

bench: toolchain ## compare release binaries with another lifecycle, as root: make bench BASELINE=<directory>
	@sh .ci/needs docker-registry skopeo busybox dockerd=docker.io docker=docker.io
	@test "$$(id -u)" = 0 || { echo "missing: root, to start a Docker daemon" >&2; exit 1; }
	@test -n "$(BASELINE)" || { echo "make bench: say what to compare with: BASELINE=<directory with lifecycle and launcher>"; exit 1; }
	cargo build --locked --release --target $(STATIC) --bins
	cargo build --locked --profile launcher --target $(STATIC) --package launcher
	cp target/$(STATIC)/launcher/launcher target/$(STATIC)/release/launcher
	target/$(STATIC)/release/bench --subject target/$(STATIC)/release --baseline "$(BASELINE)" --json target/bench.json

# What releases, stacks and builders are made for. A quick trial: make builder ARCHITECTURES=amd64 RELEASE_PROFILE=demo
ARCHITECTURES := amd64 arm64
RELEASE_PROFILE ?= release
# Which base images: tiny, or debian (which for another architecture than this machine's needs qemu-user and binfmt_misc).
STACK := tiny

release: toolchain ## make release archives and the lifecycle image, the same bytes everywhere, in target/dist
	sh release/make target/dist $(RELEASE_PROFILE) launcher $(ARCHITECTURES)

stacks: toolchain ## make build and run images of STACK (tiny, debian) as OCI layouts in target/stacks
	sh stacks/make $(STACK) target/stacks/$(STACK) $(ARCHITECTURES)

builder: release stacks ## make a builder image over STACK as an OCI layout in target/builders
	sh builders/make builders/$(STACK)/builder.toml target/stacks/$(STACK)/build target/dist target/builders/$(STACK) $(ARCHITECTURES)

sbom: toolchain ## write the launcher's bills of materials to target/sbom
	cargo build --locked --profile launcher --target $(STATIC) --package launcher
	cargo run --locked --package release --bin sbom launcher $(STATIC) target/$(STATIC)/launcher/launcher target/sbom

# The pinned toolchain of rust-toolchain.toml with this machine's static target; says what is missing.
toolchain:
	@sh .ci/toolchain $(STATIC)
