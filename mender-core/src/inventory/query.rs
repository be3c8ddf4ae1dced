//! Searches as callers state them, compiled to what stores understand.

use std::{collections::BTreeSet, fmt, str::FromStr};

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value as Json;

use super::{
    entries::{any_value, entry, prefix},
    model::{AttributeName, Device, Value, name},
    words::words,
};
use crate::{
    env::Time,
    id::DeviceId,
    index::{Clause, Sort, Span},
};

/// The most predicates of a search; nobody has so many in mind.
pub const MAX_TERMS: usize = 100;

/// The most keys of an order: MongoDB sorts by 32, and two of them are ours.
pub const MAX_KEYS: usize = 30;

/// The most elements of a list that a predicate compares with.
const MAX_OPERANDS: usize = 20_000;

/// The largest program that a pattern may become, in bytes.
const MAX_PATTERN: usize = 1 << 18;

/// The most patterns of a search: each is tried on every device that comes into question.
const MAX_PATTERNS: usize = 10;

/// The most different words of a text search that count.
const MAX_WORDS: usize = 16;

/// How an attribute is compared.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Equal, or a list with an equal element.
    #[serde(rename = "$eq")]
    Eq,
    /// Not equal, or missing.
    #[serde(rename = "$ne")]
    Ne,
    /// Greater, of the same type.
    #[serde(rename = "$gt")]
    Gt,
    /// Greater or equal, of the same type.
    #[serde(rename = "$gte")]
    Gte,
    /// Less, of the same type.
    #[serde(rename = "$lt")]
    Lt,
    /// Less or equal, of the same type.
    #[serde(rename = "$lte")]
    Lte,
    /// Less, or missing.
    #[serde(rename = "$ltne")]
    Ltne,
    /// Equal to one of a list.
    #[serde(rename = "$in")]
    In,
    /// Equal to none of a list, or missing.
    #[serde(rename = "$nin")]
    Nin,
    /// There, or missing.
    #[serde(rename = "$exists")]
    Exists,
    /// A text that begins with a match.
    #[serde(rename = "$regex")]
    Regex,
}

impl Op {
    /// Every operator.
    pub const ALL: [Self; 11] = [
        Self::Eq,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::Ltne,
        Self::Ne,
        Self::In,
        Self::Nin,
        Self::Exists,
        Self::Regex,
    ];

    /// Returns the operator as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "$eq",
            Self::Ne => "$ne",
            Self::Gt => "$gt",
            Self::Gte => "$gte",
            Self::Lt => "$lt",
            Self::Lte => "$lte",
            Self::Ltne => "$ltne",
            Self::In => "$in",
            Self::Nin => "$nin",
            Self::Exists => "$exists",
            Self::Regex => "$regex",
        }
    }
}

impl FromStr for Op {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|op| op.as_str() == text).ok_or(())
    }
}

/// What an attribute is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Nothing: equal to a missing attribute.
    Null,
    /// A value.
    Value(Value),
    /// Several.
    List(Vec<Operand>),
}

/// Why a predicate makes no sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidPredicate {
    /// The operator needs a list.
    NeedsList(Op),
    /// A pattern that is no text.
    NeedsText,
    /// An object.
    Object,
    /// A text with U+0000.
    Nul,
    /// More patterns than one search may have.
    TooManyPatterns,
    /// A list that is too long, or lists inside lists inside lists.
    TooMuch,
}

impl fmt::Display for InvalidPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsList(op) => write!(f, "{} needs an array", op.as_str()),
            Self::NeedsText => f.write_str("$regex has to be a string"),
            Self::Object => f.write_str("an attribute can't be compared with an object"),
            Self::Nul => f.write_str("text must not contain the character U+0000"),
            Self::TooManyPatterns => write!(f, "at most {MAX_PATTERNS} patterns"),
            Self::TooMuch => write!(f, "lists have at most {MAX_OPERANDS} elements"),
        }
    }
}

impl std::error::Error for InvalidPredicate {}

impl Operand {
    /// Reads an operand from JSON.
    ///
    /// # Errors
    /// What can't be compared with.
    pub fn from_json(json: &Json) -> Result<Self, InvalidPredicate> {
        Self::read(json, 2)
    }

