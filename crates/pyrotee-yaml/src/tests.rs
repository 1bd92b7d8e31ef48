use crate::{Kind, Node, parse};

fn tree(text: &str) -> Node {
    let mut faults = Vec::new();
    let root = parse(text, &mut faults).unwrap().unwrap();
    assert_eq!(faults, []);
    root
}

/// The tree on one line, with lines behind `@`.
fn written(node: &Node) -> String {
    let line = node.line;
    match &node.kind {
        Kind::Null(text) => format!("null({text})@{line}"),
        Kind::Text(text) => format!("{text}@{line}"),
        Kind::List(items) => {
            let items: Vec<_> = items.iter().map(written).collect();
            format!("[{}]@{line}", items.join(", "))
        }
        Kind::Map(entries) => {
            let entry =
                |it: &crate::Entry| format!("{}@{}: {}", it.key, it.line, written(&it.value));
            let entries: Vec<_> = entries.iter().map(entry).collect();
            format!("{{{}}}@{line}", entries.join(", "))
        }
    }
}

fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let root = parse(text, &mut faults);
    faults.extend(root.err());
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn lists_keep_their_items_with_lines() {
    let text = "\u{feff}a:\n  - x\n  - b: 1\n    c: [~, '']\n  - [[], {}]\n";
    assert_eq!(
        written(&tree(text)),
        "{a@1: [x@2, {b@3: 1@3, c@4: [null(~)@4, @4]@4}@3, [[]@5, {}@5]@5]@2}@1"
    );
    assert_eq!(tree(text).get("a").unwrap().items().unwrap().len(), 3);
    assert!(tree(text).items().is_none());
    assert_eq!(written(&tree("- 1\n- 2")), "[1@1, 2@2]@1");
}

#[test]
fn an_alias_of_a_list_is_a_copy_and_counts_in_full() {
    let text = "a: &x [1, 2]\nb: *x\n";
    assert_eq!(written(tree(text).get("b").unwrap()), "[1@1, 2@1]@1");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..6 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    assert!(faults(&bomb)[0].contains("more than 100000 values"));
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    assert!(faults(&deep)[0].contains("deeper than 32 levels"));
}

#[test]
fn faults_in_lists_have_line_and_path() {
    assert_eq!(
        faults("jobs:\n  - name: a\n    name: b\n  - [x]: y\n"),
        [
            "line 3: jobs.name: is already on line 2; keep one of the two",
            "line 4: jobs: a key must be one word; it cannot be a list or map",
        ]
    );
    assert!(faults("a: [1\nb: }").concat().contains("not valid YAML"));
    assert_eq!(
        parse("", &mut Vec::new()).unwrap().map(|it| written(&it)),
        None
    );
}

#[test]
fn no_value_is_shown() {
    let node = tree("token: s3cret\nlist: [s3cret]\n");
    assert!(!format!("{node:?} {:?}", node.entries()).contains("s3cret"));
    let faults = faults("a:\n  k:s3cret: 1\n  k:s3cret: 2\n  t: !x s3cret\n").concat();
    assert!(!faults.contains("s3cret"), "{faults}");
}
