//! From stanzas to the rows of the tables: nodes sorted by name, edges by their ends.
//!
//! Decided here: the newest version of a package is its row; an edge to a virtual package goes to the provider when
//! exactly one package provides it, and is dropped otherwise; the strongest mention of a pair is its only edge;
//! maintainers are numbers without names. Columns and files are the matter of [`crate::tables`].

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::relation;
use crate::stanza::Stanza;
use crate::version::{self, Version};

/// Nodes and edges of the archive. Indices point into `packages`, `sources` and `maintainers`.
pub struct Archive {
    pub packages: Vec<Package>,
    pub sources: Vec<Source>,
    /// Packages kept by each maintainer, most first; a maintainer is known by the place in this vector.
    pub maintainers: Vec<i64>,
    pub depends: Edges,
    pub recommends: Edges,
    pub suggests: Edges,
    /// From sources to packages; present only if source lists were read.
    pub build_depends: Option<Edges>,
}

pub struct Package {
    pub name: String,
    /// Without the prefix of its component: `contrib/net` is `net`.
    pub section: Option<String>,
    pub priority: Option<String>,
    /// kB on disk after installation.
    pub installed_size: Option<i64>,
    /// Bytes of the package file.
    pub size: Option<i64>,
    pub architecture: String,
    pub multi_arch: String,
    pub essential: bool,
    pub has_homepage: bool,
    pub is_native: bool,
    pub has_epoch: bool,
    /// Stated requirements by field, in the order of [`COUNTED`].
    pub counts: [i32; COUNTED.len()],
    pub source: usize,
    pub maintainer: usize,
}

pub struct Source {
    pub name: String,
    pub packages: i64,
}

/// Fields whose entries are counted, with the names of the columns.
pub const COUNTED: [(&str, &str); 8] = [
    ("Depends", "n_depends"),
    ("Pre-Depends", "n_pre_depends"),
    ("Recommends", "n_recommends"),
    ("Suggests", "n_suggests"),
    ("Provides", "n_provides"),
    ("Conflicts", "n_conflicts"),
    ("Breaks", "n_breaks"),
    ("Replaces", "n_replaces"),
];

/// One relation, sorted by its ends, each pair once.
pub struct Edges {
    pub rows: Vec<Edge>,
    pub fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: usize,
    pub target: usize,
    /// Place among the alternatives; 0 is the first choice.
    pub alternative: i32,
    /// Place of its field in the list that the relation is read from: the strongest field comes first.
    pub kind: usize,
}

/// What became of the names that a relation mentions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fate {
    pub named: usize,
    pub provided: usize,
    pub many_providers: usize,
    pub unknown: usize,
    pub itself: usize,
    pub repeated: usize,
}

/// The fields behind `depends`; [`Edge::kind`] counts in them.
pub const DEPENDS: [(&str, &str); 2] = [("Pre-Depends", "pre_depends"), ("Depends", "depends")];
pub const RECOMMENDS: [(&str, &str); 1] = [("Recommends", "recommends")];
pub const SUGGESTS: [(&str, &str); 1] = [("Suggests", "suggests")];
pub const BUILD_DEPENDS: [(&str, &str); 2] =
    [("Build-Depends", "build_depends"), ("Build-Depends-Indep", "build_depends_indep")];

impl Archive {
    /// Builds all rows. Fails on a stanza that lacks what every package has, or on a size that is no number.
    pub fn from_stanzas(packages: &[Stanza], sources: &[Stanza]) -> Result<Self> {
        let stanzas = newest(packages)?;
        let stanzas: Vec<&Stanza> = stanzas.into_values().collect();
        let source_names = source_names(&stanzas)?;
        let maintainer_ranks = maintainer_ranks(&stanzas)?;
        let rows = stanzas
            .iter()
            .map(|s| Package::new(s, &source_names, &maintainer_ranks))
            .collect::<Result<_>>()?;
        let targets = Targets::new(&stanzas)?;
        let by_source = newest(sources)?;
        let built = by_source.iter().filter_map(|(name, s)| Some((source_names.get(name)?.0, *s)));
        let numbered = || stanzas.iter().copied().enumerate();
        Ok(Self {
            packages: rows,
            depends: targets.edges(numbered(), &DEPENDS),
            recommends: targets.edges(numbered(), &RECOMMENDS),
            suggests: targets.edges(numbered(), &SUGGESTS),
            build_depends: (!sources.is_empty()).then(|| targets.edges(built, &BUILD_DEPENDS)),
            sources: source_names
                .iter()
                .map(|(name, (_, n))| Source { name: name.to_string(), packages: *n })
                .collect(),
            maintainers: maintainer_counts(&maintainer_ranks),
        })
    }
}

