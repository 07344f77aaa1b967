//! Files' texts, good and bad, and what is read of them.

use proptest::prelude::*;

use super::super::testing::virtual_service;
use super::*;

fn file(name: &str) -> Arc<Path> {
    Path::new(name).into()
}

fn names(parsed: &Parsed) -> Vec<String> {
    parsed.objects.keys().map(|key| key.name.to_string()).collect()
}

fn reports(parsed: &Parsed) -> Vec<String> {
    parsed.findings.iter().map(|finding| finding.report.to_string()).collect()
}

fn read(text: &str) -> Parsed {
    parse(&file("a.yaml"), text.as_bytes())
}

/// One finding, without objects.
fn refusal(bytes: &[u8]) -> String {
    let parsed = parse(&file("a.yaml"), bytes);
    assert_eq!(names(&parsed), [""; 0]);
    assert_eq!(parsed.findings.len(), 1, "{:?}", reports(&parsed));
    assert_eq!(parsed.findings[0].broken, Broken::Unknown);
    parsed.findings[0].report.to_string()
}

#[test]
fn nothing_says_nothing() {
    for text in ["", "\n", "# comment\n", "---\n---\n# c\n", "--- ~\n", "\u{feff}", "\u{feff}# c\r\n---\r\n"]
    {
        let parsed = read(text);
        assert_eq!((names(&parsed), reports(&parsed)), (vec![], vec![]), "{text:?}");
    }
}

#[test]
fn a_broken_document_leaves_its_neighbours() {
    let text = format!("{}---\na: b: c\n---\n{}", virtual_service("one", "x"), virtual_service("three", "x"));
    let parsed = read(&text);
    assert_eq!(names(&parsed), ["one", "three"]);
    let [report] = &reports(&parsed)[..] else { panic!("{:?}", reports(&parsed)) };
    assert!(report.starts_with("error: a.yaml: document 2, line 12, column 5: "), "{report}");
    assert_eq!(parsed.findings[0].broken, Broken::Unknown);
}

#[test]
fn places_count_lines_of_the_file() {
    let text = format!("# head\n---\n{}---\n{}", virtual_service("one", "x"), virtual_service("two", "x"));
    let places: Vec<String> = read(&text).objects.values().map(|given| given.place.to_string()).collect();
    assert_eq!(places, ["a.yaml: document 1, line 2", "a.yaml: document 2, line 13"]);
}

#[test]
fn line_ends_and_marks_of_other_systems_are_fine() {
    let text = format!("\u{feff}{}---\n{}", virtual_service("one", "x"), virtual_service("two", "x"))
        .replace('\n', "\r\n");
    let parsed = read(&text);
    assert_eq!((names(&parsed), reports(&parsed)), (vec!["one".to_owned(), "two".to_owned()], vec![]));
}

#[test]
fn a_list_gives_its_items() {
    let item = |name: &str| virtual_service(name, "x").replace('\n', "\n  ").trim_end().to_owned();
    let text =
        format!("apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n- kind: Broken\n", item("one"), item("two"));
    let parsed = read(&text);
    assert_eq!(names(&parsed), ["one", "two"]);
    assert_eq!(
        parsed.objects.values().nth(1).unwrap().place.to_string(),
        "a.yaml: document 1, line 14, column 3"
    );
    assert_eq!(parsed.findings.len(), 1);
    assert_eq!(parsed.findings[0].report.place.line, Some(24));
}

#[test]
fn an_unknown_field_is_a_warning_with_its_path_and_line() {
    let text = virtual_service("one", "x").replace("  http:", "  htpp:");
    let parsed = read(&text);
    assert_eq!(names(&parsed), ["one"]);
    let report = &parsed.findings[0].report;
    assert_eq!((report.severity, report.field.as_str()), (Severity::Warning, "spec.htpp"));
    assert_eq!((report.place.line, report.place.column), (Some(8), Some(3)));
    assert_eq!(parsed.findings[0].broken, Broken::Nothing);
}

