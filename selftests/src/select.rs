// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Which tests a run is of, in order: filter, then shard, then repetition.

use crate::case::Test;
use crate::cases;
use libtest_mimic::{Arguments, Trial};
use std::str::FromStr;

/// One of several parts of the selected tests. Every test is in exactly one of them, and the parts
/// differ in size by one at most. Neighbours go to different parts, so that each has something of
/// every area, of the slow ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let (number, of) = text.split_once('/').ok_or("give N/M, as in 1/4")?;
        let parse = |text: &str| text.parse::<usize>().map_err(|_| "give N/M, as in 1/4");
        let (number, of) = (parse(number)?, parse(of)?);
        if number == 0 || number > of {
            return Err("N goes from 1 to M".into());
        }
        Ok(Shard { number, of })
    }
}

impl Shard {
    /// Whether it has the one with this number, from 0.
    pub fn takes(self, at: usize) -> bool {
        at % self.of == self.number - 1
    }
}

/// One run of one test.
#[derive(Clone)]
pub struct Due {
    /// Unique in this run: the test's name, from its second run on with "@2" after it (no hash,
    /// which begins something else in KTAP).
    pub name: String,
    pub test: Test,
}

/// The tests that a filter, --skip and --exact select, in the order in which they run.
pub fn selected(arguments: &Arguments) -> Vec<Test> {
    let out = |test: &Test| arguments.is_filtered_out(&Trial::test(test.name(), || Ok(())));
    cases::all().into_iter().filter(|test| !out(test)).collect()
}

/// What runs. Errors: the filter selects nothing.
pub fn plan(
    arguments: &Arguments,
    shard: Option<Shard>,
    repeat: usize,
) -> Result<Vec<Due>, String> {
    let tests = selected(arguments);
    // --ignored asks for tests that are never run otherwise, of which there are none.
    if tests.is_empty() && !arguments.ignored {
        return Err("no test is selected; --list shows them".into());
    }
    let tests: Vec<Test> = part(tests, shard);
    let due = |round: usize, test: &Test| {
        let again = if round == 1 { String::new() } else { format!("@{round}") };
        Due { name: format!("{}{again}", test.name()), test: *test }
    };
    Ok((1..=repeat).flat_map(|round| tests.iter().map(move |test| due(round, test))).collect())
}

/// What a shard has of a list; all of it without one.
fn part<T>(all: Vec<T>, shard: Option<Shard>) -> Vec<T> {
    let taken = |at| shard.is_none_or(|shard| shard.takes(at));
    all.into_iter().enumerate().filter(|(at, _)| taken(*at)).map(|(_, one)| one).collect()
}

/// What `--list` prints: a name and a description a line.
pub fn list(due: &[Due]) -> String {
    let width = due.iter().map(|due| due.name.len()).max().unwrap_or(0);
    let line = |due: &Due| format!("{:width$}  {}\n", due.name, due.test.case.about);
    due.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn shards_are_disjoint_complete_balanced_and_in_order(count in 0usize..600, of in 1usize..40) {
            let parts: Vec<Vec<usize>> = (1..=of)
                .map(|number| part((0..count).collect(), Some(Shard { number, of })))
                .collect();
            let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
            let all: BTreeSet<usize> = parts.iter().flatten().copied().collect();
            prop_assert_eq!(sizes.iter().sum::<usize>(), count);
            prop_assert_eq!(all.len(), count);
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            prop_assert!(parts.iter().all(|part| part.is_sorted()));
        }
    }

    #[rstest]
    #[case("1/1", Some((1, 1)))]
    #[case("3/7", Some((3, 7)))]
    #[case("0/3", None)]
    #[case("4/3", None)]
    #[case("1/0", None)]
    #[case("1", None)]
    #[case("-1/3", None)]
    #[case("1/3/5", None)]
    #[case("a/b", None)]
    #[case("", None)]
    fn shards_are_read(#[case] text: &str, #[case] want: Option<(usize, usize)>) {
        let want = want.map(|(number, of)| Shard { number, of });
        assert_eq!(text.parse::<Shard>().ok(), want);
    }

    #[test]
    fn repeated_names_are_unique_and_whole_rounds() {
        let arguments = Arguments { filter: Some("resizing::shrink".into()), ..Default::default() };
        let once = plan(&arguments, None, 1).unwrap();
        let twice = plan(&arguments, None, 2).unwrap();
        assert_eq!(twice.len(), 2 * once.len());
        let names: BTreeSet<&str> = twice.iter().map(|due| due.name.as_str()).collect();
        assert_eq!(names.len(), twice.len());
        assert_eq!(twice[once.len()].name, format!("{}@2", once[0].name));
    }

    #[test]
    fn a_filter_that_selects_nothing_is_refused() {
        let arguments = Arguments { filter: Some("no such test".into()), ..Default::default() };
        assert!(plan(&arguments, None, 1).is_err());
    }
}
