//! What changes when files change, break, heal and clash.

use super::super::parse;
use super::super::testing::{appeared, cleared, said, virtual_service};
use super::*;

/// The state, driven by texts of files.
#[derive(Default)]
struct Texts(State);

impl Texts {
    fn put(&mut self, texts: &[(&str, &str)]) -> Batch {
        let changes = texts.iter().map(|(name, text)| {
            let path: Arc<Path> = Path::new("/m").join(name).as_path().into();
            let change = match *text {
                GONE => Change::Gone,
                UNREADABLE => Change::Unreadable(report(&path)),
                text => Change::Parsed(0, parse::parse(&path, text.as_bytes())),
            };
            (path, change)
        });
        self.0.apply(changes.collect())
    }
}

const GONE: &str = "<gone>";
const UNREADABLE: &str = "<unreadable>";
const BROKEN: &str = "a: b: c\n";

fn report(path: &Arc<Path>) -> Report {
    Report {
        place: crate::report::Place::file(path),
        severity: Severity::Error,
        object: None,
        field: String::new(),
        message: "no".to_owned(),
        hint: String::new(),
        last_good: Vec::new(),
    }
}

fn here(batch: &Batch) -> Vec<String> {
    appeared(batch, Path::new("/m"))
}

fn away(batch: &Batch) -> Vec<String> {
    cleared(batch, Path::new("/m"))
}

fn documents(texts: &[String]) -> String {
    texts.join("---\n")
}

#[test]
fn an_unchanged_object_makes_no_event() {
    let mut texts = Texts::default();
    let (one, two) = (virtual_service("one", "v1"), virtual_service("two", "v1"));
    assert_eq!(said(&texts.put(&[("a.yaml", &documents(&[one.clone(), two.clone()]))])), "+one=v1 +two=v1");
    let changed = documents(&[two, virtual_service("one", "v2")]);
    assert_eq!(said(&texts.put(&[("a.yaml", &changed)])), "+one=v2");
    assert!(texts.put(&[("a.yaml", &format!("# note\n{changed}"))]).is_empty());
}

#[test]
fn a_file_that_is_gone_takes_its_objects() {
    let mut texts = Texts::default();
    texts.put(&[("a.yaml", &virtual_service("one", "v1")), ("b.yaml", &virtual_service("two", "v1"))]);
    assert_eq!(said(&texts.put(&[("a.yaml", GONE)])), "-one");
    assert!(texts.put(&[("a.yaml", GONE)]).is_empty());
}

#[test]
fn a_renamed_file_changes_nothing() {
    let mut texts = Texts::default();
    texts.put(&[("a.yaml", &virtual_service("one", "v1"))]);
    assert!(texts.put(&[("a.yaml", GONE), ("b.yaml", &virtual_service("one", "v1"))]).is_empty());
    assert_eq!(said(&texts.put(&[("b.yaml", GONE)])), "-one");
}

#[test]
fn a_file_that_breaks_keeps_what_it_gave_until_it_heals() {
    let mut texts = Texts::default();
    texts.put(&[("a.yaml", &documents(&[virtual_service("one", "v1"), virtual_service("two", "v1")]))]);
    let batch = texts.put(&[("a.yaml", BROKEN)]);
    assert_eq!(said(&batch), "");
    let reports = here(&batch);
    assert_eq!(reports.len(), 1);
    assert!(
        reports[0].ends_with("; still served as last read: VirtualService/shop/one, VirtualService/shop/two"),
        "{reports:?}"
    );
    let batch = texts.put(&[("a.yaml", &virtual_service("two", "v2"))]);
    assert_eq!(said(&batch), "-one +two=v2");
    assert_eq!(away(&batch), reports);
}

#[test]
fn a_broken_file_that_goes_takes_its_objects_and_its_report() {
    let mut texts = Texts::default();
    texts.put(&[("a.yaml", &virtual_service("one", "v1"))]);
    let reports = here(&texts.put(&[("a.yaml", BROKEN)]));
    let batch = texts.put(&[("a.yaml", GONE)]);
    assert_eq!((said(&batch), away(&batch)), ("-one".to_owned(), reports));
}

#[test]
fn a_broken_document_keeps_only_what_its_neighbours_do_not_say() {
    let mut texts = Texts::default();
    let whole = [virtual_service("one", "v1"), virtual_service("two", "v1"), virtual_service("three", "v1")];
    texts.put(&[("a.yaml", &documents(&whole))]);
    let batch = texts.put(&[(
        "a.yaml",
        &documents(&[virtual_service("one", "v2"), BROKEN.to_owned(), virtual_service("three", "v1")]),
    )]);
    assert_eq!(said(&batch), "+one=v2");
    assert_eq!(batch.appeared[0].last_good.len(), 1);
    assert_eq!(&*batch.appeared[0].last_good[0].name, "two");
}

#[test]
fn an_object_that_names_itself_but_does_not_decode_keeps_itself_alone() {
    let mut texts = Texts::default();
    texts.put(&[("a.yaml", &documents(&[virtual_service("one", "v1"), virtual_service("two", "v1")]))]);
    let batch = texts.put(&[("a.yaml", &virtual_service("one", "v1").replace("[\"v1.example\"]", "7"))]);
    assert_eq!(said(&batch), "-two");
    assert_eq!(batch.appeared[0].last_good.len(), 1);
}