impl Package {
    fn new(s: &Stanza, sources: &Sources, maintainers: &Maintainers) -> Result<Self> {
        let version = Version::new(s.require("Version")?);
        let section = s.get("Section").map(|t| t.rsplit('/').next().unwrap_or(t).to_string());
        Ok(Self {
            name: s.require("Package")?.into(),
            section,
            priority: s.get("Priority").map(String::from),
            installed_size: s.number("Installed-Size")?,
            size: s.number("Size")?,
            architecture: s.require("Architecture")?.into(),
            multi_arch: s.get("Multi-Arch").unwrap_or("no").into(),
            essential: s.get("Essential") == Some("yes"),
            has_homepage: s.get("Homepage").is_some(),
            is_native: version.is_native(),
            has_epoch: version.epoch.is_some(),
            counts: COUNTED.map(|(field, _)| relation::count(s.get(field))),
            source: sources[source_name(s)?].0,
            maintainer: maintainers[address(s)?.as_str()].0,
        })
    }
}

/// The newest stanza of each name, in order of names; of equal versions the first.
fn newest(stanzas: &[Stanza]) -> Result<BTreeMap<&str, &Stanza>> {
    let mut newest: BTreeMap<&str, &Stanza> = BTreeMap::new();
    for stanza in stanzas {
        let version = stanza.require("Version")?;
        let place = newest.entry(stanza.require("Package")?).or_insert(stanza);
        if version::compare(version, place.require("Version")?).is_gt() {
            *place = stanza;
        }
    }
    Ok(newest)
}

/// Source names with their place in the order of names, and how many packages each builds.
type Sources<'a> = BTreeMap<&'a str, (usize, i64)>;

fn source_names<'a>(stanzas: &[&'a Stanza]) -> Result<Sources<'a>> {
    let mut names: Sources = BTreeMap::new();
    for stanza in stanzas {
        names.entry(source_name(stanza)?).or_default().1 += 1;
    }
    for (place, entry) in names.values_mut().enumerate() {
        entry.0 = place;
    }
    Ok(names)
}

/// `Source: name (version)`; without the field the source is named as its package.
fn source_name(stanza: &Stanza) -> Result<&str> {
    let text = stanza.get("Source").map_or_else(|| stanza.require("Package"), Ok)?;
    Ok(text.split_whitespace().next().unwrap_or(text))
}

/// Addresses with their rank and how many packages each keeps.
type Maintainers = BTreeMap<String, (usize, i64)>;

/// Ranks by number of packages; equal ones by the first package kept. So a number says nothing that the edges do not.
fn maintainer_ranks(stanzas: &[&Stanza]) -> Result<Maintainers> {
    let mut first_and_count: BTreeMap<String, (usize, i64)> = BTreeMap::new();
    for (place, stanza) in stanzas.iter().enumerate() {
        first_and_count.entry(address(stanza)?).or_insert((place, 0)).1 += 1;
    }
    let mut order: Vec<_> = first_and_count.into_iter().collect();
    order.sort_by_key(|(_, (first, count))| (-count, *first));
    Ok(order.into_iter().enumerate().map(|(rank, (address, (_, count)))| (address, (rank, count))).collect())
}

fn maintainer_counts(maintainers: &Maintainers) -> Vec<i64> {
    let mut counts = vec![0; maintainers.len()];
    for (rank, count) in maintainers.values() {
        counts[*rank] = *count;
    }
    counts
}

/// Who keeps the package, told apart by address: names are spelled in several ways.
fn address(stanza: &Stanza) -> Result<String> {
    let text = stanza.require("Maintainer")?;
    let address = text.rsplit_once('<').map_or(text, |(_, rest)| rest.trim_end_matches('>'));
    Ok(address.trim().to_lowercase())
}

/// What a name in a relationship field can stand for.
struct Targets<'a> {
    real: BTreeMap<&'a str, usize>,
    provided: BTreeMap<&'a str, BTreeSet<usize>>,
}

