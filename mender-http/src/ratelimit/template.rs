//! Expressions over the caller: the part of Go's templates that is in use.

use crate::identity::Claims;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Subject,
    Tenant,
    Plan,
    IsUser,
    IsDevice,
    Trial,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Field(Field),
}

/// An expression: text, and fields of the caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Template(Vec<Part>);

impl Template {
    /// Reads text with `{{.Identity.Subject}}`, or `{{.Subject}}` between `{{with .Identity}}` and
    /// `{{end}}`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut within, mut left) = (Vec::new(), false, text);
        while let Some((before, rest)) = left.split_once("{{") {
            push(&mut parts, before);
            let (action, rest) = rest.split_once("}}").ok_or("{{ without }}")?;
            left = rest;
            let unsupported = || format!("unsupported expression {{{{{action}}}}}");
            let words: Vec<&str> = action.split_whitespace().collect();
            match words[..] {
                ["with", ".Identity"] if !within => within = true,
                ["end"] if within => within = false,
                [name] => {
                    let prefix = if within { "." } else { ".Identity." };
                    let field = name.strip_prefix(prefix).and_then(field);
                    parts.push(Part::Field(field.ok_or_else(unsupported)?));
                }
                _ => return Err(unsupported()),
            }
        }
        if within {
            return Err("{{with}} without {{end}}".into());
        }
        push(&mut parts, left);
        Ok(Self(parts))
    }

    pub(super) fn render(&self, caller: &Claims) -> String {
        let mut text = String::new();
        for part in &self.0 {
            let flag = |is: bool| if is { "true" } else { "false" };
            text.push_str(match part {
                Part::Text(text) => text,
                Part::Field(Field::Subject) => &caller.subject,
                Part::Field(Field::Tenant) => &caller.tenant,
                Part::Field(Field::Plan) => caller.plan.as_deref().unwrap_or_default(),
                Part::Field(Field::IsUser) => flag(caller.user),
                Part::Field(Field::IsDevice) => flag(caller.device),
                Part::Field(Field::Trial) => flag(caller.trial),
            });
        }
        text
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
}

fn field(name: &str) -> Option<Field> {
    Some(match name {
        "Subject" => Field::Subject,
        "Tenant" => Field::Tenant,
        "Plan" => Field::Plan,
        "IsUser" => Field::IsUser,
        "IsDevice" => Field::IsDevice,
        "Trial" => Field::Trial,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_caller_are_filled_in() {
        let caller = Claims {
            subject: "d1".into(),
            plan: Some("os".into()),
            device: true,
            ..Claims::default()
        };
        for (text, filled) in [
            ("default", "default"),
            ("{{.Identity.Subject}}", "d1"),
            ("{{with .Identity}}{{.Subject}}{{end}}", "d1"),
            ("a-{{ .Identity.Plan }}-{{.Identity.Tenant}}", "a-os-"),
            ("{{with .Identity}}{{.IsDevice}}{{end}}!", "true!"),
            ("", ""),
        ] {
            assert_eq!(Template::parse(text).unwrap().render(&caller), filled);
        }
    }

    #[test]
    fn other_expressions_are_refused_by_name() {
        for bad in [
            "{{.Subject}}",
            "{{if .Identity.IsUser}}a{{end}}",
            "{{with .Identity}}",
            "{{end}}",
            "{{.Identity.Password}}",
            "{{",
            "{{.Identity.Subject | printf}}",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Template::parse("{{.Env.HOME}}").unwrap_err(),
            "unsupported expression {{.Env.HOME}}"
        );
    }
}
