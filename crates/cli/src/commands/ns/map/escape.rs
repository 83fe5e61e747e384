//! Texts in the formats that are written. What XML has no characters for at all is gone already: see [`super::label::clean`].

use std::borrow::Cow;

/// As text or in a quoted attribute of XML and HTML.
pub fn xml(text: &str) -> Cow<'_, str> {
    replaced(text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    })
}

/// JSON within a `<script>`: nothing ends the element, or starts a comment in it.
pub fn script(json: &str) -> Cow<'_, str> {
    replaced(json, |c| match c {
        '<' => Some("\\u003c"),
        '>' => Some("\\u003e"),
        '&' => Some("\\u0026"),
        _ => None,
    })
}

/// In a quoted string of DOT, where `\n`, `\l` and `\N` mean something, and quotes end it.
pub fn dot(text: &str) -> Cow<'_, str> {
    replaced(text, |c| match c {
        '"' => Some("\\\""),
        '\\' => Some("\\\\"),
        _ => None,
    })
}

fn replaced(text: &str, by: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    if text.chars().all(|c| by(c).is_none()) {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match by(c) {
            Some(other) => replaced.push_str(other),
            None => replaced.push(c),
        }
    }
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_what_it_is_in() {
        assert_eq!(xml("<script>'\"&"), "&lt;script&gt;&#39;&quot;&amp;");
        assert_eq!(script("\"</script><!--\""), "\"\\u003c/script\\u003e\\u003c!--\"");
        assert_eq!(dot("a\"b\\n"), "a\\\"b\\\\n");
        assert!(matches!(xml("plain"), Cow::Borrowed(_)));
    }
}
