// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Which tests a run must report, and what is predicted of each: the host's own copy.

use crate::arch::Target;
use crate::bases;
use crate::class::{Class, Refusal, Step};
use crate::files;
use crate::fragment::{self, Fragment};
use crate::kernel::Request;
use crate::machine::Wants;
use crate::series::Series;
use memfd_seals::cases;
use memfd_seals::deviations::Table;
use memfd_seals::events::Outcome;
use memfd_seals::feature::BY_OPTION;
use memfd_seals::predict::Kernel;

/// The tests of a run, in order.
pub struct Plan {
    /// What was done to the kernel.
    pub kernel: Kernel,
    /// Name and predicted outcome of each test.
    pub expected: Vec<(String, Outcome)>,
    /// The rows of which tests are known to fail on this kernel (deviations.toml), with the reasons.
    pub known: Vec<String>,
    /// The machine that they run on.
    pub machine: Wants,
}

impl Plan {
    /// What `SERIES=`, `FILTER=` and the machine's variables ask for. Refuses (class usage) a filter
    /// that selects nothing and a machine that is too small.
    pub fn of(request: &Request) -> Step<Plan> {
        let base = bases::find(&request.repo, &request.base)?;
        let Target { arch, .. } = request.target;
        let mut text = Fragment::find(&request.repo, request.config.as_deref(), arch, &base)?.text;
        let user = request.target.user().config;
        if !user.is_empty() {
            text.push_str(&files::read_text(&fragment::of_arch(&request.repo, user))?);
        }
        let (cpus, memory) = (request.cpus.map(Into::into), request.memory_mib.map(Into::into));
        let machine = Wants::parse(&text)?.suit(arch)?.settle(cpus, memory)?;
        // A series that can't be read is refused by the step that applies it.
        let series = Series::find(&request.repo, request.series.as_deref(), &request.base).ok();
        let kernel = match (request.series.as_deref(), &series) {
            (Some("hollow"), _) => Kernel::Hollow,
            (_, Some(series)) if !series.brings_seal() => Kernel::Stock,
            _ => Kernel::Sealed,
        };
        let filter = request.filter.as_deref().unwrap_or_default();
        let tests = cases::all().into_iter().filter(|test| test.name().contains(filter));
        let table = Table::own().map_err(|line| Refusal::new(Class::Internal, line))?;
        let mut facts = kernel.facts(series.map_or(Vec::new(), |series| series.subjects()));
        let lacks = [&base.features[..], &machine.lacks].concat();
        facts.features.retain(|name| !lacks.iter().any(|lacking| lacking == name));
        let asked = fragment::options(&text);
        let brought = |option| fragment::value_of(&asked, option) == "y";
        let by_option = |name| BY_OPTION.iter().find(|(feature, _)| *feature == name);
        facts.features.retain(|name| by_option(*name).is_none_or(|(_, option)| brought(option)));
        let (mut expected, mut rows) = (Vec::new(), Vec::<(String, usize)>::new());
        for test in tests {
            let predicted = facts.predict(&table, &test);
            if let (Outcome::Fail, Some(row)) = (predicted.outcome, predicted.row) {
                let line = format!("{}::{}: {}", test.area, test.case.name, row.reason);
                match rows.iter_mut().find(|(other, _)| *other == line) {
                    Some((_, tests)) => *tests += 1,
                    None => rows.push((line, 1)),
                }
            }
            expected.push((test.name(), predicted.outcome));
        }
        if expected.is_empty() {
            let line = format!(
                "FILTER={filter} selects no test; `cargo run -q -p memfd-seals -- --list` lists them"
            );
            return Err(Refusal::new(Class::Usage, line));
        }
        let known = |(line, tests)| format!("{tests} known to fail: {line}");
        let known = rows.into_iter().map(known).collect();
        Ok(Plan { kernel, expected, known, machine })
    }

    /// More arguments of /init.
    pub fn init(&self, request: &Request) -> Vec<String> {
        let require = self.kernel.requires_seal().then(|| "--require-seal".to_owned());
        let whole = request.filter.is_none().then(|| "--guarantees".to_owned());
        let config = self.machine.init.iter().cloned();
        require.into_iter().chain(whole).chain(config).chain(request.filter.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn request(series: Option<&str>, filter: Option<&str>) -> Request {
        Request {
            repo: concat!(env!("CARGO_MANIFEST_DIR"), "/..").into(),
            kernel: None,
            series: series.map(str::to_owned),
            base: "mainline".into(),
            target: Target::default(),
            config: None,
            filter: filter.map(str::to_owned),
            jobs: 1,
            cpus: None,
            memory_mib: None,
            append: None,
            qemu: "qemu".into(),
            kvm: None,
            init: None,
        }
    }

    #[rstest]
    #[case(None, Kernel::Sealed, true)]
    #[case(Some("some/folder"), Kernel::Sealed, true)]
    #[case(Some("none"), Kernel::Stock, true)]
    #[case(Some("hollow"), Kernel::Hollow, true)]
    #[case(Some("../patches/fixes"), Kernel::Stock, true)]
    fn series_decide_the_prediction(
        #[case] series: Option<&str>,
        #[case] kernel: Kernel,
        #[case] known: bool,
    ) {
        let plan = Plan::of(&request(series, None)).unwrap();
        assert_eq!((plan.kernel, !plan.known.is_empty()), (kernel, known));
        assert_eq!(plan.expected.len(), cases::all().len());
    }

    /// A misspelt subject would let a row hold for ever.
    #[test]
    fn every_fix_is_a_patch_here() {
        let repo = request(None, None).repo;
        let bases = bases::all(&repo).unwrap().into_iter().map(|base| (None, base.folder));
        let series = bases.chain([(Some("../patches/fixes"), "mainline".to_owned())]);
        let subjects: Vec<_> = series
            .flat_map(|(name, base)| Series::find(&repo, name, &base).unwrap().subjects())
            .collect();
        for fix in Table::own().unwrap().fixes() {
            assert!(subjects.iter().any(|subject| subject == fix), "{fix} is none of {subjects:?}");
        }
    }

    #[rstest]
    #[case(None, Outcome::Skip)]
    #[case(Some("ashmem"), Outcome::Pass)]
    fn a_config_brings_what_no_other_kernel_has(
        #[case] config: Option<&str>,
        #[case] want: Outcome,
    ) {
        let asked = request(None, Some("ashmem::create"));
        let config = config.map(str::to_owned);
        let plan = Plan::of(&Request { base: "5.10".into(), config, ..asked }).unwrap();
        assert_eq!(plan.expected, [("ashmem::create".to_owned(), want)]);
    }

    #[test]
    fn a_filter_selects_as_the_suite_does() {
        let plan = Plan::of(&request(None, Some("replay"))).unwrap();
        let names: Vec<_> = plan.expected.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["programs::replay", "programs::replay_is_honest"]);
        assert_eq!(Plan::of(&request(None, Some("nosuchtest"))).err().unwrap().class, Class::Usage);
    }
}