    fn read(json: &Json, depth: usize) -> Result<Self, InvalidPredicate> {
        match json {
            Json::Null => Ok(Self::Null),
            Json::Bool(flag) => Ok(Self::Value(Value::Flag(*flag))),
            Json::Object(_) => Err(InvalidPredicate::Object),
            Json::Array(items) if items.len() > MAX_OPERANDS || depth == 0 => {
                Err(InvalidPredicate::TooMuch)
            }
            Json::Array(items) => {
                let items = items.iter().map(|item| Self::read(item, depth - 1));
                items.collect::<Result<_, _>>().map(Self::List)
            }
            Json::String(_) | Json::Number(_) => {
                Value::from_json(json).map(Self::Value).map_err(|_| InvalidPredicate::Nul)
            }
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Value(Value::Time(time)) => time.to_string().into(),
            Self::Value(value) => serde_json::to_value(value).unwrap_or_default(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
        }
    }

    /// Returns the value it stands for, a list as a whole; `None`: no device can have it.
    fn as_value(&self) -> Option<Value> {
        match self {
            Self::Null => None,
            Self::Value(value) => Some(value.clone()),
            Self::List(_) => Value::from_json(&self.to_json()).ok(),
        }
    }
}

impl Serialize for Operand {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(to)
    }
}

impl<'de> Deserialize<'de> for Operand {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::from_json(&Json::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// A condition on one attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicate {
    /// The attribute.
    #[serde(flatten)]
    pub name: AttributeName,
    /// How it is compared.
    #[serde(rename = "type")]
    pub op: Op,
    /// With what.
    pub value: Operand,
}

/// What is searched for. Everything that is given must fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The conditions.
    pub filters: Vec<Predicate>,
    /// The order: attributes, and whether the greatest come first. Where they are alike, devices
    /// come in the order of their creation.
    pub sort: Vec<(AttributeName, bool)>,
    /// Only these devices; empty: no restriction.
    pub ids: Vec<DeviceId>,
    /// Free text: devices with at least one of its words, those with the most first. `None`: no
    /// restriction.
    pub text: Option<String>,
    /// Whether `identity/id` is an attribute like any other, and not the id of the device.
    pub plain_names: bool,
}

/// A search as stores understand it.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Search {
    /// What must hold.
    pub all: Vec<Clause>,
    /// Only these devices.
    pub ids: Option<Vec<DeviceId>>,
    /// Where not empty: index texts of words, at least one of which a device must have. The
    /// devices with the most of them come first, then by place; `sorts` is empty.
    pub words: Vec<String>,
    /// The order; by place where it leaves a choice.
    pub sorts: Vec<Sort>,
}

impl Search {
    /// All devices, by place.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those for which this holds as well.
    #[must_use]
    pub fn and(mut self, clause: Clause) -> Self {
        self.all.push(clause);
        self
    }

    /// Only these devices.
    #[must_use]
    pub fn with_ids(mut self, ids: Vec<DeviceId>) -> Self {
        self.ids = Some(ids);
        self
    }

    /// Tells whether it can be seen that nothing fits.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.ids.as_ref().is_some_and(Vec::is_empty) || self.all.iter().any(Clause::is_never)
    }
}

/// A pattern that stores can't look for: they find what comes into question.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    name: AttributeName,
    regex: Regex,
}

impl Pattern {
    /// Tells whether a device fits.
    pub(super) fn fits(&self, device: &Device) -> bool {
        if self.name == AttributeName::device_id() {
            return self.regex.is_match(device.id.as_str());
        }
        let value = device.attributes.value(&self.name);
        value.is_some_and(|value| value.texts().iter().any(|text| self.regex.is_match(text)))
    }
}

/// A compiled query.
#[derive(Clone, Debug, Default)]
pub(super) struct Compiled {
    pub(super) search: Search,
    pub(super) patterns: Vec<Pattern>,
}

/// The device id where it is named like an attribute, unless names are plain.
pub(super) fn resolved(name: &AttributeName, plain: bool) -> AttributeName {
    if !plain && name.scope == AttributeName::IDENTITY && name.name == "id" {
        return AttributeName::device_id();
    }
    name.clone()
}

impl Query {
    /// Compiles the query.
    pub(super) fn compile(&self) -> Result<Compiled, InvalidPredicate> {
        let mut compiled = Compiled::default();
        for predicate in &self.filters {
            predicate.compile(&mut compiled, self.plain_names)?;
        }
        compiled.search.ids = (!self.ids.is_empty()).then(|| self.ids.clone());
        let Some(text) = &self.text else {
            compiled.search.sorts = self.sorts();
            return Ok(compiled);
        };
        let words = words(text).into_iter().take(MAX_WORDS);
        compiled.search.words = words.map(|word| super::entries::word(&word)).collect();
        if compiled.search.words.is_empty() {
            // A text without words finds nothing.
            compiled.search.all.push(Clause::some(Vec::new()));
        }
        Ok(compiled)
    }

