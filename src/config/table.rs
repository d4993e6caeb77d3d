//! The first pass: every table and key against the schema (unknown, missing, of a wrong kind), and typed
//! access to what is right, with places.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Problems, Spot, Written};
use super::schema::{self, Absent, ELSEWHERE, Form, KEYS, Key, LATER};

/// A table of texts as it was written: each name, each value.
pub(super) type Pairs = Vec<(Written<String>, Written<String>)>;

/// One table of the file that has passed the first look. Its values are read by name; what is absent or
/// of a wrong kind reads as `None`, because the first pass has already said so.
#[derive(Clone, Debug)]
pub(super) struct Table<'a> {
    /// "group.route".
    path: String,
    header: Range<usize>,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub(super) fn top(entries: &'a DeTable<'a>) -> Self {
        Self { path: String::new(), header: 0..0, entries }
    }

    /// The place of its header.
    pub(super) fn spot(&self) -> Spot {
        Spot { key: self.path.clone(), range: self.header.clone(), is_value: false }
    }

    /// The first pass over this table and all below it.
    pub(super) fn check(&self, problems: &mut Problems<'_>) {
        let mut meant = Vec::new();
        for (name, value) in self.entries.iter() {
            match schema::find(&self.path, name.get_ref()) {
                Some(key) => self.check_value(key, name, value, problems),
                None => meant.extend(self.unknown(name, problems)),
            }
        }
        for key in KEYS.iter().filter(|key| key.table == self.path && key.absent == Absent::Refused) {
            // A misspelt key is one mistake, not also a missing one.
            if !self.entries.contains_key(key.name) && !meant.contains(&key.name) {
                let spot = Spot { key: key.path(), ..self.spot() };
                let rule = format!("{} is required {}", key.name, place_of(&self.path));
                problems.add(&spot, rule, format!("add {}: {}", example(key), key.about));
            }
        }
    }

    /// A text, or its default.
    pub(super) fn text(&self, name: &str) -> Option<Written<String>> {
        self.value(name).map_or_else(
            || self.default(name, |default| Some(default.to_owned())),
            |value| text_at(self.key(name), value),
        )
    }

    /// A whole number, or its default.
    pub(super) fn integer(&self, name: &str) -> Option<Written<i64>> {
        let Some(value) = self.value(name) else {
            return self.default(name, |default| default.parse().ok());
        };
        let number = value.get_ref().as_integer()?;
        // A number beyond 64 bits is as far outside every range of ours as the largest that fits.
        let number = i64::from_str_radix(number.as_str(), number.radix()).unwrap_or(i64::MAX);
        Some(Written { value: number, spot: value_spot(self.key(name), value) })
    }

    /// `true` or `false`, or its default.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        match self.value(name) {
            Some(value) => value.get_ref().as_bool(),
            None => self.default(name, |default| default.parse().ok()).map(|written| written.value),
        }
    }

    /// A list of texts; its own place is that of the whole list.
    pub(super) fn list(&self, name: &str) -> Option<Written<Vec<Written<String>>>> {
        let value = self.value(name)?;
        let texts = value.get_ref().as_array()?.iter().filter_map(|it| text_at(self.key(name), it));
        Some(Written { value: texts.collect(), spot: value_spot(self.key(name), value) })
    }

    /// A text, or a list of texts.
    pub(super) fn one_or_more(&self, name: &str) -> Option<Written<Vec<Written<String>>>> {
        let value = self.value(name)?;
        match text_at(self.key(name), value) {
            Some(one) => Some(Written { spot: one.spot.clone(), value: vec![one] }),
            None => self.list(name),
        }
    }

    /// A table of texts: each name with its place, and its value with its place.
    pub(super) fn map(&self, name: &str) -> Option<Written<Pairs>> {
        let value = self.value(name)?;
        let mut pairs = Vec::new();
        for (key, text) in value.get_ref().as_table()?.iter() {
            let path = schema::join(&self.key(name), key.get_ref());
            let spot = Spot { key: path.clone(), range: key.span(), is_value: false };
            let key = Written { value: key.get_ref().to_string(), spot };
            pairs.extend(text_at(path, text).map(|text| (key, text)));
        }
        Some(Written { value: pairs, spot: value_spot(self.key(name), value) })
    }

    /// The table of this name; an empty one if it is not written.
    pub(super) fn table(&self, name: &str, empty: &'a DeTable<'a>) -> Self {
        let value = self.value(name);
        let entries = value.and_then(|value| value.get_ref().as_table()).unwrap_or(empty);
        Self { path: self.key(name), header: value.map_or(0..0, Spanned::span), entries }
    }

    /// The table of this name, if it is written.
    pub(super) fn written(&self, name: &str) -> Option<Self> {
        let value = self.value(name)?;
        let entries = value.get_ref().as_table()?;
        Some(Self { path: self.key(name), header: value.span(), entries })
    }

    /// Whether something of this name is written.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The tables of this name.
    pub(super) fn tables(&self, name: &str) -> Vec<Self> {
        let array = self.value(name).and_then(|value| value.get_ref().as_array());
        let tables = array.into_iter().flat_map(|array| array.iter()).filter_map(|value| {
            let entries = value.get_ref().as_table()?;
            Some(Self { path: self.key(name), header: value.span(), entries })
        });
        tables.collect()
    }

    fn key(&self, name: &str) -> String {
        schema::join(&self.path, name)
    }

    fn value(&self, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries.get(name)
    }

    fn default<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<Written<T>> {
        let key = schema::find(&self.path, name)?;
        let Absent::Default(default) = key.absent else { return None };
        let spot = Spot { key: key.path(), ..self.spot() };
        Some(Written { value: read(default)?, spot })
    }

    fn check_value(
        &self,
        key: &'static Key,
        name: &Spanned<Cow<'_, str>>,
        value: &'a Spanned<DeValue<'a>>,
        problems: &mut Problems<'_>,
    ) {
        let path = key.path();
        match (key.form, value.get_ref()) {
            (Form::Table, DeValue::Table(entries)) => {
                Self { path, header: value.span(), entries }.check(problems);
            }
            (Form::Tables, DeValue::Array(array)) if !array.is_empty() => {
                for item in array.iter() {
                    match item.get_ref().as_table() {
                        Some(entries) => {
                            Self { path: path.clone(), header: item.span(), entries }.check(problems)
                        }
                        None => wrong_kind(key, item, problems),
                    }
                }
            }
            (Form::List | Form::OneOrMore, DeValue::Array(array)) => {
                array.iter().filter(|it| !it.get_ref().is_str()).for_each(|it| wrong_kind(key, it, problems));
            }
            (Form::Map, DeValue::Table(entries)) => {
                entries
                    .values()
                    .filter(|it| !it.get_ref().is_str())
                    .for_each(|it| wrong_kind(key, it, problems));
            }
            (Form::Text | Form::Duration | Form::OneOrMore, DeValue::String(_))
            | (Form::Integer, DeValue::Integer(_))
            | (Form::Switch, DeValue::Boolean(_)) => {}
            (Form::Table | Form::Tables, _) => {
                let spot = Spot { key: path.clone(), range: name.span(), is_value: false };
                problems.add(&spot, kind_rule(key), format!("write {}", example(key)));
            }
            (
                Form::Text
                | Form::Duration
                | Form::Integer
                | Form::Switch
                | Form::List
                | Form::OneOrMore
                | Form::Map,
                _,
            ) => wrong_kind(key, value, problems),
        }
    }

    /// Refuses a key; answers which key of this table was probably meant.
    fn unknown(&self, name: &Spanned<Cow<'_, str>>, problems: &mut Problems<'_>) -> Option<&'static str> {
        let typed = name.get_ref().as_ref();
        let spot = Spot { key: self.key(typed), range: name.span(), is_value: false };
        let place = place_of(&self.path);
        let here = |(table, word, _): &&(&str, &str, &str)| *table == self.path && *word == typed;
        if let Some((_, _, meanwhile)) = LATER.iter().find(here) {
            problems.add(&spot, format!("{typed} is not in this version"), *meanwhile);
            return None;
        }
        let siblings = || KEYS.iter().filter(|key| key.table == self.path).map(|key| key.name);
        let near = schema::nearest(typed, siblings());
        let remedy = if let Some((_, _, ours)) = ELSEWHERE.iter().find(here) {
            format!("here it is called {ours}")
        } else if let Some(near) = near {
            format!("did you mean {near}?")
        } else if let Some(key) = KEYS.iter().find(|key| key.name == typed) {
            format!("{typed} belongs {}", place_of(key.table))
        } else {
            format!("leave it out; the keys {place} are {}", siblings().collect::<Vec<_>>().join(", "))
        };
        problems.add(&spot, format!("there is no such key {place}"), remedy);
        near
    }
}

