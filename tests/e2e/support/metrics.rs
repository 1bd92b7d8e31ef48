//! One scrape of the relay's metrics, for tests to query.

use std::collections::BTreeMap;

/// A sample of the Prometheus text format.
#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The text and the samples of one scrape.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    samples: Vec<Sample>,
    types: BTreeMap<String, String>,
    text: String,
}

/// Profiles and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) profiles: u64,
    pub(crate) bytes: u64,
}

/// The account of one target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) accepted: Count,
    /// Received from the shared backlog; zero without one.
    pub(crate) taken_over: Count,
    pub(crate) sent: Count,
    pub(crate) pending: Count,
    /// Left to the shared backlog; zero without one.
    pub(crate) handed_over: Count,
    dropped: BTreeMap<String, Count>,
}

impl Metrics {
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|l| !l.starts_with('#') && !l.trim().is_empty());
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        Self {
            samples: samples.map(Sample::parse).collect(),
            types: types
                .filter_map(|line| line.split_once(' '))
                .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
                .collect(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// `counter`, `gauge` or `histogram`.
    pub(crate) fn kind(&self, name: &str) -> Option<&str> {
        self.types.get(name).map(String::as_str)
    }

    /// The only series with this name and at least these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut found = self.find(name, labels);
        let value = found.next()?.value;
        assert!(
            found.next().is_none(),
            "{name}{labels:?} is more than one series:\n{}",
            self.text
        );
        Some(value)
    }

    /// All series with this name and at least these labels, added up; 0 without any.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).map(|sample| sample.value).sum()
    }

    /// The labels of every series with this name.
    pub(crate) fn labels(&self, name: &str) -> Vec<&BTreeMap<String, String>> {
        self.find(name, &[]).map(|sample| &sample.labels).collect()
    }

    /// The series of every counter, with its value.
    pub(crate) fn counters(&self) -> BTreeMap<String, f64> {
        let is_counter = |sample: &&Sample| self.kind(&sample.name) == Some("counter");
        let counters = self.samples.iter().filter(is_counter);
        counters
            .map(|sample| (format!("{}{:?}", sample.name, sample.labels), sample.value))
            .collect()
    }

    /// The account of a target. Its series exist from the start; panics if one is missing.
    pub(crate) fn ledger(&self, target: &str) -> Ledger {
        let labels = [("target", target)];
        let count = |stem: &str, suffix: &str| {
            let one = |unit: &str| {
                let name = format!("pyroscope_remote_write_{stem}_{unit}{suffix}");
                let value = self.value(&name, &labels);
                whole(value.unwrap_or_else(|| panic!("no {name} of {target} in\n{}", self.text)))
            };
            Count {
                profiles: one("profiles"),
                bytes: one("bytes"),
            }
        };
        let shared = |stem: &str| {
            let name = format!("pyroscope_remote_write_{stem}_profiles_total");
            match self.value(&name, &labels) {
                Some(_) => count(stem, "_total"),
                None => Count::default(),
            }
        };
        let mut dropped = BTreeMap::<String, Count>::new();
        for unit in ["profiles", "bytes"] {
            let name = format!("pyroscope_remote_write_dropped_{unit}_total");
            for sample in self.find(&name, &labels) {
                let reason = sample
                    .labels
                    .get("reason")
                    .expect("a drop has a reason")
                    .clone();
                let count = dropped.entry(reason).or_default();
                let place = if unit == "bytes" {
                    &mut count.bytes
                } else {
                    &mut count.profiles
                };
                *place = whole(sample.value);
            }
        }
        Ledger {
            accepted: count("accepted", "_total"),
            taken_over: shared("taken_over"),
            sent: count("sent", "_total"),
            pending: count("pending", ""),
            handed_over: shared("handed_over"),
            dropped,
        }
    }

    fn find(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(k, v)| sample.labels.get(*k).is_some_and(|have| have == v))
        })
    }
}

impl Ledger {
    /// Profiles dropped for a reason; zero if the reason has not occurred.
    pub(crate) fn dropped(&self, reason: &str) -> Count {
        self.dropped.get(reason).copied().unwrap_or_default()
    }

    /// All dropped profiles.
    pub(crate) fn lost(&self) -> Count {
        self.dropped
            .values()
            .fold(Count::default(), |sum, count| sum.plus(*count))
    }

    /// Whether `accepted + taken over = sent + pending + Σ dropped + handed over`, in profiles and in bytes.
    pub(crate) fn balances(&self) -> bool {
        let came = self.accepted.plus(self.taken_over);
        let stays = self.sent.plus(self.pending).plus(self.lost());
        came == stays.plus(self.handed_over)
    }

    /// Profiles that this relay has left to the shared backlog and has not received back; below zero if it has received
    /// those of other relays.
    pub(crate) fn shared(&self) -> i64 {
        self.handed_over.profiles.cast_signed() - self.taken_over.profiles.cast_signed()
    }
}

impl Count {
    pub(crate) fn new(profiles: u64, bytes: usize) -> Self {
        Self {
            profiles,
            bytes: bytes as u64,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            profiles: self.profiles + other.profiles,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').expect("labels end in a brace");
        Self {
            name: name.to_owned(),
            labels: parse_labels(labels),
            value: value
                .parse()
                .unwrap_or_else(|_| panic!("no number in {line:?}")),
        }
    }
}

/// Takes `a="x",b="y"` apart; values may hold commas, braces and escaped quotes.
fn parse_labels(mut rest: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    while let Some((key, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect("a label value ends in a quote") {
                (at, '"') => break at,
                (_, '\\') => match chars.next().expect("an escape has a second character").1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.insert(key.trim_start_matches(',').to_owned(), value);
        rest = &after[end + 1..];
    }
    labels
}

/// Counters of the ledger are whole numbers; rounding would hide one with a fraction.
fn whole(value: f64) -> u64 {
    let text = value.to_string();
    text.parse()
        .unwrap_or_else(|_| panic!("{text} is no count"))
}
