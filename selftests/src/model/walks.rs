// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Long sequences by chance, of all operations; proptest makes them and makes them short again.

use super::cli::STEPS;
use super::hunt::Hunt;
use super::product::OPS;
use super::sequences::FS_WRITE;
use super::state::Op;
use crate::kind::Kind;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::cell::RefCell;

/// The walk of this seed, on this kind of file, with the seal among its operations or without: of up
/// to `most` operations. Errors: it could not be set up.
pub fn walk(
    hunt: &mut Hunt,
    kind: Kind,
    sealed: bool,
    most: usize,
    seed: u64,
) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases: 1, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let ops: Vec<Op> = OPS
        .iter()
        .copied()
        .chain([Op::Close, Op::UseFirst, Op::UseLast])
        .filter(|&op| sealed || op != FS_WRITE)
        .collect();
    let walks = proptest::collection::vec(proptest::sample::select(ops), most / 2..=most);
    let hunt = RefCell::new(hunt);
    let broken = RefCell::new(None);
    let tried = RefCell::new(Vec::new());
    let end = TestRunner::new_with_rng(config, rng).run(&walks, |ops| {
        tried.replace(ops.clone());
        match hunt.borrow_mut().sequence(kind, &ops) {
            Ok(None) => Ok(()),
            Ok(Some(what)) => Err(TestCaseError::fail(what)),
            Err(why) => {
                broken.replace(Some(why));
                Ok(())
            }
        }
    });
    let mut hunt = hunt.borrow_mut();
    let found = hunt.tally.first.is_some();
    match (broken.take(), end) {
        (Some(why), _) => return Err(why),
        (None, Err(TestError::Fail(why, ops))) => hunt.failed(kind, &ops, &why.to_string())?,
        (None, Err(TestError::Abort(why))) => return Err(why.to_string()),
        (None, Ok(())) => hunt.passed(kind, &tried.take()),
    }
    if let (Some(first), false) = (&mut hunt.tally.first, found) {
        let (steps, kind) =
            (if most == STEPS { String::new() } else { format!(" --steps {most}") }, kind.suffix());
        let without = if sealed { "" } else { " --without-seal" };
        first.push_str(&format!("\nagain: memfd-seals model walks --kind {kind} --seed {seed} --walks 1{steps}{without}\n"));
    }
    Ok(())
}
