//! What is wrong with a configuration: every problem, each with its place, the rule and the remedy.

use std::fmt;

use serde::Serialize;

/// One mistake in a file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// The file as it was named ("-": standard input).
    pub file: String,
    /// Its line, from 1; 0 when it concerns the file as a whole.
    pub line: usize,
    /// Its column in characters, from 1; 0 when it concerns the file as a whole.
    pub column: usize,
    /// The key as it was typed, with its tables ("heartbeat.dead-after"); may be empty.
    pub key: String,
    /// What was typed there, shortened and without secrets; `None` when there is no value to show.
    pub typed: Option<String>,
    /// The rule that it breaks.
    pub rule: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        match &self.typed {
            Some(typed) if self.key.is_empty() => write!(f, ": {typed}")?,
            Some(typed) => write!(f, " = {typed}")?,
            None => {}
        }
        write!(f, "\n  rule: {}\n  help: {}", self.rule, self.remedy)
    }
}

/// All the mistakes of a configuration (or of a key file), in the order of the file. Never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// The mistakes.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// One problem that concerns a file as a whole.
    pub(super) fn of_file(file: &str, rule: impl Into<String>, remedy: impl Into<String>) -> Self {
        let problem = Problem {
            file: file.to_owned(),
            line: 0,
            column: 0,
            key: String::new(),
            typed: None,
            rule: rule.into(),
            remedy: remedy.into(),
        };
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.problems.first().map_or("", |problem| problem.file.as_str());
        match self.problems.len() {
            1 => write!(f, "{file}: 1 problem")?,
            n => write!(f, "{file}: {n} problems")?,
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\n{problem}"))
    }
}

impl std::error::Error for ConfigError {}