fn text_at(key: String, value: &Spanned<DeValue<'_>>) -> Option<Written<String>> {
    let text = value.get_ref().as_str()?.to_owned();
    Some(Written { value: text, spot: value_spot(key, value) })
}

fn value_spot(key: String, value: &Spanned<DeValue<'_>>) -> Spot {
    Spot { key, range: value.span(), is_value: true }
}

fn wrong_kind(key: &Key, value: &Spanned<DeValue<'_>>, problems: &mut Problems<'_>) {
    let spot = value_spot(key.path(), value);
    let rule = format!("{}, not {}", kind_rule(key), kind_of(value.get_ref()));
    problems.add(&spot, rule, format!("write {}", example(key)));
}

fn kind_rule(key: &Key) -> String {
    let kind = match key.form {
        Form::Text => "a text in quotes",
        Form::Duration => "a duration in quotes, with its unit",
        Form::Integer => "a whole number",
        Form::Switch => "true or false",
        Form::List => "a list of texts",
        Form::OneOrMore => "a text in quotes, or a list of texts",
        Form::Map => "a table of texts",
        Form::Table => "a table that is written once",
        Form::Tables => "a table that may be written more than once",
    };
    format!("{} is {kind}", key.name)
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// How a key is written.
fn example(key: &Key) -> String {
    let name = key.name;
    match key.form {
        Form::Text => match key.absent {
            Absent::Default(default) => format!("{name} = \"{default}\""),
            Absent::Refused | Absent::Means(_) => format!("{name} = \"…\""),
        },
        Form::Duration => format!("{name} = \"250ms\", or \"2s\""),
        Form::Integer => match key.absent {
            Absent::Default(default) => format!("{name} = {default}"),
            Absent::Refused | Absent::Means(_) => format!("{name} = 1"),
        },
        Form::Switch => format!("{name} = true, or false"),
        Form::List => format!("{name} = [\"…\", \"…\"]"),
        Form::OneOrMore => format!("{name} = \"…\", or [\"…\", \"…\"]"),
        Form::Map => format!("{name} = {{ node-a = \"…\", node-b = \"…\" }}"),
        Form::Table => format!("[{}]", key.path()),
        Form::Tables => format!("[[{}]]", key.path()),
    }
}

/// "in [[group.route]]", "at the top of the file".
fn place_of(path: &str) -> String {
    let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
    match schema::find(table, name).map(|key| key.form) {
        Some(Form::Tables) => format!("in [[{path}]]"),
        Some(_) => format!("in [{path}]"),
        None => "at the top of the file".to_owned(),
    }
}
