# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Thin: each target is one command. Bare `make` explains them.

export KERNEL SERIES BASE CONFIG FILTER JOBS CPUS MEMORY QEMU KVM INIT

CARGO := ci/with-cargo

help:
	@sed -n 's/^#: //p' Makefile

#: make qemu-test   patch, build and boot a kernel, run the suite in it, give a verdict
#: make test        unit and golden tests, format, clippy, and the series against its base
#: make series      the series as a reviewer's tools see it: am, blobs, warnings, checkpatch
#: make harder      the suite on debug, kcsan, rt, up and fault kernels, patched and stock
#: make sites       takes each enforcement out of the series in turn; the suite must notice
#: make bench       speed, each figure beside what it is compared with
#:
#: KERNEL=path      a Linux git tree, unpacked tree or tarball; unset: Debian's package of the base
#: SERIES=folder    patches to apply; none: the stock kernel; hollow: takes the seal, enforces nothing
#: BASE=name        a folder of patches/ (mainline)
#: CONFIG=file      more Kconfig lines, or the X of a qemu/X.config
#: FILTER=text      only the tests whose name has it
#: JOBS=n           jobs of the kernel's make
#: CPUS=n MEMORY=n  the guest's CPUs, and its memory in MiB
#: QEMU=path        another qemu-system-x86_64
#: KVM=off          TCG even if /dev/kvm works
#: INIT=file        a static program to boot in the suite's place
#:
#: Exit codes: cargo run -q -p qemu-test -- classes

qemu-test:
	@$(CARGO) run --release --quiet -p qemu-test -- run

test:
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --quiet --all-targets -- -D warnings
	@$(CARGO) test --quiet
	@$(CARGO) run --release --quiet -p qemu-test -- apply

series:
	@ci/check-series

harder:
	@ci/harder-kernels

sites:
	@ci/remove-each-site

bench:
	@ci/bench

.PHONY: help qemu-test test series harder sites bench
