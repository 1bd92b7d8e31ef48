use proptest::prelude::*;

use super::read;
use crate::job_keys;

/// A value of any kind, mostly of keys and words of the block.
fn value() -> impl Strategy<Value = String> {
    let names = || {
        let keys = job_keys().join(".");
        let mut names: Vec<_> = keys.split(['.', '[', ']']).map(str::to_owned).collect();
        names.extend(["cpu", "mem", "seconds"].map(str::to_owned));
        names.retain(|name| !name.is_empty());
        names.sort();
        names.dedup();
        prop::sample::select(names)
    };
    let words = [
        "~",
        "''",
        "cpu",
        "mem",
        "http",
        "10s",
        "0",
        "5",
        "true",
        "/p",
        "http://h/x",
        "a:1",
        "${A}",
        "$A",
        "é",
        "a,b}",
    ];
    let leaf = prop::sample::select(words.to_vec()).prop_map(|word| format!("\"{word}\""));
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::btree_map(names(), inner, 0..6).prop_map(|map| {
                let entries: Vec<_> = map
                    .iter()
                    .map(|(key, value)| format!("{key}: {value}"))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_block_is_jobs_or_faults_and_shows_no_variable(block in value()) {
        let (jobs, faults, warnings) = read(&format!("[{{job-name: j, {}}}, {block}]", inner(&block)));
        prop_assert!(jobs.is_some() || !faults.is_empty());
        let shown = faults.concat() + &warnings.concat();
        // The path of a file is shown, also if it is from a variable.
        let shown = shown.replace("s3cret holds no PEM block", "");
        prop_assert!(!shown.contains("s3cret"), "{}", shown);
    }
}

/// The entries of a map that is written as one; nothing for another value.
fn inner(block: &str) -> String {
    let inner = block.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
    let inner = inner.filter(|it| !it.starts_with("job-name"));
    inner.unwrap_or_default().to_owned()
}
