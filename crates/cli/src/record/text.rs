//! Text as JSON has it, of what needn't be text.

use std::borrow::Cow;
use std::fmt;

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// A path, an argument or a variable: any bytes. In JSON it is a string, or a list of numbers where it isn't UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

impl Text {
    /// For people, on one line.
    pub fn shown(&self) -> Cow<'_, str> {
        let text = String::from_utf8_lossy(&self.0);
        if text.chars().any(char::is_control) { text.escape_debug().to_string().into() } else { text }
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.collect_seq(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Bytes(Vec<u8>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) => Self(text.into_bytes()),
            Either::Bytes(bytes) => Self(bytes),
        })
    }
}

/// A list of what has a name: each as its name.
pub mod each {
    use super::{Deserialize, Deserializer, Serializer, fmt};
    use std::str::FromStr;

    pub fn serialize<T: fmt::Display, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(T::to_string))
    }

    pub fn deserialize<'de, T: FromStr<Err = String>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| name.parse().map_err(serde::de::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive() {
        for (bytes, json) in [(&b"a\n\xc3\xa4"[..], "\"a\\n\u{e4}\""), (b"\xff\x00", "[255,0]"), (b"", "\"\"")] {
            let text = Text(bytes.to_vec());
            assert_eq!(serde_json::to_string(&text).unwrap(), json);
            assert_eq!(serde_json::from_str::<Text>(json).unwrap(), text);
        }
        assert!(serde_json::from_str::<Text>("[256]").is_err());
    }

    #[test]
    fn what_is_shown_is_one_line() {
        assert_eq!(Text(b"a b".to_vec()).shown(), "a b");
        assert_eq!(Text(b"a\n\x1b[1m".to_vec()).shown(), "a\\n\\u{1b}[1m");
    }
}
