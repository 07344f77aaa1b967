//! A file's text cut into its YAML documents, so that a broken one does not take its neighbours along.

/// One document of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Document<'a> {
    /// Its number in the file, from 1, as a reader counts the `---` lines; empty documents count.
    pub(crate) number: u32,
    /// The line of the file on which its text starts, from 1.
    pub(crate) line: u32,
    /// Its text, with the `---` that opens it.
    pub(crate) text: &'a str,
}

/// The documents of a text that hold more than comments.
///
/// Cutting by lines is exact: a line that starts with `---` or `...` and ends there or goes on with white space is a
/// document marker wherever it stands, even in a block scalar or a quoted one (YAML 1.2.2, 9.1.2 and `c-forbidden`).
pub(crate) fn split(text: &str) -> Vec<Document<'_>> {
    let mut cutter = Cutter { text, start: 0, line: 1, number: 0, documents: Vec::new() };
    let (mut offset, mut line) = (0, 1);
    for row in text.split_inclusive('\n') {
        let after = offset + row.len();
        match marker(row) {
            Some(Marker::Start) => cutter.cut(offset, offset, line),
            Some(Marker::End) => cutter.cut(offset, after, line.saturating_add(1)),
            None => {}
        }
        offset = after;
        line = line.saturating_add(1);
    }
    cutter.cut(text.len(), text.len(), line);
    cutter.documents
}

struct Cutter<'a> {
    text: &'a str,
    start: usize,
    line: u32,
    number: u32,
    documents: Vec<Document<'a>>,
}

impl Cutter<'_> {
    /// Ends the present document before `end`; the next one starts at `next`, on line `line`.
    fn cut(&mut self, end: usize, next: usize, line: u32) {
        let text = self.text.get(self.start..end).unwrap_or_default();
        let explicit = matches!(text.lines().next().and_then(marker), Some(Marker::Start));
        let content = holds_content(text);
        if explicit || content {
            self.number = self.number.saturating_add(1);
        }
        if content {
            self.documents.push(Document { number: self.number, line: self.line, text });
        }
        (self.start, self.line) = (next, line);
    }
}

enum Marker {
    Start,
    End,
}

fn marker(row: &str) -> Option<Marker> {
    let (marker, rest) = if let Some(rest) = row.strip_prefix("---") {
        (Marker::Start, rest)
    } else {
        (Marker::End, row.strip_prefix("...")?)
    };
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(marker)
}

/// Whether there is anything but markers, directives, comments and white space.
fn holds_content(text: &str) -> bool {
    text.lines().any(|row| {
        let rest = match marker(row) {
            Some(_) => row.get(3..).unwrap_or_default(),
            None if row.starts_with('%') => "",
            None => row,
        };
        let rest = rest.trim_start();
        !rest.is_empty() && !rest.starts_with('#')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(u32, u32, &str)> {
        split(text).into_iter().map(|d| (d.number, d.line, d.text)).collect()
    }

    #[test]
    fn one_document_needs_no_marker() {
        assert_eq!(cut("a: 1\n"), [(1, 1, "a: 1\n")]);
    }

    #[test]
    fn a_marker_opens_the_next_document_and_may_carry_content() {
        assert_eq!(
            cut("a: 1\n--- {b: 2}\n---\nc: 3"),
            [(1, 1, "a: 1\n"), (2, 2, "--- {b: 2}\n"), (3, 3, "---\nc: 3")]
        );
    }

    #[test]
    fn a_comment_before_the_first_marker_is_no_document_but_an_empty_one_between_markers_counts() {
        assert_eq!(
            cut("# head\n---\na: 1\n---\n# none\n---\nb: 2\n---\n"),
            [(1, 2, "---\na: 1\n"), (3, 6, "---\nb: 2\n")]
        );
    }

    #[test]
    fn dots_end_a_document() {
        assert_eq!(cut("a: 1\n...\n# between\nb: 2\n...\n"), [(1, 1, "a: 1\n"), (2, 3, "# between\nb: 2\n")]);
    }

    #[test]
    fn markers_end_with_the_line_or_white_space_only() {
        assert_eq!(cut("a: x\n---b\n").len(), 1);
        assert_eq!(cut("a: |\n  ---\n  b\n").len(), 1);
        assert_eq!(cut("a: 1\r\n---\r\nb: 2\r\n").len(), 2);
        assert_eq!(cut("a: |\n---\nb: 2").len(), 2);
    }

    #[test]
    fn nothing_holds_no_document() {
        for text in ["", "\n\n", "# only\n  # comments\n", "---\n---\n...\n", "%YAML 1.1\n---\n"] {
            assert_eq!(cut(text), [], "{text:?}");
        }
    }
}