    /// Tells whether a device is among what this finds.
    ///
    /// ```
    /// use mender_core::inventory::{AttributeName, Device, Op, Operand, Place, Predicate, Query, Value};
    ///
    /// let device = Device::new("pump-1".parse()?, Place::new(Default::default(), 1), Default::default());
    /// let name = AttributeName::identity("id");
    /// let is = |id: &str| Predicate {
    ///     name: name.clone(),
    ///     op: Op::Eq,
    ///     value: Operand::Value(Value::Text(id.into())),
    /// };
    /// let query = |id| Query { filters: vec![is(id)], ..Query::default() };
    /// assert!(query("pump-1").fits(&device)?);
    /// assert!(!query("pump-2").fits(&device)?);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Why the query makes no sense.
    pub fn fits(&self, device: &Device) -> Result<bool, InvalidPredicate> {
        let Compiled { search, patterns } = self.compile()?;
        let entries = super::entries::entries(device);
        let texts: Vec<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
        let words = super::entries::words_of(device);
        Ok(search.ids.is_none_or(|ids| ids.contains(&device.id))
            && (search.words.is_empty() || search.words.iter().any(|word| words.contains(word)))
            && search.all.iter().all(|clause| clause.holds(&texts))
            && patterns.iter().all(|pattern| pattern.fits(device)))
    }

    fn sorts(&self) -> Vec<Sort> {
        let mut known = BTreeSet::new();
        let key = |(name, descending): &(AttributeName, bool)| {
            (prefix(&resolved(name, self.plain_names)), *descending)
        };
        let keys = self.sort.iter().map(key);
        let new = keys.filter(|(prefix, _)| known.insert(prefix.clone()));
        new.map(|(prefix, descending)| Sort { prefix, descending }).collect()
    }
}

/// Which letters begin the forms of values of one type.
fn type_of(value: &Value) -> Option<(&'static str, &'static str)> {
    match value {
        Value::Number(_) => Some(("n", "o")),
        Value::Text(_) => Some(("s", "t")),
        Value::Flag(_) => Some(("t", "u")),
        Value::Time(_) => Some(("u", "v")),
        Value::Texts(_) | Value::Numbers(_) => None,
    }
}

impl Predicate {
    /// Checks that the operator can work with the operand.
    ///
    /// # Errors
    /// Why it can't.
    pub fn check(&self) -> Result<(), InvalidPredicate> {
        match (self.op, &self.value) {
            (Op::In | Op::Nin, Operand::Null | Operand::Value(_)) => {
                Err(InvalidPredicate::NeedsList(self.op))
            }
            (Op::Regex, Operand::Value(Value::Text(_))) => Ok(()),
            (Op::Regex, _) => Err(InvalidPredicate::NeedsText),
            _ => Ok(()),
        }
    }

    fn compile(&self, to: &mut Compiled, plain: bool) -> Result<(), InvalidPredicate> {
        self.check()?;
        let name = resolved(&self.name, plain);
        let prefix = prefix(&name);
        let clause = match self.op {
            Op::Eq | Op::In => self.equal(&prefix),
            Op::Ne | Op::Nin => {
                to.search.all.extend(negated(self.equal(&prefix)));
                return Ok(());
            }
            Op::Gt | Op::Gte | Op::Lt | Op::Lte => Clause::some(self.ordered(&prefix)),
            Op::Ltne => {
                Clause { some: self.ordered(&prefix), none: Some(vec![any_value(&prefix)]) }
            }
            Op::Exists if self.means_missing() => Clause::none(vec![any_value(&prefix)]),
            Op::Exists => Clause::some(vec![any_value(&prefix)]),
            Op::Regex => {
                let pattern = match &self.value {
                    Operand::Value(Value::Text(pattern)) => pattern,
                    _ => return Err(InvalidPredicate::NeedsText),
                };
                let (clause, regex) = matching(pattern, &prefix);
                to.patterns.extend(regex.map(|regex| Pattern { name, regex }));
                if to.patterns.len() > MAX_PATTERNS {
                    return Err(InvalidPredicate::TooManyPatterns);
                }
                clause
            }
        };
        to.search.all.push(clause);
        Ok(())
    }

    /// Only false and zero mean absence, as in the reference server.
    fn means_missing(&self) -> bool {
        match &self.value {
            Operand::Value(Value::Flag(flag)) => !flag,
            Operand::Value(Value::Number(number)) => *number == 0.0,
            Operand::Null => true,
            _ => false,
        }
    }

    fn is_date(&self) -> bool {
        let dates = [name::CREATED, name::UPDATED, name::SEEN];
        self.name.scope == AttributeName::SYSTEM && dates.contains(&self.name.name.as_str())
    }

