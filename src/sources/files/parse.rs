//! A file's bytes -> the objects it gives and the problems found in it, each with its place.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use api::decode::{AnyObject, DecodeError, Decoded, FieldWarning};
use api::{Kind, ObjectKey, Severity};
use serde_json::Value;

use super::document::{self, Document};
use super::value::{self, Flaw};
use super::{scan, state};
use crate::report::{Place, Report};

#[cfg(test)]
mod tests;

/// Larger files are refused: no mesh's configuration is written in files of this size, and a file that is here by
/// mistake must not take the memory.
pub(crate) const MAX_BYTES: usize = 10_000_000;

/// An object as a file gives it.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// The object.
    pub(crate) object: Arc<AnyObject>,
    /// Where it is given.
    pub(crate) place: Place,
}

/// What a problem takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Nothing that the file meant to give.
    Nothing,
    /// An object that the file names but whose content cannot be read.
    Object(ObjectKey),
    /// Objects whose names cannot be read.
    Unknown,
}

impl Broken {
    /// The object that is named but cannot be read.
    pub(crate) fn key(&self) -> Option<&ObjectKey> {
        match self {
            Self::Object(key) => Some(key),
            Self::Nothing | Self::Unknown => None,
        }
    }
}

/// A problem and what it takes away.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The problem.
    pub(crate) report: Report,
    /// What it takes away.
    pub(crate) broken: Broken,
}

/// What a file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsed {
    /// Its objects.
    pub(crate) objects: BTreeMap<ObjectKey, Given>,
    /// What denies in the place of policies that cannot be read.
    pub(crate) stand_ins: BTreeMap<ObjectKey, Given>,
    /// Its problems, in the order in which they were found.
    pub(crate) findings: Vec<Finding>,
}

/// Reads a file. Never fails: what cannot be read is a finding and harms nothing but itself.
pub(crate) fn parse(file: &Arc<Path>, bytes: &[u8]) -> Parsed {
    let mut reader = Reader { file, parsed: Parsed::default() };
    match text(bytes) {
        Ok(text) => {
            let mut ahead = 0;
            for document in document::split(text) {
                ahead = reader.document(document, ahead);
            }
        }
        Err(flaw) => {
            let place = Place { line: Some(flaw.line), column: Some(flaw.column), ..Place::file(file) };
            reader.flaw(place, flaw.message, flaw.hint);
        }
    }
    reader.parsed
}

/// The bytes as text, without a byte order mark.
fn text(bytes: &[u8]) -> Result<&str, Flaw> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Flaw {
            line: 1,
            column: 1,
            message: "the file is UTF-16".to_owned(),
            hint: "save it as UTF-8",
        });
    }
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).map(String::from_utf8_lossy).unwrap_or_default();
            let last = good.rsplit('\n').next().unwrap_or_default();
            Err(Flaw {
                line: narrow(good.matches('\n').count()).saturating_add(1),
                column: narrow(last.chars().count()).saturating_add(1),
                message: "the file is not UTF-8".to_owned(),
                hint: "save it as UTF-8; binary data of Secrets and ConfigMaps is written in base64",
            })
        }
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Where an object stands in its document.
struct Spot<'a> {
    document: Document<'a>,
    number: u32,
    /// Lines of the document before the object's value, when several values share the document.
    skipped: u32,
    /// The path to the object in its value: empty, or `items[3]`.
    path: String,
}

struct Reader<'a> {
    file: &'a Arc<Path>,
    parsed: Parsed,
}

