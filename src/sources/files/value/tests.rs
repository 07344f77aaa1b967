//! What scalars mean, where flaws are, and the limits against texts that unfold.

use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    let reading = read(text, false);
    assert_eq!(reading.flaw, None, "{text:?}");
    assert_eq!(reading.values.len(), 1, "{text:?}");
    reading.values.into_iter().next().unwrap().1
}

fn flaw(text: &str) -> (u32, u32, String) {
    let flaw = read(text, false).flaw.unwrap_or_else(|| panic!("{text:?} was read"));
    (flaw.line, flaw.column, flaw.message)
}

#[test]
fn plain_scalars_mean_what_kubectl_takes_them_for() {
    let cases = [
        ("yes", json!(true)),
        ("on", json!(true)),
        ("y", json!(true)),
        ("No", json!(false)),
        ("OFF", json!(false)),
        ("n", json!(false)),
        ("true", json!(true)),
        ("'yes'", json!("yes")),
        ("\"on\"", json!("on")),
        ("0644", json!(420)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("1_000", json!(1000)),
        ("08", json!(8)),
        ("1.0", json!(1)),
        ("1e3", json!(1000)),
        ("1.5", json!(1.5)),
        ("+1", json!(1)),
        ("-0", json!(0)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("18446744073709551616", json!(1.844_674_407_370_955_2e19)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("2024-01-01T00:00:00Z", json!("2024-01-01T00:00:00Z")),
        ("2024-01-01", json!("2024-01-01")),
        ("1:30", json!("1:30")),
        ("1.30.0", json!("1.30.0")),
        ("10.0.0.1", json!("10.0.0.1")),
        ("~", json!(null)),
        ("null", json!(null)),
        ("", json!(null)),
        ("!!str 12", json!("12")),
        ("!!binary aGk=", json!("aGk=")),
        ("5s", json!("5s")),
    ];
    for (text, expected) in cases {
        assert_eq!(value(&format!("a: {text}")), json!({ "a": expected }), "{text}");
    }
}

#[test]
fn anchors_and_merge_keys_unfold() {
    assert_eq!(
        value("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2"),
        json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}})
    );
}

#[test]
fn plain_keys_keep_their_text() {
    assert_eq!(value("80: a\non: b\n1.5: c"), json!({"80": "a", "on": "b", "1.5": "c"}));
}

#[test]
fn flaws_say_where_and_why() {
    assert_eq!(flaw("a: 1\nb: 2\na: 3"), (3, 1, "key \"a\" is given twice".to_owned()));
    let (line, column, message) = flaw("a:\n\t- b");
    assert_eq!((line, column), (2, 2));
    assert!(message.contains("tabs"), "{message}");
    assert_eq!(flaw("a: b: c").0, 1);
    assert_eq!(flaw("a: [1, 2").0, 1);
    assert_eq!(flaw("a: .nan"), (1, 4, ".nan is no number that JSON can say".to_owned()));
    assert_eq!(flaw("a: &x [*x]"), (1, 8, "an alias stands inside the node it names".to_owned()));
    assert!(
        flaw("a: *nope").2.contains("unknown anchor") || flaw("a: *nope").2.contains("unknown"),
        "{:?}",
        flaw("a: *nope")
    );
}

#[test]
fn tabs_name_their_cure() {
    assert_eq!(read("a:\n\t- b", false).flaw.unwrap().hint, "indent with spaces");
}

#[test]
fn json_values_may_follow_one_another() {
    let reading = read("{\"a\":\n1}\n\n{\"b\": 2}{\"c\": 3}\n", true);
    assert_eq!(reading.flaw, None);
    assert_eq!(reading.values, [(1, json!({"a": 1})), (4, json!({"b": 2})), (4, json!({"c": 3}))]);
}

#[test]
fn a_broken_json_value_leaves_those_before_it() {
    let reading = read("{\"a\": 1}\n{\"b\": 2,}\n", true);
    assert_eq!(reading.values, [(1, json!({"a": 1}))]);
    let flaw = reading.flaw.unwrap();
    assert_eq!((flaw.line, flaw.message.as_str()), (2, "trailing comma"));
}

#[test]
fn json_refuses_a_key_given_twice() {
    let flaw = read("{\"a\": 1,\n\"a\": 2}", true).flaw.unwrap();
    assert_eq!((flaw.line, flaw.message.as_str()), (2, "key \"a\" is given twice"));
}

#[test]
fn flow_mappings_are_yaml() {
    assert_eq!(value("{a: b, c: [1]}"), json!({"a": "b", "c": [1]}));
    assert_eq!(value("{\n\t\"a\": 1\n} # note"), json!({"a": 1}));
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    let nest =
        |open: &str, close: &str, depth: usize| format!("a: {}{}", open.repeat(depth), close.repeat(depth));
    super::super::worker::readers().unwrap().install(|| {
        assert!(read(&nest("[", "]", 60), false).flaw.is_none());
        assert!(read(&nest("[", "]", 5000), false).flaw.is_some());
        assert!(read(&"{\"a\":".repeat(5000), true).flaw.is_some());
        assert!(read(&"- ".repeat(5000), false).flaw.is_some());
        assert_eq!(locate(&nest("[", "]", 60), "a[0][0]").map(|place| place.0), Some(1));
    });
}

#[test]
fn aliases_do_not_unfold_for_ever() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = level - 1;
        text.push_str(&format!("a{level}: &a{level} [*a{below}, *a{below}, *a{below}, *a{below}, *a{below}, *a{below}, *a{below}, *a{below}]\n"));
    }
    assert!(read(&text, false).flaw.is_some());
}

#[test]
fn a_path_is_found_with_its_line() {
    let text = "spec:\n  http:\n    - match:\n        - uri: x\n      rout: y\nmetadata:\n  annotations:\n    a.b/c: d\n";
    assert_eq!(locate(text, "spec.http[0].rout"), Some((5, 7)));
    assert_eq!(locate(text, "spec.http[0].match[0].uri"), Some((4, 11)));
    assert_eq!(locate(text, "metadata.annotations.a.b/c"), Some((8, 5)));
    assert_eq!(locate(text, "spec.http[0].gone.deeper"), Some((3, 7)));
    assert_eq!(locate("{\"spec\": {\n\"a\": 1}}", "spec.a"), Some((2, 1)));
    assert_eq!(locate("a: [", "a"), None);
}