    /// The values that an operand stands for: a text may mean a time, or a truth.
    fn meanings(&self, value: Value) -> Vec<Value> {
        let Value::Text(text) = &value else {
            return vec![value];
        };
        if self.is_date()
            && let Ok(time) = text.parse::<Time>()
        {
            return vec![Value::Time(time)];
        }
        // Compat: the web UI asks for test devices with the text "true".
        let is_flag = self.name.scope == AttributeName::SYSTEM && self.name.name == name::TEST;
        match text.parse() {
            Ok(flag) if is_flag => vec![value, Value::Flag(flag)],
            _ => vec![value],
        }
    }

    fn equal(&self, prefix: &str) -> Clause {
        let operands = match &self.value {
            Operand::List(items) if matches!(self.op, Op::In | Op::Nin) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        let mut clause = Clause::some(Vec::new());
        for operand in operands {
            if *operand == Operand::Null {
                clause.none = Some(vec![any_value(prefix)]);
            }
            let meanings = operand.as_value().map(|value| self.meanings(value));
            let spans = meanings.into_iter().flatten().map(|v| Span::At(entry(prefix, &v)));
            clause.some.extend(spans);
        }
        clause
    }

    /// The spans of the values that stand in this order to the operand.
    fn ordered(&self, prefix: &str) -> Vec<Span> {
        let Operand::Value(value) = &self.value else {
            return Vec::new();
        };
        let spans = self.meanings(value.clone()).into_iter().filter_map(|value| {
            let (first, end) = type_of(&value)?;
            let at = entry(prefix, &value);
            // U+0000 is in no text, so nothing comes between a text and this one.
            let after = format!("{at}\u{1}");
            let (first, end) = (format!("{prefix}{first}"), format!("{prefix}{end}"));
            let (from, to) = match self.op {
                Op::Gt => (after, end),
                Op::Gte => (at, end),
                Op::Lte => (first, after),
                _ => (first, at),
            };
            Some(Span::Within { from, to })
        });
        spans.collect()
    }
}

/// What holds where the clause does not.
fn negated(Clause { some, none }: Clause) -> Vec<Clause> {
    let unequal = Clause::none(some);
    match none {
        None => vec![unequal],
        // Neither one of these nor missing.
        Some(any) => vec![unequal, Clause::some(any)],
    }
}

/// Splits off the flags of `/pattern/flags`.
fn delimited(pattern: &str) -> (&str, &str) {
    let inner = pattern.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'));
    inner.filter(|(_, flags)| flags.chars().all(|c| "imsxu".contains(c))).unwrap_or((pattern, ""))
}

/// Compiles a pattern: where the values lie that come into question, and what decides about
/// them, where their place does not.
fn matching(pattern: &str, prefix: &str) -> (Clause, Option<Regex>) {
    let (pattern, flags) = delimited(pattern);
    let nothing = (Clause::some(Vec::new()), None);
    let flags = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
    let built = RegexBuilder::new(&format!(r"\A(?:{flags}{pattern})"))
        .size_limit(MAX_PATTERN)
        .nest_limit(50)
        .build();
    // A pattern that is none matches nothing.
    let (Ok(regex), Ok(hir)) = (built, regex_syntax::parse(&format!("{flags}{pattern}"))) else {
        return nothing;
    };
    let (literal, is_all) = literal_start(&hir);
    if literal.contains('\0') {
        // No text has it.
        return nothing;
    }
    let texts = format!("{prefix}s{}", crate::kit::sortable(&literal));
    let clause = Clause::some(vec![Span::beginning(&texts)]);
    // Long texts are not in the index as they are.
    let is_short = texts.len() < 100;
    (
        if is_short { clause } else { Clause::some(vec![Span::beginning(&format!("{prefix}s"))]) },
        (!is_all || !is_short).then_some(regex),
    )
}

/// Returns the text that every match begins with, and whether whatever begins with it matches.
fn literal_start(hir: &Hir) -> (String, bool) {
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    let starts = parts
        .iter()
        .take_while(|part| matches!(part.kind(), HirKind::Look(regex_syntax::hir::Look::Start)));
    let mut rest = &parts[starts.count()..];
    let mut bytes = Vec::new();
    while let Some((part, after)) = rest.split_first() {
        let HirKind::Literal(literal) = part.kind() else { break };
        bytes.extend_from_slice(&literal.0);
        rest = after;
    }
    let is_optional = |part: &Hir| {
        let properties = part.properties();
        properties.minimum_len() == Some(0) && properties.look_set().is_empty()
    };
    let is_all = rest.iter().all(is_optional);
    match String::from_utf8(bytes) {
        Ok(text) => (text, is_all),
        Err(_) => (String::new(), false),
    }
}
