//! Cuts an expression into tokens.

use super::error::ParseError;
use crate::data::{FieldPath, read_quoted};

/// A piece of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'a> {
    /// As it is written.
    Number(&'a str),
    /// Without its quotes.
    Text(String),
    /// A field's name, or a word of the language; with how it is written.
    Name(FieldPath, &'a str),
    Symbol(&'static str),
    End,
}

/// All symbols; none comes before one that begins with it.
const SYMBOLS: [&str; 19] =
    ["<=", ">=", "<>", "!=", "==", "=~", "!~", "||", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ","];

/// What other languages write, and what it is here.
const FOREIGN: [(&str, &str); 5] = [("&&", "and"), ("&", "and"), ("|", "or"), ("!", "not"), ("~", "=~")];

/// The tokens of `text`, each with the byte at which it begins; the last is [`Token::End`].
///
/// # Errors
/// At the first byte that belongs to no token.
pub fn tokens(text: &str) -> Result<Vec<(Token<'_>, usize)>, ParseError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let at = text.len() - rest.len();
        let error = |message: String| ParseError::new(text, at, message);
        let (token, behind) = if first == '\'' || first == '"' {
            let quoted = read_quoted(&rest[1..], first);
            let (quoted, behind) = quoted.ok_or_else(|| error(format!("expected a closing {first} for the text")))?;
            (Token::Text(quoted), behind)
        } else if first.is_ascii_digit() {
            let (number, behind) = rest.split_at(number_length(rest));
            if behind.starts_with(|letter: char| letter.is_alphanumeric() || "_.@$`".contains(letter)) {
                return Err(error(
                    "expected a number, or a name, which begins with no digit or is quoted by ``".into(),
                ));
            }
            (Token::Number(number), behind)
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            (Token::Symbol(symbol), &rest[symbol.len()..])
        } else if let Some((foreign, own)) = FOREIGN.into_iter().find(|(foreign, _)| rest.starts_with(foreign)) {
            return Err(error(format!("expected `{own}` instead of `{foreign}`")));
        } else {
            let read = FieldPath::read(rest);
            let (path, behind) = read.map_err(|cause| ParseError::new(text, at + cause.offset, cause.reason))?;
            (Token::Name(path, &rest[..rest.len() - behind.len()]), behind)
        };
        tokens.push((token, at));
        rest = behind.trim_start();
    }
    tokens.push((Token::End, text.trim_end().len()));
    Ok(tokens)
}

/// The bytes of a number at the begin of `text`: digits, then perhaps a point with digits and an exponent.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(0);
    if text[end..].starts_with('.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['+', '-']));
        match digits(end + 1 + sign) {
            0 => (),
            exponent => end += 1 + sign + exponent,
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |token: &Token<'_>| match token {
            Token::Number(number) => format!("#{number}"),
            Token::Text(text) => format!("'{text}'"),
            Token::Name(path, _) => path.to_string(),
            Token::Symbol(symbol) => symbol.to_string(),
            Token::End => "end".into(),
        };
        tokens(text).unwrap().iter().map(|(token, _)| show(token)).collect()
    }

    #[test]
    fn cuts_into_tokens() {
        assert_eq!(shown(" a.b<=1.5e-3  "), ["a.b", "<=", "#1.5e-3", "end"]);
        assert_eq!(shown("'it''s' || \"a 'b'\""), ["'it's'", "||", "'a 'b''", "end"]);
        assert_eq!(shown("`x y`!~a- 1-2"), ["`x y`", "!~", "a", "-", "#1", "-", "#2", "end"]);
        assert_eq!(shown(r"'\d+\'"), [r"'\d+\'", "end"]);
        assert_eq!(shown(" "), ["end"]);
    }

    #[test]
    fn says_where_a_token_is_wrong() {
        for (text, position, message) in [
            ("a = 'b", 5, "closing '"),
            ("a = \"b'", 5, "closing \""),
            ("a && b", 3, "`and`"),
            ("\u{e4} && b", 3, "`and`"),
            ("a = 12x", 5, "number"),
            ("a = 1.", 5, "number"),
            ("a = 1.2.3", 5, "number"),
            ("a = 1e", 5, "number"),
            ("a. = 1", 3, "name of a field"),
            ("a = `b", 5, "backquote"),
            ("a = [1]", 5, "name of a field"),
            ("a; b", 2, "name of a field"),
        ] {
            let error = tokens(text).unwrap_err();
            assert_eq!(error.position(), position, "{text}");
            assert!(error.message().contains(message), "{text}: {error}");
        }
    }
}
