//! Whether RE2, Envoy's engine for regular expressions, accepts an expression. Envoy refuses a whole listener or route
//! configuration for one wrong expression, so wrong ones are found here.
//!
//! Source: RE2's syntax page (<https://github.com/google/re2/wiki/Syntax>); the lists in the tests were put to Envoy.

mod classes;

/// The greatest count that a repetition may have.
const MAX_REPEAT: u32 = 1000;
/// Deeper groups are refused, as RE2 does.
const MAX_DEPTH: usize = 1000;

/// Checks an expression.
///
/// # Errors
/// What is wrong with it, in words for its author.
pub fn check(expression: &str) -> Result<(), String> {
    let mut parser =
        Parser { rest: expression, groups: Vec::new(), most: 1, last: 1, repeatable: false, repeated: false };
    while let Some(c) = parser.next() {
        parser.step(c)?;
    }
    if parser.groups.is_empty() { Ok(()) } else { Err("a `(` is not closed".to_owned()) }
}

/// The text with which everything that matches the whole expression begins: what precedes its first operator.
pub fn literal_prefix(expression: &str) -> &str {
    let unanchored = expression.strip_prefix('^').unwrap_or(expression);
    if unanchored.contains('|') {
        return "";
    }
    let end = unanchored.find(|c| r"\.+*?()|[]{}^$".contains(c)).unwrap_or(unanchored.len());
    let (prefix, rest) = unanchored.split_at_checked(end).unwrap_or((unanchored, ""));
    // The last character may be optional.
    match (rest.starts_with(['?', '*', '{']), prefix.char_indices().last()) {
        (true, Some((at, _))) => prefix.get(..at).unwrap_or_default(),
        _ => prefix,
    }
}

