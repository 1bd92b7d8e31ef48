//! A client of NATS for the tests themselves, written without code of the relay: just enough of the protocol to ask
//! JetStream and to hear a subject.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Nats;
use crate::support::poll::SOON;

/// How long a cluster may take to answer before it is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a test shows who it is.
#[derive(Clone, Debug)]
pub(crate) enum Login {
    Nobody,
    User(&'static str, &'static str),
    Token(&'static str),
}

/// A connection that is ready for requests.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
    /// Number of the last subscription.
    last: u64,
}

/// A message as it was received; the headers are left out.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) payload: Vec<u8>,
}

impl Connection {
    pub(super) fn open(server: SocketAddr, login: &Login) -> Self {
        let stream = TcpStream::connect_timeout(&server, SOON).expect("the server accepts");
        stream
            .set_read_timeout(Some(SOON))
            .expect("a socket takes a timeout");
        let mut connection = Self {
            reader: BufReader::new(stream),
            last: 0,
        };
        let mut hello = json!({
            "verbose": false, "pedantic": false, "lang": "rust", "version": "1", "name": "test",
            "headers": true, "no_responders": true,
        });
        match login {
            Login::Nobody => {}
            Login::User(user, password) => {
                hello["user"] = json!(user);
                hello["pass"] = json!(password);
            }
            Login::Token(token) => hello["auth_token"] = json!(token),
        }
        connection.write(format!("CONNECT {hello}\r\nPING\r\n").as_bytes());
        // Before PONG come INFO and, if the login is refused, -ERR.
        while connection.line().expect("a line") != "PONG" {}
        connection
    }

    /// Subscribes to a subject.
    pub(crate) fn subscribe(&mut self, subject: &str) {
        self.last += 1;
        self.write(format!("SUB {subject} {}\r\n", self.last).as_bytes());
    }

    pub(crate) fn publish(&mut self, subject: &str, reply: &str, payload: &[u8]) {
        let mut bytes = format!("PUB {subject} {reply} {}\r\n", payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        self.write(&bytes);
    }

    /// Asks for something, and returns the only response.
    pub(crate) fn request(&mut self, subject: &str, payload: &[u8]) -> Message {
        self.ask(subject, payload, SOON).expect("a response")
    }

    /// The same; `None` when no response comes within `limit`.
    fn ask(&mut self, subject: &str, payload: &[u8], limit: Duration) -> Option<Message> {
        let inbox = format!("_INBOX.test.{}", self.last + 1);
        self.subscribe(&inbox);
        self.publish(subject, &inbox, payload);
        self.message(limit)
    }

    /// The next message of any subscription; `None` when none comes within `limit`.
    pub(crate) fn message(&mut self, limit: Duration) -> Option<Message> {
        let end = Instant::now() + limit;
        loop {
            let left = end.checked_duration_since(Instant::now())?;
            let left = left.max(Duration::from_millis(1));
            let stream = self.reader.get_ref();
            stream
                .set_read_timeout(Some(left))
                .expect("a socket takes a timeout");
            let line = self.line()?;
            let words: Vec<_> = line.split(' ').collect();
            let (headers, total) = match words[0] {
                "MSG" => (0, *words.last().expect("a length")),
                "HMSG" => (
                    words[words.len() - 2].parse().expect("a length"),
                    *words.last().expect("a length"),
                ),
                "PING" => {
                    self.write(b"PONG\r\n");
                    continue;
                }
                "-ERR" => panic!("{line}"),
                _ => continue,
            };
            let mut bytes = vec![0; total.parse::<usize>().expect("a length") + 2];
            self.reader.read_exact(&mut bytes).expect("a whole message");
            bytes.truncate(bytes.len() - 2);
            return Some(Message {
                subject: words[1].to_owned(),
                payload: bytes.split_off(headers),
            });
        }
    }

    /// A line without its end; `None` when no whole line comes in time.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => panic!("the server has closed the connection"),
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let stream = self.reader.get_mut();
        stream.write_all(bytes).expect("the server reads");
    }
}

fn json_or_nothing(body: &Value) -> Vec<u8> {
    if body.is_null() {
        return Vec::new();
    }
    body.to_string().into_bytes()
}

impl Nats {
    /// Calls JetStream: `STREAM.INFO.name`. The response has `error` if it failed.
    pub(crate) fn api(&self, call: &str, body: &Value) -> Value {
        let message = self
            .connect()
            .request(&format!("$JS.API.{call}"), &json_or_nothing(body));
        serde_json::from_slice(&message.payload).expect("JetStream responds in JSON")
    }

    /// The same, as far as it is answered soon: a cluster may have no leader.
    pub(super) fn try_api(&self, call: &str, body: &Value) -> Option<Value> {
        let message =
            self.connect()
                .ask(&format!("$JS.API.{call}"), &json_or_nothing(body), PATIENCE)?;
        // Without responders the payload is empty.
        serde_json::from_slice(&message.payload).ok()
    }

    /// The names of all streams, sorted.
    pub(crate) fn streams(&self) -> Vec<String> {
        let names = self.api("STREAM.NAMES", &Value::Null)["streams"].clone();
        let names = names.as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> = names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// The only stream that there is.
    pub(crate) fn only_stream(&self) -> String {
        let mut streams = self.streams();
        assert_eq!(streams.len(), 1, "{streams:?}");
        streams.remove(0)
    }

    /// Configuration and state of a stream. Panics if there is no such stream.
    pub(crate) fn stream(&self, name: &str) -> Value {
        let info = self.api(&format!("STREAM.INFO.{name}"), &Value::Null);
        assert!(info["error"].is_null(), "{info}");
        info
    }

    /// Number of records in all streams.
    pub(crate) fn stored(&self) -> u64 {
        let of = |name: &String| {
            self.stream(name)["state"]["messages"]
                .as_u64()
                .expect("a number")
        };
        self.streams().iter().map(of).sum()
    }

    /// The configurations of a stream's consumers.
    pub(crate) fn consumers(&self, stream: &str) -> Vec<Value> {
        let list = self.api(&format!("CONSUMER.LIST.{stream}"), &Value::Null)["consumers"].clone();
        let list = list.as_array().cloned().expect("a list");
        list.into_iter()
            .map(|consumer| consumer["config"].clone())
            .collect()
    }
}
