//! What lines are read for: the fields, the conditions, and what is counted of the lines that meet them.

use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::args::LogsArgs;
use crate::PlanError;
use crate::data::{FieldPath, Raw, read_columns};
use crate::expr::Expr;
use crate::formulas::Formulas;
use crate::parse::{LineFormat, LineParser, TimeField};
use crate::time::{Clock, Timestamp, parse_when};

const DAY: Duration = Duration::from_secs(86_400);

/// What is asked of the fields of lines.
#[derive(Debug, Serialize, Deserialize)]
pub struct Query {
    pub(super) format: LineFormat,
    /// The fields of the slots.
    paths: Vec<String>,
    formulas: Formulas,
    /// The field of the time; none for the format's own.
    time: Option<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    /// Names of the fields by which lines are grouped; the slots of these are the first ones.
    pub(super) by: Vec<String>,
    /// Names of the fields with statistics; their slots follow.
    pub(super) stats: Vec<String>,
    /// The width of the histogram's spans.
    pub(super) width: Option<Duration>,
    /// How many lines that cannot be read a task returns.
    pub(super) show_unparsed: usize,
    /// Now, for times that lack a year. All runs of a day have the same, or no task were ever found in a journal.
    pub(super) clock: Clock,
    #[serde(skip)]
    parser: OnceLock<Result<LineParser, String>>,
}

impl Query {
    /// What `args` ask of fields; none if they ask nothing.
    ///
    /// # Errors
    /// What is wrong with them, and the flag.
    pub fn new(args: &LogsArgs, clock: Clock) -> Result<Option<Query>, PlanError> {
        let wants_time = args.since.is_some() || args.until.is_some() || args.histogram.is_some();
        if args.time.is_some() && !wants_time {
            return Err(PlanError::new("--time is of use only with --since, --until or --histogram"));
        }
        let is_asked = args.parse.is_some()
            || args.condition.is_some()
            || wants_time
            || args.by.is_some()
            || !args.stats.is_empty()
            || args.show_unparsed.is_some();
        if !is_asked {
            return Ok(None);
        }
        let (by, mut paths): (Vec<String>, Vec<FieldPath>) = match &args.by {
            Some(by) => read_columns(by).map_err(|error| told("--by", &error))?.into_iter().unzip(),
            None => Default::default(),
        };
        let mut stats = Vec::new();
        for text in &args.stats {
            let path = text.parse::<FieldPath>().map_err(|error| told("--stats", &format!("`{text}`: {error}")))?;
            if stats.contains(&path.parts().join(".")) {
                return Err(told("--stats", &format!("the field `{path}` comes twice")));
            }
            stats.push(path.parts().join("."));
            paths.push(path);
        }
        if let Some(condition) = &args.condition {
            let condition = Expr::parse(condition).map_err(|error| error.of_flag("--where"))?;
            for path in condition.fields() {
                if !paths.contains(path) {
                    paths.push(path.clone());
                }
            }
        }
        let (since, until) = (when("--since", &args.since, clock)?, when("--until", &args.until, clock)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(told("--since, --until", &format!("no time lies in from {since} until before {until}")));
        }
        let time = args.time.as_ref().map(|time| match time.parse::<FieldPath>() {
            Ok(path) => Ok(path.to_string()),
            Err(error) => Err(told("--time", &format!("`{time}`: {error}"))),
        });
        let format = args.parse.clone().unwrap_or(LineFormat::Auto);
        let needs_clock = wants_time && !matches!(format, LineFormat::Nginx | LineFormat::Apache);
        let query = Query {
            format,
            formulas: Formulas::new(args.condition.clone(), Vec::new(), &paths),
            paths: paths.iter().map(ToString::to_string).collect(),
            time: time.transpose()?,
            since,
            until,
            by,
            stats,
            width: args.histogram,
            show_unparsed: args.show_unparsed.unwrap_or(0),
            clock: if needs_clock { end_of_day(clock) } else { Clock::at(Timestamp::EPOCH) },
            parser: OnceLock::new(),
        };
        match query.parser() {
            Ok(_) => Ok(Some(query)),
            Err(error) => Err(PlanError::new(error)),
        }
    }

    /// Whether lines are grouped, be it all of them in one group.
    pub fn has_groups(&self) -> bool {
        !self.by.is_empty() || !self.stats.is_empty()
    }

    /// Whether a line's time matters.
    pub fn wants_time(&self) -> bool {
        self.since.is_some() || self.until.is_some() || self.width.is_some()
    }

    /// Whether the condition is true for a line that was read into `slots`.
    ///
    /// # Errors
    /// When it has no answer, such as for a text that is no number.
    #[inline]
    pub fn holds(&self, slots: &mut [Raw<'_>]) -> Result<bool, String> {
        if self.formulas.is_empty() { Ok(true) } else { self.formulas.run(slots) }
    }

    /// Whether a time is among those that are asked for.
    pub fn spans(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= time) && self.until.is_none_or(|until| time < until)
    }

    /// Reads lines into slots: first those of `by`, then those of `stats`.
    ///
    /// # Errors
    /// When the format never has one of the fields, or its regex is wrong.
    pub fn parser(&self) -> Result<&LineParser, &str> {
        self.parser.get_or_init(|| self.compile()).as_ref().map_err(String::as_str)
    }

    fn compile(&self) -> Result<LineParser, String> {
        let read = |path: &String| path.parse::<FieldPath>().map_err(|error| format!("`{path}`: {error}"));
        let paths = self.paths.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let time = match &self.time {
            _ if !self.wants_time() => None,
            Some(path) => Some(TimeField::Named(read(path)?)),
            None => Some(TimeField::Default),
        };
        LineParser::new(&self.format, &paths, time.as_ref())
            .map_err(|error| format!("failed to read lines as `{}`: {error} (--parse)", self.format))
    }
}

fn told(flag: &str, error: &dyn std::fmt::Display) -> PlanError {
    PlanError::new(format_args!("{flag}: {error}"))
}

/// The end of the day in UTC: what is not in the future now is not in the future then.
fn end_of_day(clock: Clock) -> Clock {
    let begin = clock.now().floor(DAY);
    Clock::at(begin.checked_add(DAY).unwrap_or(Timestamp::MAX))
}

fn when(flag: &str, text: &Option<String>, clock: Clock) -> Result<Option<Timestamp>, PlanError> {
    text.as_ref().map(|text| parse_when(text, clock).map_err(|error| told(flag, &error))).transpose()
}
