// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Conformance suite for memfd seals.
//!
//! The library half holds what the runner needs on the host too: the catalogue of cases, the
//! event stream and what each kind of kernel is predicted to do.

pub mod events;
