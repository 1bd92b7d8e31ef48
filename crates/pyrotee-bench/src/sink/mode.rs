//! Modes of a stand-in.

use std::{fmt, str::FromStr, time::Duration};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// Responds at once.
    Ok,
    /// Responds at once, and checks every byte of the body.
    Verify,
    /// Responds after a delay.
    Slow(Duration),
    /// Reads and never responds.
    Hang,
    /// Accepts and never reads.
    Stall,
    /// Reads this many bytes per second.
    Drip(f64),
    /// Reads a head and breaks the connection.
    Reset,
    /// Responds with status 500.
    Fail,
    /// Refuses connections.
    Dead,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let number = || match value.parse::<f64>() {
            Ok(number) if number > 0.0 => Ok(number),
            _ => Err(format!("{name} needs a number, as in {name}:200")),
        };
        Ok(match name {
            "ok" => Self::Ok,
            "verify" => Self::Verify,
            "slow" => Self::Slow(Duration::from_secs_f64(number()? / 1e3)),
            "hang" => Self::Hang,
            "stall" => Self::Stall,
            "drip" => Self::Drip(number()?),
            "reset" => Self::Reset,
            "500" => Self::Fail,
            "dead" => Self::Dead,
            _ => return Err(format!("no such mode: {text}")),
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::Verify => f.write_str("verify"),
            Self::Slow(late) => write!(f, "slow:{}", late.as_secs_f64() * 1e3),
            Self::Hang => f.write_str("hang"),
            Self::Stall => f.write_str("stall"),
            Self::Drip(rate) => write!(f, "drip:{rate}"),
            Self::Reset => f.write_str("reset"),
            Self::Fail => f.write_str("500"),
            Self::Dead => f.write_str("dead"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_as_it_is_written() {
        for text in [
            "ok",
            "verify",
            "slow:200",
            "hang",
            "stall",
            "drip:5000",
            "reset",
            "500",
            "dead",
        ] {
            assert_eq!(text.parse::<Mode>().unwrap().to_string(), text);
        }
        assert!("slow".parse::<Mode>().is_err());
        assert!("fast".parse::<Mode>().is_err());
    }
}
