// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The runner's parts. They are a library for the sake of `make selftest`, which holds the verdict
//! against a million damaged streams.

mod apt;
pub mod arch;
mod bases;
mod build;
pub mod cache;
pub mod class;
pub mod cli;
mod config;
mod debian;
pub mod files;
mod fragment;
mod gittree;
pub mod guest;
mod hunks;
pub mod interrupt;
mod keep;
pub mod kernel;
mod machine;
mod merge;
pub mod plan;
mod run;
mod scratch;
mod series;
mod source;
pub mod tools;
mod tree;
pub mod ui;