impl<'a> Targets<'a> {
    fn new(stanzas: &[&'a Stanza]) -> Result<Self> {
        let mut real = BTreeMap::new();
        let mut provided: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (place, stanza) in stanzas.iter().enumerate() {
            real.insert(stanza.require("Package")?, place);
            for term in relation::terms(stanza.get("Provides").unwrap_or("")) {
                provided.entry(term.name).or_default().insert(place);
            }
        }
        Ok(Self { real, provided })
    }

    fn edges<'s>(
        &self,
        stanzas: impl Iterator<Item = (usize, &'s Stanza)>,
        fields: &[(&str, &str)],
    ) -> Edges {
        let mut fate = Fate::default();
        let mut rows = Vec::new();
        for (from, stanza) in stanzas {
            for (kind, (field, _)) in fields.iter().enumerate() {
                let terms = relation::terms(stanza.get(field).unwrap_or(""));
                let known = terms.filter_map(|t| Some((self.resolve(t.name, &mut fate)?, t.alternative)));
                rows.extend(known.map(|(target, alternative)| Edge { from, target, alternative, kind }));
            }
        }
        let packages_depend = fields[0] != BUILD_DEPENDS[0];
        let edges = rows.len();
        rows.retain(|e| !(packages_depend && e.from == e.target));
        fate.itself = edges - rows.len();
        rows.sort_unstable_by_key(|e| (e.from, e.target, e.kind, e.alternative));
        rows.dedup_by_key(|e| (e.from, e.target));
        fate.repeated = edges - fate.itself - rows.len();
        Edges { rows, fate }
    }

    /// The package of that name, else the only one that provides it.
    fn resolve(&self, name: &str, fate: &mut Fate) -> Option<usize> {
        if let Some(place) = self.real.get(name) {
            fate.named += 1;
            return Some(*place);
        }
        let Some(providers) = self.provided.get(name) else {
            fate.unknown += 1;
            return None;
        };
        if providers.len() > 1 {
            fate.many_providers += 1;
            return None;
        }
        fate.provided += 1;
        providers.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(fields: &[(&'static str, &str)]) -> Stanza {
        let mut all =
            vec![("Version", "1-1"), ("Architecture", "all"), ("Maintainer", "A Person <a@example.org>")];
        all.retain(|(name, _)| !fields.iter().any(|(given, _)| given == name));
        all.extend_from_slice(fields);
        Stanza::of(&all)
    }

    fn ends(edges: &Edges) -> Vec<(usize, usize)> {
        edges.rows.iter().map(|e| (e.from, e.target)).collect()
    }

    #[test]
    fn the_newest_version_is_the_row() {
        let stanzas = [("1:1-1", "1"), ("2-1", "2"), ("1:1-1~", "3")]
            .map(|(version, size)| package(&[("Package", "a"), ("Version", version), ("Size", size)]));
        let archive = Archive::from_stanzas(&stanzas, &[]).unwrap();
        assert_eq!(archive.packages.len(), 1);
        assert_eq!(archive.packages[0].size, Some(1));
        assert!(archive.packages[0].has_epoch && !archive.packages[0].is_native);
    }

    #[test]
    fn virtual_ends_follow_the_policy() {
        let stanzas = [
            package(&[("Package", "a"), ("Depends", "b, only, both, nobody, a, b (<< 2)")]),
            package(&[("Package", "b"), ("Provides", "only (= 1), both")]),
            package(&[("Package", "c"), ("Provides", "both"), ("Pre-Depends", "b"), ("Depends", "a | b")]),
        ];
        let archive = Archive::from_stanzas(&stanzas, &[]).unwrap();
        assert_eq!(ends(&archive.depends), [(0, 1), (2, 0), (2, 1)]);
        assert_eq!(DEPENDS[archive.depends.rows[2].kind].1, "pre_depends");
        let fate = Fate { named: 6, provided: 1, many_providers: 1, unknown: 1, itself: 1, repeated: 3 };
        assert_eq!(archive.depends.fate, fate);
    }

    #[test]
    fn maintainers_are_ranked_and_sources_named() {
        let stanzas = [
            package(&[("Package", "a"), ("Maintainer", "Z <z@example.org>")]),
            package(&[("Package", "b"), ("Source", "s (3)")]),
            package(&[("Package", "c"), ("Maintainer", "Another Name <A@Example.org>"), ("Source", "s")]),
            package(&[("Package", "d"), ("Maintainer", "B <b@example.org>"), ("Section", "contrib/net")]),
        ];
        let archive = Archive::from_stanzas(&stanzas, &[]).unwrap();
        assert_eq!(archive.maintainers, [2, 1, 1]);
        assert_eq!(archive.packages.iter().map(|p| p.maintainer).collect::<Vec<_>>(), [1, 0, 0, 2]);
        let sources: Vec<_> = archive.sources.iter().map(|s| (s.name.as_str(), s.packages)).collect();
        assert_eq!(sources, [("a", 1), ("d", 1), ("s", 2)]);
        assert_eq!(archive.packages[3].section.as_deref(), Some("net"));
    }

    #[test]
    fn sources_bring_build_depends() {
        let packages = [package(&[("Package", "a"), ("Source", "s")]), package(&[("Package", "b")])];
        let sources =
            [package(&[("Package", "s"), ("Build-Depends", "b, nobody")]), package(&[("Package", "t")])];
        let archive = Archive::from_stanzas(&packages, &sources).unwrap();
        assert_eq!(ends(&archive.build_depends.unwrap()), [(1, 1)]);
        assert!(Archive::from_stanzas(&packages, &[]).unwrap().build_depends.is_none());
    }

    #[test]
    fn a_package_without_a_version_is_refused() {
        let error = Archive::from_stanzas(&[Stanza::of(&[("Package", "a")])], &[]).err().unwrap();
        assert_eq!(error.to_string(), "package `a` has no field `Version`; is the list whole?");
    }
}
