//! One profile that a stand-in for Pyroscope received, as one line: for people, or as JSON.

use std::io::IsTerminal;
use std::time::SystemTime;

use hyper::StatusCode;
use pyroscope_wire::ingest::{self, Description};
use pyroscope_wire::{Message, Surface, query};
use pyrotee_terminal::{visible, visible_json};
use serde_json::{Map, Value, json};

use crate::BodyDigest;

/// Format of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    Plain,
    Colour,
    Json,
}

/// One received profile.
#[derive(Debug)]
pub struct ProfileLine {
    pub received: SystemTime,
    pub surface: Surface,
    /// Name, labels and format, read by the rules of the surface.
    pub description: Description,
    pub from: Option<String>,
    pub until: Option<String>,
    pub body: BodyDigest,
    pub end: RequestEnd,
}

/// End of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestEnd {
    Responded(StatusCode),
    /// The body broke off, so no response was sent.
    BodyIncomplete,
}

impl LineFormat {
    /// Chooses JSON, or text with colours on a terminal whose user did not decline them (<https://no-color.org>).
    pub fn choose(json: bool) -> Self {
        let declined = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match json {
            true => Self::Json,
            false if std::io::stdout().is_terminal() && !declined => Self::Colour,
            false => Self::Plain,
        }
    }
}

impl ProfileLine {
    /// A profile that was received just now.
    pub fn new(
        surface: Surface,
        raw_query: &str,
        content_type: Option<&str>,
        message: Option<&Message>,
        body: BodyDigest,
        end: RequestEnd,
    ) -> Self {
        let description = match message.and_then(|message| message.describe().ok()) {
            Some(description) => description,
            // A message that cannot be read has neither name nor labels to show.
            None => ingest::describe(raw_query, content_type),
        };
        let times = query::first(raw_query, ["from", "until"]);
        let [from, until] = times.map(|value| value.map(|value| value.decode().into_owned()));
        Self {
            received: SystemTime::now(),
            surface,
            description,
            from,
            until,
            body,
            end,
        }
    }

    /// The line, without its line feed.
    pub fn render(&self, format: LineFormat) -> String {
        match format {
            LineFormat::Json => visible_json(&self.json().to_string()),
            LineFormat::Colour => self.text(true),
            LineFormat::Plain => self.text(false),
        }
    }

    /// Fields of a fixed width come first, so that the columns are aligned.
    fn text(&self, colour: bool) -> String {
        let (status, tint) = match self.end {
            RequestEnd::Responded(status) if status.is_success() => {
                (status.as_u16().to_string(), "32")
            }
            RequestEnd::Responded(status) => (status.as_u16().to_string(), "33"),
            RequestEnd::BodyIncomplete => ("cut".to_owned(), "31"),
        };
        let paint = |code: &str, text: String| match colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text,
        };
        let time = humantime::format_rfc3339_millis(self.received).to_string();
        let mut line = format!(
            "{}  {}  {:<8}  {:<10}  {:>10} B  {}  {}",
            paint("2", time),
            paint(tint, status),
            self.surface.name(),
            self.description.format.as_str(),
            self.body.bytes,
            paint("2", self.body.to_string()),
            paint("1", visible(&self.description.app)),
        );
        line.push_str(&visible(&self.tags()));
        for (key, time) in [("from", &self.from), ("until", &self.until)] {
            line.push_str(&format!(
                "  {key}={}",
                visible(time.as_deref().unwrap_or("-"))
            ));
        }
        line
    }

    fn tags(&self) -> String {
        let pairs: Vec<_> = self
            .description
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        format!("{{{}}}", pairs.join(","))
    }

    fn json(&self) -> Value {
        let tags: Map<String, Value> = self
            .description
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        let status = match self.end {
            RequestEnd::Responded(status) => json!(status.as_u16()),
            RequestEnd::BodyIncomplete => Value::Null,
        };
        json!({
            "time": humantime::format_rfc3339_millis(self.received).to_string(),
            "surface": self.surface.name(),
            "app": self.description.app,
            "tags": tags,
            "format": self.description.format.as_str(),
            "bytes": self.body.bytes,
            "digest": self.body.to_string(),
            "status": status,
            "from": self.from,
            "until": self.until,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn line(query: &str, end: RequestEnd) -> ProfileLine {
        let body = BodyDigest::of(b"abc");
        let content_type = Some("multipart/form-data; boundary=x");
        let mut line = ProfileLine::new(Surface::Ingest, query, content_type, None, body, end);
        line.received = UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        line
    }

    const OK: RequestEnd = RequestEnd::Responded(StatusCode::OK);

    #[test]
    fn a_line_tells_what_came_and_what_was_answered() {
        let text =
            line("name=shop%7Bb=2,a=1%7D&from=17&until=now-1h", OK).render(LineFormat::Plain);
        assert_eq!(
            text,
            "2023-11-14T22:13:20.123Z  200  ingest    multipart            3 B  ba7816bf8f01cfea  \
             shop{a=1,b=2}  from=17  until=now-1h"
        );
    }

    #[test]
    fn colours_only_wrap_the_words() {
        let line = line("name=shop", RequestEnd::BodyIncomplete);
        let mut bare = line.render(LineFormat::Colour);
        for code in ["0", "1", "2", "31"] {
            bare = bare.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(bare, line.render(LineFormat::Plain));
        assert!(bare.contains("  cut  "), "{bare}");
    }

    #[test]
    fn control_characters_of_a_client_are_shown_not_obeyed() {
        let text = line("name=a%0A%1B%5B2J&from=%0D", OK).render(LineFormat::Plain);
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.contains(r"a\n\u{1b}[2J"), "{text}");
    }

    #[test]
    fn json_has_the_same_in_one_line() {
        let text = line("name=shop%7Ba=%0A1%7D&from=17", OK).render(LineFormat::Json);
        assert!(!text.contains('\n'));
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read,
            json!({
                "time": "2023-11-14T22:13:20.123Z", "surface": "ingest", "app": "shop",
                "tags": {"a": "1"}, "format": "multipart", "bytes": 3,
                "digest": "ba7816bf8f01cfea", "status": 200, "from": "17", "until": null,
            })
        );
    }
}
