// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Conformance suite for memfd seals.
//!
//! Cases are data (`cases/`, in the shape of `case.rs`); `child.rs` runs one, `run.rs` runs all.
//! The runner on the host uses the library too: for the names that a run must report, and for
//! what each kind of kernel is predicted to do.

mod aio;
mod ashmem;
pub mod bless;
mod calls;
pub mod case;
pub mod cases;
mod checks;
pub mod child;
pub mod cli;
pub mod compare;
mod compat;
pub mod coverage;
pub mod cursor;
pub mod deviations;
pub mod door;
mod elsewhere;
pub mod events;
pub mod fault;
pub mod feature;
mod fuse;
pub mod gcov;
pub mod init;
mod iommufd;
pub mod kind;
mod lacking;
mod leak;
mod loopdev;
mod luo;
pub mod mapped;
pub mod model;
pub mod need;
pub mod parity;
pub mod predict;
mod program;
mod race;
pub mod region;
pub mod replay;
pub mod report;
pub mod run;
pub mod select;
mod steps;
mod stranger;
mod swap;
pub mod sys;
mod udmabuf;
mod uffd;
mod uring;
pub mod world;
