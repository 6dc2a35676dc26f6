//! A minimal Rust lexer for finding paths: words, `::` and single characters, without comments,
//! strings and lifetimes.

/// The tokens of a source text.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string(rest),
            'r' | 'b' if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            '\'' => quote(rest),
            _ if is_word(first) => {
                let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                found.push(&rest[..length]);
                length
            }
            _ if rest.starts_with("::") => {
                found.push("::");
                2
            }
            _ => {
                let length = first.len_utf8();
                if !first.is_whitespace() {
                    found.push(&rest[..length]);
                }
                length
            }
        };
        rest = &rest[length..];
    }
    found
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a string literal, including its quotes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#`, `br"…"`, if the text starts with one.
fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let inner = body.trim_start_matches('#');
    let hashes = body.len() - inner.len();
    let inner = inner.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inner.find(&close).map_or(inner.len(), |at| at + close.len());
    Some(text.len() - inner.len() + end)
}

/// The length of a character literal, or of the quote before the name of a lifetime.
fn quote(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        // '\n', '\'' and '\u{1f600}'
        (Some((_, '\\')), Some((at, escaped))) => {
            let after = at + escaped.len_utf8();
            text[after..].find('\'').map_or(text.len(), |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_yield_no_tokens() {
        let text = "use a::b; // use c\n/* use d */ \"use \\\" e\" r#\"use \" f\"# b'\"' '\\'' '\\u{41}' x";
        assert_eq!(tokens(text), ["use", "a", "::", "b", ";", "b", "x"]);
    }

    #[test]
    fn lifetimes_do_not_open_a_literal() {
        assert_eq!(
            tokens("fn a<'b>(c: &'b d)"),
            ["fn", "a", "<", "b", ">", "(", "c", ":", "&", "b", "d", ")"]
        );
    }
}
