//! The formats of lines, and what they are called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What lines are read as: `--parse`.
///
/// # Examples
/// ```
/// # procession::init();
/// use procession_jobs::parse::LineFormat;
///
/// assert_eq!("nginx".parse(), Ok(LineFormat::Nginx));
/// assert_eq!("regex:^(?<level>[A-Z]+) ".parse(), Ok(LineFormat::Regex("^(?<level>[A-Z]+) ".into())));
/// assert!("ini".parse::<LineFormat>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineFormat {
    /// Each line as what it looks like: JSON, syslog, an access log or logfmt.
    Auto,
    /// A JSON object a line, by [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259).
    Json,
    /// `key=value key="a value"`, by the [grammar of kr/logfmt](https://pkg.go.dev/github.com/kr/logfmt).
    Logfmt,
    /// nginx' access log in its format
    /// [`combined`](https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format).
    Nginx,
    /// Apache's access log: [common, combined](https://httpd.apache.org/docs/current/logs.html#accesslog) or
    /// `vhost_combined`.
    Apache,
    /// Syslog: [RFC 5424](https://www.rfc-editor.org/rfc/rfc5424), [RFC 3164](https://www.rfc-editor.org/rfc/rfc3164)
    /// and the files that rsyslog and journalctl write.
    Syslog,
    /// The named groups of a regex, which is found anywhere in the line unless it has anchors.
    Regex(String),
}

impl FromStr for LineFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<LineFormat, String> {
        Ok(match text {
            "auto" => LineFormat::Auto,
            "json" => LineFormat::Json,
            "logfmt" => LineFormat::Logfmt,
            "nginx" => LineFormat::Nginx,
            "apache" => LineFormat::Apache,
            "syslog" => LineFormat::Syslog,
            _ => match text.strip_prefix("regex:") {
                Some(regex) => LineFormat::Regex(regex.to_string()),
                None => return Err("must be auto, json, logfmt, nginx, apache, syslog or regex:REGEX".to_string()),
            },
        })
    }
}

impl fmt::Display for LineFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LineFormat::Auto => "auto",
            LineFormat::Json => "json",
            LineFormat::Logfmt => "logfmt",
            LineFormat::Nginx => "nginx",
            LineFormat::Apache => "apache",
            LineFormat::Syslog => "syslog",
            LineFormat::Regex(regex) => return write!(f, "regex:{regex}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for name in ["auto", "json", "logfmt", "nginx", "apache", "syslog", "regex:", "regex:a:(?<b>c)"] {
            assert_eq!(name.parse::<LineFormat>().unwrap().to_string(), name);
        }
        for name in ["", "JSON", "regex", "json ", "csv"] {
            assert!(name.parse::<LineFormat>().unwrap_err().contains("logfmt"), "{name}");
        }
    }
}
