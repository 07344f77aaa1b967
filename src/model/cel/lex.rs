//! The words of an expression: names, literals, marks.

use std::fmt;

/// Marks, longer ones before their beginnings.
const MARKS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}",
];

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, or a word of the language.
    Word(&'a str),
    /// A number.
    Number,
    /// A text or bytes.
    Text,
    /// An operator or bracket.
    Mark(&'static str),
    /// Nothing is left.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Number => f.write_str("a number"),
            Self::Text => f.write_str("a text"),
            Self::Mark(mark) => write!(f, "`{mark}`"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// Takes an expression apart.
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(expression: &'a str) -> Self {
        Self { rest: expression }
    }

    /// The next word; the end again and again when nothing is left.
    ///
    /// # Errors
    /// What can be no word.
    pub(super) fn next(&mut self) -> Result<Token<'a>, String> {
        self.blanks();
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        if let Some((raw, open)) = self.opening() {
            return self.text(raw, open).map(|()| Token::Text);
        }
        let fraction = self.rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(is_digit));
        if is_digit(first) || fraction {
            return self.number().map(|()| Token::Number);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Ok(Token::Word(self.take(|c| c.is_ascii_alphanumeric() || c == '_')));
        }
        for mark in MARKS {
            if self.eat(mark) {
                return Ok(Token::Mark(mark));
            }
        }
        let half = matches!(first, '=' | '&' | '|');
        Err(format!("`{first}` {}", if half { "stands alone" } else { "means nothing" }))
    }

    fn blanks(&mut self) {
        loop {
            self.take(|c| matches!(c, ' ' | '\t' | '\n' | '\u{c}' | '\r'));
            if !self.rest.starts_with("//") {
                return;
            }
            self.take(|c| c != '\n');
        }
    }

    fn eat(&mut self, text: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(text) else { return false };
        self.rest = rest;
        true
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn number(&mut self) -> Result<(), String> {
        let start = self.rest;
        let mut whole = true;
        let value = if self.eat("0x") || self.eat("0X") {
            let digits = self.take(|c| c.is_ascii_hexdigit());
            if digits.is_empty() {
                return Err("`0x` needs digits".to_owned());
            }
            u64::from_str_radix(digits, 16)
        } else {
            let digits = self.take(is_digit);
            if self.rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(is_digit)) {
                self.eat(".");
                self.take(is_digit);
                whole = false;
            }
            whole &= !self.exponent();
            digits.parse()
        };
        let unsigned = whole && (self.eat("u") || self.eat("U"));
        // The least number is written as the negative of one that is none itself.
        let most = if unsigned { u64::MAX } else { 1 << 63 };
        if !whole || value.is_ok_and(|value| value <= most) {
            return Ok(());
        }
        let length = start.len() - self.rest.len();
        Err(format!("`{}` is too great a number", start.get(..length).unwrap_or_default()))
    }

    /// Takes an exponent, if there is one.
    fn exponent(&mut self) -> bool {
        let Some(rest) = self.rest.strip_prefix(['e', 'E']) else { return false };
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        if !digits.starts_with(is_digit) {
            return false;
        }
        self.rest = digits;
        self.take(is_digit);
        true
    }

    /// Takes the opening of a text. Out: whether escapes mean nothing in it, and the quotes.
    fn opening(&mut self) -> Option<(bool, &'static str)> {
        let letters = self.rest.bytes().take_while(|b| b"rRbB".contains(b)).count();
        let (prefix, rest) = self.rest.split_at_checked(letters)?;
        let raw = prefix.contains(['r', 'R']);
        let once = prefix.len() == usize::from(raw) + usize::from(prefix.contains(['b', 'B']));
        let open = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|open| rest.starts_with(open))?;
        if !once {
            return None;
        }
        self.rest = rest.strip_prefix(open)?;
        Some((raw, open))
    }

    fn text(&mut self, raw: bool, close: &str) -> Result<(), String> {
        let long = close.len() == 3;
        while !self.eat(close) {
            let open = || "a text is not closed".to_owned();
            let c = self.rest.chars().next().ok_or_else(open)?;
            if !long && matches!(c, '\n' | '\r') {
                return Err(open());
            }
            self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
            if c == '\\' && !raw {
                self.escape()?;
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let c = self.rest.chars().next().ok_or("a text is not closed")?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`' => Ok(()),
            'x' | 'X' => self.digits(c, 2),
            'u' => self.digits(c, 4),
            'U' => self.digits(c, 8),
            '0'..='3' if self.octal() => Ok(()),
            c => Err(format!("`\\{c}` is not known in a text")),
        }
    }

    /// Takes two octal digits.
    fn octal(&mut self) -> bool {
        let digits = self.rest.bytes().take(2).filter(|b| (b'0'..=b'7').contains(b)).count();
        if digits == 2 {
            self.rest = self.rest.get(2..).unwrap_or_default();
        }
        digits == 2
    }

    fn digits(&mut self, kind: char, count: usize) -> Result<(), String> {
        let digits = self.rest.get(..count).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(|| format!("`\\{kind}` needs {count} digits"))?;
        self.rest = self.rest.get(count..).unwrap_or_default();
        let character = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
        character.map(drop).ok_or_else(|| format!("`\\{kind}{digits}` is no character"))
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}
