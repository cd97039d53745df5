// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A model of memfd seals, and what holds the kernel against it: the product of all states and
//! operations, every short sequence, and long ones by chance.
//!
//! The rules are in `spec.rs`; its words are in `state.rs`. All else is machinery.

pub mod actual;
pub mod cli;
pub mod hunt;
pub mod lower;
pub mod product;
pub mod program;
pub mod sequences;
pub mod spec;
pub mod state;
pub mod walks;
