// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! SIGINT and SIGTERM: noted by a handler, seen by whoever waits, and turned into a refusal.

use crate::class::{Class, Refusal, Step};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static SEEN: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Starts noting both signals. Called once, before anything is made.
pub fn install() -> Step<()> {
    let seen = SEEN.get_or_init(Default::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, seen.clone())
            .map_err(|e| Refusal::new(Class::Internal, format!("signal handlers: {e}")))?;
    }
    Ok(())
}

/// Whether one of them has come.
pub fn seen() -> bool {
    SEEN.get().is_some_and(|seen| seen.load(Ordering::Relaxed))
}

/// The flag itself, for what polls it.
pub fn flag() -> Arc<AtomicBool> {
    SEEN.get_or_init(Default::default).clone()
}

/// Refuses with [`Class::Interrupted`] once one of them has come.
pub fn check() -> Step<()> {
    if seen() { Err(refusal()) } else { Ok(()) }
}

/// The refusal of a run that was stopped.
pub fn refusal() -> Refusal {
    Refusal::new(Class::Interrupted, "stopped; run the same command again to go on")
}
