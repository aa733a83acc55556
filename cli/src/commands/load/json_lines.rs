//! JSON lines: one object a line. The text is kept as it is, so that no number loses a digit.

use std::io::BufRead;

use serde_json::{Map, Value};

use super::lines::Lines;
use super::record::{Item, LoadError, MAX_RECORD_BYTES, Records};

/// The records of a JSON lines file.
#[derive(Debug)]
pub(super) struct JsonLines<R> {
    lines: Lines<R>,
    key: String,
}

impl<R: BufRead> JsonLines<R> {
    pub(super) fn new(lines: Lines<R>, key: &str) -> Self {
        Self { lines, key: key.to_owned() }
    }

    fn row(&self, bytes: Vec<u8>) -> Result<(String, String), String> {
        let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
        let text = text.trim();
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            if text.starts_with('{') {
                format!("invalid JSON: {error}")
            } else {
                "not a JSON object".to_owned()
            }
        })?;
        let key = match object.get(&self.key) {
            Some(Value::String(key)) if !key.is_empty() => key.clone(),
            Some(Value::Number(key)) => key.to_string(),
            Some(Value::Bool(key)) => key.to_string(),
            None => return Err(format!("no member `{}` for the key", self.key)),
            Some(Value::Null | Value::String(_)) => return Err(format!("the key `{}` is empty", self.key)),
            Some(Value::Array(_) | Value::Object(_)) => {
                return Err(format!("the key `{}` is neither text nor a number", self.key));
            }
        };
        Ok((key, text.to_owned()))
    }
}

impl<R: BufRead> Records for JsonLines<R> {
    fn next(&mut self) -> Result<Option<Item>, LoadError> {
        while let Some(line) = self.lines.next()? {
            let number = line.number;
            if line.cut {
                return Ok(Some(Item::Rejected {
                    line: number,
                    reason: format!("longer than {MAX_RECORD_BYTES} bytes"),
                }));
            }
            if line.bytes.trim_ascii().is_empty() {
                continue;
            }
            return Ok(Some(match self.row(line.bytes) {
                Ok((key, value)) => Item::Row { line: number, key: key.into(), value: value.into() },
                Err(reason) => Item::Rejected { line: number, reason },
            }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &str) -> Vec<Item> {
        let mut records = JsonLines::new(Lines::new(input.as_bytes()), "id");
        std::iter::from_fn(|| records.next().unwrap()).collect()
    }

    #[test]
    fn objects_are_kept_as_they_are_written() {
        let text = r#"{ "id": 12345678901234567890, "pi": 3.141592653589793238462643 }"#;
        let items = all(&format!("\n  {text}\n"));
        assert_eq!(items, [Item::Row { line: 2, key: "12345678901234567890".into(), value: text.into() }]);
    }

    #[test]
    fn what_cannot_be_loaded_says_why() {
        let deep = format!("{{\"id\":{}", "[".repeat(100_000));
        let input =
            ["{\"id\":1", "[1]", "{}", "{\"id\":null}", "{\"id\":\"\"}", "{\"id\":[1]}", &deep].join("\n");
        let reasons: Vec<_> = all(&input)
            .into_iter()
            .map(|item| match item {
                Item::Rejected { line, reason } => (line, reason),
                Item::Row { .. } => panic!("{item:?} was taken"),
            })
            .collect();
        let expected = [
            "invalid JSON",
            "not a JSON object",
            "no member",
            "is empty",
            "is empty",
            "neither",
            "invalid JSON",
        ];
        assert_eq!(reasons.len(), expected.len());
        for (i, ((line, reason), expected)) in reasons.iter().zip(expected).enumerate() {
            assert_eq!(*line, i as u64 + 1);
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