#[test]
fn what_cannot_be_read_keeps_what_it_gave() {
    let mut texts = Texts::default();
    let text = virtual_service("one", "v1");
    texts.put(&[("a.yaml", &text)]);
    let path = Path::new("/m/a.yaml");
    assert_eq!(texts.0.digest(path), Some(0));
    let batch = texts.put(&[("a.yaml", UNREADABLE)]);
    assert_eq!(said(&batch), "");
    assert_eq!(here(&batch), ["error: a.yaml: no; still served as last read: VirtualService/shop/one"]);
    assert_eq!(texts.0.digest(path), None, "it is parsed when it can be read again");
    assert_eq!(away(&texts.put(&[("a.yaml", &text)])).len(), 1);
}

#[test]
fn of_two_files_the_first_counts_and_the_second_is_told() {
    let mut texts = Texts::default();
    texts.put(&[("b.yaml", &virtual_service("one", "b"))]);
    let batch = texts.put(&[("a.yaml", &virtual_service("one", "a"))]);
    assert_eq!(said(&batch), "+one=a");
    let told = "error: b.yaml: document 1, line 1: VirtualService/shop/one: this object is also in a.yaml: document 1, line 1, which counts; this one is left out (keep one of them)";
    assert_eq!(here(&batch).iter().map(|report| report.replace("/m/", "")).collect::<Vec<_>>(), [told]);
    let batch = texts.put(&[("a.yaml", GONE)]);
    assert_eq!(said(&batch), "+one=b");
    assert_eq!(away(&batch).len(), 1);
    assert_eq!(said(&texts.put(&[("b.yaml", GONE)])), "-one");
}

#[test]
fn what_a_file_says_counts_before_what_another_only_said() {
    let mut texts = Texts::default();
    texts.put(&[("a.yaml", &virtual_service("one", "a"))]);
    let batch = texts.put(&[("a.yaml", BROKEN), ("b.yaml", &virtual_service("one", "b"))]);
    assert_eq!(said(&batch), "+one=b");
    assert_eq!(here(&batch).len(), 1, "the broken file is told, a clash is not");
    assert_eq!(said(&texts.put(&[("a.yaml", &virtual_service("one", "a"))])), "+one=a");
}

#[test]
fn files_below_a_path_do_not_include_its_namesakes() {
    let mut texts = Texts::default();
    texts.put(&[("d/a.yaml", "a: b"), ("d-e.yaml", "a: b"), ("d/x/a.yaml", "a: b"), ("c.yaml", "a: b")]);
    let under: Vec<String> =
        texts.0.under(Path::new("/m/d")).map(|path| path.display().to_string()).collect();
    assert_eq!(under, ["/m/d/a.yaml", "/m/d/x/a.yaml"]);
}

#[test]
fn reports_follow_the_batches() {
    let mut texts = Texts::default();
    let mut reports = crate::report::Reports::default();
    reports.apply(&texts.put(&[("a.yaml", BROKEN), ("b.yaml", BROKEN)]));
    assert_eq!(reports.len(), 2);
    reports.apply(&texts.put(&[("a.yaml", GONE)]));
    assert_eq!(
        reports.iter().map(|report| report.place.file.display().to_string()).collect::<Vec<_>>(),
        ["/m/b.yaml"]
    );
    reports.apply(&texts.put(&[("b.yaml", "")]));
    assert!(reports.is_empty());
}

/// An AuthorizationPolicy `p`.
fn authorization(app: &str, action: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p, namespace: shop}}\n\
         spec: {{selector: {{matchLabels: {{app: {app}.example}}}}, action: {action}}}\n"
    )
}

/// What is served of the policy `p`.
fn denies(batch: &Batch) -> Option<bool> {
    let event = batch.events.iter().find(|event| event.key.kind == api::Kind::AuthorizationPolicy)?;
    Some(event.object.as_ref()?.consequence().is_some())
}

#[test]
fn what_stands_in_for_an_unreadable_policy_denies_until_the_policy_can_be_read() {
    let mut texts = Texts::default();
    let batch = texts.put(&[("a.yaml", &authorization("web", "REFUSE"))]);
    assert_eq!((said(&batch).as_str(), denies(&batch)), ("+p=web", Some(true)));
    let reports = here(&batch);
    assert_eq!(reports.len(), 1);
    assert!(reports[0].contains("AuthorizationPolicy/shop/p: spec.action: "), "{reports:?}");
    assert!(reports[0].ends_with("all that reaches the workloads that it is for is denied"), "{reports:?}");
    // Another slip, for other workloads: the first stand-in is no good form of it.
    let batch = texts.put(&[("a.yaml", &authorization("api", "FORBID"))]);
    assert_eq!((said(&batch).as_str(), denies(&batch)), ("+p=api", Some(true)));
    // A file without any form keeps what it gave.
    assert_eq!(said(&texts.put(&[("a.yaml", BROKEN)])), "");
    let batch = texts.put(&[("a.yaml", &authorization("api", "ALLOW"))]);
    assert_eq!((said(&batch).as_str(), denies(&batch)), ("+p=api", Some(false)));
}

#[test]
fn the_last_good_form_of_a_policy_counts_before_what_would_stand_in() {
    let mut texts = Texts::default();
    texts.put(&[("a.yaml", &authorization("web", "ALLOW"))]);
    let batch = texts.put(&[("a.yaml", &authorization("web", "REFUSE"))]);
    assert_eq!(said(&batch), "");
    assert!(here(&batch)[0].contains("still served as last read: AuthorizationPolicy/shop/p"), "{batch:?}");
    assert_eq!(said(&texts.put(&[("a.yaml", GONE)])), "-p");
}

#[test]
fn another_file_s_policy_counts_before_what_would_stand_in() {
    let mut texts = Texts::default();
    texts.put(&[("a.yaml", &authorization("a", "REFUSE")), ("b.yaml", &authorization("b", "ALLOW"))]);
    assert_eq!(said(&texts.put(&[("b.yaml", GONE)])), "+p=a");
}
