//! Lists with a separator in which a backslash makes the separator, or a backslash, an ordinary character.

/// Splits at `separator`. A backslash before anything else stands for itself.
pub fn split(text: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let mut fields = vec![Vec::new()];
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'\\' && bytes.peek().is_some_and(|&next| next == separator || next == b'\\');
        if byte == separator {
            fields.push(Vec::new());
            continue;
        }
        let literal = if escaped { bytes.next().unwrap_or(byte) } else { byte };
        if let Some(field) = fields.last_mut() {
            field.push(literal);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_split_unless_escaped() {
        let show = |text: &str| -> Vec<String> {
            split(text.as_bytes(), b':').into_iter().map(|field| String::from_utf8(field).unwrap()).collect()
        };
        assert_eq!(show("a:b:ro"), ["a", "b", "ro"]);
        assert_eq!(show(r"a\:b:c"), ["a:b", "c"]);
        assert_eq!(show(r"a\\:b"), [r"a\", "b"]);
        assert_eq!(show(r"a\n:b\"), [r"a\n", r"b\"]);
        assert_eq!(show(""), [""]);
        assert_eq!(show("::"), ["", "", ""]);
    }
}
