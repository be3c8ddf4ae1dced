use std::{cmp::Ordering, fmt};

use regex::{Regex, RegexBuilder};

use super::Field;
use crate::{
    env::Time,
    inventory::{Op, Operand, Value},
};

/// How many bytes a compiled pattern may have.
const MAX_PATTERN: usize = 1 << 18;

/// What must be true of a field.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The field; `None`: one that no record has.
    pub field: Option<Field>,
    test: Test,
    is_negated: bool,
}

/// Why a condition makes no sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidCondition {
    /// The operator takes no list.
    List,
    /// The operator takes lists only.
    NoList,
    /// The operator takes texts only.
    NoText,
    /// The operator takes true and false only.
    NoFlag,
    /// The field is a time, the operand is none.
    NoTime,
    /// What can't be compared, or not by this operator.
    Operand,
    /// No regular expression, or too large a one.
    Pattern,
}

impl fmt::Display for InvalidCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "filter doesn't support array values",
            Self::NoList => "filter supports only array values",
            Self::NoText => "filter supports only string values",
            Self::NoFlag => "filter supports only boolean values",
            Self::NoTime => "the field is compared with times in the form of RFC 3339",
            Self::Operand => "unknown attribute value type",
            Self::Pattern => "not a regular expression",
        })
    }
}

impl std::error::Error for InvalidCondition {}

#[derive(Clone, Debug)]
enum Test {
    Equal(Vec<Value>),
    Ordered(&'static [Ordering], Value),
    There,
    Matching(Regex),
}

impl Condition {
    /// Makes a condition; patterns must match a text as a whole.
    ///
    /// # Errors
    /// [`InvalidCondition`]
    pub fn new(field: Option<Field>, op: Op, operand: Operand) -> Result<Self, InvalidCondition> {
        let is_time = field.is_some_and(Field::is_time);
        let is_negated = matches!(op, Op::Ne | Op::Nin)
            || op == Op::Exists && operand == Operand::Value(Value::Flag(false));
        let values = match operand {
            Operand::List(items) if matches!(op, Op::In | Op::Nin) => {
                items.into_iter().map(|item| value(item, is_time)).collect::<Result<_, _>>()?
            }
            Operand::List(_) => return Err(InvalidCondition::List),
            _ if matches!(op, Op::In | Op::Nin) => return Err(InvalidCondition::NoList),
            one => vec![value(one, is_time && !matches!(op, Op::Exists | Op::Regex))?],
        };
        let one = || values.first().cloned().ok_or(InvalidCondition::Operand);
        let ordered = |orderings| match one()? {
            Value::Flag(_) => Err(InvalidCondition::Operand),
            value => Ok(Test::Ordered(orderings, value)),
        };
        let test = match op {
            Op::Eq | Op::Ne | Op::In | Op::Nin => Test::Equal(values),
            Op::Gt => ordered(&[Ordering::Greater])?,
            Op::Gte => ordered(&[Ordering::Greater, Ordering::Equal])?,
            Op::Lt => ordered(&[Ordering::Less])?,
            Op::Lte => ordered(&[Ordering::Less, Ordering::Equal])?,
            Op::Ltne => return Err(InvalidCondition::Operand),
            Op::Exists => match one()? {
                Value::Flag(_) => Test::There,
                _ => return Err(InvalidCondition::NoFlag),
            },
            Op::Regex => match one()? {
                Value::Text(pattern) => {
                    let whole = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
                        .size_limit(MAX_PATTERN)
                        .nest_limit(50)
                        .build();
                    Test::Matching(whole.map_err(|_| InvalidCondition::Pattern)?)
                }
                _ => return Err(InvalidCondition::NoText),
            },
        };
        Ok(Self { field, test, is_negated })
    }