struct Parser<'a> {
    rest: &'a str,
    /// For each open group, how often what precedes it repeats its innermost part.
    groups: Vec<u32>,
    /// How often the innermost part of this group is repeated, as far as it is read.
    most: u32,
    /// The same for what was read last.
    last: u32,
    /// Whether there is something before that a repetition may apply to.
    repeatable: bool,
    /// Whether that is a repetition itself, which must not be repeated.
    repeated: bool,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(text) else { return false };
        self.rest = rest;
        true
    }

    /// Takes the text up to `end`, and `end`.
    fn until(&mut self, end: char) -> Option<&str> {
        let (taken, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(taken)
    }

    fn step(&mut self, c: char) -> Result<(), String> {
        match c {
            '(' => self.open()?,
            ')' => {
                let before = self.groups.pop().ok_or("a `)` closes nothing")?;
                let inside = self.most;
                self.atom();
                (self.last, self.most) = (inside, before.max(inside));
            }
            '|' => (self.repeatable, self.repeated) = (false, false),
            '[' => self.class()?,
            '\\' => self.escape(false).map(drop)?,
            '*' | '+' | '?' => self.repeat(c.to_string().as_str())?,
            '{' => match self.count()? {
                Some((text, times)) => {
                    self.repeat(&text)?;
                    self.multiply(times)?;
                }
                None => self.atom(),
            },
            _ => self.atom(),
        }
        Ok(())
    }

    fn atom(&mut self) {
        (self.repeatable, self.repeated) = (true, false);
        self.last = 1;
    }

    fn repeat(&mut self, operator: &str) -> Result<(), String> {
        if !self.repeatable {
            return Err(format!("`{operator}` repeats nothing"));
        }
        if self.repeated {
            return Err(format!("`{operator}` repeats a repetition"));
        }
        self.eat("?");
        self.repeated = true;
        Ok(())
    }

    /// Counts within counts multiply.
    fn multiply(&mut self, times: u32) -> Result<(), String> {
        let product = self.last.saturating_mul(times.max(1));
        if product > MAX_REPEAT {
            return Err(format!("counts within counts make more than {MAX_REPEAT}"));
        }
        self.most = self.most.max(product);
        Ok(())
    }

    /// What follows `{` and the greatest number in it, if it is a count; else the brace stands for itself.
    fn count(&mut self) -> Result<Option<(String, u32)>, String> {
        let Some((inside, rest)) = self.rest.split_once('}') else { return Ok(None) };
        let (least, most) = inside.split_once(',').unwrap_or((inside, inside));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(least) || !(most.is_empty() || digits(most)) {
            return Ok(None);
        }
        let text = format!("{{{inside}}}");
        let number = |s: &str| s.parse::<u32>().ok().filter(|n| *n <= MAX_REPEAT);
        let least = number(least).ok_or_else(|| format!("the count `{text}` is over {MAX_REPEAT}"))?;
        let mut times = least;
        if !most.is_empty() {
            let most = number(most).ok_or_else(|| format!("the count `{text}` is over {MAX_REPEAT}"))?;
            if most < least {
                return Err(format!("the count `{text}` ends below its start"));
            }
            times = most;
        }
        self.rest = rest;
        Ok(Some((text, times)))
    }

    fn open(&mut self) -> Result<(), String> {
        self.groups.push(self.most);
        self.most = 1;
        if self.groups.len() > MAX_DEPTH {
            return Err("groups are too deep".to_owned());
        }
        (self.repeatable, self.repeated) = (false, false);
        if !self.eat("?") {
            return Ok(());
        }
        if self.eat("P<") || (!self.rest.starts_with("<=") && !self.rest.starts_with("<!") && self.eat("<")) {
            let name = self.until('>').ok_or("a group's name is not closed")?;
            let word = |c: char| c == '_' || c.is_alphanumeric();
            return if name.is_empty() || !name.chars().all(word) {
                Err(format!("`{name}` is no name for a group"))
            } else {
                Ok(())
            };
        }
        let end = self.rest.find([':', ')']).ok_or("a `(?` is not closed")?;
        let (flags, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        let (on, off) = flags.split_once('-').unwrap_or((flags, "i"));
        if off.is_empty() || !on.chars().chain(off.chars()).all(|c| "imsU".contains(c)) {
            return Err(format!("`(?{flags}` is not known to RE2, which has no look-around"));
        }
        self.rest = rest;
        if self.eat(":") {
            return Ok(());
        }
        // Flags for what follows in the same group.
        self.most = self.groups.pop().unwrap_or(1);
        self.eat(")");
        Ok(())
    }

    /// What follows a `\\`; the character if it stands for one.
    fn escape(&mut self, in_class: bool) -> Result<Option<char>, String> {
        let c = self.next().ok_or("it ends with a `\\`")?;
        self.atom();
        match c {
            'Q' if !in_class => {
                self.rest = self.rest.split_once("\\E").map_or("", |(_, rest)| rest);
                Ok(None)
            }
            'p' | 'P' => self.property().map(|()| None),
            'x' => self.hexadecimal().map(Some),
            'A' | 'z' | 'b' | 'B' | 'C' if in_class => Err(format!("`\\{c}` cannot stand in a class")),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'A' | 'z' | 'b' | 'B' | 'C' => Ok(None),
            'a' => Ok(Some('\u{7}')),
            'f' => Ok(Some('\u{c}')),
            'n' => Ok(Some('\n')),
            'r' => Ok(Some('\r')),
            't' => Ok(Some('\t')),
            'v' => Ok(Some('\u{b}')),
            // With one digit other than 0 it would refer back to a group, which RE2 cannot.
            '0' => self.octal(c).map(Some),
            '1'..='7' if self.rest.starts_with(is_octal) => self.octal(c).map(Some),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(Some(c)),
            c => Err(format!("`\\{c}` is not known to RE2")),
        }
    }

    /// What follows `\\p`: a letter, or a name in braces.
    fn property(&mut self) -> Result<(), String> {
        let name = if self.eat("{") {
            self.until('}').ok_or("a `\\p{` is not closed")?.to_owned()
        } else {
            self.next().map(String::from).unwrap_or_default()
        };
        if classes::is_property(name.strip_prefix('^').unwrap_or(&name)) {
            Ok(())
        } else {
            Err(format!("`\\p{{{name}}}` is no class of characters"))
        }
    }

    fn octal(&mut self, first: char) -> Result<char, String> {
        let more: String = self.rest.chars().take(2).take_while(|c| is_octal(*c)).collect();
        self.rest = self.rest.get(more.len()..).unwrap_or_default();
        byte(&format!("{first}{more}"), 8)
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        if self.eat("{") {
            let digits = self.until('}').ok_or("a `\\x{` is not closed")?.to_owned();
            return byte(&digits, 16);
        }
        let two: String = self.rest.chars().take(2).collect();
        self.rest = self.rest.get(two.len()..).unwrap_or_default();
        if two.len() == 2 { byte(&two, 16) } else { Err("`\\x` needs two digits".to_owned()) }
    }

    fn class(&mut self) -> Result<(), String> {
        self.eat("^");
        let mut first = true;
        // The character that may begin a range.
        let mut low: Option<char> = None;
        loop {
            let c = self.next().ok_or("a `[` is not closed")?;
            match c {
                ']' if !first => break,
                '[' if self.rest.starts_with(':') && self.rest.contains(":]") => {
                    self.named_class()?;
                    low = None;
                }
                '-' if low.is_some() && !self.rest.starts_with(']') => {
                    let high = match self.next().ok_or("a `[` is not closed")? {
                        '\\' => self.escape(true)?,
                        high => Some(high),
                    };
                    if high.is_none_or(|high| low.take().is_some_and(|low| low > high)) {
                        return Err("a range in a class ends below its start".to_owned());
                    }
                }
                '\\' => low = self.escape(true)?,
                c => low = Some(c),
            }
            first = false;
        }
        self.atom();
        Ok(())
    }

    /// What follows `[` in a class when it is `:name:]`.
    fn named_class(&mut self) -> Result<(), String> {
        self.eat(":");
        let (name, rest) = self.rest.split_once(":]").unwrap_or((self.rest, ""));
        self.rest = rest;
        if classes::is_posix(name.strip_prefix('^').unwrap_or(name)) {
            Ok(())
        } else {
            Err(format!("`[:{name}:]` is no class of characters"))
        }
    }
}

fn is_octal(c: char) -> bool {
    ('0'..='7').contains(&c)
}

/// The character of a number. Envoy matches bytes, so there are none beyond 255.
fn byte(digits: &str, radix: u32) -> Result<char, String> {
    let number = u8::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'));
    number.map(char::from).ok_or_else(|| format!("`{digits}` is the number of no byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_envoy_takes_passes() {
        for good in [
            "",
            ".*",
            "/users/[0-9]+/(in|out)",
            "^2[0-9]{3}.*",
            "(?i)abc",
            "(?:a|b)*?",
            "(?P<n>x)",
            "[]a]",
            "[^]a-]",
            r"a\.b\/c\-d",
            "a{",
            "a{,5}",
            "a{2,}",
            "x{foo}",
            r"\pL\p{Greek}",
            "[[:alpha:]_]",
            r"[\w-]+",
            r"\x41\x{fa}",
            r"\Qa(b\E",
            "(|a)",
            "a||b",
            r"\012",
            "(?<name>x)",
            "(a{30}b){30}",
            "(a{500}){2}c{900}",
            "a-z]",
            "(a*)*",
            "(a*){2}",
            "^*",
            "$*",
            r"\b*",
            "(?i:a)+",
            "a*?",
            "(?P<1a>x)",
            "(?)",
            r"[\d-z]",
            r"\10",
            r"\Qab",
            "()",
            r"a\Q",
            r"\p{^Lu}",
            r"\C",
            "[[:^alpha:]]",
            "[[:word:]]",
            r"\xff",
            r"\377",
            "[[:alpha]",
            "[:alpha:]",
            "[[.a.]]",
            "[--a]",
            "[a-b-c]",
            r"[\n-a]",
            "[+--]",
            r"[\--a]",
            "(?i-s:x)",
            "a{0}",
            "a{2,}?",
            "a{1000}",
            "(a{1000}){1}",
            "(?:a{2}){3}",
            "^{2}",
            "|",
            "(?:|a)+",
            "[а-я]",
            "é*",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_envoy_refuses_is_named() {
        for bad in [
            "(",
            "a)",
            "[a",
            "*a",
            "a**",
            "a{2}{3}",
            "(?=x)",
            "(?!x)",
            "(?<=x)",
            r"\1",
            "a\\",
            "[z-a]",
            "a{1001}",
            "a{3,2}",
            r"\y",
            "(?P<n>",
            "(?z)",
            r"\x{263a}",
            "(|*)",
            "[[:alpha:]",
            "((a{20}b){20}){20}",
            "[a-",
            r"\p{Foo}",
            "[[:foo:]]",
            "a{0}{2}",
            "x{2}*",
            "(?i)*",
            "a+?+",
            "(?-)",
            r"[a-\d]",
            "[^]",
            "[]",
            r"\8",
            r"\E",
            r"[a\]",
            r"\N",
            r"\400",
            "[a-[:digit:]]",
            r"\pé",
            r"[a-\n]",
            "(?i",
            "(?i--s:x)",
            "(?P=n)",
            "(?P>n)",
            "(?#c)",
            "(a{1000}){1,2}",
            "|*",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn literal_prefixes_hold_for_all_that_matches() {
        assert_eq!(literal_prefix("/users/[0-9+"), "/users/");
        assert_eq!(literal_prefix("^/ab?c("), "/a");
        assert_eq!(literal_prefix("/a|/b("), "");
    }
}
