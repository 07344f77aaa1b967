//! Whether a text is an expression of the Common Expression Language, as far as its syntax goes: names and types are known to
//! Envoy alone.
//!
//! Source: the language's definition (<https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax>).

mod lex;

use lex::{Lexer, Token};

/// Deeper expressions are refused: the reference's parser takes no deeper ones either.
const MAX_DEPTH: usize = 250;

/// Operators between two operands. All of them bind some way, so that a syntax check need not know how.
const BINARY: [&str; 13] = ["||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%"];

/// Words that are no names but may become part of the language.
const RESERVED: [&str; 16] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
];

type Syntax = Result<(), String>;

/// Checks an expression.
///
/// # Errors
/// What is wrong with it, in words for its author.
pub fn check(expression: &str) -> Syntax {
    let mut lexer = Lexer::new(expression);
    let token = lexer.next()?;
    let mut parser = Parser { lexer, token, depth: 0 };
    parser.expression()?;
    match parser.token {
        Token::End => Ok(()),
        other => Err(format!("{other} follows where the expression should end")),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn advance(&mut self) -> Result<Token<'a>, String> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn at(&self, mark: &str) -> bool {
        matches!(self.token, Token::Mark(known) if known == mark)
    }

    fn eat(&mut self, mark: &str) -> Result<bool, String> {
        let found = self.at(mark);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, mark: &str) -> Syntax {
        if self.eat(mark)? { Ok(()) } else { Err(format!("`{mark}` is missing before {}", self.token)) }
    }

    /// Operands with operators between them, and perhaps a choice of two after them.
    fn expression(&mut self) -> Syntax {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        self.operands()?;
        if self.eat("?")? {
            self.operands()?;
            self.expect(":")?;
            self.expression()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn operands(&mut self) -> Syntax {
        self.unary()?;
        while matches!(self.token, Token::Mark(mark) if BINARY.contains(&mark))
            || self.token == Token::Word("in")
        {
            self.advance()?;
            self.unary()?;
        }
        Ok(())
    }

    fn unary(&mut self) -> Syntax {
        if self.eat("!")? {
            while self.eat("!")? {}
            // Only a number has a sign of its own.
            if self.eat("-")? && self.token != Token::Number {
                return Err("`!` and `-` cannot stand together".to_owned());
            }
        } else {
            while self.eat("-")? {}
        }
        self.member()
    }

    fn member(&mut self) -> Syntax {
        let mut name = self.primary()?;
        loop {
            if self.eat(".")? {
                match self.advance()? {
                    Token::Word(word) if !is_literal(word) && word != "in" => {}
                    other => return Err(format!("a field's name is missing before {other}")),
                }
                if self.at("(") {
                    self.arguments()?;
                    name = false;
                }
            } else if self.eat("[")? {
                self.expression()?;
                self.expect("]")?;
                name = false;
            } else if name && self.eat("{")? {
                self.fields()?;
                name = false;
            } else {
                return Ok(());
            }
        }
    }

    /// Out: whether it may be the beginning of a type's name.
    fn primary(&mut self) -> Result<bool, String> {
        match self.advance()? {
            Token::Number | Token::Text => Ok(false),
            Token::Mark("(") => {
                self.expression()?;
                self.expect(")")?;
                Ok(false)
            }
            Token::Mark("[") => {
                self.list("]", Self::expression)?;
                Ok(false)
            }
            Token::Mark("{") => {
                self.list("}", Self::entry)?;
                Ok(false)
            }
            Token::Mark(".") => match self.advance()? {
                Token::Word(word) => self.name(word),
                other => Err(format!("a name is missing before {other}")),
            },
            Token::Word(word) if is_literal(word) => Ok(false),
            Token::Word(word) => self.name(word),
            other => Err(format!("an operand is missing before {other}")),
        }
    }

    fn name(&mut self, word: &str) -> Result<bool, String> {
        if is_literal(word) || word == "in" || word == "while" || RESERVED.contains(&word) {
            return Err(format!("`{word}` is a word of the language and no name"));
        }
        let call = self.at("(");
        if call {
            self.arguments()?;
        }
        Ok(!call)
    }

    /// What follows a function's name.
    fn arguments(&mut self) -> Syntax {
        self.expect("(")?;
        if self.eat(")")? {
            return Ok(());
        }
        loop {
            self.expression()?;
            if !self.eat(",")? {
                return self.expect(")");
            }
        }
    }

    /// Items up to `end`, with a comma after the last if one likes.
    fn list(&mut self, end: &str, item: fn(&mut Self) -> Syntax) -> Syntax {
        while !self.eat(end)? {
            item(self)?;
            if !self.eat(",")? {
                return self.expect(end);
            }
        }
        Ok(())
    }

    fn entry(&mut self) -> Syntax {
        self.expression()?;
        self.expect(":")?;
        self.expression()
    }

    /// The fields of a message, after its type's name and brace.
    fn fields(&mut self) -> Syntax {
        self.list("}", |parser| match parser.advance()? {
            Token::Word(_) => {
                parser.expect(":")?;
                parser.expression()
            }
            other => Err(format!("a field's name is missing before {other}")),
        })
    }
}

fn is_literal(word: &str) -> bool {
    matches!(word, "true" | "false" | "null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_pass() {
        for good in [
            "response.code >= 400",
            "response.code == 200 && request.url_path.startsWith('/a')",
            "has(request.headers['x-id']) || !(connection.mtls)",
            "xds.cluster_name == \"BlackHoleCluster\"",
            "a in [1, 2u, 0x1F, -3, .5, 1e9, 2.5E-3,]",
            "{'a': 1, b: [x][0],}",
            "a ? b : c ? d : e",
            "!!a",
            "!-1 == -x",
            "--x",
            "r'\\d+' + R\"\\\" + b'\\x00\\377' + '''a\n'b''' + rb''",
            "'\\u00e9\\U0001F600\\n\\?'",
            ".a.b.C{f: 1, in: 2}",
            "Msg{}",
            "items.all(i, i.for > 0)",
            "a // a comment\n && b",
            "size([]) == 0",
            "-9223372036854775808 < 18446744073709551615u",
            "(((a)))",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (bad, why) in [
            ("", "an operand is missing before the end"),
            ("a ==", "an operand is missing before the end"),
            ("a = 1", "`=` stands alone"),
            ("a b", "`b` follows where the expression should end"),
            ("(a", "`)` is missing before the end"),
            ("a ? b", "`:` is missing before the end"),
            ("f(a,)", "an operand is missing before `)`"),
            ("a.", "a field's name is missing before the end"),
            ("a.1", "a number follows where the expression should end"),
            ("a.in", "a field's name is missing before `in`"),
            ("for == 1", "`for` is a word of the language and no name"),
            ("!-x", "`!` and `-` cannot stand together"),
            ("'a", "a text is not closed"),
            ("'a\nb'", "a text is not closed"),
            ("'\\q'", "`\\q` is not known in a text"),
            ("'\\x1'", "`\\x` needs 2 digits"),
            ("'\\ud800'", "`\\ud800` is no character"),
            ("'\\400'", "`\\4` is not known in a text"),
            ("0x", "`0x` needs digits"),
            ("9223372036854775809", "`9223372036854775809` is too great a number"),
            ("a & b", "`&` stands alone"),
            ("a # b", "`#` means nothing"),
            ("[1 2]", "`]` is missing before a number"),
            ("{a}", "`:` is missing before `}`"),
            ("f(){a: 1}", "`{` follows where the expression should end"),
        ] {
            assert_eq!(check(bad), Err(why.to_owned()), "{bad}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(check(&nested(200)), Ok(()));
        assert!(check(&nested(100_000)).is_err());
        assert_eq!(check(&format!("{}a", "!".repeat(100_000))), Ok(()));
        assert!(check(&"a?b:".repeat(100_000)).is_err());
    }
}