    /// Tells whether a value fits; `None`: there is none.
    #[must_use]
    pub fn fits(&self, value: Option<&Value>) -> bool {
        let fits = match (&self.test, value) {
            (_, None) => false,
            (Test::There, Some(_)) => true,
            (Test::Equal(wanted), Some(value)) => {
                wanted.iter().any(|one| order(value, one).any(|order| order == Ordering::Equal))
            }
            (Test::Ordered(wanted, with), Some(value)) => {
                order(value, with).any(|order| wanted.contains(&order))
            }
            (Test::Matching(regex), Some(value)) => {
                value.texts().iter().any(|text| regex.is_match(text))
            }
        };
        fits != self.is_negated
    }
}

fn value(operand: Operand, is_time: bool) -> Result<Value, InvalidCondition> {
    match operand {
        Operand::Value(Value::Text(text)) if is_time => {
            let time: Result<Time, _> = text.parse();
            time.map(Value::Time).map_err(|_| InvalidCondition::NoTime)
        }
        Operand::Value(_) if is_time => Err(InvalidCondition::NoTime),
        Operand::Value(value) => Ok(value),
        Operand::Null | Operand::List(_) => Err(InvalidCondition::Operand),
    }
}

/// Compares what a field holds, each text of a list, with a value of the same type.
fn order<'a>(value: &'a Value, with: &'a Value) -> impl Iterator<Item = Ordering> + 'a {
    let texts = with.as_text().into_iter();
    let texts = texts.flat_map(|with| value.texts().iter().map(|text| text.as_str().cmp(with)));
    let other = match (value, with) {
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        (Value::Flag(a), Value::Flag(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        _ => None,
    };
    texts.chain(other)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{Condition, Field, InvalidCondition};
    use crate::{
        env::Time,
        inventory::{Op, Operand, Value},
    };

    fn condition(field: Field, op: Op, operand: &Json) -> Result<Condition, InvalidCondition> {
        Condition::new(Some(field), op, Operand::from_json(operand).unwrap())
    }

    #[track_caller]
    fn check(field: Field, op: Op, operand: &Json, value: Option<&Value>, fits: bool) {
        let condition = condition(field, op, operand).unwrap();
        assert_eq!(condition.fits(value), fits, "{op:?} {operand} {value:?}");
    }

    #[test]
    fn a_missing_value_fits_only_what_is_negated() {
        for op in Op::ALL.into_iter().filter(|op| !matches!(op, Op::Ltne | Op::Exists)) {
            let operand = match op {
                Op::In | Op::Nin => json!(["failure"]),
                _ => json!("failure"),
            };
            check(Field::DeviceStatus, op, &operand, None, matches!(op, Op::Ne | Op::Nin));
        }
        check(Field::DeviceStatus, Op::Exists, &json!(true), None, false);
        check(Field::DeviceStatus, Op::Exists, &json!(false), None, true);
    }

    #[test]
    fn one_text_of_a_list_is_enough() {
        let groups = Value::Texts(vec!["north".into(), "south".into()]);
        check(Field::DeploymentGroups, Op::Eq, &json!("south"), Some(&groups), true);
        check(Field::DeploymentGroups, Op::Ne, &json!("south"), Some(&groups), false);
        check(Field::DeploymentGroups, Op::Nin, &json!(["east"]), Some(&groups), true);
        check(Field::DeploymentGroups, Op::Regex, &json!("n.*"), Some(&groups), true);
        check(Field::DeploymentGroups, Op::Regex, &json!("n|sou"), Some(&groups), false);
    }

    #[test]
    fn types_never_mix() {
        let size = Value::Number(10.0);
        check(Field::ImageSize, Op::Eq, &json!("10"), Some(&size), false);
        check(Field::ImageSize, Op::Ne, &json!("10"), Some(&size), true);
        check(Field::ImageSize, Op::Gte, &json!(10), Some(&size), true);
        check(Field::ImageSize, Op::Lt, &json!(10), Some(&size), false);
        check(Field::ImageSigned, Op::Eq, &json!(true), Some(&Value::Flag(true)), true);
    }

    #[test]
    fn times_are_compared_as_times() {
        let at = Value::Time(Time(1_500));
        let later = json!("1970-01-01T01:00:02+01:00");
        check(Field::DeviceFinished, Op::Lt, &later, Some(&at), true);
        check(Field::DeviceFinished, Op::Gt, &json!("1970-01-01T00:00:01Z"), Some(&at), true);
        for operand in [json!("yesterday"), json!(5)] {
            let refused = condition(Field::DeviceFinished, Op::Lt, &operand).unwrap_err();
            assert_eq!(refused, InvalidCondition::NoTime);
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        use InvalidCondition::{List, NoFlag, NoList, NoText, Operand as Unknown, Pattern};
        for (op, operand, error) in [
            (Op::Eq, json!(["a"]), List),
            (Op::In, json!("a"), NoList),
            (Op::Regex, json!(5), NoText),
            (Op::Regex, json!("("), Pattern),
            (Op::Regex, json!("(a{1000}){1000}"), Pattern),
            (Op::Exists, json!("a"), NoFlag),
            (Op::Gt, json!(true), Unknown),
            (Op::In, json!([["a"]]), Unknown),
            (Op::Ltne, json!("a"), Unknown),
        ] {
            let refused = condition(Field::DeviceStatus, op, &operand).unwrap_err();
            assert_eq!(refused, error, "{op:?} {operand}");
        }
    }
}
