//! Rust text as far as the checks need it: code without comments and literals, and where tests stand in it. Not a parser: what it
//! cannot know (macros that write modules, `cfg` other than `test`) the checks do without.

use std::ops::Range;

/// The text with every comment and literal replaced by blanks: same length, same lines.
pub(super) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        match literal_end(bytes, at) {
            Some(end) => {
                erase(&mut out, at..end);
                at = end;
            }
            None => at += 1,
        }
    }
    String::from_utf8(out).expect("whole characters were replaced by blanks")
}

/// The blanked text, without what stands under `#[cfg(test)]` either.
pub(super) fn product(blanked: &str) -> String {
    let mut out = blanked.as_bytes().to_vec();
    for span in test_spans(blanked) {
        erase(&mut out, span);
    }
    String::from_utf8(out).expect("whole items were replaced by blanks")
}

/// Where the items under `#[cfg(test)]` stand in blanked text, attribute included.
pub(super) fn test_spans(blanked: &str) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    for (start, _) in blanked.match_indices("#[cfg(test)]") {
        if spans.last().is_none_or(|last| start >= last.end) {
            spans.push(start..item_end(blanked, start));
        }
    }
    spans
}

/// The line, counted from 1, that an offset falls into.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

/// Where a name stands as a whole word in blanked text; a name may be a path, `Instant::now`.
pub(super) fn words<'a>(blanked: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = blanked.as_bytes();
    blanked.match_indices(name).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        let after = bytes.get(at + name.len());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Whether a byte can stand in an identifier.
pub(super) fn is_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || *byte == b'_'
}

fn erase(out: &mut [u8], span: Range<usize>) {
    for byte in out.get_mut(span).into_iter().flatten().filter(|b| **b != b'\n') {
        *byte = b' ';
    }
}

/// The end of the item that begins at `start`: its `;`, or the brace that closes its first one.
fn item_end(blanked: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in blanked.bytes().enumerate().skip(start) {
        match byte {
            b';' if depth == 0 => return at + 1,
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    blanked.len()
}

/// The end of the comment or literal that begins here, if one does.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let length = match rest {
        [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => quoted(rest, b'"'),
        [b'r', b'"' | b'#', ..] => raw_string(rest)?,
        [b'\'', b'\\', ..] => quoted(rest, b'\''),
        [b'\'', ..] => character(rest)?,
        _ => return None,
    };
    Some(at + length)
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest.get(at..at + 2) {
            Some(b"/*") => depth += 1,
            Some(b"*/") => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'\\' => at += 2,
            b if *b == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"..."` and `r#"..."#`; none for a raw identifier.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().skip(1).take_while(|b| **b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = hashes + 2;
    let end = rest.get(body..)?.windows(close.len()).position(|w| w == close);
    Some(end.map_or(rest.len(), |end| body + end + close.len()))
}

/// `'x'`; none for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    let length = match rest.get(1)? {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    (rest.get(1 + length) == Some(&b'\'')).then_some(length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that are left, which is what every check looks at.
    fn left(text: &str) -> Vec<String> {
        assert_eq!(blank(text).len(), text.len());
        assert_eq!(blank(text).lines().count(), text.lines().count());
        blank(text).split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn comments_go() {
        assert_eq!(left("a // mod b;\nc /* d /* e */ f */ g /// h"), ["a", "c", "g"]);
    }

    #[test]
    fn literals_go_and_lifetimes_stay() {
        assert_eq!(left(r#"a "mod b; \" c" d"#), ["a", "d"]);
        assert_eq!(left(r###"a r#"b " c"# d r"\" e br"f" r#type"###), ["a", "d", "e", "b", "r#type"]);
        assert_eq!(left(r"a 'b' '\'' '\u{41}' 'é' c"), ["a", "c"]);
        assert_eq!(left("fn f<'a>(x: &'a str)"), ["fn", "f<'a>(x:", "&'a", "str)"]);
    }

    #[test]
    fn what_is_for_tests_goes() {
        let text = "a\n#[cfg(test)]\nmod tests {\n fn f() { g() }\n}\nb\n#[cfg(test)]\nmod more;\nc";
        assert_eq!(product(&blank(text)).split_whitespace().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(test_spans(&blank(text)).len(), 2);
    }

    #[test]
    fn words_are_whole() {
        let found: Vec<usize> = words("tokio::x my_tokio tokio_util ::tokio", "tokio").collect();
        assert_eq!(found, [0, 31]);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