impl Reader<'_> {
    /// Reads one document. JSON values that follow one another without markers count as a document each; `ahead` is by
    /// how much this has moved the numbers so far.
    fn document(&mut self, document: Document<'_>, ahead: u32) -> u32 {
        let reading = value::read(document.text, scan::is_json(self.file));
        let mut number = document.number.saturating_add(ahead);
        let read = narrow(reading.values.len());
        for (line, value) in reading.values {
            let spot = Spot { document, number, skipped: line.saturating_sub(1), path: String::new() };
            self.value(spot, value);
            number = number.saturating_add(1);
        }
        let broken = u32::from(reading.flaw.is_some());
        if let Some(flaw) = reading.flaw {
            let line = document.line.saturating_add(flaw.line).saturating_sub(1);
            let place = Place {
                document: Some(number),
                line: Some(line),
                column: Some(flaw.column),
                ..Place::file(self.file)
            };
            self.flaw(place, flaw.message, flaw.hint);
        }
        ahead.saturating_add(read.saturating_add(broken).saturating_sub(1))
    }

    /// Reads one value: an object, or a `List` of them.
    fn value(&mut self, spot: Spot<'_>, value: Value) {
        let listed = value.get("items").is_some_and(Value::is_array);
        for (index, item) in api::items(value).into_iter().enumerate() {
            let path = if listed { format!("items[{index}]") } else { String::new() };
            self.object(&Spot { path, ..spot }, item);
        }
    }

    fn object(&mut self, spot: &Spot<'_>, value: Value) {
        let Decoded { object, warnings } = match api::decode(value) {
            Ok(decoded) => decoded,
            Err(error) => return self.refused(spot, error),
        };
        let key = object.key();
        for FieldWarning { path, message } in warnings {
            self.told(spot, Severity::Warning, Some(key.clone()), path, message, Broken::Nothing);
        }
        if let AnyObject::NotServed(kind, _) = object {
            let message = format!("{kind} is a known kind but not served yet: the object has no effect");
            self.told(spot, Severity::Warning, Some(key), String::new(), message, Broken::Nothing);
        } else {
            let place = self.place(spot, "");
            self.give(object, place);
        }
    }

    /// Takes an object in, unless the file already gave it.
    fn give(&mut self, object: AnyObject, place: Place) {
        let key = object.key();
        let given = Given { object: Arc::new(object), place };
        if let Some(first) = self.parsed.objects.get(&key) {
            let report = state::clash(&key, first, &given);
            self.parsed.findings.push(Finding { report, broken: Broken::Nothing });
        } else {
            self.parsed.objects.insert(key, given);
        }
    }

    /// Notes why a document or item is not given.
    fn refused(&mut self, spot: &Spot<'_>, error: DecodeError) {
        let message = error.to_string();
        match error {
            DecodeError::Field { kind, object, path, message, stand_in } => {
                let key = key(kind, &object);
                if let Some(object) = stand_in.filter(|object| object.consequence().is_some()) {
                    let place = self.place(spot, &path);
                    self.parsed.stand_ins.insert(object.key(), Given { object: Arc::new(*object), place });
                }
                let broken = key.clone().map_or(Broken::Unknown, Broken::Object);
                self.told(spot, Severity::Error, key, path, message, broken);
            }
            DecodeError::UnknownKind { api_version, kind, .. } if is_foreign(&api_version, &kind) => {
                self.told(spot, Severity::Warning, None, String::new(), message, Broken::Nothing);
            }
            DecodeError::UnknownKind { .. } | DecodeError::NotAnObject | DecodeError::MissingName { .. } => {
                self.told(spot, Severity::Error, None, String::new(), message, Broken::Unknown);
            }
        }
    }

    fn told(
        &mut self,
        spot: &Spot<'_>,
        severity: Severity,
        object: Option<ObjectKey>,
        field: String,
        message: String,
        broken: Broken,
    ) {
        let place = self.place(spot, &field);
        let report =
            Report { place, severity, object, field, message, hint: String::new(), last_good: Vec::new() };
        self.parsed.findings.push(Finding { report, broken });
    }

    fn flaw(&mut self, place: Place, message: String, hint: &str) {
        let report = Report {
            place,
            severity: Severity::Error,
            object: None,
            field: String::new(),
            message,
            hint: hint.to_owned(),
            last_good: Vec::new(),
        };
        self.parsed.findings.push(Finding { report, broken: Broken::Unknown });
    }

    /// Where a field of an object is: its own line if it can be found, else that of the nearest part around it.
    fn place(&self, spot: &Spot<'_>, field: &str) -> Place {
        let path = match (spot.path.as_str(), field) {
            (path, "") => path.to_owned(),
            ("", field) => field.to_owned(),
            (path, field) => format!("{path}.{field}"),
        };
        let place = Place { document: Some(spot.number), ..Place::file(self.file) };
        let start = spot.document.line.saturating_add(spot.skipped);
        let text = skip_lines(spot.document.text, spot.skipped);
        match (!path.is_empty()).then(|| value::locate(text, &path)).flatten() {
            Some((line, column)) => Place {
                line: Some(start.saturating_add(line).saturating_sub(1)),
                column: Some(column),
                ..place
            },
            None => Place { line: Some(start), ..place },
        }
    }
}

/// The key of an object that an error names as `namespace/name` or `name`; none if it has no name.
fn key(kind: Kind, object: &str) -> Option<ObjectKey> {
    let (namespace, name) = match object.split_once('/') {
        Some((namespace, name)) => (namespace, name),
        None if kind.namespaced() => ("default", object),
        None => ("", object),
    };
    (!name.is_empty()).then(|| ObjectKey { kind, namespace: namespace.into(), name: name.into() })
}

/// Whether an unknown kind is another product's, such as a Deployment beside its Service, and no slip in one of ours.
fn is_foreign(api_version: &str, kind: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let slip = api_version.is_empty() || kind.is_empty() || group.ends_with("istio.io");
    !slip && !Kind::ALL.iter().any(|known| known.name() == kind)
}

fn skip_lines(text: &str, lines: u32) -> &str {
    let skipped: usize =
        text.split_inclusive('\n').take(usize::try_from(lines).unwrap_or(usize::MAX)).map(str::len).sum();
    text.get(skipped..).unwrap_or_default()
}
