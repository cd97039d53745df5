// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The host fails: a full disk, a folder that can't be written, a second run, a signal.
//!
//! A row's `by` may be any function: [`Lab::command`](crate::lab::Lab::command) gives the runner as
//! the row asks for it, `Lab::run` runs it, `Ran::must_be` holds its end against the row.

use crate::row::Row;

pub const ROWS: &[Row] = &[];
