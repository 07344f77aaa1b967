//! Every object of the conformance cases put to the webhook: nothing that the reference took is refused, and nothing that is made of
//! it stops the program.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use api::{AnyObject, Kind, Problem};
use serde_json::{Value, json};

use crate::admission::{AdmissionRequest, Verdict, review};

type Outcome = Result<(), Box<dyn Error>>;

/// The most characters that an API server hands on: of one warning among many, and of all.
const WARNING: usize = 256;
const WARNINGS: usize = 4096;

fn inputs(folder: &Path, found: &mut Vec<PathBuf>) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            inputs(&path, found)?;
        } else if path.file_name().is_some_and(|name| name == "input.yaml") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

/// The objects of the cases for which the webhook is asked, each with its file.
fn objects() -> Result<Vec<(PathBuf, Value)>, Box<dyn Error>> {
    let mut files = Vec::new();
    inputs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/conformance/cases"), &mut files)?;
    let mut objects = Vec::new();
    for file in files {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(&file)?)?;
        let items = documents.into_iter().filter(|d| !d.is_null()).flat_map(api::items);
        let asked = items.filter(|item| item["apiVersion"].as_str().is_some_and(|v| v.contains("istio.io/")));
        objects.extend(asked.map(|item| (file.clone(), item)));
    }
    assert!(objects.len() > 200, "the cases have objects: {}", objects.len());
    Ok(objects)
}

fn nothing(_: &AnyObject) -> Vec<Problem> {
    Vec::new()
}

fn create(object: Value) -> AdmissionRequest {
    AdmissionRequest {
        uid: "u".to_owned(),
        operation: "CREATE".to_owned(),
        object,
        ..AdmissionRequest::default()
    }
}

/// What the reference's webhook refuses and its folder source, which the cases were taken from, does not look at.
const TAKEN_FROM_A_FOLDER: [&str; 2] = [
    "configuration is invalid: Gateway/istio-ingress/main spec.servers[1].port.name: ",
    "configuration is invalid: AuthorizationPolicy/tower/quiet-deny spec.rules: ",
];

#[test]
fn what_the_reference_took_is_not_refused() -> Outcome {
    let mut excepted = Vec::new();
    for (file, object) in objects()? {
        if let Verdict::Refused { message, .. } = review(&create(object), &nothing).verdict {
            let known = TAKEN_FROM_A_FOLDER.into_iter().find(|start| message.starts_with(start));
            excepted.push(known.ok_or_else(|| format!("{}: {message}", file.display()))?);
        }
    }
    excepted.sort_unstable();
    excepted.dedup();
    assert_eq!(excepted.len(), TAKEN_FROM_A_FOLDER.len(), "{excepted:?}");
    Ok(())
}

/// Values that are wrong nearly everywhere.
fn strange() -> Vec<Value> {
    let deep = (0..100).fold(json!("x"), |inner, _| json!([inner]));
    let texts = ["", "*", "*.", "/", "é\u{0}\n", "-1s", "999999999999999999h", "0.0.0.0/99", "[", "a{9999}"];
    let mut values = vec![
        Value::Null,
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1e308),
        json!(true),
        json!([]),
        json!([null]),
        json!({}),
        json!({"": null}),
        deep,
    ];
    values.extend(texts.into_iter().map(Value::from));
    values
}

/// The places in a document, as JSON pointers.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                places(value, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                places(value, &format!("{path}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_value_at_any_place_stops_the_program_or_overflows_an_answer() -> Outcome {
    let strange = strange();
    let mut looked_at = 0;
    // Some objects of each kind: all of them take minutes.
    for kind in Kind::ALL {
        let objects = objects()?;
        let of_kind = objects.iter().filter(|(_, object)| object["kind"] == kind.name());
        for (_, object) in of_kind.step_by(5).take(6) {
            let mut paths = Vec::new();
            places(object, "", &mut paths);
            for (path, value) in paths.iter().flat_map(|path| strange.iter().map(move |value| (path, value)))
            {
                let mut changed = object.clone();
                *changed.pointer_mut(path).ok_or("the place was found")? = value.clone();
                let answer = review(&create(changed), &nothing);
                let sizes: Vec<usize> = answer.warnings.iter().map(|w| w.chars().count()).collect();
                assert!(sizes.iter().all(|s| *s <= WARNING) && sizes.iter().sum::<usize>() <= WARNINGS);
                if let Verdict::Refused { message, .. } = answer.verdict {
                    assert!(!message.is_empty() && message.len() < 64 * 1024, "{path}");
                }
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 10_000, "{looked_at}");
    Ok(())
}
