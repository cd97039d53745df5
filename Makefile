# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Thin: each target is one command. Bare `make` explains them.

export FILTER BASE SERIES CONFIG KERNEL ARCH ABI JOBS CPUS MEMORY APPEND QEMU KVM INIT PREVIOUS

CARGO := ci/with-cargo

CONFIGS := $(filter-out kernel,$(patsubst qemu/%.config,%,$(sort $(wildcard qemu/*.config))))

help:
	@sed -n 's/@CONFIGS@/$(CONFIGS)/; s/^#: \{0,1\}//p' Makefile

#: make qemu-test   patch, build and boot a kernel, run the suite in it, give a verdict
#: make test        unit and golden tests, format, clippy, the series against its base, the matrix, and
#:                  the last run's KTAP by the kernel's own parser
#: make selftest    breaks the runner on purpose; each breakage must end in its class, in time
#: make revision    is the series fit to send? All gates, with a report; ci/with-python ci/revision --help
#: make series      its first gates: the series as mails, checkpatch, warnings
#: make harder      the suite on debug, kcsan, rt, up and fault kernels, patched and stock
#: make parity      ashmem's own driver beside the seal, on 5.10: what each promises, from a run of both
#: make matrix      the suite on every kernel of patches/bases.toml, patched and stock, and guarantees.html:
#:                  which of them guarantees what; ci/matrix --help: some of them, or the rest
#: make sites       takes each enforcement out of the series in turn; the suite must notice
#: make faults      plants each fault of ci/faults in turn; the suite must notice
#: make prove       puts errors into the model, and into the kernel; each must be found by the model's
#:                  tests, and shown by the C program that they print
#: make man-pages   the man pages as their maintainer gets them: am, lint, rendered
#: make bench       speed, each figure beside what it is compared with
#:
#: FILTER=text      only the tests whose name has it
#: BASE=name        a folder of patches/ that patches/bases.toml lists (mainline)
#: SERIES=folder    patches to apply; none: the stock kernel; hollow: takes the seal, enforces nothing
#: CONFIG=file      more Kconfig lines, or one of qemu/*.config: @CONFIGS@
#: KERNEL=path      a Linux git tree, unpacked tree or tarball; unset: Debian's package of the base
#: ARCH=x86_64      or arm64, cross-built
#: ABI=32           the suite as a 32-bit program
#: JOBS=n           jobs of the kernel's make
#: CPUS=n MEMORY=n  the guest's CPUs, and its memory in MiB
#: APPEND=words     more of the kernel's command line
#: QEMU=path        another QEMU
#: KVM=off          TCG even if /dev/kvm works
#: PREVIOUS=folder  the revision before, for make revision's range-diff; REPORT=folder: where its report goes
#: INIT=file        a static program to boot in the suite's place
#:
#: Each run leaves console.log, results.ktap, junit.xml, summary.json in target/qemu-test/latest.
#: Exit codes: cargo run -q -p qemu-test -- classes

qemu-test:
	@$(CARGO) run --release --quiet -p qemu-test -- run

test:
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --quiet --all-targets -- -D warnings
	@$(CARGO) test --quiet
	@$(CARGO) run --release --quiet -p qemu-test -- apply
	@ci/with-python ci/check-matrix
	@ci/with-python ci/check-ktap
	@ci/with-python ci/check-workflows
	@ci/with-python ci/check-kcidb
	@ci/with-python ci/revision/check_gates.py
	@ci/with-python ci/revision/check_mutate.py
	@$(CARGO) run --release --quiet -p selftest -- refusals::

selftest:
	@$(CARGO) build --release --quiet -p qemu-test
	@$(CARGO) run --release --quiet -p selftest -- $(FILTER)

series:
	@ci/with-python ci/revision form uapi warnings

revision:
	@ci/with-python ci/revision --report $(or $(REPORT),target/revision)

harder:
	@ci/harder-kernels

parity:
	@ci/parity

matrix:
	@ci/with-python ci/matrix --page guarantees.html

sites faults:
	@ci/plant-faults $@

prove:
	@ci/prove-model model
	@ci/prove-model kernel

man-pages:
	@ci/check-man-pages

bench:
	@ci/bench

.PHONY: help qemu-test test selftest series harder parity matrix sites faults prove man-pages bench revision