#[test]
fn a_field_of_the_wrong_type_names_the_object_and_the_line() {
    let text = format!("---\n{}", virtual_service("one", "x").replace("[\"x.example\"]", "7"));
    let parsed = read(&text);
    assert_eq!(names(&parsed), [""; 0]);
    let Finding { report, broken } = &parsed.findings[0];
    assert_eq!((report.severity, report.field.as_str()), (Severity::Error, "spec.hosts"));
    assert_eq!((report.place.document, report.place.line, report.place.column), (Some(1), Some(8), Some(3)));
    assert_eq!(broken.key().map(ToString::to_string).as_deref(), Some("VirtualService/shop/one"));
    assert_eq!(report.object.as_ref(), broken.key());
}

#[test]
fn a_kind_that_is_no_business_of_a_mesh_is_named_and_breaks_nothing() {
    let parsed = read("apiVersion: example.org/v1\nkind: Sundial\nmetadata: {name: a}\n");
    assert_eq!(parsed.findings.len(), 1, "{:?}", reports(&parsed));
    assert!(reports(&parsed)[0].contains("Sundial"), "{:?}", reports(&parsed));
    assert_eq!(parsed.findings[0].broken, Broken::Nothing);
}

#[test]
fn what_is_no_object_is_refused() {
    for text in ["just text\n", "- a\n- b\n", "7\n"] {
        let report = refusal(text.as_bytes());
        assert!(report.starts_with("error: a.yaml: document 1, line 1"), "{report}");
    }
}

#[test]
fn the_same_object_twice_in_a_file_counts_once() {
    let text = format!("{}---\n{}", virtual_service("one", "first"), virtual_service("one", "second"));
    let parsed = read(&text);
    assert!(format!("{:?}", parsed.objects.values().next().unwrap().object).contains("first.example"));
    assert_eq!(
        reports(&parsed),
        [
            "error: a.yaml: document 2, line 11: VirtualService/shop/one: this object is also in a.yaml: document 1, line 1, which counts; this one is left out (keep one of them)"
        ]
    );
}

#[test]
fn json_files_may_hold_values_one_after_the_other() {
    let json = |name: &str| {
        format!(
            r#"{{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {{"name": "{name}", "namespace": "shop"}}, "spec": {{"hosts": ["a.example"], "http": [{{"route": [{{"destination": {{"host": "a"}}}}]}}]}}}}"#
        )
    };
    let parsed = parse(&file("a.json"), format!("{}\n\n{}\n{{,", json("one"), json("two")).as_bytes());
    assert_eq!(names(&parsed), ["one", "two"]);
    let places: Vec<String> = parsed.objects.values().map(|given| given.place.to_string()).collect();
    assert_eq!(places, ["a.json: document 1, line 1", "a.json: document 2, line 3"]);
    assert_eq!(parsed.findings[0].report.place.to_string(), "a.json: document 3, line 4, column 2");
}

#[test]
fn other_encodings_are_named() {
    assert!(refusal(b"\xff\xfea\0").contains("UTF-16"));
    let report = refusal(b"ok: 1\nname: \xff\n");
    assert!(report.starts_with("error: a.yaml: line 2, column 7: the file is not UTF-8"), "{report}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        parse(&file("a.yaml"), &bytes);
        parse(&file("a.json"), &bytes);
    }

    #[test]
    fn any_mix_of_yamls_own_signs_is_read_without_a_panic(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "---", "...", "\n", " ", "  ", "- ", ": ", "a", "{", "}", "[", "]", "&x ", "*x", "<<: ", "!!str ", "'", "\"", "|", ">", "#", "%", "\t",
                "kind: List\n", "items:\n", "kind: VirtualService\n", "apiVersion: networking.istio.io/v1\n", "metadata:\n", "  name: a\n", "spec:\n",
                "hosts", "0", "~", "\r\n", "\u{feff}", "?", ",", "\\", "ä",
            ]),
            0..60,
        ),
    ) {
        let text = parts.concat();
        let lines = u32::try_from(text.split('\n').count()).unwrap();
        let parsed = parse(&file("a.yaml"), text.as_bytes());
        for finding in parsed.findings {
            prop_assert!(finding.report.place.line.is_some_and(|line| (1..=lines).contains(&line)), "{text:?}: {}", finding.report);
        }
    }
}
