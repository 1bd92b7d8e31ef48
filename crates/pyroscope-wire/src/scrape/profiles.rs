//! The profiles that a job can enable.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Where a profile of an application is, and which values it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Path of the URL, such as `/debug/pprof/heap`.
    pub path: String,
    /// Parameters of the query, each with its values.
    pub params: BTreeMap<String, Vec<String>>,
    /// The types of values that are stored, by their names in the profile.
    pub sample_types: BTreeMap<String, SampleType>,
}

/// How the values of one type are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SampleType {
    /// `units` of the series; `None`: those of the profile.
    pub units: Option<String>,
    /// The last part of the series' name; `None`: the name of the type.
    pub display_name: Option<String>,
    /// How values are aggregated, such as `average`; `None`: summed.
    pub aggregation: Option<String>,
    /// Whether the application counts since its start, so that the scraper sends the difference of two profiles.
    pub cumulative: bool,
    /// Whether a value is a number of samples.
    pub sampled: bool,
}

/// The profiles of a job that configures none: `cpu`, `mem`, `goroutines`, `mutex`, `block`. With `use_delta_profiles`
/// memory, mutex and block come from godeltaprof, which reports differences itself.
pub fn default_profiles(use_delta_profiles: bool) -> BTreeMap<String, Profile> {
    let cumulative = !use_delta_profiles;
    let delta = |name: &str| match use_delta_profiles {
        true => format!("/debug/pprof/delta_{name}"),
        false => format!("/debug/pprof/{name}"),
    };
    let plain = |units: &str| SampleType {
        units: Some(units.to_owned()),
        ..SampleType::default()
    };
    let named = |units: &str, name: &str| SampleType {
        display_name: Some(name.to_owned()),
        ..plain(units)
    };
    let average = |sample_type: SampleType| SampleType {
        aggregation: Some("average".to_owned()),
        ..sample_type
    };
    let counted = |sample_type: SampleType| SampleType {
        cumulative,
        ..sample_type
    };
    let contention = |count: &str, duration: &str| {
        vec![
            ("contentions", counted(named("lock_samples", count))),
            ("delay", counted(named("lock_nanoseconds", duration))),
        ]
    };
    let cpu = SampleType {
        sampled: true,
        ..named("samples", "cpu")
    };
    let memory = vec![
        ("inuse_objects", average(plain("objects"))),
        ("inuse_space", average(plain("bytes"))),
        ("alloc_objects", counted(plain("objects"))),
        ("alloc_space", counted(plain("bytes"))),
    ];
    let goroutines = vec![("goroutine", average(named("goroutines", "goroutines")))];
    let mut profiles: BTreeMap<_, _> = [
        (
            "cpu",
            "/debug/pprof/profile".to_owned(),
            vec![("samples", cpu)],
        ),
        ("mem", delta("heap"), memory),
        (
            "goroutines",
            "/debug/pprof/goroutine".to_owned(),
            goroutines,
        ),
        (
            "mutex",
            delta("mutex"),
            contention("mutex_count", "mutex_duration"),
        ),
        (
            "block",
            delta("block"),
            contention("block_count", "block_duration"),
        ),
    ]
    .map(|(name, path, types)| {
        let sample_types = types.into_iter().map(|(name, it)| (name.to_owned(), it));
        let profile = Profile {
            path,
            params: BTreeMap::new(),
            sample_types: sample_types.collect(),
        };
        (name.to_owned(), profile)
    })
    .into();
    if let Some(cpu) = profiles.get_mut("cpu") {
        cpu.params
            .insert("seconds".to_owned(), vec!["10".to_owned()]);
    }
    profiles
}

/// The part `sample_type_config` of a request to `/ingest`, as JSON. `cumulative` is left out, because the values that
/// are sent are differences already.
pub fn sample_type_config(types: &BTreeMap<String, SampleType>) -> String {
    let texts = |it: &SampleType| {
        [
            ("units", it.units.clone()),
            ("display-name", it.display_name.clone()),
            ("aggregation", it.aggregation.clone()),
        ]
    };
    let object = |it: &SampleType| {
        let texts = texts(it).into_iter();
        let texts = texts.filter_map(|(key, text)| Some((key.to_owned(), Value::from(text?))));
        let mut object: Map<_, _> = texts.collect();
        if it.sampled {
            object.insert("sampled".to_owned(), Value::from(true));
        }
        Value::from(object)
    };
    let types = types.iter().map(|(name, it)| (name.clone(), object(it)));
    Value::from(types.collect::<Map<_, _>>()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_types_has_no_cumulative() {
        let memory = &default_profiles(false)["mem"];
        assert!(memory.sample_types["alloc_space"].cumulative);
        assert_eq!(
            sample_type_config(&memory.sample_types),
            r#"{"alloc_objects":{"units":"objects"},"alloc_space":{"units":"bytes"},"inuse_objects":{"aggregation":"average","units":"objects"},"inuse_space":{"aggregation":"average","units":"bytes"}}"#
        );
        let cpu = &default_profiles(true)["cpu"];
        assert_eq!(
            sample_type_config(&cpu.sample_types),
            r#"{"samples":{"display-name":"cpu","sampled":true,"units":"samples"}}"#
        );
    }

    #[test]
    fn profiles_of_godeltaprof_are_differences() {
        let profiles = default_profiles(true);
        assert_eq!(profiles["mem"].path, "/debug/pprof/delta_heap");
        let types = profiles.values().flat_map(|it| it.sample_types.values());
        assert!(types.into_iter().all(|it| !it.cumulative));
    }
}
